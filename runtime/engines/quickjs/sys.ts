/**
 * DeviceSys over the host functions of the QuickJS engine.
 *
 * Flags whose values are the same on every architecture stand here, those that differ come from the host.
 * Sources: include/uapi/linux/{mount,loop,fs,reboot,stat}.h, mount(2), printk levels of syslog(3).
 */
import { toHex } from '../../format/bytes.ts';
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  verityAlgorithmOfId,
} from '../../format/fsverity.ts';
import { errnoOf, SysError } from '../../sys-error.ts';
import type {
  ClockReading,
  DeviceSys,
  Fd,
  FsConfig,
  KernelMeasurement,
  LogLevel,
  LoopDevice,
  MountAttributes,
  SysClock,
  SysDevices,
  SysFiles,
  SysMounts,
  SysPower,
  SysProcesses,
  SysReadAhead,
  SysStat,
  SysTree,
  SysVerity,
  SysWrites,
} from '../../sys.ts';
import { encodeUtf8 } from '../../format/utf8.ts';
import type { Host } from './host.ts';

const S_IFMT = 0o170000;
const KINDS: Readonly<Record<number, SysStat['kind']>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
};

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 0x1000;
const MS_MOVE = 0x2000;
const MS_REC = 0x4000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const MOUNT_ATTR_IDMAP = 0x00100000;
const FSCONFIG = { flag: 0, string: 1, fd: 5, create: 6 } as const;

const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const LOOP_BLOCK_SIZE = 4096;
/** Another process may take the free device before we do; this many times in a row it did not just happen. */
const LOOP_ATTEMPTS = 32;

const LEVELS: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, notice: 5, info: 6 };
const REBOOT = { restart: 0x01234567, 'power-off': 0x4321fedc, halt: 0xcdef0123 } as const;
const TIME_MAX_MS = 0x7fff_ffff;
const STANDARD_ERROR = 2;
/** Half a character, which UTF-8 cannot write; with the flag `u` no pair matches. */
const LONE_SURROGATE = /[\ud800-\udfff]/gu;

/** Errnos by which a file system says that it has no fs-verity at all. */
const UNSUPPORTED = new Set(['ENOTTY', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']);

/** The system under a QuickJS engine. */
export function createQuickjsSys(host: Host): DeviceSys {
  return {
    ...files(host),
    ...verity(host),
    ...mounts(host),
    kernelRelease: () => host.kernelRelease(),
    ...writes(host),
    ...tree(host),
    ...devices(host),
    ...clock(host),
    ...processes(host),
    ...power(host),
  };
}

/** Runs an action on an open file and closes that in any case. */
function withFd<T>(host: Host, fd: Fd, action: (fd: Fd) => T): T {
  try {
    return action(fd);
  } finally {
    host.close(fd);
  }
}

let serial = 0;
/** A name that nobody else uses at the same time; what a killed process left is met with EEXIST. */
const ownSuffix = (host: Host): string => `${host.pid()}-${++serial}`;

function files(host: Host): SysFiles {
  return {
    open: (path, { directory = false, nofollow = false } = {}) =>
      host.open(path, (directory ? host.O_DIRECTORY : 0) | (nofollow ? host.O_NOFOLLOW : 0), 0),
    close: (fd) => host.close(fd),
    stat: (fd) => {
      const [mode, size, dev, ino] = host.stat(fd);
      return { kind: KINDS[mode & S_IFMT] ?? 'other', size, dev, ino };
    },
    read: (fd, into, offset) => host.pread(fd, into, offset),
    list: (path) => host.list(path),
    makeDirectory: (path) => host.mkdir(path, 0o700),
    makeTempDirectory: () => makeTempDirectory(host),
    removeDirectory: (path) => host.rmdir(path),
    pathOfFd: (fd) => `/proc/self/fd/${fd}`,
  };
}

/** /run is there on a device; elsewhere it may belong to root alone. */
function makeTempDirectory(host: Host): string {
  for (const parent of ['/run', '/tmp']) {
    for (;;) {
      const path = `${parent}/.coldseal-${ownSuffix(host)}`;
      try {
        host.mkdir(path, 0o700);
        return path;
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EEXIST') continue;
        if (errno === undefined || parent === '/tmp') throw error;
        break;
      }
    }
  }
  throw new SysError('mkdir', 'ENOENT', '/tmp');
}

function verity(host: Host): SysReadAhead & SysVerity {
  return {
    readAhead: (fd, offset, length) => host.readahead(fd, offset, length),
    readTree: (fd) => host.readTree(fd),
    measureVerity: (fd) => measureVerity(host, fd),
    enableVerity: (fd, algorithm) => {
      try {
        host.enableVerity(fd, VERITY_ALGORITHMS[algorithm].id, VERITY_BLOCK_SIZE);
        return true;
      } catch (error) {
        const errno = errnoOf(error) ?? '';
        if (errno === 'EEXIST') return true;
        if (UNSUPPORTED.has(errno)) return false;
        throw error;
      }
    },
  };
}

function measureVerity(host: Host, fd: Fd): KernelMeasurement {
  try {
    const [id, digest] = host.measureVerity(fd);
    const algorithm = verityAlgorithmOfId(id);
    if (algorithm !== undefined) return { verity: 'measured', algorithm, digest: toHex(digest) };
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (errno === 'ENODATA') return { verity: 'not-enabled' };
    if (UNSUPPORTED.has(errno)) return { verity: 'unsupported' };
    throw error;
  }
  throw new SysError('FS_IOC_MEASURE_VERITY', 'EINVAL', 'unknown algorithm');
}

/** MS_* and MOUNT_ATTR_* have the same values for these. */
function attributeBits(attributes: Omit<MountAttributes, 'idmap'>): number {
  const { readOnly, nosuid, nodev, noexec } = attributes;
  return (
    (readOnly === true ? MS_RDONLY : 0) |
    (nosuid === true ? MS_NOSUID : 0) |
    (nodev === true ? MS_NODEV : 0) |
    (noexec === true ? MS_NOEXEC : 0)
  );
}

function mounts(host: Host): SysMounts {
  return {
    fsopen: (type) => host.fsopen(type),
    fsconfig: (context, value) =>
      host.fsconfig(context, FSCONFIG[value.kind], ...fsconfigArguments(value)),
    fsmessages: (context) => readMessages(host, context),
    fsmount: (context, attributes) => host.fsmount(context, attributeBits(attributes)),
    moveMount: (mount, target) => host.moveMount(mount, target),
    setMountAttributes: (mount, attributes) => {
      const { idmap } = attributes;
      const bits = attributeBits(attributes) | (idmap === undefined ? 0 : MOUNT_ATTR_IDMAP);
      host.mountSetattr(mount, bits, idmap ?? 0);
    },
    mount: (source, target, type, options) =>
      host.mount(source, target, type, attributeBits(options), options.data),
    unmount: (target, { detach = false } = {}) =>
      host.unmount(target, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)),
    attachLoop: (file) => attachLoop(host, file),
  };
}

function fsconfigArguments(value: FsConfig): [string | null, string | null, number] {
  switch (value.kind) {
    case 'string':
      return [value.key, value.value, 0];
    case 'flag':
      return [value.key, null, 0];
    case 'fd':
      return [value.key, null, value.fd];
    case 'create':
      return [null, null, 0];
  }
}

/** A context hands out one message per read, and ENODATA when there are no more. */
function readMessages(host: Host, context: Fd): string[] {
  const messages: string[] = [];
  const buffer = new Uint8Array(4096);
  try {
    for (let length; (length = host.read(context, buffer)) > 0;) {
      // A letter for the severity and a space come first.
      messages.push(asciiText(buffer.subarray(0, length)).trim().slice(2));
    }
  } catch (error) {
    // ENODATA, or a kernel that keeps no messages: what there was is all there is.
    if (errnoOf(error) === undefined) throw error;
  }
  return messages;
}

function asciiText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : '?')).join('');
}

function attachLoop(host: Host, file: Fd): LoopDevice {
  const flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  return withFd(host, host.open('/dev/loop-control', host.O_RDWR, 0), (control) => {
    for (let attempt = 1; ; attempt++) {
      const path = `/dev/loop${host.loopFree(control)}`;
      const fd = host.open(path, host.O_RDWR, 0);
      try {
        host.loopConfigure(fd, file, LOOP_BLOCK_SIZE, flags);
        return { path, fd };
      } catch (error) {
        host.close(fd);
        if (errnoOf(error) !== 'EBUSY' || attempt === LOOP_ATTEMPTS) throw error;
      }
    }
  });
}

function writes(host: Host): SysWrites {
  return {
    writeFile: (path, bytes, options = {}) => writeFile(host, path, bytes, options),
    writeInPlace: (path, bytes, offset) => {
      withFd(host, host.open(path, host.O_WRONLY | host.O_NOFOLLOW, 0), (fd) => {
        const size = host.seekEnd(fd);
        if (offset < 0 || offset + bytes.length > size) {
          throw new SysError('pwrite', 'EINVAL', `${path}: beyond its end`);
        }
        host.pwrite(fd, bytes, offset);
        host.fdatasync(fd);
      });
    },
    openWrite: (path) => host.open(path, host.O_WRONLY | host.O_APPEND, 0),
    write: (fd, bytes) => host.write(fd, bytes),
  };
}

function writeFile(
  host: Host,
  path: string,
  bytes: Uint8Array,
  { mode = 0o644, sync = false }: { mode?: number; sync?: boolean },
): void {
  const { temporary, fd } = openTemporary(host, path);
  try {
    withFd(host, fd, () => {
      host.write(fd, bytes);
      host.chmod(fd, mode);
      if (sync) host.fsync(fd);
    });
    host.rename(temporary, path);
  } catch (error) {
    try {
      host.unlink(temporary);
    } catch (second) {
      // The first failure matters more, and a later write of this file takes the name over.
      if (errnoOf(second) === undefined) throw second;
    }
    throw error;
  }
  if (!sync) return;
  const directory = path.slice(0, path.lastIndexOf('/') + 1) || '.';
  withFd(host, host.open(directory, host.O_DIRECTORY, 0), (dir) => host.fsync(dir));
}

/** A new file beside `path`. Names of processes that were killed are free again sooner or later. */
function openTemporary(host: Host, path: string): { temporary: string; fd: Fd } {
  const flags = host.O_WRONLY | host.O_CREAT | host.O_EXCL | host.O_NOFOLLOW;
  for (;;) {
    const temporary = `${path}.new-${ownSuffix(host)}`;
    try {
      return { temporary, fd: host.open(temporary, flags, 0o600) };
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
}

function tree(host: Host): SysTree {
  return {
    bindMount: (source, target) => host.mount(source, target, '', MS_BIND | MS_REC, ''),
    moveTree: (source, target) => host.mount(source, target, '', MS_MOVE, ''),
    switchRoot: (newRoot) => {
      host.chdir(newRoot);
      host.mount('.', '/', '', MS_MOVE, '');
      host.chroot('.');
      host.chdir('/');
    },
  };
}

function devices(host: Host): SysDevices {
  return {
    loadModule: (file, parameters) => host.loadModule(file, parameters),
    openUevents: () => host.openUevents(),
    // The first string repeats action and path.
    readUevent: (events, timeoutMs) => host.readUevent(events, wholeMs(timeoutMs))?.slice(1),
  };
}

function clock(host: Host): SysClock {
  return { clock: () => readClock(host), sleep: (ms) => host.sleep(wholeMs(ms)) };
}

function readClock(host: Host): ClockReading {
  const [bootNs, ticks, hz] = host.clock();
  if (ticks === 0) return { bootNs };
  if (hz === 0) return { bootNs, counter: { name: 'TSC', ticks } };
  return { bootNs, counter: { name: 'CNTVCT_EL0', ticks, hz } };
}

/** Rounded up, so that no wait is shorter than asked for. */
function wholeMs(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms), 0), TIME_MAX_MS);
}

function processes(host: Host): SysProcesses {
  return {
    pid: () => host.pid(),
    spawn: ({ argv, env, output, cwd }) => host.spawn(argv, env, output ?? -1, cwd ?? null),
    waitChild: (timeoutMs) => {
      const ended = host.wait(wholeMs(timeoutMs));
      return ended === undefined ? undefined : { pid: ended[0], code: ended[1] };
    },
    exec: (argv, env) => host.exec(argv, env),
    fork: () => host.fork(),
    kill: (pid, signal) => host.kill(pid, signal),
    pipe: () => {
      const [read, write] = host.pipe();
      return { read, write };
    },
    waitReadable: (fds, timeoutMs) => host.poll(fds, wholeMs(timeoutMs)),
    readStream: (fd, into) => host.read(fd, into),
  };
}

function power(host: Host): SysPower {
  return {
    logKernel: (level, text) => {
      const line = text.replace(/[\0\n]+/g, ' ');
      try {
        host.logKernel(LEVELS[level], line.slice(0, 1000));
      } catch (error) {
        // Before /dev is mounted, or without the right to: the console is better than silence.
        if (errnoOf(error) === undefined) throw error;
        printLine(host, STANDARD_ERROR, line);
      }
    },
    endMachine: (how) => host.endMachine(REBOOT[how]),
  };
}

/** Prints a line; a reader that is gone or a full device is nothing that a boot may fail of. */
export function printLine(host: Host, fd: Fd, line: string): void {
  try {
    host.write(fd, encodeUtf8(`${line.replace(LONE_SURROGATE, '\ufffd')}\n`));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}
