/** What the writer puts where, read back field by field with the records and not with the reader. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { ComposefsHeader } from '../../runtime/format/composefs.ts';
import {
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';
import { buildImage, imageBytes } from '../../toolchain/image/build.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { ImageSink } from '../../toolchain/image/image-sink.ts';
import { chunkBits, type ImageLayout, layoutImage } from '../../toolchain/image/layout.ts';
import { readTree } from '../../toolchain/image/read-tree.ts';
import { S_IFDIR, S_IFREG, TreeNode, type Xattr } from '../../toolchain/image/tree.ts';
import { formatVersions } from '../../toolchain/image/versions.ts';
import { expectCode } from '../support/expect-code.ts';

const test = suite('write');

const ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -';

function image(lines: readonly string[], version = 0): Buffer {
  const root = parseDump(Buffer.from(`${[ROOT, ...lines].join('\n')}\n`));
  return Buffer.from(imageBytes(root, { min: version, max: version }));
}

/** The inode of the entry `a`. */
function inodeOfA({ inodes }: ImageLayout): number {
  return inodes.entries.findIndex((entry) => inodes.table.name(entry) === 'a');
}

function superblock(bytes: Buffer): ReturnType<typeof ErofsSuperblock.decode> {
  return ErofsSuperblock.decode(bytes, EROFS_SUPER_OFFSET);
}

test('header and superblock of an empty root', () => {
  const bytes = image([], 1);
  assert.equal(ComposefsHeader.decode(bytes), { version: 1, flags: 0, composefs_version: 1 });
  const sb = superblock(bytes);
  assert.is(sb.root_nid, (EROFS_SUPER_OFFSET + ErofsSuperblock.size) / EROFS_SLOT_SIZE);
  assert.is(sb.inos, 257n, 'the root and 256 stubs');
  assert.is(sb.blocks * 4096, bytes.length);
  assert.is(sb.feature_compat, 6);
  assert.is(sb.feature_incompat, 0);
});

test('files of one digest keep their own payloads, however alike', () => {
  const digest = '4f'.repeat(32);
  const path = `4f/${'4f'.repeat(31)}`;
  const others = [`4f-${path.slice(3)}`, `5f${path.slice(2)}`, `${path.slice(0, -1)}e`, `${path}f`];
  for (const payloads of others.flatMap((other) => [
    [path, other],
    [other, path],
  ])) {
    const lines = payloads.map(
      (payload, i) => `/${'ab'[i]}xx 100000 100644 1 0 0 0 0.0 ${payload} - ${digest}`,
    );
    const root = readTree(openImage(image(lines)));
    assert.equal(
      root.children!.map(({ payload }) => payload),
      payloads,
    );
  }
});

test('the ACL flag follows exact names only', () => {
  const rows: [xattr: string, flags: number][] = [
    ['system.posix_acl_access=x', 1],
    ['system.posix_acl_default=x', 1],
    ['system.posix_acl_accessory=x', 0],
    ['user.posix_acl_access=x', 0],
  ];
  for (const [xattr, flags] of rows) {
    const bytes = image([`/a 0 100644 1 0 0 0 0.0 - - - ${xattr}`]);
    assert.is(ComposefsHeader.decode(bytes).flags, flags, xattr);
  }
});

test('an inode is compact exactly while everything fits', () => {
  // What a line says, and whether its inode must be extended.
  const rows: [line: string, extended: boolean][] = [
    ['/a 0 100644 65535 65535 65535 0 0.0 - - -', false],
    ['/a 0 100644 65536 0 0 0 0.0 - - -', true],
    ['/a 0 100644 1 65536 0 0 0.0 - - -', true],
    ['/a 0 100644 1 0 65536 0 0.0 - - -', true],
    ['/a 4294967295 100644 1 0 0 0 0.0 x - -', false],
    ['/a 4294967296 100644 1 0 0 0 0.0 x - -', true],
    ['/a 0 100644 1 0 0 0 0.1 - - -', true],
  ];
  for (const [line, extended] of rows) {
    const layout = layoutImage(parseDump(Buffer.from(`${ROOT}\n${line}\n`)), { min: 0, max: 0 });
    const inode = inodeOfA(layout);
    assert.is(layout.inodes.extended[inode], extended ? 1 : 0, line);
    const bytes = image([line]);
    const at = layout.inodes.position[inode]!;
    const record = extended ? ErofsInodeExtended : ErofsInodeCompact;
    assert.is(record.decode(bytes, at).i_format & 1, extended ? 1 : 0, line);
  }
});

test('entries stand in byte order with the dots in their places', () => {
  const names = ['0', '.a', '..a', '-', '!'];
  const files = names.map((name) => `/d/${name} 0 100644 1 0 0 0 0.0 - - -`);
  const bytes = image(['/d 0 40755 2 0 0 0 0.0 - - -', ...files]);
  // The names of a directory follow each other without separators: ! - . .. ..a .a 0
  assert.ok(bytes.includes('!-.....a.a0'));
});

test('chunk size is the least power of two that holds the file, within limits', () => {
  const rows: [size: number, bits: number][] = [
    [1, 12],
    [4096, 12],
    [4097, 13],
    [8192, 13],
    [2 ** 31, 31],
    [2 ** 31 + 1, 32],
    [2 ** 32, 32],
    [2 ** 32 + 1, 33],
    [2 ** 43, 43],
    [2 ** 43 + 1, 43],
    [2 ** 53, 43],
  ];
  for (const [size, bits] of rows) assert.is(chunkBits(size), bits, String(size));
});

test('a file beyond 8 PiB is refused', () => {
  const root = new TreeNode(byteStringOfText(''), S_IFDIR | 0o755);
  const file = new TreeNode(byteStringOfText('a'), S_IFREG | 0o644);
  file.size = 2 ** 54;
  root.children!.push(file);
  expectCode(() => buildImage(root), 'FORMAT_TREE_FILE_SIZE');
});

test('at most 128 shared attributes are counted in one inode', () => {
  const xattrs = Array.from({ length: 130 }, (_, i) => ` user.x${i}=1`).join('');
  const lines = ['a', 'b'].map((name) => `/${name} 0 100644 1 0 0 0 0.0 - - -${xattrs}`);
  const root = parseDump(Buffer.from(`${[ROOT, ...lines].join('\n')}\n`));
  const layout = layoutImage(root, { min: 0, max: 0 });
  const bytes = image(lines);
  const inode = inodeOfA(layout);
  const at = layout.inodes.position[inode]! + ErofsInodeCompact.size;
  assert.is(ErofsXattrIbodyHeader.decode(bytes, at).h_shared_count, 128);
  assert.is(layout.sharedXattrs.length, 130);
});

test('attributes that two files share are stored once', () => {
  const value = 'v'.repeat(500);
  const one = image([`/a 0 100644 1 0 0 0 0.0 - - - user.k=${value}`]);
  const two = image(
    ['a', 'b'].map((name) => `/${name} 0 100644 1 0 0 0 0.0 - - - user.k=${value}`),
  );
  assert.is(two.toString('latin1').split(value).length, 2);
  assert.is(one.toString('latin1').split(value).length, 2);
});

test('a tree that no source made: equal attributes as different objects still share', () => {
  const root = new TreeNode(byteStringOfText(''), S_IFDIR | 0o755);
  for (const name of ['a', 'b']) {
    const file = new TreeNode(byteStringOfText(name), S_IFREG | 0o644);
    const xattr: Xattr = { name: byteStringOfText('user.k'), value: byteStringOfText('same') };
    file.xattrs = [xattr];
    root.children!.push(file);
  }
  assert.is(layoutImage(root, { min: 0, max: 0 }).sharedXattrs.length, 1);
});

test('a hardlink out of the tree is a programming error', () => {
  const root = new TreeNode(byteStringOfText(''), S_IFDIR | 0o755);
  const link = new TreeNode(byteStringOfText('a'), S_IFREG | 0o644);
  link.hardlink = new TreeNode(byteStringOfText('b'), S_IFREG | 0o644);
  root.children!.push(link);
  assert.throws(() => layoutImage(root, { min: 0, max: 0 }), /outside the tree/);
});

test('format versions follow the options as with mkcomposefs', () => {
  const rows: [min: number | undefined, max: number | undefined, from: number, to: number][] = [
    [undefined, undefined, 0, 1],
    [0, undefined, 0, 0],
    [1, undefined, 1, 1],
    [undefined, 0, 0, 0],
    [undefined, 1, 0, 1],
    [1, 0, 1, 1],
  ];
  for (const [min, max, from, to] of rows) {
    assert.equal(formatVersions(min, max), { min: from, max: to }, `${min} ${max}`);
  }
});

test('xxHash32 of its specification', () => {
  const bytes = Buffer.from('Nobody inspects the spammish repetition');
  const rows: [data: Uint8Array, seed: number, hash: number][] = [
    [new Uint8Array(0), 0, 0x02cc5d05],
    [new Uint8Array(0), 1, 0x0b2cb792],
    [Buffer.from('a'), 0, 0x550d7456],
    [Buffer.from('abc'), 0, 0x32d153ff],
    [bytes, 0, 0xe2293b2f],
  ];
  for (const [data, seed, hash] of rows) assert.is(xxh32(data, seed), hash);
});

test('the sink hands on whole blocks and keeps every byte in order', () => {
  const pieces: Buffer[] = [];
  const sink = new ImageSink((bytes) => pieces.push(Buffer.from(bytes)));
  const expected: Buffer[] = [];
  for (let i = 0; i < 700; i++) {
    const bytes = Buffer.alloc((i * 37) % 5000, i);
    sink.bytes(bytes);
    sink.u64(i % 2 === 0 ? 2 ** 33 + i : -1n);
    sink.fill(0, 13);
    const number = Buffer.alloc(21);
    if (i % 2 === 0) number.writeBigUInt64LE(BigInt(2 ** 33 + i));
    else number.writeBigInt64LE(-1n);
    expected.push(bytes, number);
  }
  sink.end();
  assert.is(Buffer.compare(Buffer.concat(pieces), Buffer.concat(expected)), 0);
  assert.ok(pieces.slice(0, -1).every((piece) => piece.length % 4096 === 0));
  assert.throws(() => sink.padTo(1), /overlap/);
});

test('an image in memory is the same as one that is streamed, however many pieces it comes in', () => {
  const names = Array.from({ length: 6000 }, (_, i) => `/${'n'.repeat(200)}${i}`);
  const lines = names.map((name) => `${name} 0 100644 1 0 0 0 0.0 - - -`);
  const root = parseDump(Buffer.from(`${[ROOT, ...lines].join('\n')}\n`));
  const bytes = imageBytes(root);
  assert.ok(bytes.length > 2 ** 20);
  assert.is(
    toHex(fsVerityDigest(bytes, 'sha256', hashFunction('sha256'))),
    buildImage(root).digest,
  );
});

test.run();
