/**
 * What must hold for any bytes: a result or a ColdsealError, within a second; and for an image that passes both
 * gates, that its dump makes the image its tree makes.
 */
import { openImage, type ErofsImage } from '../../../runtime/format/erofs-image.ts';
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { findBrokenRules } from '../../../runtime/format/restrict.ts';
import { imageBytes } from '../../image/build.ts';
import { printDump, printListing } from '../../image/describe.ts';
import { parseDump } from '../../image/dumpfile.ts';
import { objectsOfTree } from '../../image/objects.ts';
import { readTree } from '../../image/read-tree.ts';
import type { TreeNode } from '../../image/tree.ts';
import type { Random } from './random.ts';

/** An expectation that does not hold: a bug. */
export class Violation extends Error {}

/** Shared attributes can make a dump much larger than its image; more than this is not printed. */
const TEXT_MAX = 4 << 20;
const NAMES = ['!', '!x', '-', '.', '..', '00', 'a', 'dir', 'zz', '\x01', '\xff'].map((name) =>
  Buffer.from(name, 'latin1'),
);

/** Returns the code it was refused with, `accepted`, or `accepted-other-form`. Throws what is a bug. */
export function exerciseImage(bytes: Uint8Array, random: Random): string {
  const opened = attempt(() => openImage(bytes));
  if (opened instanceof ColdsealError) return opened.code;
  const broken = findBrokenRules(opened);
  attempt(() => look(opened, random));
  const tree = attempt(() => readTree(opened));
  attempt(() => readTree(opened, { likeComposefsInfo: true }));
  if (tree instanceof ColdsealError) {
    if (broken.length > 0) return broken[0]!.code;
    throw new Violation(`no rule is broken, but the tree cannot be read: ${tree.message}`);
  }
  const text = describe(tree);
  const parsed =
    text === undefined ? undefined : attempt(() => parseDump(Buffer.from(text, 'latin1')));
  if (broken.length > 0) return broken[0]!.code;
  if (parsed instanceof ColdsealError) {
    throw new Violation(`no rule is broken, but its dump is refused: ${parsed.message}`);
  }
  if (opened.version >= 2 || parsed === undefined) return 'accepted';
  const versions = { min: opened.version, max: opened.version };
  const again = imageBytes(tree, versions);
  if (!same(imageBytes(parsed, versions), again)) {
    throw new Violation('the dump makes another image than the tree');
  }
  return same(again, bytes) ? 'accepted' : 'accepted-other-form';
}

/** The same for dump text: what strict parsing accepts makes an image that passes both gates and reads back. */
export function exerciseText(bytes: Uint8Array): string {
  attempt(() => imageBytes(parseDump(bytes, { lenient: true })));
  const tree = attempt(() => parseDump(bytes));
  if (tree instanceof ColdsealError) return tree.code;
  const image = attempt(() => imageBytes(tree));
  if (image instanceof ColdsealError) return image.code;
  const opened = openImage(image);
  const broken = findBrokenRules(opened, 1);
  // A payload may name any path; only an image to be used must keep within its object store.
  if (broken[0]?.code === 'FORMAT_REDIRECT') return broken[0].code;
  if (broken.length > 0) {
    throw new Violation(
      `an accepted dump makes an image that breaks a rule: ${broken[0]!.message}`,
    );
  }
  const versions = { min: opened.version, max: opened.version };
  const read = readTree(opened);
  if (!same(imageBytes(read, versions), image)) {
    throw new Violation('an accepted dump makes an image that is written differently again');
  }
  const printed = [...printDump(read)].join('');
  if (!same(imageBytes(parseDump(Buffer.from(printed, 'latin1')), versions), image)) {
    throw new Violation('the dump of an image makes another image');
  }
  return 'accepted';
}

/** The result, or the refusal; anything else is thrown on. */
function attempt<T>(run: () => T): T | ColdsealError {
  try {
    return run();
  } catch (error) {
    if (error instanceof ColdsealError) return error;
    throw error;
  }
}

/** Looks names up in some directory, reads a random inode and what it holds. */
function look(image: ErofsImage, random: Random): void {
  const root = image.root();
  for (const name of NAMES) {
    const found = attempt(() => image.lookup(root, name));
    if (found === undefined || found instanceof ColdsealError) continue;
    const inode = attempt(() => image.inode(found.nid));
    if (inode instanceof ColdsealError || !inode.isDirectory) continue;
    for (const inner of NAMES) attempt(() => image.lookup(inode, inner));
  }
  const nid = random.below(Math.ceil(image.bytes.length / 32) + 2);
  const inode = image.inode(nid);
  attempt(() => image.xattrs(inode).map((xattr) => image.xattrName(xattr)));
  if (inode.isSymlink) image.readlink(inode);
  else if (inode.isRegular) image.inlineContent(inode);
  else if (inode.isDirectory)
    for (const entry of image.dirents(inode)) attempt(() => image.inode(entry.nid));
}

function describe(tree: TreeNode): string | undefined {
  objectsOfTree(tree);
  let text = '';
  for (const piece of printDump(tree)) if ((text += piece).length > TEXT_MAX) return undefined;
  let listed = 0;
  for (const piece of printListing(tree)) if ((listed += piece.length) > TEXT_MAX) break;
  return text;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
