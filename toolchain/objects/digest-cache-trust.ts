/**
 * When the times of a file say that its content is still the one that was read. docs/cache.md gives the reasons.
 *
 * Pure decisions stand first; what they are about is asked below: the file system, the boot, and whether anybody has a
 * file open for writing. Every doubt is an answer "no", and the file is read.
 */
import { closeSync, constants, openSync, readFileSync, realpathSync } from 'node:fs';
import { majorOf } from '../../runtime/format/device-number.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import type { FastStat } from '../../runtime/engines/node/xattr.ts';
import { nodePath, type ByteString } from '../image/byte-string.ts';
import type { CacheIdentity } from './digest-cache-format.ts';

/**
 * File systems whose kernel keeps inode numbers and change times itself (include/uapi/linux/magic.h). Left out on
 * purpose: network and FUSE file systems (another machine or program keeps them), overlays (a copy-up changes the
 * inode), tmpfs (writes through a mapping are not timed after the first), vfat (inode numbers are made up), ZFS.
 */
export const TRUSTED_FILE_SYSTEMS: ReadonlyMap<bigint, string> = new Map([
  [0xef53n, 'ext4'],
  [0x58465342n, 'xfs'],
  [0x9123683en, 'btrfs'],
]);

/** Majors of block devices whose bytes others can change beneath the file system: loop, network block device. */
const UNTRUSTED_DEVICES = [
  { major: 7, source: '/dev/loop', what: 'a loop device' },
  { major: 43, source: '/dev/nbd', what: 'a network block device' },
] as const;

/** The kernel's clock for times of files ticks at least each 10 ms; the rest is margin. */
const TICK_MS = 100;
/** After so long the pages that somebody has written through a mapping are clean, and the next write is timed again. */
const MAPPING_MS = 60_000;

export interface FileSystemFacts {
  readonly type: bigint;
  readonly id: bigint;
  /** What /proc/self/mountinfo calls the mounted device; undefined where it is not found there. */
  readonly source: string | undefined;
}

/** In a few words why files here are not cached; undefined when they are. */
export function distrust(facts: FileSystemFacts, device: number): string | undefined {
  if (!TRUSTED_FILE_SYSTEMS.has(facts.type)) {
    const trusted = [...TRUSTED_FILE_SYSTEMS.values()].join(', ');
    return `its file system is of type 0x${facts.type.toString(16)}, expected one of ${trusted}`;
  }
  // btrfs gives each subvolume a number of its own, so the name of the device counts, too.
  if (facts.source === undefined) return 'its file system is on a device that is not known';
  const untrusted = UNTRUSTED_DEVICES.find(
    ({ major, source }) => major === majorOf(device) || facts.source!.startsWith(source),
  );
  return untrusted === undefined ? undefined : `its file system is on ${untrusted.what}`;
}

export type TimeVerdict = 'settled' | 'unless open for writing' | 'never';

/** Whether a file that is going to be read from `nowMs` on may be cached by the times it has. */
export function judgeTimes(stat: FastStat, nowMs: number): TimeVerdict {
  // Beyond 2^53 two inode numbers can look the same.
  if (!Number.isSafeInteger(stat.ino) || !Number.isSafeInteger(stat.size)) return 'never';
  const age = nowMs - (stat.ctimeSec * 1000 + stat.ctimeNsec / 1e6);
  if (age >= MAPPING_MS) return 'settled';
  // A change in the same tick would not show; a time to come says that the clock was set. No fraction of a second: the
  // file system counts in whole ones, or somebody's tool does.
  if (age < TICK_MS || stat.ctimeNsec === 0) return 'never';
  return 'unless open for writing';
}

const STATFS_SIZE = 120;
/** struct statfs of 64-bit Linux (include/uapi/asm-generic/statfs.h): f_type, then f_fsid after seven words. */
const STATFS_TYPE = 0x00;
const STATFS_FSID = 0x38;

/** What statfs(2) says; undefined when it says nothing. */
export function fileSystemOf(path: ByteString): FileSystemFacts | undefined {
  const statfs = libc().bind<(path: Uint8Array, out: Uint8Array) => number>('statfs', 'int', [
    'void *',
    'void *',
  ]);
  const out = Buffer.alloc(STATFS_SIZE);
  if (statfs(Buffer.from(`${path}\0`, 'latin1'), out) !== 0) return undefined;
  return {
    type: out.readBigUInt64LE(STATFS_TYPE),
    id: out.readBigUInt64LE(STATFS_FSID),
    source: mountSource(path),
  };
}

function mountSource(path: ByteString): string | undefined {
  try {
    const real = realpathSync(nodePath(path), 'latin1');
    return sourceOfMount(readFileSync('/proc/self/mountinfo', 'latin1'), real);
  } catch {
    return undefined;
  }
}

/** The source of the mount that a path is on, by proc_pid_mountinfo(5): the last one of the longest mount point. */
export function sourceOfMount(mountinfo: string, path: string): string | undefined {
  let longest = -1;
  let found: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const point = unescapeOctal(before.split(' ')[4] ?? '');
    const source = after.split(' ')[1];
    const isOn = point === path || path.startsWith(point.endsWith('/') ? point : `${point}/`);
    if (point === '' || source === undefined || !isOn || point.length < longest) continue;
    longest = point.length;
    found = unescapeOctal(source);
  }
  return found;
}

/** Blanks, newlines and backslashes are written as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** The number the kernel made up when it started, or undefined. */
function bootId(): Uint8Array | undefined {
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
    return bytes.length === 16 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** What the cache of a source directory belongs to, or why there is none. */
export function identifySource(
  path: ByteString,
  { dev, ino }: Pick<FastStat, 'dev' | 'ino'>,
): CacheIdentity | string {
  const facts = fileSystemOf(path);
  const boot = bootId();
  if (facts === undefined || boot === undefined) return 'the system does not say where it is';
  const reason = distrust(facts, dev);
  if (reason !== undefined) return reason;
  return {
    fileSystemType: facts.type,
    fileSystemId: facts.id,
    device: BigInt(dev),
    rootIno: BigInt(ino),
    bootId: boot,
  };
}

/** include/uapi/linux/fcntl.h */
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;

type Fcntl = (fd: number, command: number, argument: number) => number;
let bound: Fcntl | undefined;

/**
 * Whether somebody has a file open for writing, also through a mapping only; a read lease is granted when nobody has
 * (fcntl(2)). Where it cannot be asked, as by a user who does not own the file, the answer is yes.
 */
export function mayBeOpenForWriting(path: ByteString): boolean {
  const fcntl = (bound ??= libc().bind<Fcntl>('fcntl', 'int', ['int', 'int', 'int']));
  let fd: number;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
    fd = openSync(nodePath(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  } catch {
    return true;
  }
  try {
    if (fcntl(fd, F_SETLEASE, F_RDLCK) !== 0) return true;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  } finally {
    closeSync(fd);
  }
}
