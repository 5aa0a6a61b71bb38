/**
 * The mounts of this machine, and which of them are composefs mounts.
 *
 * Read from every mount namespace that this user may see (/proc/PID/mountinfo,
 * proc_pid_mountinfo(5)). A composefs mount is an overlay with data-only lower layers; what is
 * mounted there says its source, if coldseal made it: `composefs:PATH@DEV.INO`. The image file
 * stays in use while it is mounted, so its inode number cannot become another file's, and a path
 * that leads to this inode is the mounted image.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../../runtime/sys-error.ts';
import { bytesOf, byteString, type ByteString } from '../image/byte-string.ts';

export interface MountEntry {
  /** Where paths of this entry begin: empty here, `/proc/PID/root` in another mount namespace. */
  readonly prefix: string;
  readonly mountPoint: ByteString;
  /** `major:minor` as the kernel numbers the mounted file system. */
  readonly device: string;
  readonly type: string;
  readonly source: ByteString;
  /** Options of the file system as the kernel shows them, still escaped. */
  readonly options: string;
}

/** Every mount in every mount namespace that can be seen; the caller's own come first. */
export function readMountTables(): MountEntry[] {
  const entries: MountEntry[] = [];
  const seen = new Set<string>();
  for (const pid of ['self', ...readdirSync('/proc').filter((name) => /^\d+$/.test(name))]) {
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`);
      if (seen.has(namespace)) continue;
      const text = readFileSync(`/proc/${pid}/mountinfo`, 'latin1');
      seen.add(namespace);
      entries.push(...parseMountInfo(text, pid === 'self' ? '' : `/proc/${pid}/root`));
    } catch (error) {
      // A process that has ended, or one of another user.
      if (errnoOf(error) === undefined) throw error;
    }
  }
  return entries;
}

/** Reads a mountinfo file, given as Latin-1. */
function parseMountInfo(text: string, prefix = ''): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device, , mountPoint] = before.split(' ');
    const [type, source, options = ''] = after.split(' ');
    if (device === undefined || mountPoint === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      { prefix, device, mountPoint: unescape(mountPoint), type, source: unescape(source), options },
    ];
  });
}

/** The data-only lower layers of an overlay, in order; empty for anything else. */
export function dataLayersOf(entry: MountEntry): ByteString[] {
  if (entry.type !== 'overlay') return [];
  return entry.options.split(',').flatMap((option) => {
    const equals = option.indexOf('=');
    const key = option.slice(0, equals);
    const value = unescape(option.slice(equals + 1));
    if (key === 'datadir+') return [value];
    return key === 'lowerdir' ? splitDataLayers(value) : [];
  });
}

/** Whether an overlay can be written to, so that files of its image may be hidden. */
export function hasUpperLayer(entry: MountEntry): boolean {
  return entry.options.split(',').some((option) => option.startsWith('upperdir='));
}

/** The layers after each `::` of the old syntax, in which a backslash keeps the next character as it is. */
function splitDataLayers(value: ByteString): ByteString[] {
  const parts = value.match(/::|:|(?:\\.|[^:\\])+/gs) ?? [];
  return parts.flatMap((part, i) => {
    const isData = i > 0 && parts[i - 1] === '::' && part !== '::' && part !== ':';
    return isData ? [withoutBackslashes(part)] : [];
  });
}

function withoutBackslashes(text: string): ByteString {
  return text.replace(/\\(.)/gs, '$1') as ByteString;
}

/** The kernel writes space, tab, newline, backslash and some others as a backslash and three octal digits. */
function unescape(text: string): ByteString {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  ) as ByteString;
}

/** The longest text that the kernel takes as the source of a mount. */
const SOURCE_MAX = 255;

/** What a mount made by coldseal shows as its source. A path that is too long is left out. */
export function mountSource(path: string, image: { dev: number; ino: number }): string {
  const source = `composefs:${path}@${image.dev.toString(16)}.${image.ino.toString(16)}`;
  return Buffer.byteLength(source) <= SOURCE_MAX ? source : 'composefs';
}

/** The image of a mount made by coldseal: its path and the identity the file there must have. */
export function imageOfSource(
  source: ByteString,
): { path: Buffer; dev: number; ino: number } | undefined {
  const match = /^composefs:(\/.*)@([0-9a-f]+)\.([0-9a-f]+)$/s.exec(source);
  if (match === null) return undefined;
  const [, path = '', dev = '', ino = ''] = match;
  return {
    path: bytesOf(path as ByteString),
    dev: Number.parseInt(dev, 16),
    ino: Number.parseInt(ino, 16),
  };
}

/** The topmost mount at a path of this namespace, if something is mounted exactly there. */
export function mountAt(path: string): MountEntry | undefined {
  const wanted = byteString(Buffer.from(path));
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')).findLast(
    ({ mountPoint }) => mountPoint === wanted,
  );
}
