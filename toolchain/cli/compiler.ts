/**
 * What coldseal asks of V8's compiler: to copy less code into each function that it optimises.
 *
 * A command works for a second or less, and optimising took a third of the processor time of a dump with 64,246
 * entries. With less inlining it is a fifth less altogether; a million entries are a twentieth quicker as well
 * (docs/decisions/0062-columns.md has the figures). The setting is a limit that the compiler looks up each time; it
 * changes no result. Other versions of Node, which have not been seen to know it, would complain about the name.
 */
import { setFlagsFromString } from 'node:v8';

const NODE_MIN = 20;
const NODE_MAX = 24;
/** Bytes of bytecode; V8's own limit is 920. */
const INLINED_MAX = 200;

/** Sets the limit where it is known. To be called before much has run. */
export function limitInlining(nodeVersion: string): void {
  if (knowsLimit(nodeVersion)) {
    setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_MAX}`);
  }
}

/** Whether a version of Node has the setting. */
export function knowsLimit(nodeVersion: string): boolean {
  const major = Number.parseInt(nodeVersion, 10);
  return major >= NODE_MIN && major <= NODE_MAX;
}
