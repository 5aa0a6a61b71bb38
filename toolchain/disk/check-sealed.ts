/**
 * Proves one sealed file on a disk: its content has the digest of its name, and what fs-verity keeps behind it is
 * exactly what a kernel will look for, block by block.
 *
 * A kernel would find the same damage, but only in the blocks that somebody reads, and on the board.
 */
import { allZero } from '../../runtime/format/bytes.ts';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { algorithmOfDigest } from '../objects/layout.ts';
import type { Ext4Reader, FoundFile } from './ext4-reader.ts';
import { BLOCK } from './ext4-records.ts';
import { sealedLayout } from './sealed-layout.ts';
import { Sealer } from './sealer.ts';

/** Proves files one after the other. */
export class SealedChecker {
  readonly #reader: Ext4Reader;
  readonly #sealers = { sha256: new Sealer('sha256'), sha512: new Sealer('sha512') };

  constructor(reader: Ext4Reader) {
    this.#reader = reader;
  }

  /** Throws VERIFY_NOT_SEALED, VERIFY_SEALED_DIGEST, VERIFY_SEALED_TREE or VERIFY_SEALED_DESCRIPTOR. */
  check(file: FoundFile, digest: string): void {
    if (!file.isSealed) throw refuse('VERIFY_NOT_SEALED', file, 'fs-verity is not on');
    const algorithm = algorithmOfDigest(digest);
    const layout = sealedLayout(file.size, algorithm);
    const sealer = this.#sealers[algorithm];
    sealer.begin();
    let left = file.size;
    for (const piece of this.#reader.blocks(file, 0, layout.dataBlocks)) {
      const data = piece.subarray(0, left);
      // A kernel hashes the last block whole; bytes behind the end that are not zero would be an EIO.
      if (!allZero(piece, data.length)) {
        throw refuse('VERIFY_SEALED_DIGEST', file, 'bytes behind its end are not zero');
      }
      sealer.update(data);
      left -= data.length;
    }
    const sealed = sealer.finish();
    if (sealed.digest !== digest) {
      throw refuse('VERIFY_SEALED_DIGEST', file, `its content has the digest ${sealed.digest}`);
    }
    const last = file.runs.at(-1);
    if (last === undefined || last.logical + last.count !== layout.descriptorBlock + 1) {
      throw refuse('VERIFY_SEALED_DESCRIPTOR', file, 'its last block is not its descriptor');
    }
    this.#compare(file, layout.treeStart, sealed.blocks);
  }

  #compare(file: FoundFile, start: number, expected: Uint8Array): void {
    let at = 0;
    const end = start + expected.length / BLOCK;
    for (const piece of this.#reader.blocks(file, start, end)) {
      if (Buffer.compare(piece, expected.subarray(at, at + piece.length)) !== 0) {
        throw this.#difference(file, piece, expected, at);
      }
      at += piece.length;
    }
  }

  #difference(file: FoundFile, piece: Uint8Array, expected: Uint8Array, at: number): ColdsealError {
    const byte = piece.findIndex((value, index) => value !== expected[at + index]);
    const block = Math.floor((at + byte) / BLOCK);
    return block === expected.length / BLOCK - 1
      ? refuse('VERIFY_SEALED_DESCRIPTOR', file, 'its fs-verity descriptor is not right')
      : refuse('VERIFY_SEALED_TREE', file, `block ${block} of its Merkle tree is not right`);
  }
}

function refuse(code: ErrorCode, { path }: FoundFile, problem: string): ColdsealError {
  return new ColdsealError(code, `Cannot accept /${path} of the store: ${problem}`);
}
