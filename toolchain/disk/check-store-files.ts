/**
 * Every file of a store partition: where it lies says what it is, and what it is says how it is proven.
 *
 * Objects and images are sealed and named by their digests. Manifests and deny lists are signed; check-slots.ts judges
 * them. Nothing else belongs into a store.
 */
import { STORE_OBJECTS } from '../../runtime/device-paths.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { SLOTS, type SlotName } from '../../runtime/format/slot-state.ts';
import { digestOfPath } from '../objects/layout.ts';
import { SealedChecker } from './check-sealed.ts';
import type { Findings } from './check-disk.ts';
import type { Ext4Reader, FoundFile } from './ext4-reader.ts';
import { BLOCK } from './ext4-records.ts';

export interface StoreContent {
  readonly reader: Ext4Reader;
  /** Sealed files that were found right, by path. */
  readonly sealed: ReadonlyMap<string, FoundFile>;
  /** Sealed files that were found damaged. */
  readonly damaged: ReadonlySet<string>;
  /** Files of slots by path: `slots/a/manifest.cose`. */
  readonly signed: ReadonlyMap<string, FoundFile>;
}

const OBJECT = new RegExp(`^${STORE_OBJECTS}/([0-9a-f]{2})/([0-9a-f]+)$`);
const IMAGE = /^images\/([0-9a-f]+)\.cfs$/;
const SIGNED = /^slots\/([a-z]+)\/(manifest|deny)\.cose$/;

/** Proves every file; damage goes to the findings. Throws FORMAT_EXT4 when the file system cannot be read. */
export async function checkStoreFiles(
  reader: Ext4Reader,
  findings: Findings,
  options: {
    readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<StoreContent> {
  const files = reader.files();
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const content = {
    reader,
    sealed: new Map<string, FoundFile>(),
    damaged: new Set<string>(),
    signed: new Map<string, FoundFile>(),
  };
  const checker = new SealedChecker(reader);
  let done = 0;
  for (const [index, file] of files.entries()) {
    const digest = digestOf(file.path);
    try {
      if (digest !== undefined) {
        checker.check(file, digest);
        content.sealed.set(file.path, file);
      } else if (isSigned(file.path)) content.signed.set(file.path, file);
      else throw stray(file);
    } catch (error) {
      findings.add('store', 'damage', error);
      content.damaged.add(file.path);
    }
    done += file.size;
    if (index % 64 !== 63) continue;
    options.onProgress?.(done, total);
    // Lets signals and timers in.
    await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
  }
  return content;
}

/** A whole file, at most `max` bytes of it. */
export function readStoreFile(reader: Ext4Reader, file: FoundFile, max = Infinity): Uint8Array {
  const size = Math.min(file.size, max);
  const pieces = [...reader.blocks(file, 0, Math.ceil(size / BLOCK))];
  return Uint8Array.from(Buffer.concat(pieces).subarray(0, size));
}

function digestOf(path: string): string | undefined {
  const object = OBJECT.exec(path);
  if (object !== null) return digestOfPath(object[1]!, object[2]!);
  const image = IMAGE.exec(path)?.[1];
  return image === undefined ? undefined : digestOfPath(image.slice(0, 2), image.slice(2));
}

function isSigned(path: string): boolean {
  const slot = SIGNED.exec(path)?.[1];
  return slot !== undefined && SLOTS.includes(slot as SlotName);
}

function stray({ path }: FoundFile): ColdsealError {
  return new ColdsealError(
    'VERIFY_STORE_FILE',
    `Cannot accept /${path} of the store: expected objects, images and slots`,
  );
}
