/** The Node engine: the device bundle's world on Node, for a booted system without QuickJS and for tests. */
import type { Engine } from '../../engine.ts';
import { RUNTIME_REASONS } from '../../reasons.ts';
import { computeDigest } from './compute-digest.ts';
import { createNodeCrypto } from './crypto.ts';
import { createNodeDeviceSys } from './device-sys.ts';

/** Where a command's lines go. */
export type PrintLines = Pick<Engine, 'print' | 'printError'>;

/** An engine on this Node. */
export function createNodeEngine(lines: PrintLines): Engine {
  return {
    name: 'node',
    sys: createNodeDeviceSys(),
    crypto: createNodeCrypto(),
    computeDigest,
    reasons: () => RUNTIME_REASONS,
    ...lines,
  };
}
