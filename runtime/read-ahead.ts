/**
 * Asks the kernel for what the boot will read before anything needs it: the list that `coldseal release --profile`
 * has sealed into the initramfs (docs/boot-order.md).
 *
 * A hint. What of it is not there or cannot be read is left out: the boot reads it later, or refuses it then. Nothing
 * that is read here is believed; fs-verity checks each page when it comes.
 */
import { RUN_STORE, SEALED_READ_AHEAD } from './device-paths.ts';
import { toByteString } from './format/bytes.ts';
import { withFile } from './read-file.ts';
import type { SysFiles, SysReadAhead } from './sys.ts';

/** Of the list, in bytes; the release keeps to it. */
export const READ_AHEAD_BYTES_MAX = 64 * 1024;
/** Begins a name whose Merkle tree has more than one block. */
export const TREE_TOO = '+';

/** The sealed list; empty in a release without a profile. */
export function readAheadList(sys: SysFiles): string {
  try {
    return withFile(sys, SEALED_READ_AHEAD, (file) => {
      const bytes = new Uint8Array(READ_AHEAD_BYTES_MAX);
      return toByteString(bytes, 0, sys.read(file, bytes, 0));
    });
  } catch {
    return '';
  }
}

/** Goes through a list; `device` is the partition of the store, which is mounted. */
export function readAhead(sys: SysFiles & SysReadAhead, device: string, list: string): void {
  for (const line of list.split('\n')) {
    const [name, ...ranges] = line.split(' ');
    const path = name!.replace(TREE_TOO, '');
    try {
      withFile(sys, path ? `${RUN_STORE}/${path}` : device, (file) => {
        // First, since the kernel needs it for the first page of the content, and would read it block by block.
        if (path !== name) sys.readTree(file);
        for (let i = 0; i < ranges.length; i += 2)
          sys.readAhead(file, Number(ranges[i]), Number(ranges[i + 1]));
      });
    } catch {
      // Most often a release that was put into the slot since.
    }
  }
}
