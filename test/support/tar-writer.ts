/**
 * A small writer of tar archives for tests: every field can be said, right or wrong, and whole trees can be written.
 *
 * It shares only the table of fields with the reader. Spec: POSIX.1-2017 pax; GNU tar manual, "Basic Tar Format".
 */

import { TAR_FIELDS } from '../../toolchain/image/tar-header.ts';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  type TreeNode,
  walkTree,
} from '../../toolchain/image/tree.ts';

export type Pax = readonly (readonly [key: string, value: string])[];

/** A member; all strings have one character per byte. */
export interface TarMember {
  readonly name: string;
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly linkName?: string;
  readonly content?: string | Uint8Array;
  /** Size in the header when it is not that of the content. */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly magic?: string;
  /** Records of a PAX header before it. */
  readonly pax?: Pax;
  /** Changes the header before its checksum is made. */
  readonly change?: (block: Buffer) => void;
}

const BLOCK = 512;
const POSIX_MAGIC = 'ustar\x0000';
export const GNU_MAGIC = 'ustar  \0';

/** Two blocks of zeros. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK);

/** An archive with its end. */
export function tarOf(...members: readonly (TarMember | Buffer)[]): Buffer {
  const parts = members.map((each) => (Buffer.isBuffer(each) ? each : tarMember(each)));
  return Buffer.concat([...parts, TAR_END]);
}

/** A member with what belongs before and after it. */
export function tarMember(member: TarMember): Buffer {
  const { content: given = '' } = member;
  const content = typeof given === 'string' ? Buffer.from(given, 'latin1') : Buffer.from(given);
  const before = member.pax === undefined ? [] : [paxHeader('x', member.pax)];
  return Buffer.concat([...before, header(member, content.length), padded(content)]);
}

/** A PAX header; type `g` for a global one. */
export function paxHeader(type: string, records: Pax | string): Buffer {
  const text =
    typeof records === 'string' ? records : records.map((each) => paxRecord(...each)).join('');
  return tarMember({ name: 'PaxHeader', type, content: text });
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
export function paxRecord(key: string, value: string): string {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** GNU's header for a name that is too long; type `K` for a link's. */
export function longName(name: string, type = 'L'): Buffer {
  return tarMember({ name: '././@LongLink', type, content: `${name}\0`, magic: GNU_MAGIC });
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

function header(member: TarMember, contentSize: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { mode = 0o644, uid = 0, gid = 0, mtime = 0, type = '0' } = member;
  const { size = contentSize, major = 0, minor = 0 } = member;
  const text = (field: keyof typeof TAR_FIELDS, value: string): void => {
    const [at, width] = TAR_FIELDS[field];
    block.write(value.slice(0, width), at, 'latin1');
  };
  text('name', member.name);
  text('linkName', member.linkName ?? '');
  text('type', type);
  text('magic', member.magic ?? POSIX_MAGIC);
  const numbers = { mode, uid, gid, size, mtime, major, minor };
  for (const [field, value] of Object.entries(numbers)) {
    const [at, width] = TAR_FIELDS[field as keyof typeof numbers];
    putNumber(block, at, width, value);
  }
  member.change?.(block);
  putChecksum(block);
  return block;
}

/** Octal where it fits, else GNU's base 256. */
export function putNumber(block: Buffer, at: number, width: number, value: number): void {
  const octal = value.toString(8).padStart(width - 1, '0');
  if (value >= 0 && octal.length < width) {
    block.write(`${octal}\0`, at, 'latin1');
    return;
  }
  let rest = BigInt(value);
  for (let i = at + width - 1; i >= at; i--, rest >>= 8n) block[i] = Number(rest & 0xffn);
  block[at]! |= 0x80;
}

/** The checksum of a header as it is now. */
export function putChecksum(block: Buffer): void {
  const [at, width] = TAR_FIELDS.checksum;
  block.fill(0x20, at, at + width);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, at, 'latin1');
}

export type TreeDialect = 'pax' | 'gnu';

const TYPES: Readonly<Record<number, string>> = {
  [S_IFREG]: '0',
  [S_IFLNK]: '2',
  [S_IFCHR]: '3',
  [S_IFBLK]: '4',
  [S_IFDIR]: '5',
  [S_IFIFO]: '6',
};

/** Every entry of a tree as an archive's members, in depth-first order; hardlinks point at the first name. */
export function membersOfTree(
  root: TreeNode,
  contentOf: (node: TreeNode) => Uint8Array,
  dialect: TreeDialect,
): { readonly bytes: Buffer; readonly isHardlink: boolean }[] {
  const firstNames = new Map<TreeNode, string>();
  return [...walkTree(root)].map(({ path, node }) => {
    const inode = node.hardlink ?? node;
    const name = `.${path}${inode.children === undefined || path === '/' ? '' : '/'}`;
    const first = firstNames.get(inode);
    if (first === undefined) firstNames.set(inode, name);
    const isHardlink = first !== undefined;
    const member = isHardlink
      ? { name, type: '1', linkName: first }
      : { ...memberOf(inode, contentOf), name };
    return { bytes: named(member, inode, dialect), isHardlink };
  });
}

function memberOf(node: TreeNode, contentOf: (node: TreeNode) => Uint8Array): TarMember {
  const type = node.mode & S_IFMT;
  const { uid, gid, mtimeSec, rdev } = node;
  return {
    name: '',
    type: TYPES[type]!,
    mode: node.mode & 0o7777,
    uid,
    gid,
    mtime: Number(mtimeSec),
    linkName: type === S_IFLNK ? node.payload! : '',
    content: type === S_IFREG ? contentOf(node) : '',
    major: (rdev >>> 8) & 0xfff,
    minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00),
  };
}

/** With names of any length, and in PAX also nanoseconds and attributes. */
function named(member: TarMember, node: TreeNode, dialect: TreeDialect): Buffer {
  const { name, linkName = '', mtime = 0 } = member;
  if (dialect === 'gnu') {
    const before = [];
    if (linkName.length > 100) before.push(longName(linkName, 'K'));
    if (name.length > 100) before.push(longName(name));
    return Buffer.concat([...before, tarMember({ ...member, magic: GNU_MAGIC })]);
  }
  const pax: (readonly [string, string])[] = [];
  if (name.length > 100) pax.push(['path', name]);
  if (linkName.length > 100) pax.push(['linkpath', linkName]);
  if (member.type !== '1') {
    if (node.mtimeNsec !== 0) pax.push(['mtime', decimalTime(mtime, node.mtimeNsec)]);
    for (const { name: key, value } of node.xattrs) pax.push([`SCHILY.xattr.${key}`, value]);
  }
  return tarMember({ ...member, ...(pax.length === 0 ? {} : { pax }) });
}

/** Before 1970 the sign counts for the fraction too. */
export function decimalTime(sec: number, nsec: number): string {
  const digits = (value: number): string => String(value).padStart(9, '0');
  if (sec >= 0 || nsec === 0) return `${sec}.${digits(nsec)}`;
  return `-${-sec - 1}.${digits(1e9 - nsec)}`;
}
