/**
 * Extended attributes in PAX records: the forms of GNU tar, star and libarchive.
 *
 * `SCHILY.xattr.NAME` has the value as it is, `LIBARCHIVE.xattr.NAME` in base64; bsdtar writes both, so both may be
 * there and must agree. GNU tar writes SELinux labels and access control lists as text of their own. An attribute that
 * cannot be told is an error, never left out: what is missing from an image would be missing from its digest's meaning.
 */
import {
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
  XATTR_EXTERNAL_TOTAL_MAX,
  XATTR_NAME_MAX,
  XATTR_SELINUX,
  XATTR_TOTAL_BASE,
  XATTR_TOTAL_PER_ENTRY,
  XATTR_VALUE_MAX,
} from '../../runtime/format/composefs.ts';
import type { ByteString } from './byte-string.ts';
import { aclXattr } from './tar-acl.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import type { PaxRecord } from './tar-pax.ts';
import { NO_XATTRS, sortXattrs, type Xattr, type XattrPool } from './tree.ts';

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';
const SELINUX = 'RHT.security.selinux';
const ACLS: Readonly<Record<string, string>> = {
  'SCHILY.acl.access': XATTR_ACL_ACCESS,
  'SCHILY.acl.default': XATTR_ACL_DEFAULT,
};

/** Whether a PAX key says an extended attribute. */
export function isXattrKey(key: ByteString): boolean {
  return (
    key.startsWith(SCHILY) ||
    key.startsWith(LIBARCHIVE) ||
    key.startsWith('SCHILY.acl.') ||
    key === SELINUX
  );
}

/** The attributes that records say, sorted by name. Throws FORMAT_TAR_XATTR, FORMAT_TAR_ACL. */
export function xattrsOf(
  records: readonly PaxRecord[],
  pool: XattrPool,
  place: TarPlace,
): readonly Xattr[] {
  if (records.length === 0) return NO_XATTRS;
  // Of one key the last record counts, as everywhere in PAX.
  const byKey = new Map(records);
  const found = new Map<ByteString, Xattr>();
  for (const record of byKey) {
    const xattr = xattrOf(record, pool, place);
    if (xattr === undefined) continue;
    const other = found.get(xattr.name);
    if (other !== undefined && other.value !== xattr.value) {
      fail(place, `attribute ${showName(xattr.name)} has two different values`);
    }
    found.set(xattr.name, xattr);
  }
  requireTotal(found.values(), place);
  return sortXattrs([...found.values()]);
}

function xattrOf(record: PaxRecord, pool: XattrPool, place: TarPlace): Xattr | undefined {
  const [key, value] = record;
  if (key === SELINUX) return pool.get(XATTR_SELINUX as ByteString, terminated(value));
  if (key.startsWith('SCHILY.acl.')) {
    const name = ACLS[key];
    if (name === undefined) {
      failTar(
        'FORMAT_TAR_ACL',
        place,
        `it has an access control list of the kind ${showName(key)}`,
      );
    }
    const acl = aclXattr(value, name === XATTR_ACL_DEFAULT, place);
    return acl === undefined ? undefined : pool.get(name as ByteString, acl);
  }
  const isBase64 = key.startsWith(LIBARCHIVE);
  const coded = key.slice(isBase64 ? LIBARCHIVE.length : SCHILY.length);
  const name = percentDecoded(coded);
  requireLengths(name, value, isBase64, place);
  return pool.get(name, isBase64 ? base64Decoded(value, name, place) : value);
}

/** The kernel keeps a label with its NUL; the record has it without. */
function terminated(label: ByteString): ByteString {
  return (label.endsWith('\0') ? label : `${label}\0`) as ByteString;
}

/** GNU tar writes %3D for = and %25 for %, libarchive more; either way %XX is one byte. */
function percentDecoded(coded: string): ByteString {
  return coded.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  ) as ByteString;
}

function base64Decoded(value: ByteString, name: ByteString, place: TarPlace): ByteString {
  // libarchive leaves the = at the end out.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    fail(place, `attribute ${showName(name)} is not in base64`);
  }
  return Buffer.from(value, 'base64').toString('latin1') as ByteString;
}

function requireLengths(
  name: ByteString,
  value: ByteString,
  isBase64: boolean,
  place: TarPlace,
): void {
  if (name.length === 0 || name.length > XATTR_NAME_MAX || name.includes('\0')) {
    fail(place, `attribute name ${showName(name)} is not 1 to ${XATTR_NAME_MAX} bytes without NUL`);
  }
  const size = isBase64 ? Math.floor((value.length * 3) / 4) : value.length;
  if (size <= XATTR_VALUE_MAX) return;
  fail(place, `attribute ${showName(name)} has ${size} bytes, expected at most ${XATTR_VALUE_MAX}`);
}

/** The limit of an image, as for dumps. */
function requireTotal(xattrs: Iterable<Xattr>, place: TarPlace): void {
  let total = XATTR_TOTAL_BASE;
  for (const { name, value } of xattrs) {
    total += XATTR_TOTAL_PER_ENTRY + name.length + value.length;
  }
  if (total <= XATTR_EXTERNAL_TOTAL_MAX) return;
  fail(
    place,
    `its attributes need ${total} bytes in an image, expected at most ${XATTR_EXTERNAL_TOTAL_MAX}`,
  );
}

function fail(place: TarPlace, problem: string): never {
  return failTar('FORMAT_TAR_XATTR', place, problem);
}
