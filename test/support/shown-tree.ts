/** What the kernel shows of a tree, entry by entry: names, types, owners, times, devices, attributes, link targets. */
import { readdirSync, readlinkSync } from 'node:fs';
import { listXattrs, lstatFast } from '../../runtime/engines/node/xattr.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

/** What every mounted entry is compared by. */
export interface Shown {
  readonly path: string;
  readonly mode: string;
  readonly owner: string;
  readonly mtime: string;
  readonly nlink: number | undefined;
  readonly rdev: number;
  readonly size: number | undefined;
  readonly target: string | undefined;
  readonly xattrs: readonly string[];
}

function childrenOf(root: string, path: string): string[] {
  const directory = Buffer.from(root + path, 'latin1');
  const names = readdirSync(directory, 'latin1');
  return names.sort((a, b) => (a < b ? -1 : 1)).map((name) => `${path}/${name}`);
}

/** Every path below a root, parents first; all strings have one character per byte. */
export function walk(root: string): string[] {
  const paths = [''];
  for (const path of paths) {
    if ((lstatFast(root + path).mode & S_IFMT) === S_IFDIR) paths.push(...childrenOf(root, path));
  }
  return paths;
}

/** The extended attributes of a file. */
export function xattrLines(path: string): string[] {
  return listXattrs(path)
    .map(([name, value]) => `${name}=${value}`)
    .sort();
}

/** What the kernel shows of an entry. */
export function shown(root: string, path: string): Shown {
  const stat = lstatFast(root + path);
  const type = stat.mode & S_IFMT;
  return {
    path,
    mode: stat.mode.toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    mtime: `${stat.mtimeSec}.${stat.mtimeNsec}`,
    nlink: type === S_IFDIR ? undefined : stat.nlink,
    rdev: stat.rdev,
    size: type === S_IFREG && stat.size > 0 ? stat.size : type === S_IFREG ? 0 : undefined,
    target: type === S_IFLNK ? readTarget(root + path) : undefined,
    xattrs: xattrLines(root + path),
  };
}

/** The target of a symlink. */
export function readTarget(path: string): string {
  return readlinkSync(Buffer.from(path, 'latin1'), 'buffer').toString('latin1');
}
