/** The second gate: what mkcomposefs writes passes, and each rule refuses what breaks it, with its code. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { EROFS_BLOCK_SIZE } from '../../runtime/format/erofs.ts';
import {
  COMPOSEFS_RULES,
  findBrokenRules,
  restrictToComposefs,
} from '../../runtime/format/restrict.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { checkImage } from '../../toolchain/image/check-image.ts';
import { expectCode } from '../support/expect-code.ts';
import { ImageLab, imageOf } from '../support/image-lab.ts';
import { v2Image } from '../support/v2-image.ts';

const DIGEST = '4f1d2c3b00000000000000000000000000000000000000000000000000000abc';
const ROOT = '/ 4096 40755 2 3 4 0 5.5 - - - security.selinux=ctx';
const LINES = [
  '/a 5 100644 1 0 0 0 5.5 - hello - user.k=v user.l=w',
  `/b 100000 100644 1 70000 0 0 9.9 ab/cdef - ${DIGEST} user.k=v`,
  '/d 4096 40755 2 0 0 0 5.5 - - -',
  '/d/e 4096 40755 2 0 0 0 5.5 - - -',
  '/d/f 0 100644 1 0 0 0 5.5 - - - system.posix_acl_access=acl trusted.overlay.x=1',
  '/d/w 0 20600 1 0 0 0 7.0 - - -',
  `/i 5000 100644 1 0 0 0 5.5 - ${'c'.repeat(4900)}${'d'.repeat(100)} -`,
  '/l 3 120777 1 0 0 0 5.5 b/c - -',
  `/m 9007199254740992 100644 1 0 0 0 5.5 y - - user.v=${'v'.repeat(2000)}`,
  '/p 0 10644 1 0 0 0 5.5 - - -',
];
const V0 = imageOf(0, LINES, ROOT);
const V1 = imageOf(1, LINES, ROOT);
const V2 = v2Image();
/** A label that two files share and the root does not have. */
const LABELS = imageOf(
  0,
  ['/a', '/b'].map((path) => `${path} 0 100644 1 0 0 0 5.5 - - - security.selinux=xtc`),
  ROOT,
);
const STUBS_ONLY = imageOf(0, []);

type Damage = (lab: ImageLab) => unknown;

/** Byte `index` of the value of an attribute. */
function value(lab: ImageLab, path: string, name: string, index: number, byte: number): void {
  lab.bytes[lab.xattr(path, name).valueStart + index] = byte;
}

const METACOPY = 'trusted.overlay.metacopy';
const REDIRECT = 'trusted.overlay.redirect';

type Row = readonly [code: string, what: string, damage: Damage, bytes?: Uint8Array];

const ROWS: readonly Row[] = [
  [
    'FORMAT_SUPER_META_BLKADDR',
    'nids from the second block',
    (lab) => lab.superblock('meta_blkaddr', 1),
  ],
  ['FORMAT_SUPER_ROOT_NID', 'a root in the header', (lab) => lab.superblock('root_nid', 1)],
  [
    'FORMAT_XATTR_DUPLICATE',
    'a name twice',
    (lab) =>
      lab.bytes.fill(
        0x6b,
        lab.xattr('/a', 'user.l').suffixStart,
        lab.xattr('/a', 'user.l').suffixStart + 1,
      ),
  ],
  ['FORMAT_XATTR_ORDER', 'names out of order', (lab) => setIndex(lab, 1)],
  ['FORMAT_XATTR_NAME', 'no name', (lab) => setIndex(lab, 0)],
  ['FORMAT_COMPOSEFS_VERSION', 'format version 3', (lab) => lab.header('composefs_version', 3)],
  ['FORMAT_HEADER_FLAGS', 'an unknown header flag', (lab) => lab.header('flags', 3)],
  ['FORMAT_HEADER_ACL', 'an ACL without the flag', (lab) => lab.header('flags', 0)],
  ['FORMAT_HEADER_PADDING', 'a byte before the superblock', (lab) => lab.bytes.fill(1, 1023, 1024)],
  ['FORMAT_SUPER_CHECKSUM', 'a checksum', (lab) => lab.superblock('checksum', 1)],
  [
    'FORMAT_SUPER_COMPAT',
    'a compatible feature more',
    (lab) => lab.superblock('feature_compat', 7),
  ],
  [
    'FORMAT_SUPER_COMPAT',
    'a compatible feature less',
    (lab) => lab.superblock('feature_compat', 2),
  ],
  [
    'FORMAT_SUPER_INCOMPAT',
    'chunked files announced',
    (lab) => lab.superblock('feature_incompat', 4),
  ],
  [
    'FORMAT_SUPER_INCOMPAT',
    'another feature in version 2',
    (lab) => lab.superblock('feature_incompat', 5),
    V2,
  ],
  ['FORMAT_SUPER_EXTSLOTS', 'extension slots', (lab) => lab.superblock('sb_extslots', 1)],
  ['FORMAT_SUPER_COMPRESSION', 'compression', (lab) => lab.superblock('available_compr_algs', 1)],
  ['FORMAT_SUPER_DEVICES', 'a device', (lab) => lab.superblock('extra_devices', 1)],
  ['FORMAT_SUPER_DEVICES', 'a device table', (lab) => lab.superblock('devt_slotoff', 1)],
  ['FORMAT_SUPER_DIRBLKBITS', 'larger directory blocks', (lab) => lab.superblock('dirblkbits', 1)],
  [
    'FORMAT_SUPER_XATTR_PREFIXES',
    'long prefixes',
    (lab) => lab.superblock('xattr_prefix_count', 1),
  ],
  ['FORMAT_SUPER_PACKED_NID', 'a packed inode', (lab) => lab.superblock('packed_nid', 36)],
  [
    'FORMAT_SUPER_XATTR_FILTER',
    'the filter turned off',
    (lab) => lab.superblock('xattr_filter_reserved', 1),
  ],
  ['FORMAT_SUPER_LABEL', 'a UUID', (lab) => lab.superblock('uuid', 1)],
  ['FORMAT_SUPER_LABEL', 'a label', (lab) => lab.superblock('volume_name', 1)],
  [
    'FORMAT_SUPER_BLOCKS',
    'a block more',
    (lab) => lab.superblock('blocks', V0.length / EROFS_BLOCK_SIZE + 1),
  ],
  ['FORMAT_SUPER_NSEC', 'a second of nanoseconds', (lab) => lab.superblock('build_time_nsec', 1e9)],
  [
    'FORMAT_SUPER_BUILD_TIME',
    'a build time after some mtime',
    (lab) => lab.superblock('build_time', 8),
  ],
  [
    'FORMAT_SUPER_BUILD_TIME',
    'a build time in version 2',
    (lab) => lab.superblock('build_time', 4),
    V2,
  ],
  ['FORMAT_SUPER_INOS', 'an inode more', (lab) => lab.superblock('inos', 9999)],
  [
    'FORMAT_SUPER_XATTR_BLKADDR',
    'shared ids from elsewhere',
    (lab) => {
      lab.superblock('xattr_blkaddr', 0);
      for (const name of ['user.k', 'security.selinux']) moveSharedId(lab, name);
    },
  ],
  [
    'FORMAT_INODE_RESERVED',
    'a reserved byte of a compact inode',
    (lab) => lab.inode('/d', 'i_reserved', 1),
  ],
  [
    'FORMAT_INODE_RESERVED',
    'a reserved byte at its end',
    (lab) => lab.inode('/d', 'i_reserved2', 1),
  ],
  [
    'FORMAT_INODE_RESERVED',
    'a reserved byte of an extended inode',
    (lab) => lab.inode('/b', 'i_reserved', 1),
  ],
  [
    'FORMAT_INODE_RESERVED',
    'a reserved byte at its end',
    (lab) => lab.inode('/b', 'i_reserved2', 1),
  ],
  [
    'FORMAT_INODE_FORM',
    'an extended inode without need',
    (lab) => {
      lab.inode('/b', 'i_uid', 7);
      lab.inode('/b', 'i_mtime', 5);
      lab.inode('/b', 'i_mtime_nsec', 5);
    },
  ],
  [
    'FORMAT_INODE_FORM',
    'a compact inode in version 2',
    (lab) => {
      lab.inode('/w', 'i_format', 0);
    },
    V2,
  ],
  ['FORMAT_INODE_NSEC', 'a second of nanoseconds', (lab) => lab.inode('/b', 'i_mtime_nsec', 1e9)],
  ['FORMAT_INODE_EMPTY', 'a fifo with a size', (lab) => lab.inode('/p', 'i_size', 1)],
  ['FORMAT_INODE_UNION', 'a fifo with a block', (lab) => lab.inode('/p', 'i_u', 1)],
  ['FORMAT_FILE_LAYOUT', 'an empty file with a tail', (lab) => lab.inode('/d/f', 'i_format', 4)],
  ['FORMAT_FILE_CONTENT_SIZE', 'much content', (lab) => lab.inode('/i', 'i_size', 5001)],
  ['FORMAT_CHUNK_FORMAT', 'smaller chunks', (lab) => lab.inode('/b', 'i_u', 4)],
  ['FORMAT_CHUNK_FORMAT', 'too many chunks', (lab) => lab.inode('/m', 'i_u', 0)],
  ['FORMAT_CHUNK_FORMAT', 'smaller chunks in version 2', (lab) => lab.inode('/f', 'i_u', 1), V2],
  [
    'FORMAT_CHUNK_HOLES',
    'a chunk with an address',
    (lab) => lab.bytes.fill(0, lab.find('/b').tailStart, lab.find('/b').tailStart + 1),
  ],
  ['FORMAT_INODE_INO', 'another number', (lab) => lab.inode('/d', 'i_ino', 1)],
  ['FORMAT_INODE_INO', 'a number out of range', (lab) => lab.inode('/d', 'i_ino', 0xffffffff)],
  ['FORMAT_INODE_INO_NID', 'another number in version 2', (lab) => lab.inode('/l', 'i_ino', 1), V2],
  ['FORMAT_DIRECTORY_NLINK', 'a link too many', (lab) => lab.inode('/d', 'i_nlink', 4)],
  ['FORMAT_WHITEOUT_RAW', 'a raw whiteout', (lab) => lab.inode('/d/f', 'i_mode', 0o20644)],
  ['FORMAT_WHITEOUT_LINKS', 'a whiteout with two links', (lab) => lab.inode('/00', 'i_nlink', 2)],
  ['FORMAT_WHITEOUT_LINKS', 'one in version 2', (lab) => lab.inode('/w', 'i_nlink', 2), V2],
  ['FORMAT_STUB', 'a stub with another mode', (lab) => lab.inode('/00', 'i_mode', 0o20600)],
  ['FORMAT_STUB', 'a stub with another owner', (lab) => lab.inode('/7f', 'i_uid', 1)],
  ['FORMAT_STUB', 'a stub with another group', (lab) => lab.inode('/7f', 'i_gid', 1)],
  [
    'FORMAT_STUB',
    'a stub with the label of a file',
    (lab) => {
      const label = lab.find('/a').xattrStart + 12;
      lab.bytes.copyWithin(lab.find('/7f').xattrStart + 12, label, label + 4);
    },
    LABELS,
  ],
  [
    'FORMAT_STUB',
    'a stub with room for a label the root does not have',
    (lab) => lab.inode('/ff', 'i_xattr_icount', 1),
    STUBS_ONLY,
  ],
  [
    'FORMAT_STUBS_MISSING',
    'a stub of another name',
    (lab) => lab.bytes.fill(0x67, lab.entry('/ff').nameStart, lab.entry('/ff').nameEnd),
  ],
  [
    'FORMAT_ROOT_OPAQUE',
    'a root that hides nothing',
    (lab) => value(lab, '/', 'trusted.overlay.opaque', 0, 0x78),
  ],
  [
    'FORMAT_XATTR_HEADER',
    'reserved bytes in an xattr area',
    (lab) => lab.bytes.fill(1, lab.find('/a').xattrStart + 5, lab.find('/a').xattrStart + 6),
  ],
  [
    'FORMAT_XATTR_FILTER',
    'another filter',
    (lab) => lab.bytes.fill(0, lab.find('/a').xattrStart, lab.find('/a').xattrStart + 1),
  ],
  ['FORMAT_XATTR_PREFIX', 'an index that mkcomposefs does not use', useLustreIndex],
  [
    'FORMAT_XATTR_OVERLAY',
    'an unescaped overlay name',
    (lab) => {
      const { suffixStart } = lab.xattr('/d/f', 'trusted.overlay.overlay.x');
      lab.bytes.set(Buffer.from('overlay.whatever.'), suffixStart);
    },
  ],
  ['FORMAT_METACOPY', 'a metacopy version', (lab) => value(lab, '/b', METACOPY, 0, 1)],
  ['FORMAT_METACOPY', 'a metacopy length', (lab) => value(lab, '/b', METACOPY, 1, 35)],
  ['FORMAT_METACOPY', 'metacopy flags', (lab) => value(lab, '/b', METACOPY, 2, 1)],
  ['FORMAT_METACOPY', 'SHA-512 with 32 bytes', (lab) => value(lab, '/b', METACOPY, 3, 2)],
  ['FORMAT_METACOPY', 'a metacopy on an empty file', (lab) => lab.inode('/b', 'i_size', 0)],
  [
    'FORMAT_REDIRECT',
    'a redirect without a metacopy',
    (lab) => (lab.bytes[lab.xattr('/b', METACOPY).valueStart - 1] = 0x78),
  ],
  ['FORMAT_REDIRECT', 'a relative redirect', (lab) => value(lab, '/b', REDIRECT, 0, 0x61)],
  ['FORMAT_REDIRECT', 'an empty part', (lab) => value(lab, '/b', REDIRECT, 1, 0x2f)],
  [
    'FORMAT_REDIRECT',
    'a part ".."',
    (lab) =>
      lab.bytes.fill(
        0x2e,
        lab.xattr('/b', REDIRECT).valueStart + 1,
        lab.xattr('/b', REDIRECT).valueStart + 3,
      ),
  ],
  ['FORMAT_REDIRECT', 'a NUL', (lab) => value(lab, '/b', REDIRECT, 1, 0)],
  [
    'FORMAT_DIRENT_ORDER',
    'names out of order',
    (lab) => lab.bytes.fill(0x7a, lab.entry('/d/e').nameStart, lab.entry('/d/e').nameEnd),
  ],
  [
    'FORMAT_DIRENT_ORDER',
    'a name twice',
    (lab) => lab.bytes.fill(0x66, lab.entry('/d/e').nameStart, lab.entry('/d/e').nameEnd),
  ],
  ['FORMAT_DIRENT_DOTS', '"." elsewhere', (lab) => lab.dirent('/d/.', 'nid', lab.find('/').nid)],
  [
    'FORMAT_DIRENT_DOTS',
    '".." elsewhere',
    (lab) => lab.dirent('/d/e/..', 'nid', lab.find('/').nid),
  ],
  [
    'FORMAT_DIRENT_DOTS',
    'no "."',
    (lab) => {
      lab.dirent('/d/.', 'nid', lab.find('/a').nid);
      lab.bytes.fill(0x2d, lab.entry('/d/.').nameStart, lab.entry('/d/.').nameEnd);
    },
  ],
  ['FORMAT_DIRENT_TYPE', 'another type', (lab) => lab.dirent('/d/e', 'file_type', 1)],
  ['FORMAT_DIRENT_TYPE', 'a reserved byte', (lab) => lab.dirent('/d/e', 'reserved', 1)],
  [
    'FORMAT_BYTES_UNUSED',
    'a byte behind an inode',
    (lab) => lab.bytes.fill(1, lab.find('/l').tailStart + 3, lab.find('/l').tailStart + 4),
  ],
  [
    'FORMAT_BYTES_UNUSED',
    'a byte between inodes and blocks',
    (lab) => lab.bytes.fill(1, lab.find('/i').blocksStart - 1, lab.find('/i').blocksStart),
  ],
  ['FORMAT_BYTES_SHARED', 'content in the metadata', (lab) => lab.inode('/i', 'i_u', 1)],
  [
    'FORMAT_XATTR_TABLE',
    'a shared id between entries',
    (lab) => lab.bytes.set(sharedIdInside(lab), lab.find('/a').xattrStart + 12),
  ],
];

/** Makes the shared id of an attribute count from the start of the image, on every inode that has it. */
function moveSharedId(lab: ImageLab, name: string): void {
  const stubs = Array.from({ length: 256 }, (_, i) => `/${i.toString(16).padStart(2, '0')}`);
  const paths = name === 'user.k' ? ['/a', '/b'] : ['/', ...stubs];
  for (const path of paths) {
    const { offset } = lab.xattr(path, name);
    new DataView(lab.bytes.buffer).setUint32(lab.find(path).xattrStart + 12, offset / 4, true);
  }
}

/** Makes `user.l` a `lustre.l` with the index for it, which mkcomposefs does not use. */
function useLustreIndex(lab: ImageLab): void {
  lab.bytes[lab.xattr('/a', 'user.l').offset + 1] = 5;
}

/** Another prefix for `system.posix_acl_access`, whose suffix is empty. */
function setIndex(lab: ImageLab, index: number): void {
  lab.bytes[lab.xattr('/d/f', 'system.posix_acl_access').offset + 1] = index;
}

/** An id that points into the middle of the entry `user.k`, which then reads as something else. */
function sharedIdInside(lab: ImageLab): Uint8Array {
  const { offset } = lab.xattr('/00', 'security.selinux');
  const base = Math.floor(offset / EROFS_BLOCK_SIZE) * EROFS_BLOCK_SIZE;
  const id = new DataView(new ArrayBuffer(4));
  // Four zero bytes behind the table are an entry without name and value.
  id.setUint32(0, (lab.find('/i').blocksStart - 4 - base) / 4, true);
  return new Uint8Array(id.buffer);
}

const test = suite('restrict');

test('what mkcomposefs writes passes in every version', () => {
  for (const bytes of [V0, V1, V2]) assert.equal(findBrokenRules(openImage(bytes)), []);
  assert.is(checkImage(V0).canonical, true);
  assert.is(checkImage(V1).canonical, true);
  restrictToComposefs(openImage(V0));
});

for (const [code, what, damage, bytes = V0] of ROWS) {
  test(`refuses ${what}: ${code}`, () => {
    const lab = new ImageLab(bytes);
    damage(lab);
    const codes = findBrokenRules(openImage(lab.bytes)).map((broken) => broken.code);
    assert.ok(codes.includes(code as never), `${code} is not among ${codes.join(', ')}`);
  });
}

const CROSSING: readonly (readonly [code: string, nid: number, target: string])[] = [
  // The record ends where the block ends: Linux before 6.12 then counts from the block before.
  ['FORMAT_SYMLINK_BLOCK', 126, 'a/b'],
  ['FORMAT_TAIL_BLOCK', 124, 't'.repeat(50)],
];

for (const [code, nid, target] of CROSSING) {
  test(`refuses a symlink at slot ${nid} with ${target.length} bytes: ${code}`, () => {
    const codes = findBrokenRules(openImage(v2Image({ link: { nid, target }, version: 1 })));
    assert.ok(
      codes.some((broken) => broken.code === code),
      code,
    );
  });
}

test('version 2 may have symlinks that old kernels refuse', () => {
  const bytes = v2Image({ link: { nid: 126, target: 'a/b' } });
  assert.equal(findBrokenRules(openImage(bytes)), []);
});

test('refuses more than 128 shared attributes on one inode: FORMAT_XATTR_SHARED_COUNT', () => {
  const many = Array.from({ length: 130 }, (_, i) => `user.x${100 + i}=1`).join(' ');
  const lines = ['/a', '/b'].map((path) => `${path} 0 100644 1 0 0 0 0.0 - - - ${many}`);
  const lab = new ImageLab(imageOf(0, lines));
  const start = lab.find('/a').xattrStart;
  lab.bytes[start + 4] = 129;
  // The first own entry becomes an id and an entry `user.z`.
  lab.bytes.copyWithin(start + 12 + 128 * 4, start + 12, start + 16);
  lab.bytes.set([1, 1, 0, 0, 0x7a, 0, 0, 0], start + 12 + 129 * 4);
  const codes = findBrokenRules(openImage(lab.bytes)).map((broken) => broken.code);
  assert.ok(codes.includes('FORMAT_XATTR_SHARED_COUNT'), codes.join(', '));
});

test('refuses an entry of the shared table that nothing uses: FORMAT_XATTR_TABLE', () => {
  const lab = new ImageLab(V0);
  const { end } = lab.xattr('/00', 'security.selinux');
  lab.bytes.set([1, 1, 0, 0, 0x7a], Math.ceil(end / 4) * 4);
  const codes = findBrokenRules(openImage(lab.bytes)).map((broken) => broken.code);
  assert.equal(codes, ['FORMAT_XATTR_TABLE']);
});

test('refuses attributes that no dump could give: FORMAT_XATTR_TOTAL', () => {
  const root = parseDump(Buffer.from(`${ROOT}\n`));
  const value = 'v'.repeat(20_000) as ByteString;
  root.xattrs = ['user.a', 'user.b'].map((name) => ({ name: name as ByteString, value }));
  const codes = findBrokenRules(openImage(imageBytes(root))).map((broken) => broken.code);
  assert.equal(codes, ['FORMAT_XATTR_TOTAL']);
});

test('every rule has a code of its own with a meaning', () => {
  const codes = COMPOSEFS_RULES.map((rule) => rule.code);
  assert.is(new Set(codes).size, codes.length);
  for (const code of codes) assert.ok(RUNTIME_REASONS[code], code);
});

test('a redirect may have parts of three dots and 4095 bytes behind its slash', () => {
  for (const payload of ['...', 'a/...', '..a/.b', 'p'.repeat(4095)]) {
    const bytes = imageOf(0, [`/b 100000 100644 1 0 0 0 0.0 ${payload} - -`]);
    assert.equal(findBrokenRules(openImage(bytes)), [], payload.slice(0, 9));
  }
});

test('the first broken rule is thrown, and header rules alone do not look further', () => {
  const lab = new ImageLab(V0);
  lab.inode('/d', 'i_nlink', 4);
  expectCode(() => restrictToComposefs(openImage(lab.bytes)), 'FORMAT_DIRECTORY_NLINK');
  restrictToComposefs(openImage(lab.bytes), { headerOnly: true });
  lab.superblock('packed_nid', 1);
  expectCode(
    () => restrictToComposefs(openImage(lab.bytes), { headerOnly: true }),
    'FORMAT_SUPER_PACKED_NID',
  );
});

test('all broken rules are told, and where reading cannot go on', () => {
  const lab = new ImageLab(V0);
  lab.superblock('packed_nid', 1);
  lab.inode('/a', 'i_mode', 0);
  assert.equal(
    findBrokenRules(openImage(lab.bytes)).map(({ code }) => code),
    ['FORMAT_SUPER_PACKED_NID', 'FORMAT_INODE_MODE'],
  );
  assert.is(findBrokenRules(openImage(lab.bytes), 1).length, 1);
  assert.equal(
    checkImage(V0.slice(0, 8)).broken.map(({ code }) => code),
    ['FORMAT_IMAGE_TRUNCATED'],
  );
});

test.run();
