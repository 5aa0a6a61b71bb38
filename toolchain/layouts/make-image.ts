/**
 * Makers of file systems, each from directories of this machine: EROFS, squashfs, ext4, and EROFS with dm-verity.
 *
 * The tools are those of Debian, with the settings that they have by default; nothing needs root or a loop device.
 * Same tree, same times: no clock gets into what is measured.
 */
import { closeSync, openSync, readSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { alignUp } from '../../runtime/format/bytes.ts';
import { runToolToSuccess, type ToolSettings } from '../host/run-tool.ts';
import type { TreeEntry } from './tree.ts';

export const BLOCK = 4096;
/** Version 4, of nothing: identifiers are not what is compared. */
const UUID = '00000000-0000-4000-8000-000000000001';

/** The Debian packages of the tools. */
export const DEBIAN = {
  erofs: 'erofs-utils',
  squashfs: 'squashfs-tools',
  verity: 'cryptsetup-bin',
  ext4: 'e2fsprogs',
} as const;

type Signal = AbortSignal | undefined;

const settings = (debian: string, signal: Signal): ToolSettings => ({ debian, signal });

/** EROFS without compression, as composefs has it for metadata. */
export async function makeErofs(tree: string, image: string, signal: Signal): Promise<void> {
  const argv = ['mkfs.erofs', '--quiet', '-U', UUID, image, tree] as const;
  await runToolToSuccess(argv, settings(DEBIAN.erofs, signal));
}

/** squashfs with one of its compressors. */
export async function makeSquashfs(
  tree: string,
  image: string,
  compressor: 'lz4' | 'zstd',
  signal: Signal,
): Promise<void> {
  const quiet = ['-noappend', '-no-progress', '-quiet', '-mkfs-time', '0'];
  await runToolToSuccess(
    ['mksquashfs', tree, image, '-comp', compressor, ...quiet],
    settings(DEBIAN.squashfs, signal),
  );
}

/** What a dm-verity device is opened with. */
export interface VerityTable {
  readonly sectors: number;
  readonly dataBlocks: number;
  readonly hashStart: number;
  readonly rootHash: string;
}

const SALT = '5a'.repeat(32);

/** Puts a hash tree behind an image; the image is filled up to whole blocks before. */
export async function addVerity(image: string, signal: Signal): Promise<VerityTable> {
  const dataBytes = alignUp(statSync(image).size, BLOCK);
  truncateSync(image, dataBytes);
  const options = [
    '--no-superblock',
    `--salt=${SALT}`,
    '--hash=sha256',
    `--data-block-size=${BLOCK}`,
    `--hash-block-size=${BLOCK}`,
    `--data-blocks=${dataBytes / BLOCK}`,
    `--hash-offset=${dataBytes}`,
  ];
  const printed = await runToolToSuccess(
    ['veritysetup', 'format', ...options, image, image],
    settings(DEBIAN.verity, signal),
  );
  const rootHash = /^Root hash:\s+([0-9a-f]{64})$/m.exec(printed)?.[1];
  if (rootHash === undefined) {
    throw new ColdsealError(
      'HOST_TOOL_FAILED',
      'Cannot make a hash tree: veritysetup printed no root hash',
    );
  }
  const blocks = dataBytes / BLOCK;
  return { sectors: dataBytes / 512, dataBlocks: blocks, hashStart: blocks, rootHash };
}

/** The line of a device-mapper table that veritysetup would load. */
export function verityTable(device: string, table: VerityTable): string {
  const { dataBlocks, hashStart, rootHash } = table;
  return `1 ${device} ${device} ${BLOCK} ${BLOCK} ${dataBlocks} ${hashStart} sha256 ${rootHash} ${SALT}`;
}

/** An ext4 without a journal, whose root has what `holder` has; `entries` says how much that is. */
export async function makeExt4(
  holder: string,
  image: string,
  entries: readonly TreeEntry[],
  signal: Signal,
): Promise<void> {
  const inodes = entries.length + INODES_SPARE;
  writeFileSync(image, '');
  truncateSync(image, roomFor(entries, inodes));
  const features = '^has_journal,^resize_inode';
  const options = ['-q', '-F', '-t', 'ext4', '-b', `${BLOCK}`, '-I', '256', '-m', '0'];
  const fixed = ['-N', `${inodes}`, '-O', features, '-U', UUID, '-E', `hash_seed=${UUID}`];
  await runToolToSuccess(['mke2fs', ...options, ...fixed, '-d', holder, image], {
    ...settings(DEBIAN.ext4, signal),
    env: { E2FSPROGS_FAKE_TIME: '1' },
  });
}

const INODES_SPARE = 64;
/** Bitmaps, descriptors, blocks of extents and of attributes: the file is sparse, and only used blocks are counted. */
const SPARE_SHARE = 1.1;
const SPARE_BYTES = 32 * 1024 * 1024;

function roomFor(entries: readonly TreeEntry[], inodes: number): number {
  const content = entries.reduce((sum, { kind, size }) => {
    return sum + (kind === 'other' ? 0 : alignUp(Math.max(size, 1), BLOCK));
  }, 0);
  return alignUp((content + inodes * 256) * SPARE_SHARE + SPARE_BYTES, 1024 * 1024);
}

/** Blocks in use of an ext4, in bytes: what it would need, were it made to measure (fs/ext4/ext4.h). */
export function ext4Used(image: string): number {
  const bytes = Buffer.alloc(1024);
  const fd = openSync(image, 'r');
  try {
    readSync(fd, bytes, 0, bytes.length, 1024);
  } finally {
    closeSync(fd);
  }
  const blocks = bytes.readUInt32LE(0x04) + bytes.readUInt32LE(0x150) * 2 ** 32;
  const free = bytes.readUInt32LE(0x0c) + bytes.readUInt32LE(0x158) * 2 ** 32;
  return (blocks - free) * BLOCK;
}
