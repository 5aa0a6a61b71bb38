/** What `node:fs` means on QuickJS: no files; a stored key is there when it was in the Node run. */
import { replayAnswer } from './replayed-crypto.ts';

export function readFileSync(): Uint8Array {
  if (replayAnswer('file') !== 'true') throw new Error('ENOENT');
  return new Uint8Array();
}

export const mkdirSync = (): void => undefined;
export const renameSync = (): void => undefined;
export const writeFileSync = (): void => undefined;
export const readSync = (): number => 0;
