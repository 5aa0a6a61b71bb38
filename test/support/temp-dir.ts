/** Temporary directories for tests, removed when the process ends at the latest. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const created = new Set<string>();
let isWatching = false;

/** A new empty directory; `remove` takes it away, and leaving the process does too. */
export interface TempDir extends Disposable {
  readonly path: string;
  remove(): void;
}

/** Makes a temporary directory; `using dir = tempDir();` removes it at the end of the block. */
export function tempDir(parent: string = tmpdir()): TempDir {
  if (!isWatching) process.once('exit', () => created.forEach(removeTree));
  isWatching = true;
  const path = realpathSync(mkdtempSync(join(parent, 'coldseal-test-')));
  created.add(path);
  const remove = (): void => {
    created.delete(path);
    removeTree(path);
  };
  return { path, remove, [Symbol.dispose]: remove };
}

function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}
