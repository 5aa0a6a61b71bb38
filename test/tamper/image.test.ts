/**
 * Every byte of every record of an image, changed: refused with a code, or it changes what the image says.
 *
 * `digest` in the table means that structure cannot tell: the change gives another valid image. There the test
 * demands that the dump or the format version differs, so that no byte is ignored, and the image's fs-verity
 * digest is the guard. A field added to a record has no row and fails here.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { findBrokenRules } from '../../runtime/format/restrict.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { fieldsOfImage, type FieldAt } from '../../toolchain/dev/fuzz/corpus.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { readTree } from '../../toolchain/image/read-tree.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { imageOf } from '../support/image-lab.ts';

const DIGEST = '4f1d2c3b00000000000000000000000000000000000000000000000000000abc';
const IMAGE = imageOf(
  1,
  [
    '/a 5 100644 1 0 0 0 5.5 - hello - user.k=v user.l=w',
    `/b 100000 100644 1 70000 0 0 9.9 ab/cdef - ${DIGEST} user.k=v`,
    '/d 4096 40755 2 0 0 0 5.5 - - -',
    '/d/e 0 100644 1 0 0 0 5.5 - - - system.posix_acl_access=acl trusted.overlay.x=1',
    '/d/w 0 20600 1 0 0 0 7.0 - - -',
    '/l 3 120777 1 0 0 0 5.5 b/c - -',
    '/t 0 20644 1 0 0 1281 5.5 - - -',
  ],
  '/ 4096 40755 2 3 4 0 5.5 - - -',
);
const FLIPS = [0x01, 0x80, 0xff];

/** By record and field: the codes without FORMAT_, and `digest`. */
const EXPECTED: Readonly<Record<string, string>> = {
  'composefs header.magic': 'RECORD_FIELD',
  'composefs header.version': 'HEADER_VERSION',
  'composefs header.flags': 'HEADER_ACL HEADER_FLAGS',
  'composefs header.composefs_version': 'COMPOSEFS_VERSION digest',
  'composefs header.unused': 'RECORD_FIELD',
  'EROFS superblock.magic': 'RECORD_FIELD',
  'EROFS superblock.checksum': 'SUPER_CHECKSUM',
  'EROFS superblock.feature_compat': 'SUPER_COMPAT',
  'EROFS superblock.blkszbits': 'SUPER_BLKSZBITS',
  'EROFS superblock.sb_extslots': 'SUPER_EXTSLOTS',
  'EROFS superblock.root_nid': 'INODE_FORMAT NID_RANGE ROOT_TYPE',
  'EROFS superblock.inos': 'SUPER_INOS',
  'EROFS superblock.build_time': 'SUPER_BUILD_TIME digest',
  'EROFS superblock.build_time_nsec': 'SUPER_NSEC digest',
  'EROFS superblock.blocks': 'SUPER_BLOCKS',
  'EROFS superblock.meta_blkaddr': 'SUPER_META_BLKADDR',
  'EROFS superblock.xattr_blkaddr': 'XATTR_NAME XATTR_RANGE',
  'EROFS superblock.uuid': 'SUPER_LABEL',
  'EROFS superblock.volume_name': 'SUPER_LABEL',
  'EROFS superblock.feature_incompat': 'SUPER_INCOMPAT',
  'EROFS superblock.available_compr_algs': 'SUPER_COMPRESSION',
  'EROFS superblock.extra_devices': 'SUPER_DEVICES',
  'EROFS superblock.devt_slotoff': 'SUPER_DEVICES',
  'EROFS superblock.dirblkbits': 'SUPER_DIRBLKBITS',
  'EROFS superblock.xattr_prefix_count': 'SUPER_XATTR_PREFIXES',
  'EROFS superblock.xattr_prefix_start': 'SUPER_XATTR_PREFIXES',
  'EROFS superblock.packed_nid': 'SUPER_PACKED_NID',
  'EROFS superblock.xattr_filter_reserved': 'SUPER_XATTR_FILTER',
  'EROFS superblock.reserved2': 'RECORD_FIELD',
  'EROFS compact inode.i_format': 'INODE_FORMAT INODE_RESERVED STUB SYMLINK_TARGET XATTR_RANGE',
  'EROFS compact inode.i_xattr_icount':
    'INODE_RANGE SYMLINK_TARGET XATTR_INDEX XATTR_NAME XATTR_RANGE',
  'EROFS compact inode.i_mode': 'DIRENT_TYPE INODE_MODE ROOT_TYPE STUB digest',
  'EROFS compact inode.i_nlink': 'DIRECTORY_NLINK STUB WHITEOUT_LINKS digest',
  'EROFS compact inode.i_size':
    'BYTES_SHARED BYTES_UNUSED DIRENT_NAME INODE_EMPTY INODE_RANGE SYMLINK_TARGET',
  'EROFS compact inode.i_reserved': 'INODE_RESERVED',
  'EROFS compact inode.i_u': 'DIRENT_TABLE INODE_RANGE INODE_UNION digest',
  'EROFS compact inode.i_ino': 'INODE_INO',
  'EROFS compact inode.i_uid': 'STUB digest',
  'EROFS compact inode.i_gid': 'STUB digest',
  'EROFS compact inode.i_reserved2': 'INODE_RESERVED',
  'EROFS xattr area header.h_name_filter': 'XATTR_FILTER',
  'EROFS xattr area header.h_shared_count': 'XATTR_RANGE',
  'EROFS xattr area header.h_reserved2': 'XATTR_HEADER',
  'EROFS xattr entry.e_name_len': 'XATTR_FILTER XATTR_NAME XATTR_RANGE',
  'EROFS xattr entry.e_name_index': 'XATTR_FILTER XATTR_INDEX XATTR_ORDER XATTR_PREFIX',
  'EROFS xattr entry.e_value_size': 'BYTES_UNUSED ROOT_OPAQUE XATTR_RANGE digest',
  'EROFS directory entry.nid':
    'DIRENT_DOTS DIRENT_TYPE INODE_FORMAT INODE_INO INODE_MODE NID_RANGE WHITEOUT_RAW',
  'EROFS directory entry.nameoff':
    'DIRECTORY_SHARED DIRENT_NAME DIRENT_ORDER DIRENT_TABLE WHITEOUT_RAW',
  'EROFS directory entry.file_type': 'DIRENT_TYPE',
  'EROFS directory entry.reserved': 'DIRENT_TYPE',
  'EROFS extended inode.i_format': 'INODE_FORMAT XATTR_RANGE',
  'EROFS extended inode.i_xattr_icount': 'INODE_RANGE XATTR_NAME XATTR_RANGE',
  'EROFS extended inode.i_mode': 'INODE_MODE digest',
  'EROFS extended inode.i_reserved': 'INODE_RESERVED',
  'EROFS extended inode.i_size': 'BYTES_SHARED CHUNK_FORMAT INODE_RANGE INODE_SIZE digest',
  'EROFS extended inode.i_u': 'CHUNK_FORMAT INODE_UNION',
  'EROFS extended inode.i_ino': 'INODE_INO',
  'EROFS extended inode.i_uid': 'digest',
  'EROFS extended inode.i_gid': 'digest',
  'EROFS extended inode.i_mtime': 'SUPER_BUILD_TIME digest',
  'EROFS extended inode.i_mtime_nsec': 'INODE_NSEC digest',
  'EROFS extended inode.i_nlink': 'digest',
  'EROFS extended inode.i_reserved2': 'INODE_RESERVED',
  'overlay metacopy.version': 'METACOPY',
  'overlay metacopy.len': 'METACOPY',
  'overlay metacopy.flags': 'METACOPY',
  'overlay metacopy.digest_algo': 'METACOPY',
};

/** What becomes of the image with `byte` at `offset`: a code, or `digest` when it says something else now. */
function outcome(offset: number, flip: number): string {
  const bytes = new Uint8Array(IMAGE);
  bytes[offset]! ^= flip;
  try {
    const image = openImage(bytes);
    const broken = findBrokenRules(image, 1);
    if (broken.length > 0) return broken[0]!.code;
    return said(bytes) === said(IMAGE) ? 'IGNORED' : 'digest';
  } catch (error) {
    if (error instanceof ColdsealError) return error.code;
    throw error;
  }
}

function said(bytes: Uint8Array): string {
  const image = openImage(bytes);
  return `${image.version}\n${[...printDump(readTree(image))].join('')}`;
}

/** All fields, but of the 256 equal stubs only those of two. */
function fieldsToTamper(): Map<string, FieldAt[]> {
  const image = openImage(IMAGE);
  const byField = new Map<string, FieldAt[]>();
  const stubs = new Set<number>();
  for (let i = 1; i < 255; i++) {
    const name = i.toString(16).padStart(2, '0');
    const entry = image.lookup(image.root(), Buffer.from(name))!;
    stubs.add(entry.offset).add(image.inode(entry.nid).offset);
  }
  for (const at of fieldsOfImage(image)) {
    if (stubs.has(at.offset - at.field.offset)) continue;
    const key = `${at.record}.${at.field.name}`;
    byField.set(key, [...(byField.get(key) ?? []), at]);
  }
  return byField;
}

const test = suite('tamper image');

const FIELDS = fieldsToTamper();

test('the table has a row for each field of each record, and no other', () => {
  assert.equal(Object.keys(EXPECTED).sort(), [...FIELDS.keys()].sort());
});

for (const [key, places] of FIELDS) {
  test(`each byte of ${key}`, () => {
    const outcomes = new Set<string>();
    for (const { field, offset } of places) {
      for (let i = 0; i < field.size; i++) {
        for (const flip of FLIPS) outcomes.add(outcome(offset + i, flip).replace(/^FORMAT_/, ''));
      }
    }
    assert.is([...outcomes].sort().join(' '), EXPECTED[key]);
  });
}

test('no byte of an image is ignored', () => {
  // Every byte is thorough and slow; a step without a common factor with any record meets every kind of byte.
  for (let offset = 0; offset < IMAGE.length; offset += 11) {
    assert.is.not(outcome(offset, 1 << (offset % 8)), 'IGNORED', `offset ${offset}`);
  }
});

test('the digest of the image guards what structure cannot', () => {
  const digestOf = (bytes: Uint8Array): string =>
    toHex(fsVerityDigest(bytes, 'sha256', hashFunction('sha256')));
  const image = openImage(IMAGE);
  const changed = new Uint8Array(IMAGE);
  changed[image.lookupPath(['a'])!.tailStart]! ^= 1;
  assert.equal(findBrokenRules(openImage(changed)), []);
  assert.is.not(digestOf(changed), digestOf(IMAGE));
});

test('an image cut off at any block, or with bytes added, is refused', () => {
  for (let length = 0; length < IMAGE.length; length += 512) {
    assert.throws(
      () => {
        const broken = findBrokenRules(openImage(IMAGE.slice(0, length)), 1);
        if (broken.length > 0) throw new ColdsealError(broken[0]!.code, broken[0]!.message);
      },
      (error: unknown) => error instanceof ColdsealError && error.exitCode === 4,
    );
  }
  for (const extra of [1, 4096]) {
    const longer = new Uint8Array(IMAGE.length + extra);
    longer.set(IMAGE);
    assert.is(findBrokenRules(openImage(longer), 1)[0]?.code, 'FORMAT_SUPER_BLOCKS');
  }
});

test.run();
