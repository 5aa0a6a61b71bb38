/**
 * The rules for the extended attributes of one inode, and for what overlayfs reads out of them.
 *
 * Sources: libcomposefs lcfs-writer-erofs.c (add_overlayfs_xattrs, write_erofs_xattr); Linux
 * Documentation/filesystems/overlayfs.rst on metacopy, redirect and whiteouts.
 */
import { allZero } from './bytes.ts';
import {
  OverlayMetacopy,
  SHARED_XATTRS_PER_INODE_MAX,
  SYMLINK_TARGET_MAX,
  XATTR_EXTERNAL_TOTAL_MAX,
  XATTR_ESCAPED_OPAQUE,
  XATTR_ESCAPED_WHITEOUT,
  XATTR_ESCAPED_WHITEOUTS,
  XATTR_METACOPY,
  XATTR_NAME_MAX,
  XATTR_OPAQUE,
  XATTR_OVERLAY_ESCAPE_PREFIX,
  XATTR_OVERLAY_PREFIX,
  XATTR_REDIRECT,
  XATTR_TOTAL_BASE,
  XATTR_TOTAL_PER_ENTRY,
  XATTR_USER_OPAQUE,
  XATTR_USER_WHITEOUT,
  XATTR_USER_WHITEOUTS,
} from './composefs.ts';
import type { ErofsImage } from './erofs-image.ts';
import {
  EROFS_INODE_CHUNK_BASED,
  EROFS_XATTR_FILTER_DEFAULT,
  EROFS_XATTR_FILTER_SEED,
  EROFS_XATTR_INDEX_LUSTRE,
  EROFS_XATTR_PREFIXES,
  ErofsXattrIbodyHeader,
} from './erofs.ts';
import { VERITY_ALGORITHMS } from './fsverity.ts';
import { rule } from './inode-rules.ts';
import { unlike, V0_V1, type InodeFacts, type InodeRule, type NamedXattr } from './rules.ts';
import { xxh32 } from './xxh32.ts';

const HEADER = ErofsXattrIbodyHeader.at;

/** Names the writer adds to whiteouts and their directories; a source's own limit does not count them. */
const MARKS: ReadonlySet<string> = new Set([
  XATTR_ESCAPED_WHITEOUT,
  XATTR_ESCAPED_WHITEOUTS,
  XATTR_ESCAPED_OPAQUE,
  XATTR_USER_WHITEOUT,
  XATTR_USER_WHITEOUTS,
  XATTR_USER_OPAQUE,
]);

export const XATTR_RULES: readonly InodeRule[] = [
  rule(
    'FORMAT_XATTR_HEADER',
    'the head of an xattr area is followed by at least one attribute',
    testHeader,
  ),
  rule('FORMAT_XATTR_NAME', 'an xattr name has 1 to 255 bytes and no NUL', ({ xattrs }) => {
    const bad = xattrs.find(
      ({ name }) => name === '' || name.length > XATTR_NAME_MAX || name.includes('\0'),
    );
    return bad === undefined ? undefined : `the name at offset ${bad.view.suffixStart} is not one`;
  }),
  rule('FORMAT_XATTR_PREFIX', 'an xattr name uses the prefix index it can use', testPrefix),
  rule('FORMAT_XATTR_DUPLICATE', 'no xattr name comes twice', ({ xattrs }) => {
    if (xattrs.length < 2 || new Set(xattrs.map(({ name }) => name)).size === xattrs.length)
      return undefined;
    return 'one does';
  }),
  rule(
    'FORMAT_XATTR_ORDER',
    'shared and own attributes are each sorted by name',
    ({ xattrs }) => {
      const i = xattrs.findIndex(({ name, view }, k) => {
        const previous = xattrs[k - 1];
        return (
          previous !== undefined && previous.view.isShared === view.isShared && previous.name > name
        );
      });
      return i < 0 ? undefined : `the one at offset ${xattrs[i]!.view.offset} is not`;
    },
    V0_V1,
  ),
  rule(
    'FORMAT_XATTR_SHARED_COUNT',
    'an inode refers to at most 128 shared attributes',
    ({ xattrs }) => {
      const count = xattrs.filter(({ view }) => view.isShared).length;
      return count <= SHARED_XATTRS_PER_INODE_MAX
        ? undefined
        : unlike('the number', count, `at most ${SHARED_XATTRS_PER_INODE_MAX}`);
    },
    V0_V1,
  ),
  rule('FORMAT_XATTR_TOTAL', 'the attributes of a source fit its limit', ({ xattrs }) => {
    const total = sourceTotal(xattrs);
    return total <= XATTR_EXTERNAL_TOTAL_MAX
      ? undefined
      : unlike('their size', total, `at most ${XATTR_EXTERNAL_TOTAL_MAX}`);
  }),
  rule(
    'FORMAT_XATTR_FILTER',
    'the name filter has a cleared bit for each name and no other',
    testFilter,
  ),
  rule(
    'FORMAT_XATTR_OVERLAY',
    'no overlay attribute but metacopy, redirect and the root mark is unescaped',
    testOverlay,
  ),
  rule(
    'FORMAT_ROOT_OPAQUE',
    'the root, and only the root, is opaque; in version 2 nothing is',
    testOpaque,
  ),
  rule(
    'FORMAT_METACOPY',
    'a file whose bytes are in an object, and no other, has a well-formed metacopy',
    testMetacopy,
  ),
  rule(
    'FORMAT_REDIRECT',
    'a redirect is an absolute path without empty, "." or ".." parts, on a metacopy file',
    testRedirect,
  ),
];

function testHeader({ image, inode, xattrs }: InodeFacts): string | undefined {
  if (inode.xattrSize === 0) return undefined;
  const start = inode.xattrStart;
  if (!allZero(image.bytes, start + HEADER.h_reserved2, start + ErofsXattrIbodyHeader.size)) {
    return 'its reserved bytes are not zero';
  }
  return xattrs.length > 0 ? undefined : 'there is none';
}

function testPrefix({ image, xattrs }: InodeFacts): string | undefined {
  for (const { name, view } of xattrs) {
    const expected = prefixIndex(name, image.version);
    if (view.index !== expected) {
      return `the one at offset ${view.offset} has ${view.index}, expected ${expected}`;
    }
  }
  return undefined;
}

function prefixIndex(name: string, version: number): number {
  for (const [index, prefix] of EROFS_XATTR_PREFIXES) if (name.startsWith(prefix)) return index;
  return version === 2 && name.startsWith('lustre.') ? EROFS_XATTR_INDEX_LUSTRE : 0;
}

/** Bytes as a source's limit counts them: names before escaping, without what the writer adds. */
function sourceTotal(xattrs: readonly NamedXattr[]): number {
  let total = XATTR_TOTAL_BASE;
  for (const { name, view } of xattrs) {
    const isEscaped = name.startsWith(XATTR_OVERLAY_ESCAPE_PREFIX);
    if (MARKS.has(name) || (!isEscaped && name.startsWith(XATTR_OVERLAY_PREFIX))) continue;
    const escape = isEscaped ? XATTR_OVERLAY_ESCAPE_PREFIX.length - XATTR_OVERLAY_PREFIX.length : 0;
    total += XATTR_TOTAL_PER_ENTRY + name.length - escape + view.end - view.valueStart;
  }
  return total;
}

function testFilter({ image, inode, xattrs }: InodeFacts): string | undefined {
  if (inode.xattrSize === 0) return undefined;
  let expected = EROFS_XATTR_FILTER_DEFAULT;
  for (const { view } of xattrs) {
    const suffix = image.bytes.subarray(view.suffixStart, view.valueStart);
    expected &= ~(1 << (xxh32(suffix, EROFS_XATTR_FILTER_SEED + view.index) % 32));
  }
  const filter = image.view.getUint32(inode.xattrStart + HEADER.h_name_filter, true);
  return filter === expected >>> 0 ? undefined : unlike('it', hex(filter), hex(expected >>> 0));
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function testOverlay({ xattrs }: InodeFacts): string | undefined {
  for (const { name } of xattrs) {
    if (!name.startsWith(XATTR_OVERLAY_PREFIX) || name.startsWith(XATTR_OVERLAY_ESCAPE_PREFIX))
      continue;
    if (name !== XATTR_METACOPY && name !== XATTR_REDIRECT && name !== XATTR_OPAQUE)
      return `${name} is`;
  }
  return undefined;
}

function testOpaque({ image, isRoot, xattrs }: InodeFacts): string | undefined {
  const opaque = xattrs.find(({ name }) => name === XATTR_OPAQUE);
  const isExpected = isRoot && image.version < 2;
  if (opaque === undefined) return isExpected ? 'the root is not' : undefined;
  if (!isExpected) return 'this inode is';
  const value = image.xattrValue(opaque.view);
  return value.length === 1 && value[0] === 0x79 ? undefined : 'the value is not "y"';
}

function testMetacopy({ image, inode, xattrs }: InodeFacts): string | undefined {
  const metacopy = xattrs.find(({ name }) => name === XATTR_METACOPY);
  const isExternal = inode.layout === EROFS_INODE_CHUNK_BASED && inode.size > 0;
  if (metacopy === undefined) return isExternal ? 'it is missing' : undefined;
  if (!isExternal) return 'this inode has one without being such a file';
  const value = image.xattrValue(metacopy.view);
  if (value.length === 0) return undefined;
  if (value.length < OverlayMetacopy.size) return unlike('its size', value.length, '0, 36 or 68');
  const at = OverlayMetacopy.at;
  const digestSize = value.length - OverlayMetacopy.size;
  const algorithm = Object.values(VERITY_ALGORITHMS).find(({ id }) => id === value[at.digest_algo]);
  const isWellFormed =
    value[at.version] === 0 &&
    value[at.len] === value.length &&
    value[at.flags] === 0 &&
    algorithm?.digestSize === digestSize;
  return isWellFormed ? undefined : 'version, length, flags or algorithm is wrong';
}

function testRedirect({ image, xattrs }: InodeFacts): string | undefined {
  const redirect = xattrs.find(({ name }) => name === XATTR_REDIRECT);
  if (redirect === undefined) return undefined;
  if (!xattrs.some(({ name }) => name === XATTR_METACOPY)) return 'there is no metacopy';
  return redirectProblem(image, redirect);
}

function redirectProblem(image: ErofsImage, { view }: NamedXattr): string | undefined {
  const { bytes } = image;
  if (view.valueStart === view.end || bytes[view.valueStart] !== 0x2f) return 'it is not absolute';
  if (view.end - view.valueStart > SYMLINK_TARGET_MAX + 1) return 'it is too long';
  let partStart = view.valueStart + 1;
  for (let at = partStart; at <= view.end; at++) {
    const byte = at === view.end ? 0x2f : bytes[at]!;
    if (byte === 0) return 'it has a NUL';
    if (byte !== 0x2f) continue;
    const size = at - partStart;
    const dots = size <= 2 && allDots(bytes, partStart, at);
    if (dots) return `the part at offset ${partStart} is empty, "." or ".."`;
    partStart = at + 1;
  }
  return undefined;
}

function allDots(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0x2e) return false;
  return true;
}
