/**
 * A tree as text: composefs-dump(5) lines, and the short listing.
 *
 * Both are what composefs-info prints, byte for byte, for the same tree. Text comes in pieces of some tens of
 * kilobytes, ASCII only, so that a million entries need no million writes and no string of everything.
 */
import type { ByteString } from './byte-string.ts';
import { byteString } from './byte-string.ts';
import { escapeField } from './dump-text.ts';
import { isDirectory, isRegular, isSymlink, walkTree, type TreeNode } from './tree.ts';

const PIECE_SIZE = 1 << 16;

/** The dump text of a tree, in pieces. What it prints, parseDump reads back to the same tree. */
export function* printDump(root: TreeNode): Generator<string> {
  const targets = hardlinkPaths(root);
  let piece = '';
  for (const { path, node } of walkTree(root)) {
    piece += dumpLine(path, node, targets);
    if (piece.length < PIECE_SIZE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

/** Paths of the entries that other names link to. */
function hardlinkPaths(root: TreeNode): Map<TreeNode, ByteString> {
  const targets = new Map<TreeNode, ByteString>();
  for (const { path, node } of walkTree(root)) {
    if (node.hardlink !== undefined) targets.set(node.hardlink, path);
  }
  if (targets.size === 0) return targets;
  for (const { path, node } of walkTree(root)) if (targets.has(node)) targets.set(node, path);
  return targets;
}

function dumpLine(
  path: ByteString,
  entry: TreeNode,
  targets: ReadonlyMap<TreeNode, ByteString>,
): string {
  const target = entry.hardlink;
  const node = target ?? entry;
  const payload = target === undefined ? node.payload : targets.get(target)!;
  const { content } = node;
  let line = `${escapeField(path)} ${node.size} ${target === undefined ? '' : '@'}${node.mode.toString(8)}`;
  line += ` ${node.nlink} ${node.uid} ${node.gid} ${node.rdev} ${node.mtimeSec}.${node.mtimeNsec}`;
  line += ` ${payload === undefined ? '-' : escapeField(payload)}`;
  line += ` ${content === undefined ? '-' : escapeField(byteString(content))}`;
  line += ` ${node.digest ?? '-'}`;
  for (const { name, value } of node.xattrs) line += ` ${escapeXattr(name)}=${escapeXattr(value)}`;
  return `${line}\n`;
}

/** Inside an xattr a lone dash has no meaning, so it is not escaped. */
function escapeXattr(text: ByteString): string {
  return text === '-' ? text : escapeField(text, true);
}

/** One line for each entry but the root: its path, then `/`, a symlink's target or a file's object. */
export function* printListing(root: TreeNode): Generator<string> {
  let piece = '';
  for (const { path, node } of walkTree(root)) {
    if (node === root) continue;
    piece += listingLine(path, node);
    if (piece.length < PIECE_SIZE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

function listingLine(path: ByteString, node: TreeNode): string {
  const shown = escapePath(path);
  // A further name of a file shows nothing but itself.
  if (node.hardlink !== undefined) return `${shown}\n`;
  if (isDirectory(node)) return `${shown}/\t\n`;
  const { payload } = node;
  if (payload === undefined) return `${shown}\n`;
  if (isSymlink(node)) return `${shown}\t-> ${escapeText(payload)}\n`;
  return isRegular(node) ? `${shown}\t@ ${escapeText(payload)}\n` : `${shown}\n`;
}

/** Like a dump field, but a lone dash means itself. */
function escapeText(text: ByteString): string {
  return text === '-' ? text : escapeField(text);
}

/** Like a dump field, but spaces are shown as they are. */
function escapePath(path: ByteString): string {
  return /^[ -[\]-~]*$/.test(path) ? path : escapeField(path).replaceAll('\\x20', ' ');
}
