/**
 * DeviceSys on Node: what only a device does, for the booted system without QuickJS and for every test.
 *
 * Most of it is node:fs and the C library. Not here: the processor's counter, which no call gives to Node, and fork.
 * Sources: include/uapi/linux/{mount,netlink,reboot,time}.h, Documentation/ABI/testing/dev-kmsg.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { SysError } from '../../sys-error.ts';
import type {
  DeviceSys,
  Fd,
  LogLevel,
  SysClock,
  SysDevices,
  SysPower,
  SysTree,
  SysWrites,
} from '../../sys.ts';
import { byteText, libc, syscall, terminated, throwErrno } from './libc.ts';
import { processes } from './processes.ts';
import { createNodeSys } from './sys.ts';

/** The system that this Node runs on, with all that a device does. */
export function createNodeDeviceSys(): DeviceSys {
  return { ...createNodeSys(), ...writes, ...tree, ...devices, ...clocks, ...processes, ...power };
}

type Call = (...args: (number | Buffer)[]) => number;
const bound = new Map<string, Call>();

/** A function of the C library that answers an int, negative for a failure. */
function call(name: string, args: string[], ...values: (number | Buffer)[]): number {
  const existing = bound.get(name);
  const bind = existing ?? libc().bind<Call>(name, 'int', args);
  if (existing === undefined) bound.set(name, bind);
  const result = bind(...values);
  return result < 0 ? throwErrno(name) : result;
}

const cText = (text: string): Buffer => terminated(byteText(text));

// --- files --------------------------------------------------------------------------------------------

const writes: SysWrites = {
  writeFile: (path, bytes, { mode = 0o644, sync = false } = {}) => {
    const temporary = `${path}.${process.pid}.new`;
    try {
      const fd = openSync(temporary, 'w', 0o600);
      try {
        writeAll(fd, bytes);
        // Not by the mode of open, which the process's mask would change.
        fchmodSync(fd, mode);
        if (sync) fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    if (sync) syncDirectory(dirname(path));
  },
  writeInPlace: (path, bytes, offset) => {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NOCTTY);
    try {
      const length = libc().lseek(fd, 0, SEEK_END);
      if (length < 0) throwErrno('lseek', path);
      if (offset < 0 || offset + bytes.length > length) {
        throw new SysError('pwrite', 'EINVAL', `${path}: beyond its end`);
      }
      writeAll(fd, bytes, offset);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  openWrite: (path) => openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY),
  write: (fd, bytes) => writeAll(fd, bytes),
};

const SEEK_END = 2;

function writeAll(fd: Fd, bytes: Uint8Array, offset?: number): void {
  for (let done = 0; done < bytes.length;) {
    const at = offset === undefined ? null : offset + done;
    done += writeSync(fd, bytes, done, bytes.length - done, at);
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

// --- the tree of mounts -------------------------------------------------------------------------------

const MS_BIND = 0x1000;
const MS_MOVE = 0x2000;
const MS_REC = 0x4000;

const tree: SysTree = {
  bindMount: (source, target) => mountWith(source, target, MS_BIND | MS_REC),
  moveTree: (source, target) => mountWith(source, target, MS_MOVE),
  switchRoot: (newRoot) => {
    process.chdir(newRoot);
    mountWith('.', '/', MS_MOVE);
    call('chroot', ['void *'], cText('.'));
    process.chdir('/');
  },
};

function mountWith(source: string, target: string, flags: number): void {
  const result = libc().mount(cText(source), cText(target), cText('none'), flags, null);
  if (result !== 0) throwErrno('mount', target);
}

// --- devices ------------------------------------------------------------------------------------------

const SYS_FINIT_MODULE = process.arch === 'arm64' ? 273 : 313;
const AF_NETLINK = 16;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const NETLINK_KOBJECT_UEVENT = 15;
/** The kernel's own announcements; group 2 is what udev says. */
const UEVENT_GROUP = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** Enough for the announcements of a whole boot. */
const UEVENT_BUFFER = 1024 * 1024;
/** The kernel's own limit is 2048 plus the header (UEVENT_BUFFER_SIZE). */
const UEVENT_SIZE = 8192;

const devices: SysDevices = {
  loadModule: (file, parameters) => {
    syscall('finit_module', SYS_FINIT_MODULE, file, byteText(parameters), 0);
  },
  openUevents: () => {
    const int = 'int';
    const fd = call(
      'socket',
      [int, int, int],
      AF_NETLINK,
      SOCK_DGRAM_CLOEXEC,
      NETLINK_KOBJECT_UEVENT,
    );
    try {
      const size = Buffer.alloc(4);
      size.writeInt32LE(UEVENT_BUFFER, 0);
      call('setsockopt', [int, int, int, 'void *', int], fd, SOL_SOCKET, SO_RCVBUF, size, 4);
      call('bind', [int, 'void *', int], fd, netlinkAddress(UEVENT_GROUP), NETLINK_ADDRESS_SIZE);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  },
  readUevent: (events, timeoutMs) => {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = Math.max(0, end - performance.now());
      if (processes.waitReadable([events], leftMs).length === 0) return undefined;
      const lines = receiveUevent(events);
      if (lines !== undefined) return lines;
    }
  },
};

const NETLINK_ADDRESS_SIZE = 12;

/** struct sockaddr_nl: family, padding, port, groups. */
function netlinkAddress(groups: number): Buffer {
  const address = Buffer.alloc(NETLINK_ADDRESS_SIZE);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(groups, 8);
  return address;
}

/** Undefined for a message that is not the kernel's. */
function receiveUevent(events: Fd): string[] | undefined {
  const buffer = Buffer.alloc(UEVENT_SIZE);
  const from = netlinkAddress(0);
  const fromSize = Buffer.alloc(4);
  fromSize.writeInt32LE(NETLINK_ADDRESS_SIZE, 0);
  const types = ['int', 'void *', 'size_t', 'int', 'void *', 'void *'];
  const length = call('recvfrom', types, events, buffer, UEVENT_SIZE, 0, from, fromSize);
  const isFromKernel = from.readUInt32LE(4) === 0;
  // The first line repeats the action and the path.
  const lines = buffer.toString('utf8', 0, length).split('\0').slice(1);
  return isFromKernel ? lines.filter((line) => line !== '') : undefined;
}

// --- time ---------------------------------------------------------------------------------------------

const CLOCK_BOOTTIME = 7;

const clocks: SysClock = {
  clock: () => {
    const time = Buffer.alloc(16);
    call('clock_gettime', ['int', 'void *'], CLOCK_BOOTTIME, time);
    return { bootNs: Number(time.readBigInt64LE(0) * 1_000_000_000n + time.readBigInt64LE(8)) };
  },
  sleep: (ms) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
};

// --- the kernel's log, and the end --------------------------------------------------------------------

/** Priorities of syslog(2), with facility user (1). */
const LOG_PRIORITY: Readonly<Record<LogLevel, number>> = {
  error: 8 + 3,
  warning: 8 + 4,
  notice: 8 + 5,
  info: 8 + 6,
};

const REBOOT = { restart: 0x01234567, 'power-off': 0x4321fedc, halt: 0xcdef0123 } as const;

const power: SysPower = {
  logKernel: (level, text) => {
    const line = `<${LOG_PRIORITY[level]}>${text.replaceAll('\n', ' ')}`;
    try {
      // Opened anew for each line: the kernel limits the rate of an open file.
      const fd = openSync('/dev/kmsg', constants.O_WRONLY);
      try {
        writeSync(fd, line);
      } finally {
        closeSync(fd);
      }
    } catch {
      // Nothing may fail because it cannot be told.
    }
  },
  endMachine: (how) => {
    libc().bind<() => void>('sync', 'void', [])();
    call('reboot', ['int'], REBOOT[how] | 0);
    // In a process namespace of its own it is the signal that ends it, and that comes in a moment.
    clocks.sleep(1000);
    throw new SysError('reboot', 'EAGAIN');
  },
};
