/**
 * Writes an ext4 whose files are sealed with fs-verity, straight into a disk image: without root, a loop device or a
 * kernel that has fs-verity, and without a copy of the files on the way.
 *
 * A kernel would make the same: data, Merkle tree and descriptor as in sealed-layout.ts, and the VERITY flag on the
 * inode. Each file is hashed while it is written, and its digest must be the one it was announced with. The bytes
 * depend on names, contents, order, size, UUID and label alone: no clock, owner, mode, locale or directory gets in
 * (docs/decisions/0037-own-file-systems.md). Times are zero, owner and group root, files 0644, directories 0755.
 */
import { alignUp } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { algorithmOfDigest } from '../objects/layout.ts';
import { contentSize, readContent } from './content.ts';
import type { StoreFile } from './disk.ts';
import { writeMetadata } from './ext4-metadata.ts';
import { type Ext4Plan, planExt4, type PlannedFile } from './ext4-layout.ts';
import { BLOCK } from './ext4-records.ts';
import { TREE_ALIGNMENT } from './sealed-layout.ts';
import { Sealer } from './sealer.ts';
import { writeAll } from './write-all.ts';

export interface SealedExt4 {
  readonly files: readonly StoreFile[];
  /** Names of files that come first on the disk, in this order. */
  readonly order?: readonly string[] | undefined;
  readonly sizeBytes: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 16 ASCII characters. */
  readonly label: string;
  readonly onProgress?: ((doneBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A store file and what is known about it before it is written. */
export type SizedFile = StoreFile & { readonly size: number };

/** Looks up the sizes of the files. */
export function withSizes(files: readonly StoreFile[]): SizedFile[] {
  return files.map((file) => ({ ...file, size: contentSize(file) }));
}

/** Writes at `base` of an open file whose bytes there are zero. Throws VERIFY_SEALED_DIGEST, CONFIG_STORE_SIZE. */
export async function writeSealedExt4(
  fd: number,
  base: number,
  options: SealedExt4,
): Promise<void> {
  const { sizeBytes, order } = options;
  const plan: Ext4Plan<SizedFile> = planExt4(withSizes(options.files), sizeBytes, order);
  const writer = new FileWriter(fd, base);
  let done = 0;
  for (const [index, planned] of plan.files.entries()) {
    writer.write(planned);
    done += planned.size;
    if (index % 64 !== 63) continue;
    options.onProgress?.(done);
    // Lets signals and timers in.
    await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
  }
  writeMetadata(fd, base, plan, options);
  options.onProgress?.(done);
}

class FileWriter {
  readonly #fd: number;
  readonly #base: number;
  readonly #sealers = new Map<VerityAlgorithm, Sealer>();

  constructor(fd: number, base: number) {
    this.#fd = fd;
    this.#base = base;
  }

  write({ file, size, runs }: PlannedFile<SizedFile>): void {
    const { digest } = file;
    const toDisk = (logical: number, bytes: Uint8Array): void =>
      this.#writeAt(runs, logical, bytes);
    const sealer = digest === undefined ? undefined : this.#sealer(algorithmOfDigest(digest));
    sealer?.begin();
    const copied = readContent(file, (piece, at) => {
      if (at + piece.length > size) throw changed(file.name);
      toDisk(at, piece);
      sealer?.update(piece);
    });
    if (copied !== size) throw changed(file.name);
    if (sealer === undefined) return;
    const sealed = sealer.finish();
    if (sealed.digest !== digest) {
      throw new ColdsealError(
        'VERIFY_SEALED_DIGEST',
        `Cannot seal ${file.name}: its content has the digest ${sealed.digest}, expected ${digest}`,
        { hint: 'find the damage with coldseal store verify, or build the release again' },
      );
    }
    toDisk(alignUp(size, TREE_ALIGNMENT), sealed.blocks);
  }

  #sealer(algorithm: VerityAlgorithm): Sealer {
    let sealer = this.#sealers.get(algorithm);
    if (sealer === undefined) this.#sealers.set(algorithm, (sealer = new Sealer(algorithm)));
    return sealer;
  }

  /** Writes bytes at an offset of the file; they may cross from one run to the next. */
  #writeAt(runs: PlannedFile<SizedFile>['runs'], offset: number, bytes: Uint8Array): void {
    let at = 0;
    for (const { logical, physical, count } of runs) {
      const start = offset + at - logical * BLOCK;
      const room = count * BLOCK - start;
      if (start < 0 || room <= 0) continue;
      const part = bytes.subarray(at, at + room);
      writeAll(this.#fd, part, this.#base + physical * BLOCK + start);
      at += part.length;
      if (at === bytes.length) return;
    }
    throw new Error(`no blocks planned for offset ${offset + at}`);
  }
}

function changed(name: string): ColdsealError {
  return new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot store ${name}: it changed while it was read`,
    {
      hint: 'build from files that nothing writes to',
    },
  );
}
