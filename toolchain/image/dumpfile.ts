/**
 * composefs-dump(5) text to a tree.
 *
 * Strict by default: every accepted text means exactly one image, and every refusal names line and column.
 * `lenient` is for the drop-in tools: it takes what mkcomposefs takes without CFS_PARSE_STRICT, except what
 * would put undefined bytes into an image (a bad digest, a bad GID or RDEV).
 *
 * The text is read in pieces of a few megabytes; names and payloads are slices of those pieces, so parsing
 * allocates little besides the nodes.
 */
import {
  FILE_SIZE_MAX,
  INLINE_CONTENT_MAX,
  SYMLINK_TARGET_MAX,
  XATTR_EXTERNAL_TOTAL_MAX,
  XATTR_NAME_MAX,
  XATTR_TOTAL_BASE,
  XATTR_TOTAL_PER_ENTRY,
  XATTR_VALUE_MAX,
} from '../../runtime/format/composefs.ts';
import { EROFS_NAME_LEN_MAX } from '../../runtime/format/erofs.ts';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { bytesOf, showBytes, type ByteString } from './byte-string.ts';
import { parseLikeStrtoull, parseUnsigned, unescapeField } from './dump-text.ts';
import {
  isDirectory,
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  sortChildren,
  sortXattrs,
  TreeNode,
  XattrPool,
  type Xattr,
} from './tree.ts';

export interface DumpOptions {
  /** Accept what mkcomposefs accepts by default. Only the drop-in tools ask for it. */
  readonly lenient?: boolean;
}

const PIECE_SIZE = 4 << 20;
const FIELDS = [
  'PATH',
  'SIZE',
  'MODE',
  'NLINK',
  'UID',
  'GID',
  'RDEV',
  'MTIME',
  'PAYLOAD',
  'CONTENT',
  'DIGEST',
] as const;
const TYPES = new Set([S_IFDIR, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);
const U32_MAX = 0xffffffff;
const NSEC_PER_SEC = 1_000_000_000;

/** Reads a whole dump. Throws FORMAT_DUMP_* with line and column. */
export function parseDump(bytes: Uint8Array, options: DumpOptions = {}): TreeNode {
  const parser = new DumpParser(options.lenient === true);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
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

interface PendingHardlink {
  readonly node: TreeNode;
  readonly target: ByteString;
  readonly line: number;
  readonly column: number;
}

class DumpParser {
  readonly #lenient: boolean;
  readonly #directories = new Map<string, TreeNode>();
  readonly #pool = new XattrPool();
  readonly #xattrsByText = new Map<string, Xattr>();
  readonly #hardlinks: PendingHardlink[] = [];
  #root: TreeNode | undefined;
  #lastParentPath = '';
  #lastParent: TreeNode | undefined;

  // The line being read.
  #text = '';
  #line = 0;
  #lineStart = 0;
  #lineEnd = 0;
  #escaped = false;
  /** Start and end of each fixed field; the start of field i is at 2i. */
  readonly #spans = new Int32Array(2 * FIELDS.length);

  constructor(lenient: boolean) {
    this.#lenient = lenient;
  }

  /** Reads whole lines; only the last piece may lack its final newline. */
  parsePiece(text: string): void {
    this.#text = text;
    let nextEscape = -1;
    for (let from = 0; from < text.length; from = this.#lineEnd + 1) {
      this.#line++;
      this.#lineStart = from;
      const newline = text.indexOf('\n', from);
      this.#lineEnd = newline < 0 ? text.length : newline;
      if (newline < 0 && !this.#lenient) {
        this.#fail('FORMAT_DUMP_NEWLINE', text.length, 'the last line has no newline at its end', {
          hint: 'the file may have been cut off',
        });
      }
      if (nextEscape < from) {
        nextEscape = text.indexOf('\\', from);
        if (nextEscape < 0) nextEscape = text.length;
      }
      this.#escaped = nextEscape < this.#lineEnd;
      this.#parseLine();
    }
  }

  /** Sorts the tree, finds duplicates and ties hardlinks to their targets. */
  finish(): TreeNode {
    const root = this.#root;
    if (root === undefined) {
      throw new ColdsealError(
        'FORMAT_DUMP_NO_ROOT',
        'Cannot read dump: it has no line for the root directory',
        {
          hint: 'a dump begins with a line for the path /',
        },
      );
    }
    for (const [path, directory] of this.#directories) this.#finishDirectory(path, directory);
    for (const link of this.#hardlinks) this.#resolveHardlink(link);
    return root;
  }

  #finishDirectory(path: string, directory: TreeNode): void {
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

  #parseLine(): void {
    this.#splitFields();
    const path = this.#string(0);
    const modeStart = this.#spans[4]!;
    if (this.#text.charCodeAt(modeStart) === 0x40) {
      const node = this.#addNode(path, S_IFREG);
      this.#hardlinks.push({
        node,
        target: this.#string(8),
        line: this.#line,
        column: this.#spans[16]! - this.#lineStart + 1,
      });
      return;
    }
    const node = this.#addNode(path, this.#mode());
    node.nlink = this.#number(3, U32_MAX);
    node.uid = this.#number(4, U32_MAX);
    node.gid = this.#number(5, U32_MAX);
    this.#readDevice(node);
    this.#readMtime(node);
    this.#readData(node);
    if (this.#spans[21]! < this.#lineEnd) node.xattrs = this.#xattrs(this.#spans[21]! + 1);
  }

  #splitFields(): void {
    const text = this.#text;
    let from = this.#lineStart;
    for (let field = 0; field < FIELDS.length; field++) {
      let to = text.indexOf(' ', from);
      if (to < 0 || to > this.#lineEnd) to = this.#lineEnd;
      if (to === this.#lineEnd && field < FIELDS.length - 1) {
        this.#fail(
          'FORMAT_DUMP_FIELDS',
          to,
          `the line ends after ${field + 1} fields, expected ${FIELDS.length}: ${FIELDS.join(' ')}`,
        );
      }
      if (to === from)
        this.#failField(field, 'FORMAT_DUMP_FIELDS', 'is empty, expected a value or -');
      this.#spans[2 * field] = from;
      this.#spans[2 * field + 1] = to;
      from = to + 1;
    }
  }

  /** A field as text, its escapes undone, without NUL bytes. */
  #string(field: number): ByteString {
    const from = this.#spans[2 * field]!;
    return this.#unescape(from, this.#spans[2 * field + 1]!, FIELDS[field]!, false);
  }

  #unescape(from: number, to: number, label: string, allowNul: boolean): ByteString {
    const raw = this.#text.slice(from, to);
    let value = raw as ByteString;
    if (this.#escaped && raw.includes('\\')) {
      const unescaped = unescapeField(raw);
      if (typeof unescaped !== 'string') {
        this.#fail('FORMAT_DUMP_ESCAPE', from + unescaped.at, `${label} ${unescaped.problem}`);
      }
      value = unescaped;
    }
    if (!allowNul && value.includes('\0')) {
      this.#fail('FORMAT_DUMP_NUL', from, `${label} contains a NUL byte`);
    }
    return value;
  }

  #isUnset(field: number): boolean {
    const from = this.#spans[2 * field]!;
    return this.#spans[2 * field + 1] === from + 1 && this.#text.charCodeAt(from) === 0x2d;
  }

  /** An unsigned decimal field up to `max`. */
  #number(field: number, max: number): number {
    const value = this.#unsigned(field, 10);
    if (typeof value === 'number' && value <= max) return value;
    // mkcomposefs keeps the low 32 bits of what strtoull returned.
    if (this.#lenient) return Number(BigInt.asUintN(32, BigInt(value)));
    return this.#failField(field, 'FORMAT_DUMP_NUMBER', `is above ${max}`);
  }

  #unsigned(field: number, base: 8 | 10): number | bigint {
    const from = this.#spans[2 * field]!;
    const to = this.#spans[2 * field + 1]!;
    const value =
      parseUnsigned(this.#text, from, to, base) ??
      (this.#lenient ? parseLikeStrtoull(this.#text.slice(from, to), base) : undefined);
    if (value !== undefined) return value;
    const kind = base === 8 ? 'an octal number' : 'a decimal number';
    return this.#failField(field, 'FORMAT_DUMP_NUMBER', `is not ${kind}`);
  }

  #mode(): number {
    const mode = this.#unsigned(2, 8);
    if (typeof mode !== 'number' || mode > 0o177777) {
      return this.#failField(2, 'FORMAT_DUMP_MODE', 'is above 177777');
    }
    if (!TYPES.has(mode & S_IFMT)) {
      return this.#failField(2, 'FORMAT_DUMP_MODE', 'has no known file type', {
        hint: 'a regular file is 100644, a directory 40755, a symlink 120777',
      });
    }
    return mode;
  }

  #readDevice(node: TreeNode): void {
    const rdev = this.#number(6, U32_MAX);
    const type = node.mode & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) node.rdev = rdev;
    else if (rdev !== 0 && !this.#lenient) {
      this.#failField(6, 'FORMAT_DUMP_NUMBER', 'is set on an entry that is no device, expected 0');
    }
  }

  #readMtime(node: TreeNode): void {
    const from = this.#spans[14]!;
    const to = this.#spans[15]!;
    const dot = this.#text.indexOf('.', from);
    if (dot < 0 || dot >= to)
      this.#failField(7, 'FORMAT_DUMP_MTIME', 'has no dot, expected SEC.NSEC');
    const negative = this.#text.charCodeAt(from) === 0x2d;
    let sec = parseUnsigned(this.#text, negative ? from + 1 : from, dot, 10);
    let nsec = parseUnsigned(this.#text, dot + 1, to, 10);
    if (this.#lenient) {
      sec ??= parseLikeStrtoull(this.#text.slice(from, dot), 10);
      nsec ??= parseLikeStrtoull(this.#text.slice(dot + 1, to), 10);
      if (nsec !== undefined) nsec = Number(BigInt.asUintN(32, BigInt(nsec)));
    }
    const limit = negative ? 0x8000000000000000n : 0x7fffffffffffffffn;
    if (sec === undefined || nsec === undefined || sec > limit) {
      return this.#failField(7, 'FORMAT_DUMP_MTIME', 'is not SEC.NSEC of two decimal integers');
    }
    if (!this.#lenient && nsec >= NSEC_PER_SEC) {
      this.#failField(
        7,
        'FORMAT_DUMP_MTIME',
        `has ${nsec} nanoseconds, expected at most 999999999`,
      );
    }
    node.mtimeSec = negative && sec !== 0 ? -sec : sec;
    node.mtimeNsec = Number(nsec);
  }

  /** SIZE, PAYLOAD, CONTENT and DIGEST, which belong together. */
  #readData(node: TreeNode): void {
    const size = this.#unsigned(1, 10);
    const type = node.mode & S_IFMT;
    if (type === S_IFREG) this.#readRegular(node, size);
    else if (type === S_IFLNK) this.#readSymlink(node, size);
    else {
      if (!this.#lenient) {
        for (const field of [8, 9, 10]) {
          if (!this.#isUnset(field)) {
            this.#failField(
              field,
              'FORMAT_DUMP_PAYLOAD',
              'is set, expected - on an entry without data',
            );
          }
        }
      }
      if (type !== S_IFDIR) node.size = Number(size);
    }
  }

  #readRegular(node: TreeNode, size: number | bigint): void {
    if (size > FILE_SIZE_MAX) {
      this.#failField(
        1,
        'FORMAT_DUMP_SIZE',
        `is above ${FILE_SIZE_MAX}, the largest file an image can describe`,
      );
    }
    node.size = Number(size);
    if (!this.#isUnset(8)) node.payload = this.#string(8);
    if (!this.#isUnset(10)) node.digest = this.#digest();
    if (this.#isUnset(9)) return;
    const content = this.#unescape(this.#spans[18]!, this.#spans[19]!, 'CONTENT', true);
    if (content.length > INLINE_CONTENT_MAX) {
      this.#failField(
        9,
        'FORMAT_DUMP_CONTENT',
        `is ${content.length} bytes, expected at most ${INLINE_CONTENT_MAX}`,
      );
    }
    if (content.length !== node.size) {
      this.#failField(1, 'FORMAT_DUMP_SIZE', `is not the length of CONTENT, ${content.length}`);
    }
    node.content = bytesOf(content);
  }

  #readSymlink(node: TreeNode, size: number | bigint): void {
    if (this.#isUnset(8))
      this.#failField(8, 'FORMAT_DUMP_PAYLOAD', 'is unset, expected the target of the symlink');
    const target = this.#string(8);
    if (target.length > SYMLINK_TARGET_MAX) {
      this.#failField(
        8,
        'FORMAT_DUMP_PAYLOAD',
        `is a target of ${target.length} bytes, expected at most ${SYMLINK_TARGET_MAX}`,
      );
    }
    node.payload = target;
    node.size = target.length;
    if (this.#lenient) return;
    // 0 is what many writers put here; the target's length is what is stored.
    if (size !== 0 && size !== target.length) {
      this.#failField(1, 'FORMAT_DUMP_SIZE', `is not the length of the target, ${target.length}`);
    }
    if (!this.#isUnset(9))
      this.#failField(9, 'FORMAT_DUMP_CONTENT', 'is set on a symlink, expected -');
    if (!this.#isUnset(10))
      this.#failField(10, 'FORMAT_DUMP_DIGEST', 'is set on a symlink, expected -');
  }

  #digest(): string {
    const text = this.#text.slice(this.#spans[20]!, this.#spans[21]!);
    if (/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(text)) return text;
    if (!/^(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{128})$/.test(text)) {
      this.#failField(
        10,
        'FORMAT_DUMP_DIGEST',
        `has ${text.length} characters, expected 64 (SHA-256) or 128 (SHA-512) hexadecimal digits`,
      );
    }
    return text.toLowerCase();
  }

  #xattrs(from: number): readonly Xattr[] {
    const result: Xattr[] = [];
    let total = XATTR_TOTAL_BASE;
    for (let start = from; start <= this.#lineEnd;) {
      let end = this.#text.indexOf(' ', start);
      if (end < 0 || end > this.#lineEnd) end = this.#lineEnd;
      const xattr = this.#xattr(start, end);
      total += XATTR_TOTAL_PER_ENTRY + xattr.name.length + xattr.value.length;
      if (total > XATTR_EXTERNAL_TOTAL_MAX) {
        this.#fail(
          'FORMAT_DUMP_XATTR',
          start,
          `the extended attributes need more than ${XATTR_EXTERNAL_TOTAL_MAX} bytes`,
        );
      }
      this.#addXattr(result, xattr, start);
      start = end + 1;
    }
    return result.length === 0 ? NO_XATTRS : sortXattrs(result);
  }

  #addXattr(xattrs: Xattr[], xattr: Xattr, start: number): void {
    const same = xattrs.findIndex((other) => other.name === xattr.name);
    if (same < 0) xattrs.push(xattr);
    else if (this.#lenient) xattrs[same] = xattr;
    else {
      this.#fail(
        'FORMAT_DUMP_XATTR',
        start,
        `extended attribute ${showBytes(xattr.name)} is given twice`,
      );
    }
  }

  #xattr(from: number, to: number): Xattr {
    const text = this.#text.slice(from, to);
    const known = this.#xattrsByText.get(text);
    if (known !== undefined) return known;
    const equals = text.indexOf('=');
    if (equals < 0) {
      this.#fail(
        'FORMAT_DUMP_XATTR',
        from,
        `extended attribute "${showBytes(text as ByteString)}" has no =, expected KEY=VALUE`,
      );
    }
    const name = this.#unescape(from, from + equals, 'the name of an extended attribute', false);
    const value = this.#unescape(from + equals + 1, to, 'the value of an extended attribute', true);
    if (name.length === 0 || name.length > XATTR_NAME_MAX) {
      this.#fail(
        'FORMAT_DUMP_XATTR',
        from,
        `the name of an extended attribute is ${name.length} bytes, expected 1 to ${XATTR_NAME_MAX}`,
      );
    }
    if (value.length > XATTR_VALUE_MAX) {
      this.#fail(
        'FORMAT_DUMP_XATTR',
        from,
        `the value of ${showBytes(name)} is ${value.length} bytes, expected at most ${XATTR_VALUE_MAX}`,
      );
    }
    const xattr = this.#pool.get(name, value);
    this.#xattrsByText.set(text, xattr);
    return xattr;
  }

  /** Makes the node for a path and hangs it into its parent, which must have come before. */
  #addNode(path: ByteString, mode: number): TreeNode {
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1) as ByteString;
    const node = new TreeNode(name, mode);
    node.line = this.#line;
    if (path === '/') this.#addRoot(node);
    else this.#addChild(path, slash, node);
    return node;
  }

  #addRoot(node: TreeNode): void {
    if (this.#root !== undefined) {
      this.#failField(
        0,
        'FORMAT_DUMP_DUPLICATE',
        `is already on line ${this.#root.line}, expected each path once`,
      );
    }
    if (!isDirectory(node))
      this.#failField(2, 'FORMAT_DUMP_MODE', 'of the root is not a directory');
    this.#root = node;
    this.#directories.set('', node);
  }

  #addChild(path: ByteString, slash: number, node: TreeNode): void {
    if (path.charCodeAt(0) !== 0x2f)
      this.#failField(0, 'FORMAT_DUMP_PATH', 'does not begin with /');
    if (node.name === '' || node.name === '.' || node.name === '..') {
      this.#failField(
        0,
        'FORMAT_DUMP_NAME',
        `ends in the name "${node.name}", which no entry can have`,
      );
    }
    if (node.name.length > EROFS_NAME_LEN_MAX) {
      this.#failField(
        0,
        'FORMAT_DUMP_NAME',
        `has a name of ${node.name.length} bytes, expected at most ${EROFS_NAME_LEN_MAX}`,
      );
    }
    const parentPath = path.slice(0, slash);
    if (this.#lastParent === undefined || parentPath !== this.#lastParentPath) {
      const parent = this.#directories.get(parentPath);
      if (parent === undefined) {
        return this.#failField(
          0,
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
      this.#failField(
        0,
        'FORMAT_DUMP_DUPLICATE',
        'is already a directory on an earlier line, expected each path once',
      );
    }
    this.#directories.set(path, node);
  }

  #resolveHardlink(link: PendingHardlink): void {
    let target = this.#find(link.target);
    // A hardlink to a hardlink means the same inode; a ring of them means none.
    for (let steps = 0; target !== undefined && steps <= this.#hardlinks.length; steps++) {
      const next = this.#hardlinkTarget(target);
      if (next === undefined) break;
      target = target === link.node ? undefined : this.#find(next);
    }
    const shown = showBytes(link.target);
    if (target === undefined || this.#hardlinkTarget(target) !== undefined) {
      return this.#failHardlink(link, `${shown} is no other entry of this dump`);
    }
    if (isDirectory(target)) this.#failHardlink(link, `${shown} is a directory`);
    link.node.hardlink = target;
  }

  #hardlinkTarget(node: TreeNode): ByteString | undefined {
    this.#targets ??= new Map(this.#hardlinks.map((link) => [link.node, link.target]));
    return this.#targets.get(node);
  }
  #targets: Map<TreeNode, ByteString> | undefined;

  #find(path: ByteString): TreeNode | undefined {
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

  #failHardlink(link: PendingHardlink, problem: string): never {
    throw new ColdsealError(
      'FORMAT_DUMP_HARDLINK',
      `Cannot read dump line ${link.line}, column ${link.column}: the hardlink's target ${problem}`,
    );
  }

  #failField(
    field: number,
    code: ErrorCode,
    problem: string,
    details: { hint?: string } = {},
  ): never {
    const from = this.#spans[2 * field]!;
    const to = this.#spans[2 * field + 1]!;
    const text = this.#text.slice(from, Math.min(to, from + 60));
    const shown = showBytes((to - from > 60 ? `${text}…` : text) as ByteString);
    return this.#fail(code, from, `${FIELDS[field]} "${shown}" ${problem}`, details);
  }

  #fail(code: ErrorCode, at: number, problem: string, details: { hint?: string } = {}): never {
    const column = at - this.#lineStart + 1;
    throw new ColdsealError(
      code,
      `Cannot read dump line ${this.#line}, column ${column}: ${problem}`,
      details,
    );
  }
}
