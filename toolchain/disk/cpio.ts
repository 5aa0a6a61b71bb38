/**
 * A cpio archive as the Linux kernel unpacks it into its initramfs: format "newc", magic 070701.
 *
 * Pure and deterministic: entries are sorted by their bytes, so parents come first; times, owners and device
 * numbers of the archive are zero; inode numbers count from 1. The kernel leaves out, without a word, a file
 * whose directory has no entry, so that is refused here. Hard links are not written: each entry has its data.
 *
 * Spec: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 */
import { bytesOf, type ByteString } from '../image/byte-string.ts';
import {
  CPIO_TRAILER,
  NEWC_ALIGNMENT,
  NEWC_FIELDS,
  NEWC_HEADER_SIZE,
  NEWC_MAGIC,
} from '../image/cpio-header.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;

/** Linux PATH_MAX, with the terminating zero. */
const NAME_SIZE_MAX = 4096;
const DATA_SIZE_MAX = 0xffff_ffff;

export interface CpioEntry {
  /** Path without a leading slash. */
  readonly name: ByteString;
  /** Type and permissions, as in stat. */
  readonly mode: number;
  /** Content of a file, target of a symlink. */
  readonly data?: Uint8Array;
  /** Major and minor number of a device node. */
  readonly device?: readonly [major: number, minor: number];
}

/** A directory. */
export function cpioDirectory(name: string, permissions = 0o755): CpioEntry {
  return { name: name as ByteString, mode: S_IFDIR | permissions };
}

/** A regular file. */
export function cpioFile(name: string, data: Uint8Array, permissions = 0o644): CpioEntry {
  return { name: name as ByteString, mode: S_IFREG | permissions, data };
}

/** A symbolic link. */
export function cpioSymlink(name: string, target: string): CpioEntry {
  const data = bytesOf(target as ByteString);
  return { name: name as ByteString, mode: S_IFLNK | 0o777, data };
}

/** A character device. */
export function cpioCharacterDevice(
  name: string,
  device: readonly [major: number, minor: number],
  permissions = 0o600,
): CpioEntry {
  return { name: name as ByteString, mode: S_IFCHR | permissions, device };
}

/** The archive of some entries, in any order. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const sorted = [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  checkNames(sorted);
  const trailer: CpioEntry = { name: CPIO_TRAILER, mode: 0 };
  const archive = new Uint8Array(
    [...sorted, trailer].reduce((size, entry) => size + entrySize(entry), 0),
  );
  let at = 0;
  sorted.forEach((entry, index) => (at = writeEntry(archive, at, entry, index + 1)));
  writeEntry(archive, at, trailer, 0);
  return archive;
}

function checkNames(sorted: readonly CpioEntry[]): void {
  const directories = new Set<string>();
  let previous: string | undefined;
  for (const { name, mode, data, device } of sorted) {
    const refuse = (problem: string): never => {
      throw new Error(`Cannot archive "${name}": ${problem}`);
    };
    const parts = name.split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..')) refuse('not a path');
    if (name.includes('\0') || name === CPIO_TRAILER) refuse('not a name for cpio');
    if (name.length + 1 > NAME_SIZE_MAX) refuse('the name is too long');
    if (name === previous) refuse('it is there twice');
    const parent = parts.slice(0, -1).join('/');
    if (parent !== '' && !directories.has(parent)) refuse('its directory is not in the archive');
    const type = mode & S_IFMT;
    if (type === S_IFDIR) directories.add(name);
    if ((type === S_IFREG || type === S_IFLNK) !== (data !== undefined)) refuse('wrong data');
    if ((type === S_IFCHR || type === S_IFBLK) !== (device !== undefined)) refuse('wrong device');
    if ((data?.length ?? 0) > DATA_SIZE_MAX) refuse('the data is too long');
    previous = name;
  }
}

const aligned = (size: number): number => Math.ceil(size / NEWC_ALIGNMENT) * NEWC_ALIGNMENT;

function entrySize({ name, data }: CpioEntry): number {
  return aligned(NEWC_HEADER_SIZE + name.length + 1) + aligned(data?.length ?? 0);
}

function writeEntry(archive: Uint8Array, at: number, entry: CpioEntry, inode: number): number {
  const { name, mode, data = new Uint8Array(), device = [0, 0] } = entry;
  const links = (mode & S_IFMT) === S_IFDIR ? 2 : 1;
  // Owner, time and the device that the file came from are zero; so is the checksum, which this magic does not use.
  const values: Partial<Record<(typeof NEWC_FIELDS)[number], number>> = {
    ino: inode,
    mode,
    nlink: links,
    size: data.length,
    rdevMajor: device[0],
    rdevMinor: device[1],
    nameSize: name.length + 1,
  };
  const fields = NEWC_FIELDS.map((field) => (values[field] ?? 0).toString(16).padStart(8, '0'));
  const header = `${NEWC_MAGIC}${fields.join('')}`;
  const text = bytesOf(`${header}${name}` as ByteString);
  archive.set(text, at);
  const dataAt = at + aligned(text.length + 1);
  archive.set(data, dataAt);
  return dataAt + aligned(data.length);
}
