/**
 * Sys on Node: node:fs for files, system calls by number for the mount API, ioctls for loop devices.
 *
 * The numbers of the mount calls are the same on every architecture (they are newer than the tables' merge).
 * Sources: include/uapi/linux/mount.h, include/uapi/linux/loop.h, include/uapi/asm-generic/unistd.h.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
} from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SysError } from '../../sys-error.ts';
import type { Fd, FsConfig, LoopDevice, MountAttributes, Sys, SysStat } from '../../sys.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  byteText,
  libc,
  syscall,
  terminated,
  throwErrno,
} from './libc.ts';
import { enableVerity, measureVerity, readTree } from './verity.ts';

/** arch/x86/entry/syscalls/syscall_64.tbl; asm-generic/unistd.h. */
const SYS_READAHEAD = process.arch === 'arm64' ? 213 : 187;
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const SYS_MOUNT_SETATTR = 442;

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
/** MOUNT_ATTR_* of the new calls and MS_* of mount(2) have the same bits for these four. */
const ATTRIBUTE_BITS = { readOnly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
const MOUNT_ATTR_IDMAP = 0x00100000;
const FSCONFIG = { flag: 0, string: 1, fd: 5, create: 6 } as const;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
/** struct loop_config: fd, block_size, struct loop_info64 (232 bytes), 64 reserved. */
const LOOP_CONFIG_SIZE = 304;
const LOOP_INFO_FLAGS_AT = 8 + 52;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const LOOP_BLOCK_SIZE = 4096;
/** Another process may take the free device before we do; this many times in a row it did not just happen. */
const LOOP_ATTEMPTS = 32;

/** The system that this Node runs on. */
export function createNodeSys(): Sys {
  const verity = { measureVerity, enableVerity, readAhead, readTree };
  return { ...files, ...mounts, ...verity, kernelRelease: () => release() };
}

function readAhead(fd: Fd, offset: number, length: number): void {
  syscall('readahead', SYS_READAHEAD, fd, offset, length);
}

const files: Pick<
  Sys,
  | 'open'
  | 'close'
  | 'stat'
  | 'read'
  | 'list'
  | 'makeDirectory'
  | 'makeTempDirectory'
  | 'removeDirectory'
  | 'pathOfFd'
> = {
  open: (path, { directory = false, nofollow = false } = {}) =>
    openSync(
      path,
      constants.O_RDONLY |
        constants.O_NOCTTY |
        (directory ? constants.O_DIRECTORY : 0) |
        (nofollow ? constants.O_NOFOLLOW : 0),
    ),
  close: (fd) => closeSync(fd),
  stat: statOf,
  read: (fd, into, offset) => {
    let done = 0;
    while (done < into.length) {
      const length = readSync(fd, into, done, into.length - done, offset + done);
      if (length === 0) break;
      done += length;
    }
    return done;
  },
  list: (path) => readdirSync(path).sort(),
  makeDirectory: (path) => mkdirSync(path, { mode: 0o700 }),
  makeTempDirectory: () => mkdtempSync(join(tmpdir(), '.coldseal-')),
  removeDirectory: (path) => rmdirSync(path),
  pathOfFd: (fd) => `/proc/self/fd/${fd}`,
};

function statOf(fd: Fd): SysStat {
  const stat = fstatSync(fd);
  const kind = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return { kind, size: stat.size, dev: stat.dev, ino: stat.ino };
}

const mounts: Pick<
  Sys,
  | 'fsopen'
  | 'fsconfig'
  | 'fsmessages'
  | 'fsmount'
  | 'moveMount'
  | 'setMountAttributes'
  | 'mount'
  | 'unmount'
  | 'attachLoop'
> = {
  fsopen: (type) => syscall('fsopen', SYS_FSOPEN, type, FSOPEN_CLOEXEC),
  fsconfig: (context, value) => {
    syscall('fsconfig', SYS_FSCONFIG, context, FSCONFIG[value.kind], ...fsconfigArguments(value));
  },
  fsmessages: readMessages,
  fsmount: (context, attributes) =>
    syscall('fsmount', SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributeBits(attributes)),
  moveMount: (mount, target) => {
    const path = byteText(target);
    syscall('move_mount', SYS_MOVE_MOUNT, mount, '', AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
  },
  setMountAttributes,
  mount: (source, target, type, options) => {
    const text = (value: string): Buffer => terminated(byteText(value));
    const { data } = options;
    const flags = attributeBits(options);
    const result = libc().mount(text(source), text(target), text(type), flags, text(data));
    if (result !== 0) throwErrno('mount', type);
  },
  unmount: (target, { detach = false } = {}) => {
    const flags = UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0);
    if (libc().umount2(terminated(byteText(target)), flags) !== 0) throwErrno('umount2', target);
  },
  attachLoop,
};

function fsconfigArguments(value: FsConfig): [string | null, string | null, number] {
  switch (value.kind) {
    case 'string':
      return [value.key, byteText(value.value), 0];
    case 'flag':
      return [value.key, null, 0];
    case 'fd':
      return [value.key, null, value.fd];
    case 'create':
      return [null, null, 0];
  }
}

/** A context hands out one message per read, and ENODATA when there are no more. */
function readMessages(context: Fd): string[] {
  const messages: string[] = [];
  const buffer = Buffer.alloc(4096);
  try {
    for (let length; (length = readSync(context, buffer)) > 0;) {
      // A letter for the severity and a space come first.
      messages.push(buffer.toString('utf8', 0, length).trim().slice(2));
    }
  } catch {
    // ENODATA, or a kernel that keeps no messages: what there was is all there is.
  }
  return messages;
}

function attributeBits(attributes: Omit<MountAttributes, 'idmap'>): number {
  let bits = 0;
  for (const name of ['readOnly', 'nosuid', 'nodev', 'noexec'] as const) {
    if (attributes[name] === true) bits |= ATTRIBUTE_BITS[name];
  }
  return bits;
}

/** struct mount_attr: what to set, what to clear, propagation, and the user namespace. */
function setMountAttributes(mount: Fd, attributes: MountAttributes): void {
  const argument = Buffer.alloc(32);
  const idmap = attributes.idmap === undefined ? 0 : MOUNT_ATTR_IDMAP;
  argument.writeBigUInt64LE(BigInt(attributeBits(attributes) | idmap), 0);
  argument.writeBigUInt64LE(BigInt(attributes.idmap ?? 0), 24);
  const { length } = argument;
  syscall('mount_setattr', SYS_MOUNT_SETATTR, mount, '', AT_EMPTY_PATH, argument, length);
}

function attachLoop(file: Fd): LoopDevice {
  const control = openSync('/dev/loop-control', constants.O_RDWR);
  try {
    for (let attempt = 1; ; attempt++) {
      const index = libc().ioctl(control, LOOP_CTL_GET_FREE, 0);
      if (index < 0) throwErrno('LOOP_CTL_GET_FREE');
      const path = `/dev/loop${index}`;
      const fd = configureLoop(path, file);
      if (fd !== undefined) return { path, fd };
      if (attempt === LOOP_ATTEMPTS) throw new SysError('LOOP_CONFIGURE', 'EBUSY', path);
    }
  } finally {
    closeSync(control);
  }
}

/** Undefined when another process was faster. */
function configureLoop(path: string, file: Fd): Fd | undefined {
  const fd = openSync(path, constants.O_RDWR);
  const config = Buffer.alloc(LOOP_CONFIG_SIZE);
  config.writeUInt32LE(file, 0);
  config.writeUInt32LE(LOOP_BLOCK_SIZE, 4);
  const flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  config.writeUInt32LE(flags, LOOP_INFO_FLAGS_AT);
  if (libc().ioctl(fd, LOOP_CONFIGURE, libc().address(config)) === 0) return fd;
  const errno = libc().errnoName();
  closeSync(fd);
  if (errno === 'EBUSY') return undefined;
  throw new SysError('LOOP_CONFIGURE', errno, path);
}
