/**
 * The engine module: host.c calls `start` with its functions and with `main` of the device bundle.
 *
 * Built into dist/engine-quickjs.js and carried as bytecode beside the bundle. The two share no module, so neither may
 * ask of the other's errors which class they have; the errno's name in `code` is what counts.
 */
import type { Engine } from '../../engine.ts';
import { createQuickjsEngine } from './engine.ts';
import type { Host } from './host.ts';

/** Runs the device bundle; the exit code of the program. */
export function start(
  host: Host,
  main: (engine: Engine, args: readonly string[]) => number,
  args: readonly string[],
): number {
  globalThis.coldsealTexts = () => JSON.parse(host.texts()) as readonly string[];
  return main(createQuickjsEngine(host), args);
}
