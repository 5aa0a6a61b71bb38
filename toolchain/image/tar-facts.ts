/** What an entry of an archive says of what is under its path: mode, size, device, target, attributes. */
import { SYMLINK_TARGET_MAX, XATTR_ACL_ACCESS } from '../../runtime/format/composefs.ts';
import type { ByteString } from './byte-string.ts';
import { modeWithAcl } from './tar-acl.ts';
import { failTar } from './tar-error.ts';
import type { TarEntry } from './tar-reader.ts';
import { xattrsOf } from './tar-xattrs.ts';
import {
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  type Xattr,
  type XattrPool,
} from './tree.ts';

const TYPE_BITS: Readonly<Record<string, number>> = {
  0: S_IFREG,
  2: S_IFLNK,
  3: S_IFCHR,
  4: S_IFBLK,
  5: S_IFDIR,
  6: S_IFIFO,
  // Only a cpio archive has sockets.
  s: S_IFSOCK,
};
/** Device numbers as Linux packs them into 32 bits: 12 bits of major, 20 of minor (new_encode_dev). */
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xfffff;

export interface TarFacts {
  readonly mode: number;
  readonly size: number;
  readonly rdev: number;
  /** Of a symlink. */
  readonly target: ByteString | undefined;
  readonly xattrs: readonly Xattr[];
}

/** What an entry says that is no hardlink. Throws FORMAT_TAR_XATTR, _ACL, _TARGET and _DEVICE. */
export function factsOf(
  entry: TarEntry,
  pool: XattrPool,
  kept: 'all' | 'user' | 'none' = 'all',
): TarFacts {
  const type = TYPE_BITS[entry.type]!;
  let mode = type | (type === S_IFLNK ? 0o777 : entry.mode);
  const xattrs = xattrsOf(entry.xattrs, pool, entry.place);
  const acl = xattrs.find(({ name }) => name === XATTR_ACL_ACCESS);
  if (acl !== undefined) mode = modeWithAcl(mode, acl.value);
  const target = type === S_IFLNK ? targetOf(entry) : undefined;
  return {
    mode,
    size: target?.length ?? (type === S_IFREG ? entry.size : 0),
    rdev: type === S_IFCHR || type === S_IFBLK ? deviceNumber(entry) : 0,
    target,
    xattrs: keep(xattrs, kept),
  };
}

function keep(all: readonly Xattr[], which: 'all' | 'user' | 'none'): readonly Xattr[] {
  if (which === 'all' || all.length === 0) return all;
  if (which === 'none') return NO_XATTRS;
  const kept = all.filter(({ name }) => name.startsWith('user.'));
  return kept.length === 0 ? NO_XATTRS : kept;
}

function targetOf(entry: TarEntry): ByteString {
  const { linkName: target, place } = entry;
  if (target === '' || target.includes('\0') || target.length > SYMLINK_TARGET_MAX) {
    const problem = `its target has ${target.length} bytes, expected 1 to ${SYMLINK_TARGET_MAX} without NUL`;
    failTar('FORMAT_TAR_TARGET', place, problem);
  }
  return target;
}

function deviceNumber({ major, minor, place }: TarEntry): number {
  if (major <= MAJOR_MAX && minor <= MINOR_MAX) {
    return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
  }
  return failTar(
    'FORMAT_TAR_DEVICE',
    place,
    `it is the device ${major}:${minor}, expected at most ${MAJOR_MAX}:${MINOR_MAX}`,
  );
}
