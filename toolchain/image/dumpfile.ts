/**
 * composefs-dump(5) text to a tree.
 *
 * Strict by default: every accepted text means exactly one image, and every refusal names line and column.
 * `lenient` is for the drop-in tools: it takes what mkcomposefs takes and gives the same image, with the few
 * exceptions of docs/decisions/0003-dump-strictness.md, where C's image has bytes that nobody wrote.
 *
 * Nearly every line is an ordinary one, which dump-fast.ts reads from the bytes. The others, and all that are wrong,
 * are read here, as text.
 */
import { EROFS_NAME_LEN_MAX } from '../../runtime/format/erofs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { DumpData } from './dump-data.ts';
import { NOT_ORDINARY, OrdinaryLines } from './dump-fast.ts';
import { resolveHardlinks, type PendingHardlink } from './dump-hardlinks.ts';
import { DumpLine, GID, MODE, MTIME, NLINK, PATH, PAYLOAD, RDEV, UID } from './dump-line.ts';
import { parseLikeStrtoull, parseUnsigned } from './dump-text.ts';
import { DumpXattrs } from './dump-xattrs.ts';
import { EntryTable } from './entry-table.ts';
import { treeOfTable } from './tree-table.ts';
import {
  isDirectory,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  TreeNode,
} from './tree.ts';

export interface DumpOptions {
  /** Accept what mkcomposefs accepts by default. Only the drop-in tools ask for it. */
  readonly lenient?: boolean;
  /** Read no line as an ordinary one: the test compares both ways. */
  readonly everyLineIsOdd?: boolean;
}

const TYPES = new Set([S_IFDIR, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);
const NSEC_PER_SEC = 1_000_000_000;
const AT_SIGN = 0x40;
const NEWLINE = 0x0a;

/** Reads a whole dump. Throws FORMAT_DUMP_* with line and column. */
export function parseDump(bytes: Uint8Array, options: DumpOptions = {}): TreeNode {
  const table = parseDumpTable(bytes, options);
  // Every line of a dump is an entry.
  return treeOfTable(table, (node, entry) => (node.line = entry + 1));
}

/** The same, as the table that an image is made from. */
export function parseDumpTable(bytes: Uint8Array, options: DumpOptions = {}): EntryTable {
  const reader = new DumpReader(options);
  reader.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), true);
  return reader.finish();
}

/** Reads a dump piece by piece; the text of a piece is not kept. */
export class DumpReader {
  readonly #lenient: boolean;
  readonly #line: DumpLine;
  readonly #data: DumpData;
  readonly #xattrs: DumpXattrs;
  readonly #table = new EntryTable();
  /** Directories by their path; the root's is empty. */
  readonly #directories = new Map<string, number>();
  /** Numbers of lists of attributes by their text. */
  readonly #xattrTexts = new Map<string, number>();
  readonly #ordinary: OrdinaryLines | undefined;
  readonly #hardlinks: PendingHardlink[] = [];
  /** Lines that were not ordinary. */
  oddLines = 0;

  constructor(options: DumpOptions = {}) {
    this.#lenient = options.lenient === true;
    this.#line = new DumpLine(this.#lenient);
    this.#data = new DumpData(this.#line);
    this.#xattrs = new DumpXattrs(this.#line);
    if (options.everyLineIsOdd === true) return;
    this.#ordinary = new OrdinaryLines(this.#table, this.#directories, this.#xattrTexts);
  }

  /** Reads the whole lines of a piece, and what is left if it is the last; returns how many bytes that were. */
  read(bytes: Buffer, isLast: boolean): number {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    let from = 0;
    while (from < end) {
      const next = this.#ordinary?.read(bytes, from) ?? NOT_ORDINARY;
      if (next !== NOT_ORDINARY) {
        this.#line.number++;
        from = next;
        continue;
      }
      const newline = bytes.indexOf(NEWLINE, from);
      this.#readOdd(bytes.toString('latin1', from, newline), true);
      from = newline + 1;
    }
    if (!isLast || from === bytes.length) return from;
    this.#readOdd(bytes.toString('latin1', from), false);
    return bytes.length;
  }

  #readOdd(text: string, hasNewline: boolean): void {
    const line = this.#line;
    this.oddLines++;
    line.read(text);
    if (!hasNewline && !this.#lenient) {
      line.fail('FORMAT_DUMP_NEWLINE', text.length, 'the last line has no newline at its end', {
        hint: 'the file may have been cut off',
      });
    }
    const nul = text.indexOf('\0');
    if (nul >= 0) line.fail('FORMAT_DUMP_NUL', nul, 'the line contains a NUL byte');
    this.#parseLine();
  }

  /** Sorts the entries, finds duplicates and ties hardlinks to their targets. */
  finish(): EntryTable {
    const table = this.#table;
    if (table.count === 0) {
      throw new ColdsealError(
        'FORMAT_DUMP_NO_ROOT',
        'Cannot read dump: it has no line for the root directory',
        { hint: 'a dump begins with a line for the path /' },
      );
    }
    table.seal((first, second) => {
      throw new ColdsealError(
        'FORMAT_DUMP_DUPLICATE',
        `Cannot read dump line ${second + 1}, column 1: ${showBytes(table.path(second))} is already on ` +
          `line ${first + 1}, expected each path once`,
      );
    });
    resolveHardlinks(table, this.#hardlinks, (path) => this.#find(path));
    return table;
  }

  #parseLine(): void {
    const line = this.#line;
    const path = line.string(PATH);
    if (line.text.charCodeAt(line.startOf(MODE)) === AT_SIGN) return this.#parseHardlink(path);
    const place = this.#place(path, this.#mode(line.startOf(MODE)));
    const { node } = place;
    node.nlink = line.u32(NLINK);
    node.uid = line.u32(UID);
    node.gid = line.u32(GID);
    this.#readDevice(node);
    this.#readMtime(node);
    this.#data.read(node);
    node.xattrs = this.#xattrs.read();
    const entry = this.#table.addNode(place.parent, node);
    if (place.directory !== undefined) this.#directories.set(place.directory, entry);
    if (line.xattrsStart <= line.text.length) {
      this.#xattrTexts.set(line.text.slice(line.xattrsStart), this.#table.xattrs[entry]!);
    }
  }

  /** A line with @ before its MODE: one more name of the entry in PAYLOAD; the other fields mean nothing. */
  #parseHardlink(path: ByteString): void {
    const line = this.#line;
    const mode = this.#mode(line.startOf(MODE) + 1);
    if ((mode & S_IFMT) === S_IFDIR) {
      line.failField(
        MODE,
        'FORMAT_DUMP_HARDLINK',
        'is a directory, which cannot have a second name',
      );
    }
    if (line.isUnset(PAYLOAD) || line.isEmpty(PAYLOAD)) {
      line.failField(
        PAYLOAD,
        'FORMAT_DUMP_HARDLINK',
        'is unset, expected the path that is linked to',
      );
    }
    const { parent, node } = this.#place(path, S_IFREG);
    const target = line.string(PAYLOAD);
    const entry = this.#table.addNode(parent, node);
    const column = line.startOf(PAYLOAD) + 1;
    this.#hardlinks.push({ entry, target, line: line.number, column });
  }

  #mode(from: number): number {
    const line = this.#line;
    let mode = line.unsignedAt(MODE, from, 8);
    // mkcomposefs stores the low 16 bits.
    if (this.#lenient) mode = Number(BigInt.asUintN(16, BigInt(mode)));
    if (mode > 0o177777) line.failField(MODE, 'FORMAT_DUMP_MODE', 'is above 177777');
    if (!TYPES.has(Number(mode) & S_IFMT)) {
      line.failField(MODE, 'FORMAT_DUMP_MODE', 'has no known file type', {
        hint: 'a regular file is 100644, a directory 40755, a symlink 120777',
      });
    }
    return Number(mode);
  }

  #readDevice(node: TreeNode): void {
    const rdev = this.#line.u32(RDEV);
    const type = node.mode & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) node.rdev = rdev;
    else if (rdev !== 0 && !this.#lenient) {
      this.#line.failField(
        RDEV,
        'FORMAT_DUMP_NUMBER',
        'is set on an entry that is no device, expected 0',
      );
    }
  }

  #readMtime(node: TreeNode): void {
    const line = this.#line;
    const { text } = line;
    const from = line.startOf(MTIME);
    const to = line.endOf(MTIME);
    const dot = text.indexOf('.', from);
    if (dot < 0 || dot >= to) {
      line.failField(MTIME, 'FORMAT_DUMP_MTIME', 'has no dot, expected SEC.NSEC');
    }
    const isNegative = text.charCodeAt(from) === 0x2d;
    const limit = isNegative ? 0x8000000000000000n : 0x7fffffffffffffffn;
    const sec = parseUnsigned(text, isNegative ? from + 1 : from, dot, 10);
    const nsec = parseUnsigned(text, dot + 1, to, 10);
    if (sec === undefined || nsec === undefined || sec > limit || nsec >= NSEC_PER_SEC) {
      return this.#readOddMtime(node, text.slice(from, dot), text.slice(dot + 1, to));
    }
    node.mtimeSec = isNegative && sec !== 0 ? -sec : sec;
    node.mtimeNsec = Number(nsec);
  }

  /** An MTIME that strict reading refuses; mkcomposefs takes 64 bits of seconds and 32 of nanoseconds. */
  #readOddMtime(node: TreeNode, secText: string, nsecText: string): void {
    const sec = parseLikeStrtoull(secText, 10);
    const nsec = parseLikeStrtoull(nsecText, 10);
    if (!this.#lenient || sec === undefined || nsec === undefined) {
      const problem = 'is not SEC.NSEC of two decimal integers, with NSEC below 1000000000';
      return this.#line.failField(MTIME, 'FORMAT_DUMP_MTIME', problem);
    }
    const signed = BigInt.asIntN(64, BigInt(sec));
    node.mtimeSec = Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
    node.mtimeNsec = Number(BigInt.asUintN(32, BigInt(nsec)));
  }

  /** Where the entry of a path goes: its parent must have come before. */
  #place(given: ByteString, mode: number): Place {
    const path = this.#lenient ? canonicalPath(given) : given;
    const slash = path.lastIndexOf('/');
    const node = new TreeNode(path.slice(slash + 1) as ByteString, mode);
    return given === '/' ? this.#placeRoot(node) : this.#placeChild(path, slash, node);
  }

  #placeRoot(node: TreeNode): Place {
    const line = this.#line;
    if (this.#table.count > 0) {
      line.failField(
        PATH,
        'FORMAT_DUMP_DUPLICATE',
        'is already on line 1, expected each path once',
      );
    }
    if (!isDirectory(node)) {
      line.failField(MODE, 'FORMAT_DUMP_MODE', 'of the root is not a directory');
    }
    return { node, parent: 0, directory: '' };
  }

  #placeChild(path: ByteString, slash: number, node: TreeNode): Place {
    const line = this.#line;
    if (path.charCodeAt(0) !== 0x2f) {
      line.failField(PATH, 'FORMAT_DUMP_PATH', 'does not begin with /');
    }
    if (node.name === '' || node.name === '.' || node.name === '..') {
      const problem = `ends in the name "${node.name}", which no entry can have`;
      line.failField(PATH, 'FORMAT_DUMP_NAME', problem);
    }
    if (node.name.length > EROFS_NAME_LEN_MAX) {
      const problem = `has a name of ${node.name.length} bytes, expected at most ${EROFS_NAME_LEN_MAX}`;
      line.failField(PATH, 'FORMAT_DUMP_NAME', problem);
    }
    const parent = this.#directories.get(path.slice(0, slash));
    if (parent === undefined) {
      return line.failField(
        PATH,
        'FORMAT_DUMP_PARENT',
        'has no parent directory on an earlier line',
      );
    }
    if (!isDirectory(node)) return { node, parent, directory: undefined };
    if (this.#directories.has(path)) {
      const problem = 'is already a directory on an earlier line, expected each path once';
      line.failField(PATH, 'FORMAT_DUMP_DUPLICATE', problem);
    }
    return { node, parent, directory: path };
  }

  /** The entry of a path, once the entries are sorted. */
  #find(given: ByteString): number | undefined {
    // Only a path that names the target of a hardlink may end in slashes.
    const path = this.#lenient ? canonicalPath(given).replace(/(?<=.)\/$/, '') : given;
    if (path === '/') return 0;
    const slash = path.lastIndexOf('/');
    const directory = slash < 0 ? undefined : this.#directories.get(path.slice(0, slash));
    if (directory === undefined) return undefined;
    const name = path.slice(slash + 1);
    const { start, entries } = this.#table.index;
    let low = start[directory]!;
    const end = start[directory + 1]!;
    for (let high = end; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#table.name(entries[middle]!) < name) low = middle + 1;
      else high = middle;
    }
    const found = low < end ? entries[low]! : undefined;
    const isSource = found !== undefined && found < this.#table.sourceCount;
    return isSource && this.#table.name(found) === name ? found : undefined;
  }
}

/** An entry that is not in the table yet. */
interface Place {
  readonly node: TreeNode;
  readonly parent: number;
  /** The path that it is known by afterwards, if it is a directory. */
  readonly directory: string | undefined;
}

/** A path as mkcomposefs walks it: from the root, and any number of slashes is one. */
function canonicalPath(path: ByteString): ByteString {
  if (path.charCodeAt(0) === 0x2f && !path.includes('//')) return path;
  return `/${path}`.replace(/\/+/g, '/') as ByteString;
}
