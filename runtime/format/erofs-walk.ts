/**
 * Walking every name of an image, breadth-first: the order mkcomposefs numbers inodes in.
 *
 * An image can make a tree look larger than itself, with directories that contain each other or share their
 * blocks. So a directory is entered once, the depth is bounded, and more names than fit into the image are
 * refused: every name needs a 12-byte entry and a byte of its own. The walk keeps two numbers for each waiting
 * directory and one bit for each slot, and takes no longer than the image is large.
 */
import type { DirentView } from './erofs-dirents.ts';
import type { ErofsImage } from './erofs-image.ts';
import type { ErofsInode } from './erofs-inode.ts';
import { EROFS_SLOT_SIZE, ErofsDirent } from './erofs.ts';
import { refuse } from './refuse.ts';

/** As deep as a path of PATH_MAX bytes can go. */
const DIRECTORY_DEPTH_MAX = 2048;

const DOT = 0x2e;

/** What a walk reports. All calls for one directory come together, directories in breadth-first order. */
export interface ImageVisitor {
  /** Before the entries of a directory. */
  enter?(directory: ErofsInode): void;
  /** An entry; `isNew` when no earlier name led to the inode. */
  entry(entry: DirentView, inode: ErofsInode, isNew: boolean, directory: ErofsInode): void;
  /** A `.` or `..` entry; `expected` is the nid it should have. */
  dots?(entry: DirentView, expected: number, directory: ErofsInode): void;
  /** After the entries of a directory. */
  leave?(directory: ErofsInode): void;
}

/** Visits every name from the root down. */
export function walkImage(image: ErofsImage, visitor: ImageVisitor): void {
  new Walk(image, visitor).run();
}

class Walk {
  readonly #image: ErofsImage;
  readonly #visitor: ImageVisitor;
  /** One bit for each slot an inode may begin at. */
  readonly #seen: Uint8Array;
  readonly #queue: number[] = [];
  readonly #parents: number[] = [];
  #namesLeft: number;

  constructor(image: ErofsImage, visitor: ImageVisitor) {
    const size = image.bytes.length;
    this.#image = image;
    this.#visitor = visitor;
    this.#seen = new Uint8Array(Math.ceil(size / EROFS_SLOT_SIZE / 8));
    this.#namesLeft = Math.floor(size / (ErofsDirent.size + 1));
  }

  run(): void {
    const root = this.#image.root();
    this.#meet(root.nid);
    this.#queue.push(root.nid);
    this.#parents.push(root.nid);
    let depth = 0;
    let levelEnd = 1;
    for (let i = 0; i < this.#queue.length; i++) {
      if (i === levelEnd) {
        depth++;
        levelEnd = this.#queue.length;
        if (depth > DIRECTORY_DEPTH_MAX) {
          refuse(
            'FORMAT_DIRECTORY_DEPTH',
            `Cannot enter directory ${this.#queue[i]!} at depth ${depth}`,
            `at most ${DIRECTORY_DEPTH_MAX}`,
          );
        }
      }
      this.#directory(this.#queue[i]!, this.#parents[i]!);
    }
  }

  #directory(nid: number, parent: number): void {
    const directory = this.#image.inode(nid);
    this.#visitor.enter?.(directory);
    const blocks = this.#image.direntBlockCount(directory);
    for (let i = 0; i < blocks; i++) {
      const block = this.#image.direntBlock(directory, i);
      this.#namesLeft -= block.count;
      if (this.#namesLeft < 0) {
        refuse('FORMAT_TREE_SIZE', 'Cannot walk more names', 'as many as fit into the image');
      }
      for (let k = 0; k < block.count; k++) this.#entry(directory, block.entry(k), parent);
    }
    this.#visitor.leave?.(directory);
  }

  #entry(directory: ErofsInode, entry: DirentView, parent: number): void {
    const dots = this.#dots(entry);
    if (dots > 0) {
      this.#visitor.dots?.(entry, dots === 1 ? directory.nid : parent, directory);
      return;
    }
    const inode = this.#image.inode(entry.nid);
    const isNew = this.#meet(entry.nid);
    if (inode.isDirectory) {
      if (!isNew) {
        refuse(
          'FORMAT_DIRECTORY_SHARED',
          `Cannot enter directory ${entry.nid} a second time`,
          'one name and no loop',
        );
      }
      this.#queue.push(entry.nid);
      this.#parents.push(directory.nid);
    }
    this.#visitor.entry(entry, inode, isNew, directory);
  }

  /** 1 for `.`, 2 for `..`, otherwise 0. */
  #dots(entry: DirentView): number {
    const { bytes } = this.#image;
    const length = entry.nameEnd - entry.nameStart;
    if (length > 2 || bytes[entry.nameStart] !== DOT) return 0;
    return length === 1 || bytes[entry.nameStart + 1] === DOT ? length : 0;
  }

  /** Whether this inode is met for the first time. A nid that was read is less than the number of slots. */
  #meet(nid: number): boolean {
    const bit = 1 << (nid & 7);
    const at = Math.floor(nid / 8);
    if ((this.#seen[at]! & bit) !== 0) return false;
    this.#seen[at]! |= bit;
    return true;
  }
}
