/**
 * `node dist/engine-node.mjs COMMAND`: runs the device bundle that lies beside it, dist/runtime.js, on Node.
 *
 * The bundle is the same file that QuickJS runs, so it is imported when this runs and never built in. Lines are written
 * with writeSync: what comes after a command may be an exec or the end of the machine, which no stream survives.
 */
import { readFileSync, writeSync } from 'node:fs';
import type { main } from '../../main.ts';
import { createNodeEngine } from './engine.ts';

const STDOUT = 1;
const STDERR = 2;

function writeLine(fd: number, line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A reader that went away wants no more; a full pipe without blocking takes the rest in a moment.
      if (code !== 'EAGAIN') return;
    }
  }
}

const texts = new URL('./runtime-texts.json', import.meta.url);
globalThis.coldsealTexts = () => JSON.parse(readFileSync(texts, 'utf8')) as readonly string[];

const bundle = new URL('./runtime.js', import.meta.url).href;
const runtime = (await import(bundle)) as { readonly main: typeof main };

process.exitCode = runtime.main(
  createNodeEngine({
    print: (line) => writeLine(STDOUT, line),
    printError: (line) => writeLine(STDERR, line),
  }),
  process.argv.slice(2),
);
