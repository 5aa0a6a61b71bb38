/**
 * A small writer of cpio archives for tests: every field can be said, right or wrong.
 *
 * It shares only the table of fields with the reader. Spec: Linux buffer-format.rst; POSIX.1-2001 pax.
 */
import { CPIO_TRAILER, NEWC_FIELDS } from '../../toolchain/image/cpio-header.ts';

/** An entry; all strings have one character per byte. What is not said is as for a file of its own. */
export interface CpioMember extends Partial<Record<(typeof NEWC_FIELDS)[number], number>> {
  readonly name: string;
  readonly content?: string;
  readonly form?: 'newc' | 'crc' | 'odc';
  /** In place of the name and its NUL. */
  readonly nameBytes?: string;
  /** Changes the header's text. */
  readonly change?: (header: string) => string;
}

const REGULAR = 0o100644;
const ALIGNMENT = 4;

/** An archive with its trailer. */
export function cpioOf(...members: readonly CpioMember[]): Buffer {
  const form = members[0]?.form ?? 'newc';
  const trailer = { name: CPIO_TRAILER, mode: 0, form };
  return Buffer.concat([...members, trailer].map(cpioMember));
}

/** An entry with its data and what fills them up. */
export function cpioMember(member: CpioMember): Buffer {
  const { content = '', form = 'newc', change = (header: string): string => header } = member;
  const name = member.nameBytes ?? `${member.name}\0`;
  const fields = {
    mode: REGULAR,
    nlink: 1,
    size: content.length,
    nameSize: name.length,
    check: form === 'crc' ? sumOf(content) : 0,
    ...member,
  };
  const header = change(form === 'odc' ? odcHeader(fields) : newcHeader(form, fields));
  if (form === 'odc') return Buffer.from(`${header}${name}${content}`, 'latin1');
  return Buffer.from(padded(`${header}${name}`) + padded(content), 'latin1');
}

type Fields = Partial<Record<(typeof NEWC_FIELDS)[number], number>>;

function newcHeader(form: 'newc' | 'crc', fields: Fields): string {
  const digits = NEWC_FIELDS.map((key) => (fields[key] ?? 0).toString(16).padStart(8, '0'));
  return (form === 'crc' ? '070702' : '070701') + digits.join('');
}

function odcHeader(fields: Fields): string {
  const six = (value = 0): string => value.toString(8).padStart(6, '0');
  const eleven = (value = 0): string => value.toString(8).padStart(11, '0');
  const packed = (major = 0, minor = 0): number => (major << 8) | minor;
  const { devMajor, devMinor, rdevMajor, rdevMinor, ino, mode, uid, gid, nlink } = fields;
  const inode = [packed(devMajor, devMinor), ino, mode, uid, gid, nlink];
  return [
    '070707',
    ...inode.map(six),
    six(packed(rdevMajor, rdevMinor)),
    eleven(fields.mtime),
    six(fields.nameSize),
    eleven(fields.size),
  ].join('');
}

function padded(text: string): string {
  return text + '\0'.repeat(-text.length & (ALIGNMENT - 1));
}

function sumOf(content: string): number {
  return [...Buffer.from(content, 'latin1')].reduce((sum, byte) => sum + byte, 0);
}
