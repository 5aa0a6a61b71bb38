/**
 * The ordinary lines of a dump, read from its bytes straight into the columns of a table.
 *
 * `read` takes a line only when both ways of reading, strict and lenient, take it and mean the same: numbers of few
 * digits, a path and a target without escapes, a payload that is the path of the digest's object, attributes that
 * stood on an earlier line. Everything else, and everything that is wrong, it leaves as it is to the reader of lines
 * in dumpfile.ts, which alone knows the rules. So a rule here can only be too narrow, which costs time, and a test
 * reads dumps both ways.
 */
import { INLINE_CONTENT_MAX, SYMLINK_TARGET_MAX } from '../../runtime/format/composefs.ts';
import { EROFS_NAME_LEN_MAX } from '../../runtime/format/erofs.ts';
import { HEX_VALUES } from './digest-pool.ts';
import { NO_DATA, type EntryTable } from './entry-table.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './tree.ts';

/** What `read` gives for a line that it leaves to the other reader. */
export const NOT_ORDINARY = -1;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const DASH = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const U32_MAX = 0xffffffff;
const MODE_MAX = 0o177777;
const NSEC_MAX = 999_999_999;
/** Digits that a number holds exactly, whatever they are. */
const SAFE_DIGITS = 15;
const TWO_32 = 2 ** 32;
const EMPTY = Buffer.alloc(0);

export class OrdinaryLines {
  readonly #table: EntryTable;
  /** Directories by their path; the root's is empty. */
  readonly #directories: Map<string, number>;
  /** Numbers of lists of attributes by the text after DIGEST. */
  readonly #xattrTexts: Map<string, number>;
  #bytes: Buffer = EMPTY;
  /** Where reading is in the line; beyond every field that was read. */
  #at = 0;
  /** The directory of the last line, and its path. */
  #parent = 0;
  #parentPath = new Uint8Array(256);
  #parentSize = -1;
  /** The attributes of the last line and their text. */
  #xattrs = 0;
  #xattrText: Uint8Array = EMPTY;
  // Fields of the line.
  #pathTo = 0;
  #nameFrom = 0;
  #mode = 0;
  #size = 0;
  #dataFrom = 0;
  #dataSize = NO_DATA;
  #digestSize = 0;
  /** A content without its escapes. */
  readonly #content = new Uint8Array(INLINE_CONTENT_MAX);

  constructor(
    table: EntryTable,
    directories: Map<string, number>,
    xattrTexts: Map<string, number>,
  ) {
    this.#table = table;
    this.#directories = directories;
    this.#xattrTexts = xattrTexts;
  }

  /**
   * Adds the entry of the line at `from`, which ends in a newline; returns the start of the next line, or
   * NOT_ORDINARY.
   */
  read(bytes: Buffer, from: number): number {
    this.#bytes = bytes;
    this.#at = from;
    if (!this.#readPath(from)) return NOT_ORDINARY;
    const size = this.#number();
    const mode = this.#octal();
    const nlink = this.#number();
    const uid = this.#number();
    const gid = this.#number();
    const rdev = this.#number();
    if (size < 0 || mode < 0 || nlink < 0 || uid < 0 || gid < 0 || rdev < 0) return NOT_ORDINARY;
    if (nlink > U32_MAX || uid > U32_MAX || gid > U32_MAX || rdev > U32_MAX) return NOT_ORDINARY;
    const sec = this.#digits(DOT);
    const nsec = this.#number();
    if (sec < 0 || nsec < 0 || nsec > NSEC_MAX) return NOT_ORDINARY;
    this.#size = size;
    this.#mode = mode;
    if (!this.#readData(rdev) || !this.#readXattrs()) return NOT_ORDINARY;
    const entry = this.#addEntry(from);
    if (entry < 0) return NOT_ORDINARY;
    const table = this.#table;
    table.nlink[entry] = nlink;
    table.uid[entry] = uid;
    table.gid[entry] = gid;
    table.rdev[entry] = rdev;
    table.size[entry] = this.#size;
    table.mtimeHigh[entry] = sec / TWO_32;
    table.mtimeLow[entry] = sec;
    table.mtimeNsec[entry] = nsec;
    table.xattrs[entry] = this.#xattrs;
    return this.#at;
  }

  /** PATH: finds the parent and the place of the name. */
  #readPath(from: number): boolean {
    const bytes = this.#bytes;
    const known = this.#parentPath;
    const size = this.#parentSize;
    let at = 0;
    while (at < size && bytes[from + at] === known[at]) at++;
    if (at === size && bytes[from + at] === SLASH) {
      this.#nameFrom = from + at + 1;
      let to = this.#nameFrom;
      while (bytes[to]! > SPACE && bytes[to] !== SLASH && bytes[to] !== BACKSLASH) to++;
      if (bytes[to] !== SLASH) return this.#finishPath(to);
    }
    return this.#readOtherPath(from);
  }

  /** PATH of an entry that is not in the directory of the one before. */
  #readOtherPath(from: number): boolean {
    const bytes = this.#bytes;
    if (bytes[from] !== SLASH) return false;
    let slash = from;
    let to = from + 1;
    for (; bytes[to]! > SPACE && bytes[to] !== BACKSLASH; to++) {
      if (bytes[to] !== SLASH) continue;
      if (slash === to - 1) return false;
      slash = to;
    }
    const parent = this.#directories.get(bytes.toString('latin1', from, slash));
    if (parent === undefined) return false;
    const size = slash - from;
    if (size > this.#parentPath.length) this.#parentPath = new Uint8Array(2 * size);
    for (let i = 0; i < size; i++) this.#parentPath[i] = bytes[from + i]!;
    this.#parent = parent;
    this.#parentSize = size;
    this.#nameFrom = slash + 1;
    return this.#finishPath(to);
  }

  #finishPath(to: number): boolean {
    const bytes = this.#bytes;
    const size = to - this.#nameFrom;
    if (bytes[to] !== SPACE || size === 0 || size > EROFS_NAME_LEN_MAX) return false;
    if (bytes[this.#nameFrom] === DOT) {
      if (size === 1 || (size === 2 && bytes[to - 1] === DOT)) return false;
    }
    this.#pathTo = to;
    this.#at = to + 1;
    return true;
  }

  #number(): number {
    return this.#digits(SPACE);
  }

  /** A decimal number up to a byte, which is passed over; negative when it is no ordinary one. */
  #digits(end: number): number {
    const bytes = this.#bytes;
    const from = this.#at;
    let at = from;
    let value = 0;
    for (; ; at++) {
      const digit = bytes[at]! - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    this.#at = at + 1;
    return at === from || at - from > SAFE_DIGITS || bytes[at] !== end ? -1 : value;
  }

  #octal(): number {
    const bytes = this.#bytes;
    const from = this.#at;
    let at = from;
    let value = 0;
    for (; at - from < SAFE_DIGITS; at++) {
      const digit = bytes[at]! - 0x30;
      if (!(digit >= 0 && digit <= 7)) break;
      value = value * 8 + digit;
    }
    this.#at = at + 1;
    return at === from || bytes[at] !== SPACE || value > MODE_MAX ? -1 : value;
  }

  /** PAYLOAD, CONTENT and DIGEST, and what SIZE means with them. */
  #readData(rdev: number): boolean {
    this.#dataSize = NO_DATA;
    this.#digestSize = 0;
    const type = this.#mode & S_IFMT;
    switch (type) {
      case S_IFREG:
        return rdev === 0 && this.#readFile();
      case S_IFLNK:
        return rdev === 0 && this.#readTarget() && this.#isUnset() && this.#isLastUnset();
      case S_IFDIR:
        this.#size = 0;
        return rdev === 0 && this.#hasNoData();
      case S_IFCHR:
      case S_IFBLK:
        return this.#hasNoData();
      case S_IFIFO:
      case S_IFSOCK:
        return rdev === 0 && this.#hasNoData();
      default:
        return false;
    }
  }

  #hasNoData(): boolean {
    return this.#isUnset() && this.#isUnset() && this.#isLastUnset();
  }

  /** Whether a field is a lone dash, which is then passed over. */
  #isUnset(): boolean {
    const at = this.#at;
    if (this.#bytes[at] !== DASH || this.#bytes[at + 1] !== SPACE) return false;
    this.#at = at + 2;
    return true;
  }

  /** The same of DIGEST, which may be the last field of its line. */
  #isLastUnset(): boolean {
    const at = this.#at;
    if (this.#bytes[at] !== DASH || !isFieldEnd(this.#bytes[at + 1])) return false;
    this.#at = at + 2;
    return true;
  }

  /** An object with its digest, or a file without payload and digest. */
  #readFile(): boolean {
    if (this.#bytes[this.#at] !== DASH) return this.#readObject();
    if (!this.#isUnset()) return false;
    return (this.#isUnset() || this.#readContent()) && this.#isLastUnset();
  }

  /** `ab/cdef… - abcdef…`: leaves the digest where the table takes it from. */
  #readObject(): boolean {
    const bytes = this.#bytes;
    const from = this.#at;
    const digits = bytes[from + 65] === SPACE ? 64 : 128;
    const digest = from + digits + 4;
    if (bytes[from + digits + 1] !== SPACE || bytes[from + 2] !== SLASH) return false;
    if (bytes[digest - 2] !== DASH || bytes[digest - 1] !== SPACE) return false;
    if (bytes[digest] !== bytes[from] || bytes[digest + 1] !== bytes[from + 1]) return false;
    const { scratch } = this.#table.digests;
    for (let i = 0; i < digits; i += 2) {
      const high = bytes[digest + i]!;
      const low = bytes[digest + i + 1]!;
      const isPath = i === 0 || (high === bytes[from + i + 1] && low === bytes[from + i + 2]);
      const highValue = HEX_VALUES[high]!;
      const lowValue = HEX_VALUES[low]!;
      if (!isPath || (highValue | lowValue) > 15) return false;
      scratch[i >> 1] = highValue * 16 + lowValue;
    }
    if (!isFieldEnd(bytes[digest + digits])) return false;
    this.#digestSize = digits / 2;
    this.#at = digest + digits + 1;
    return true;
  }

  #readTarget(): boolean {
    const bytes = this.#bytes;
    const from = this.#at;
    let to = from;
    while (bytes[to]! > SPACE && bytes[to] !== BACKSLASH) to++;
    const length = to - from;
    if (bytes[to] !== SPACE || length === 0 || length > SYMLINK_TARGET_MAX) return false;
    if (length === 1 && bytes[from] === DASH) return false;
    if (this.#size !== 0 && this.#size !== length) return false;
    this.#size = length;
    this.#dataFrom = from;
    this.#dataSize = length;
    this.#at = to + 1;
    return true;
  }

  /** CONTENT, as long as SIZE says. */
  #readContent(): boolean {
    const bytes = this.#bytes;
    const content = this.#content;
    let at = this.#at;
    let length = 0;
    for (; bytes[at]! > SPACE && length < INLINE_CONTENT_MAX; at++) {
      let value = bytes[at]!;
      if (value === BACKSLASH) {
        value = escaped(bytes, at);
        if (value < 0) return false;
        at += bytes[at + 1] === 0x78 ? 3 : 1;
      }
      content[length++] = value;
    }
    if (bytes[at] !== SPACE || length === 0 || length !== this.#size) return false;
    this.#dataSize = length;
    this.#at = at + 1;
    return true;
  }

  /** The attributes, which must have stood on a line before; goes to the next line. */
  #readXattrs(): boolean {
    const bytes = this.#bytes;
    const from = this.#at;
    if (bytes[from - 1] === NEWLINE) {
      this.#xattrs = 0;
      this.#xattrText = EMPTY;
      return true;
    }
    const last = this.#xattrText;
    let at = 0;
    while (at < last.length && bytes[from + at] === last[at]) at++;
    if (at === last.length && at > 0 && bytes[from + at] === NEWLINE) {
      this.#at = from + at + 1;
      return true;
    }
    let to = from + at;
    while (bytes[to] !== NEWLINE) to++;
    const known = this.#xattrTexts.get(bytes.toString('latin1', from, to));
    if (known === undefined) return false;
    this.#xattrs = known;
    this.#xattrText = new Uint8Array(bytes.subarray(from, to));
    this.#at = to + 1;
    return true;
  }

  /** The entry with its name and data; negative when a directory is there already. */
  #addEntry(from: number): number {
    const table = this.#table;
    const bytes = this.#bytes;
    const isDirectory = (this.#mode & S_IFMT) === S_IFDIR;
    const path = isDirectory ? bytes.toString('latin1', from, this.#pathTo) : '';
    if (isDirectory && this.#directories.has(path)) return NOT_ORDINARY;
    const nameAt = table.heap.addBytes(bytes, this.#nameFrom, this.#pathTo);
    const entry = table.add(this.#parent, nameAt, this.#pathTo - this.#nameFrom, this.#mode);
    if (isDirectory) this.#directories.set(path, entry);
    if (this.#dataSize !== NO_DATA) this.#addData(entry);
    if (this.#digestSize > 0) {
      const digest = table.digests.add(this.#digestSize);
      table.digest[entry] = digest;
      table.redirect[entry] = digest;
    }
    return entry;
  }

  #addData(entry: number): void {
    const { heap, dataAt, dataSize } = this.#table;
    const size = this.#dataSize;
    const isTarget = (this.#mode & S_IFMT) === S_IFLNK;
    const from = isTarget ? this.#dataFrom : 0;
    dataAt[entry] = heap.addBytes(isTarget ? this.#bytes : this.#content, from, from + size);
    dataSize[entry] = size;
  }
}

function isFieldEnd(byte: number | undefined): boolean {
  return byte === SPACE || byte === NEWLINE;
}

/** The byte of the escape at a place; negative for one that is unknown or wrong. */
function escaped(bytes: Uint8Array, at: number): number {
  switch (bytes[at + 1]) {
    case 0x78: {
      const high = HEX_VALUES[bytes[at + 2]!]!;
      const low = HEX_VALUES[bytes[at + 3]!]!;
      return (high | low) > 15 ? -1 : high * 16 + low;
    }
    case BACKSLASH:
      return BACKSLASH;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    default:
      return -1;
  }
}
