/**
 * POSIX access control lists from text, as GNU tar and bsdtar write them, to the attribute the kernel keeps.
 *
 * Entries are separated by commas or newlines: `user::rwx`, `user:1000:r--`, `group::r-x`, `mask::rwx`, `other::r--`;
 * libarchive adds the number of a named user or group as a fourth part. Names alone mean nothing in an image: what
 * number they have is known only where the archive was made.
 * Sources: acl(5), "ACL TEXT FORMS"; Linux include/uapi/linux/posix_acl_xattr.h.
 */
import type { ByteString } from './byte-string.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';

const XATTR_VERSION = 2;
const HEADER_SIZE = 4;
const ENTRY_SIZE = 8;
const UNDEFINED_ID = 0xffffffff;

const USER_OBJ = 0x01;
const GROUP_OBJ = 0x04;
const MASK = 0x10;
const OTHER = 0x20;

/** Tags of entries without and with an identifier (include/uapi/linux/posix_acl.h). */
const TAGS: Readonly<Record<string, readonly [own: number, named: number | undefined]>> = {
  user: [USER_OBJ, 0x02],
  u: [USER_OBJ, 0x02],
  group: [GROUP_OBJ, 0x08],
  g: [GROUP_OBJ, 0x08],
  mask: [MASK, undefined],
  m: [MASK, undefined],
  other: [OTHER, undefined],
  o: [OTHER, undefined],
};

const MINIMAL: ReadonlySet<number> = new Set([USER_OBJ, GROUP_OBJ, OTHER]);

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

/**
 * The value of the attribute; undefined for a list that only repeats the permissions, which the kernel does not keep.
 * Throws FORMAT_TAR_ACL.
 */
export function aclXattr(
  text: ByteString,
  isDefault: boolean,
  place: TarPlace,
): ByteString | undefined {
  const entries = text
    .split(/[,\n]/)
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => parseEntry(line as ByteString, place));
  if (entries.length === 0) return undefined;
  if (!isDefault && entries.every(({ tag }) => MINIMAL.has(tag))) {
    return undefined;
  }
  // The kernel wants the tags in order, and the identifiers of a tag.
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const value = Buffer.alloc(HEADER_SIZE + ENTRY_SIZE * entries.length);
  value.writeUInt32LE(XATTR_VERSION, 0);
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    const at = HEADER_SIZE + ENTRY_SIZE * i;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(permissions, at + 2);
    value.writeUInt32LE(id, at + 4);
  }
  return value.toString('latin1') as ByteString;
}

/**
 * The permissions of an inode with an access list: the kernel takes them from it, the group's from the mask. bsdtar
 * writes the permissions that the inode would have without the list.
 */
export function modeWithAcl(mode: number, value: ByteString): number {
  const acl = Buffer.from(value, 'latin1');
  let [user, group, mask, other] = [mode >> 6, mode >> 3, undefined as number | undefined, mode];
  for (let at = HEADER_SIZE; at + ENTRY_SIZE <= acl.length; at += ENTRY_SIZE) {
    const tag = acl.readUInt16LE(at);
    const permissions = acl.readUInt16LE(at + 2);
    if (tag === USER_OBJ) user = permissions;
    else if (tag === GROUP_OBJ) group = permissions;
    else if (tag === MASK) mask = permissions;
    else if (tag === OTHER) other = permissions;
  }
  const bits = ((user & 7) << 6) | (((mask ?? group) & 7) << 3) | (other & 7);
  return (mode & ~0o777) | bits;
}

function parseEntry(line: ByteString, place: TarPlace): AclEntry {
  const [kind = '', name = '', permissions = '', number, ...rest] = line.split(':');
  const tags = Object.hasOwn(TAGS, kind) ? TAGS[kind]! : undefined;
  const bits = permissionBits(permissions);
  const tag = name === '' ? tags?.[0] : tags?.[1];
  if (tag === undefined || bits === undefined || rest.length > 0) {
    return failTar(
      'FORMAT_TAR_ACL',
      place,
      `"${showName(line)}" is no entry of an access control list`,
    );
  }
  if (name === '') return { tag, permissions: bits, id: UNDEFINED_ID };
  const digits = number ?? name;
  const id = /^\d{1,10}$/.test(digits) ? Number(digits) : UNDEFINED_ID;
  if (id < UNDEFINED_ID) return { tag, permissions: bits, id };
  return failTar(
    'FORMAT_TAR_ACL',
    place,
    `"${showName(line)}" of its access control list names someone, expected a number`,
    'make the archive with tar --xattrs --numeric-owner',
  );
}

/** `rwx`, any of them as a dash. */
function permissionBits(text: string): number | undefined {
  const match = /^([r-])([w-])([x-])$/.exec(text);
  if (match === null) return undefined;
  return (match[1] === 'r' ? 4 : 0) | (match[2] === 'w' ? 2 : 0) | (match[3] === 'x' ? 1 : 0);
}
