/** What a directory tree is to the bench: how many entries and bytes, and how much of that has to be hashed. */
import { accessSync, constants, lstatSync, readdirSync } from 'node:fs';
import { INLINE_CONTENT_RECOMMENDED_MAX } from '../../runtime/format/composefs.ts';
import { VERITY_BLOCK_SIZE } from '../../runtime/format/fsverity.ts';
import { nodePath, type ByteString } from '../image/byte-string.ts';

export interface TreeFacts {
  readonly entries: number;
  /** Bytes of regular files, each name counted: `image build` reads each name. */
  readonly bytes: number;
  /** Bytes that go through the hash: whole blocks, Merkle trees and descriptors. */
  readonly hashedBytes: number;
  /** The first entry that this user cannot read. */
  readonly unreadable: string | undefined;
}

const SHA256_SIZE = 32;
const DESCRIPTOR_SIZE = 256;

/** Counts a tree as `image build` without options sees it. */
export function describeTree(root: string): TreeFacts {
  const isRoot = process.getuid?.() === 0;
  let entries = 1;
  let bytes = 0;
  let hashed = 0;
  let unreadable: string | undefined;
  const pending = [Buffer.from(root).toString('latin1')];
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    if (!isRoot && !isReadable(dir, constants.R_OK | constants.X_OK)) {
      unreadable ??= dir;
      continue;
    }
    for (const name of readdirSync(nodePath(dir as ByteString), 'latin1')) {
      const path = `${dir}/${name}`;
      const stat = lstatSync(nodePath(path as ByteString));
      entries++;
      if (stat.isDirectory()) pending.push(path);
      if (!stat.isFile()) continue;
      bytes += stat.size;
      hashed += hashedBytes(stat.size);
      if (!isRoot && !isReadable(path, constants.R_OK)) unreadable ??= path;
    }
  }
  return { entries, bytes, hashedBytes: hashed, unreadable };
}

function isReadable(path: string, mode: number): boolean {
  try {
    accessSync(nodePath(path as ByteString), mode);
    return true;
  } catch {
    return false;
  }
}

/** What SHA-256 is fed with for the fs-verity digest of a file; nothing for one that is stored in the image. */
export function hashedBytes(size: number): number {
  if (size <= INLINE_CONTENT_RECOMMENDED_MAX) return 0;
  let blocks = Math.ceil(size / VERITY_BLOCK_SIZE);
  let total = blocks;
  while (blocks > 1) {
    blocks = Math.ceil((blocks * SHA256_SIZE) / VERITY_BLOCK_SIZE);
    total += blocks;
  }
  return total * VERITY_BLOCK_SIZE + DESCRIPTOR_SIZE;
}
