/**
 * Which files are read and looked at: the start-up set, and files at random.
 *
 * The start-up set is what a system reads first: loader, C library, init, shell. It is given as a list, or found by
 * names that Linux systems have in common; a tree without any gets its largest programs instead. Always the same files
 * for the same tree. The random files are by the digest of seed and path.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { byteStringOfText } from '../image/byte-string.ts';
import type { TreeEntry } from './tree.ts';
import { rank } from './variants.ts';

/** At most so many files are looked at. */
export const STAT_FILES = 1000;
const STARTUP_FILES_MAX = 64;
const FALLBACK_FILES = 16;

/** In the order of what they are worth. */
const STARTUP_NAMES: readonly RegExp[] = [
  /\/ld-(?:linux|musl)[^/]*\.so(?:\.\d+)*$/,
  /\/libc(?:-[\d.]+)?\.(?:so\.6|musl[^/]*)$/,
  /^(?:\/usr)?\/sbin\/init$/,
  /\/systemd\/systemd(?:-executor|-journald|-udevd)?$/,
  /\/libsystemd(?:-core|-shared)?[^/]*\.so(?:\.\d+)*$/,
  /^(?:\/usr)?\/bin\/(?:busybox|bash|dash|sh|mount|udevadm|kmod|systemctl)$/,
  /\/lib(?:m|gcc_s|stdc\+\+|crypt|crypto|selinux|mount|blkid|pcre2-8|cap|z|lzma|zstd|pam|audit)\.so\.[\d.]+$/,
];

/** What a tree's start-up set is, and where the choice is from. */
export interface StartupSet {
  readonly from: 'list' | 'names' | 'largest programs';
  readonly files: readonly TreeEntry[];
}

/** The start-up set; `list` has a path on each line, and what is empty or begins with # is left out. */
export function chooseStartup(entries: readonly TreeEntry[], list?: StartupList): StartupSet {
  if (list !== undefined) return { from: 'list', files: listed(entries, list) };
  const files = entries.filter(isReadable);
  const worth = ({ path }: TreeEntry): number =>
    STARTUP_NAMES.findIndex((pattern) => pattern.test(path));
  const named = files.filter((file) => worth(file) >= 0);
  if (named.length > 0) {
    named.sort((a, b) => worth(a) - worth(b) || order(a, b));
    return { from: 'names', files: named.slice(0, STARTUP_FILES_MAX) };
  }
  const programs = files.filter(({ mode }) => (mode & 0o111) !== 0);
  const largest = (programs.length > 0 ? programs : files).sort(
    (a, b) => b.size - a.size || order(a, b),
  );
  return { from: 'largest programs', files: largest.slice(0, FALLBACK_FILES) };
}

export interface StartupList {
  readonly path: string;
  readonly text: string;
}

const LINKS_MAX = 40;

function listed(entries: readonly TreeEntry[], { path, text }: StartupList): TreeEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const found = new Set<TreeEntry>();
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const entry = followLinks(byPath, `/${byteStringOfText(line)}`);
    if (entry?.kind !== 'file') {
      throw new ColdsealError(
        'CONFIG_STARTUP_LIST',
        `Cannot use the start-up list ${path}: ${line} is no file of the tree`,
      );
    }
    found.add(entry);
  }
  if (found.size > 0) return [...found];
  throw new ColdsealError(
    'CONFIG_STARTUP_LIST',
    `Cannot use the start-up list ${path}: it names no file, expected a path on each line`,
  );
}

/** The entry that a path leads to within the tree, through links of files and directories. */
function followLinks(byPath: ReadonlyMap<string, TreeEntry>, given: string): TreeEntry | undefined {
  const rest = given.split('/').reverse();
  let at = '';
  for (let links = 0; rest.length > 0;) {
    const name = rest.pop()!;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const entry = byPath.get(`${at}/${name}`);
    if (entry?.kind !== 'link') {
      at = `${at}/${name}`;
      continue;
    }
    if (++links > LINKS_MAX) return undefined;
    if (entry.target.startsWith('/')) at = '';
    rest.push(...entry.target.split('/').reverse());
  }
  return byPath.get(at);
}

/** Files to look at, in an order that is no order of the disk. */
export function chooseRandom(entries: readonly TreeEntry[], seed: number): TreeEntry[] {
  return rank(entries.filter(isReadable), `stat:${seed}`).slice(0, STAT_FILES);
}

/** A list has a path on each line. */
function isReadable({ kind, path }: TreeEntry): boolean {
  return kind === 'file' && !path.includes('\n');
}

function order(a: TreeEntry, b: TreeEntry): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
