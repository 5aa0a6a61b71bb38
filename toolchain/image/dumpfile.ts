/**
 * composefs-dump(5) text to a tree.
 *
 * Strict by default: every accepted text means exactly one image, and every refusal names line and column.
 * `lenient` is for the drop-in tools: it takes what mkcomposefs takes and gives the same image, with the few
 * exceptions of docs/decisions/0003-dump-strictness.md, where C's image has bytes that nobody wrote.
 *
 * The text is read in pieces of a few megabytes; names and payloads are slices of those pieces, so parsing
 * allocates little besides the nodes.
 */
import { EROFS_NAME_LEN_MAX } from '../../runtime/format/erofs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { DumpData } from './dump-data.ts';
import { resolveHardlinks, type PendingHardlink } from './dump-hardlinks.ts';
import { DumpLine, GID, MODE, MTIME, NLINK, PATH, PAYLOAD, RDEV, UID } from './dump-line.ts';
import { parseLikeStrtoull, parseUnsigned } from './dump-text.ts';
import { DumpXattrs } from './dump-xattrs.ts';
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
  sortChildren,
  TreeNode,
} from './tree.ts';

export interface DumpOptions {
  /** Accept what mkcomposefs accepts by default. Only the drop-in tools ask for it. */
  readonly lenient?: boolean;
}

const PIECE_SIZE = 4 << 20;
const TYPES = new Set([S_IFDIR, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);
const NSEC_PER_SEC = 1_000_000_000;
const AT_SIGN = 0x40;

/** Reads a whole dump. Throws FORMAT_DUMP_* with line and column. */
export function parseDump(bytes: Uint8Array, options: DumpOptions = {}): TreeNode {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // Asked of the bytes: V8 moves the same question about the text into the loop over its lines.
  const hasNul = buffer.includes(0);
  const parser = new DumpParser(options.lenient === true, hasNul);
  for (let from = 0; from < buffer.length;) {
    let to = buffer.length;
    if (to - from > PIECE_SIZE) {
      const newline = buffer.indexOf(0x0a, from + PIECE_SIZE);
      if (newline >= 0) to = newline + 1;
    }
    parser.parsePiece(buffer.toString('latin1', from, to));
    from = to;
  }
  return parser.finish();
}

class DumpParser {
  readonly #lenient: boolean;
  readonly #hasNul: boolean;
  readonly #line: DumpLine;
  readonly #data: DumpData;
  readonly #xattrs: DumpXattrs;
  readonly #directories = new Map<string, TreeNode>();
  readonly #hardlinks: PendingHardlink[] = [];
  #root: TreeNode | undefined;
  #lastParentPath = '';
  #lastParent: TreeNode | undefined;

  constructor(lenient: boolean, hasNul: boolean) {
    this.#lenient = lenient;
    this.#hasNul = hasNul;
    this.#line = new DumpLine(lenient);
    this.#data = new DumpData(this.#line);
    this.#xattrs = new DumpXattrs(this.#line);
  }

  /** Reads whole lines; only the last piece may lack its final newline. */
  parsePiece(text: string): void {
    const line = this.#line;
    let nextEscape = -1;
    for (let from = 0; from < text.length; from = line.end + 1) {
      const newline = text.indexOf('\n', from);
      const end = newline < 0 ? text.length : newline;
      if (nextEscape < from) {
        nextEscape = text.indexOf('\\', from);
        if (nextEscape < 0) nextEscape = text.length;
      }
      line.read(text, from, end, nextEscape < end);
      if (newline < 0 && !this.#lenient) {
        line.fail('FORMAT_DUMP_NEWLINE', end, 'the last line has no newline at its end', {
          hint: 'the file may have been cut off',
        });
      }
      if (this.#hasNul) this.#refuseNul();
      this.#parseLine();
    }
  }

  #refuseNul(): void {
    const { text, start, end } = this.#line;
    const at = text.indexOf('\0', start);
    if (at >= 0 && at < end) this.#line.fail('FORMAT_DUMP_NUL', at, 'the line contains a NUL byte');
  }

  /** Sorts the tree, finds duplicates and ties hardlinks to their targets. */
  finish(): TreeNode {
    const root = this.#root;
    if (root === undefined) {
      throw new ColdsealError(
        'FORMAT_DUMP_NO_ROOT',
        'Cannot read dump: it has no line for the root directory',
        { hint: 'a dump begins with a line for the path /' },
      );
    }
    for (const [path, directory] of this.#directories) finishDirectory(path, directory);
    resolveHardlinks(this.#hardlinks, (path) => this.#find(path));
    return root;
  }

  #parseLine(): void {
    const line = this.#line;
    const path = line.string(PATH);
    if (line.text.charCodeAt(line.startOf(MODE)) === AT_SIGN) return this.#parseHardlink(path);
    const node = this.#addNode(path, this.#mode(line.startOf(MODE)));
    node.nlink = line.u32(NLINK);
    node.uid = line.u32(UID);
    node.gid = line.u32(GID);
    this.#readDevice(node);
    this.#readMtime(node);
    this.#data.read(node);
    node.xattrs = this.#xattrs.read();
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
    const node = this.#addNode(path, S_IFREG);
    const column = line.startOf(PAYLOAD) - line.start + 1;
    this.#hardlinks.push({ node, target: line.string(PAYLOAD), line: line.number, column });
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

  /** Makes the node for a path and hangs it into its parent, which must have come before. */
  #addNode(given: ByteString, mode: number): TreeNode {
    const path = this.#lenient ? canonicalPath(given) : given;
    const slash = path.lastIndexOf('/');
    const node = new TreeNode(path.slice(slash + 1) as ByteString, mode);
    node.line = this.#line.number;
    if (given === '/') this.#addRoot(node);
    else this.#addChild(path, slash, node);
    return node;
  }

  #addRoot(node: TreeNode): void {
    const line = this.#line;
    if (this.#root !== undefined) {
      const problem = `is already on line ${this.#root.line}, expected each path once`;
      line.failField(PATH, 'FORMAT_DUMP_DUPLICATE', problem);
    }
    if (!isDirectory(node)) {
      line.failField(MODE, 'FORMAT_DUMP_MODE', 'of the root is not a directory');
    }
    this.#root = node;
    this.#directories.set('', node);
  }

  #addChild(path: ByteString, slash: number, node: TreeNode): void {
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
    const parentPath = path.slice(0, slash);
    if (this.#lastParent === undefined || parentPath !== this.#lastParentPath) {
      const parent = this.#directories.get(parentPath);
      if (parent === undefined) {
        return line.failField(
          PATH,
          'FORMAT_DUMP_PARENT',
          'has no parent directory on an earlier line',
        );
      }
      this.#lastParent = parent;
      this.#lastParentPath = parentPath;
    }
    this.#lastParent.children!.push(node);
    if (!isDirectory(node)) return;
    if (this.#directories.has(path)) {
      const problem = 'is already a directory on an earlier line, expected each path once';
      line.failField(PATH, 'FORMAT_DUMP_DUPLICATE', problem);
    }
    this.#directories.set(path, node);
  }

  /** The entry of a path, once the directories are sorted. */
  #find(given: ByteString): TreeNode | undefined {
    // Only a path that names the target of a hardlink may end in slashes.
    const path = this.#lenient ? canonicalPath(given).replace(/(?<=.)\/$/, '') : given;
    if (path === '/') return this.#root;
    const slash = path.lastIndexOf('/');
    const children = slash < 0 ? undefined : this.#directories.get(path.slice(0, slash))?.children;
    if (children === undefined) return undefined;
    const name = path.slice(slash + 1);
    let low = 0;
    for (let high = children.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (children[middle]!.name < name) low = middle + 1;
      else high = middle;
    }
    return children[low]?.name === name ? children[low] : undefined;
  }
}

/** A path as mkcomposefs walks it: from the root, and any number of slashes is one. */
function canonicalPath(path: ByteString): ByteString {
  if (path.charCodeAt(0) === 0x2f && !path.includes('//')) return path;
  return `/${path}`.replace(/\/+/g, '/') as ByteString;
}

function finishDirectory(path: string, directory: TreeNode): void {
  const children = directory.children!;
  sortChildren(children);
  for (let i = 1; i < children.length; i++) {
    if (children[i - 1]!.name !== children[i]!.name) continue;
    const lines = [children[i - 1]!.line, children[i]!.line].sort((a, b) => a - b);
    const shown = showBytes(`${path}/${children[i]!.name}` as ByteString);
    throw new ColdsealError(
      'FORMAT_DUMP_DUPLICATE',
      `Cannot read dump line ${lines[1]}, column 1: ${shown} is already on line ${lines[0]}, expected each path once`,
    );
  }
}
