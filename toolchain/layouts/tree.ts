/**
 * The tree that every layout holds: its entries, and the sums by which a guest shows that it sees the same.
 *
 * Paths are byte strings, one character a byte, so that any name is as good as another; sorting them sorts bytes. The
 * sums are those of the probe's check (probe/walk.c): a line for each entry, and the words of its content. They find
 * mistakes, not attackers.
 */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { explainSysError } from '../../runtime/sys-error.ts';

export type EntryKind = 'file' | 'directory' | 'link' | 'other';

export interface TreeEntry {
  /** Begins with a slash; the root itself is no entry. */
  readonly path: string;
  readonly kind: EntryKind;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds. */
  readonly mtime: number;
  readonly device: number;
  /** Of a link. */
  readonly target: string;
}

/** What the probe says of a whole tree, each sum in hexadecimal. */
export interface TreeSums {
  readonly entries: number;
  /** Names, kinds, sizes, bytes, targets of links. */
  readonly content: string;
  /** Modes, owners and times in seconds. */
  readonly metadata: string;
}

const KINDS: Readonly<Record<number, EntryKind>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'link',
};
const S_IFMT = 0o170000;

/** The path of an entry, as system calls take it. */
export function pathBytes(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(root), Buffer.from(path, 'latin1')]);
}

/** Every entry below `root`, a directory before what is in it, names in the order of their bytes. */
export function readEntries(root: string): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const visit = (directory: string): void => {
    const names = readdirSync(pathBytes(root, directory), { encoding: 'buffer' });
    for (const name of names.map((each) => each.toString('latin1')).sort()) {
      const entry = readEntry(root, `${directory}/${name}`);
      entries.push(entry);
      if (entry.kind === 'directory') visit(entry.path);
    }
  };
  try {
    visit('');
  } catch (error) {
    throw explainSysError(error, `Cannot read the tree ${root}`);
  }
  return entries;
}

function readEntry(root: string, path: string): TreeEntry {
  const where = pathBytes(root, path);
  const stat = lstatSync(where, { bigint: true });
  const mode = Number(stat.mode);
  const kind = KINDS[mode & S_IFMT] ?? 'other';
  const target = kind === 'link' ? readlinkSync(where, { encoding: 'buffer' }) : '';
  return {
    path,
    kind,
    size: Number(stat.size),
    mode,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime: floorSeconds(stat.mtimeNs),
    device: Number(stat.rdev),
    target: target.toString('latin1'),
  };
}

function floorSeconds(ns: bigint): number {
  const second = 1_000_000_000n;
  const rest = ((ns % second) + second) % second;
  return Number((ns - rest) / second);
}

/** Both sums of a tree. Reads every file. */
export function sumTree(root: string, entries: readonly TreeEntry[]): TreeSums {
  const content = new WordSum();
  const metadata = new WordSum();
  for (const entry of entries) {
    const { path, mode, uid, gid, mtime } = entry;
    content.addLine(contentLine(root, entry));
    metadata.addLine(`${path} ${mode.toString(8)} ${uid} ${gid} ${mtime}\n`);
  }
  return { entries: entries.length, content: content.text(), metadata: metadata.text() };
}

function contentLine(root: string, { path, kind, size, mode, device, target }: TreeEntry): string {
  if (kind === 'file') return `${path} f ${size} ${sumFile(root, path)}\n`;
  if (kind === 'link') return `${path} l ${target}\n`;
  if (kind === 'directory') return `${path} d\n`;
  const [major, minor] = [(device >>> 8) & 0xfff, (device & 0xff) | ((device >>> 12) & 0xfff00)];
  return `${path} ${(mode & S_IFMT).toString(8)} ${major}:${minor}\n`;
}

const PIECE = 1 << 18;
const piece = Buffer.alloc(PIECE);

function sumFile(root: string, path: string): string {
  const sum = new WordSum();
  readPieces(root, path, (bytes) => sum.add(bytes));
  return sum.text();
}

/** Hands over the bytes of a file, in pieces of whole words but for the last; each is valid during the call. */
export function readPieces(root: string, path: string, use: (bytes: Uint8Array) => void): void {
  const fd = openSync(pathBytes(root, path), 'r');
  try {
    for (let at = 0; ;) {
      const filled = readFull(fd, at);
      use(piece.subarray(0, filled));
      at += filled;
      if (filled < PIECE) return;
    }
  } finally {
    closeSync(fd);
  }
}

function readFull(fd: number, at: number): number {
  for (let filled = 0; ;) {
    const size = readSync(fd, piece, filled, PIECE - filled, at + filled);
    filled += size;
    if (size === 0 || filled === PIECE) return filled;
  }
}

const rotate = (value: number, count: number): number =>
  (value << count) | (value >>> (32 - count));
const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');

/** The probe's sum over little-endian words; the last one is filled up with zeros. */
export class WordSum {
  #a = 0x811c9dc5;
  #b = 0x9747b28c;

  add(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const whole = bytes.length & ~3;
    for (let at = 0; at < whole; at += 4) this.#word(view.getInt32(at, true));
    if (whole === bytes.length) return;
    let last = 0;
    for (let i = whole; i < bytes.length; i++) last |= bytes[i]! << (8 * (i - whole));
    this.#word(last);
  }

  addLine(line: string): void {
    this.add(Buffer.from(line, 'latin1'));
  }

  text(): string {
    return hex(this.#a) + hex(this.#b);
  }

  #word(word: number): void {
    this.#a = rotate(Math.imul(this.#a ^ word, 0x9e3779b1), 13);
    this.#b = rotate(Math.imul((this.#b + this.#a) | 0, 0x85ebca77), 17) ^ word;
  }
}
