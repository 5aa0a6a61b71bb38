/**
 * What every engine must do for each call of DeviceSys: one table, run on Node and on QuickJS.
 *
 * Plain functions over an engine and an empty scratch directory, without Node and without a test library, so that the
 * same bundle runs on the device's engine. Each throws what is wrong. Rows with `needs: 'root'` also need a kernel that
 * lets root mount.
 */
import type { Engine } from '../../runtime/engine.ts';
import { ascii, toByteString, toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import type { DeviceSys } from '../../runtime/sys.ts';

export interface ContractRow {
  readonly name: string;
  readonly needs?: 'root';
  /** Returns a reason when this engine or machine cannot show it. */
  readonly run: (engine: Engine, scratch: string) => string | undefined | void;
}

export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function same(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(a === b, `${what}: ${a}, expected ${b}`);
}

/** The errno's name of what an action throws. */
function errnoFrom(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return errnoOf(error) ?? `not from the system: ${String(error)}`;
  }
  return 'nothing thrown';
}

function readText(sys: DeviceSys, path: string): string {
  const fd = sys.open(path);
  const bytes = new Uint8Array(64 * 1024);
  const length = sys.read(fd, bytes, 0);
  sys.close(fd);
  return toByteString(bytes, 0, length);
}

interface ShellResult {
  readonly code: number;
  readonly output: string;
}

const ENV = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'];

/** Runs a program to its end and takes what it prints. */
function runProgram(sys: DeviceSys, argv: string[], env = ENV, cwd?: string): ShellResult {
  const { read, write } = sys.pipe();
  const pid = sys.spawn({ argv, env, output: write, ...(cwd === undefined ? {} : { cwd }) });
  sys.close(write);
  let output = '';
  const buffer = new Uint8Array(4096);
  for (let length; (length = sys.readStream(read, buffer)) > 0;) {
    output += toByteString(buffer, 0, length);
  }
  sys.close(read);
  for (;;) {
    const child = sys.waitChild(5000);
    check(child !== undefined, `${argv.join(' ')} did not end`);
    if (child.pid === pid) return { code: child.code, output };
  }
}

const shell = (sys: DeviceSys, script: string, env = ENV): ShellResult =>
  runProgram(sys, ['/bin/sh', '-c', script], env);

const FILES: ContractRow[] = [
  {
    name: 'writeFile and read: whole, from an offset, and less at the end',
    run: ({ sys }, scratch) => {
      const path = `${scratch}/file`;
      sys.writeFile(path, ascii('0123456789'));
      const fd = sys.open(path, { nofollow: true });
      const { kind, size } = sys.stat(fd);
      same({ kind, size }, { kind: 'file', size: 10 }, 'stat');
      const four = new Uint8Array(4);
      same([sys.read(fd, four, 3), toByteString(four)], [4, '3456'], 'in the middle');
      same(sys.read(fd, four, 8), 2, 'at the end');
      same(sys.read(fd, four, 10), 0, 'behind the end');
      same(sys.stat(sys.open(sys.pathOfFd(fd))).ino, sys.stat(fd).ino, 'pathOfFd');
      sys.close(fd);
      same(
        errnoFrom(() => sys.read(fd, four, 0)),
        'EBADF',
        'read after close',
      );
      same(
        errnoFrom(() => sys.close(fd)),
        'EBADF',
        'close after close',
      );
    },
  },
  {
    name: 'writeFile: replaces whole, takes its mode, leaves nothing beside',
    run: ({ sys }, scratch) => {
      const path = `${scratch}/file`;
      sys.writeFile(path, ascii('a longer first content'), { mode: 0o666 });
      sys.writeFile(path, ascii('short'), { mode: 0o640, sync: true });
      same(readText(sys, path), 'short', 'content');
      same(sys.list(scratch), ['file'], 'names');
      same(shell(sys, `stat -c %a ${path}`).output.trim(), '640', 'mode');
      same(
        errnoFrom(() => sys.writeFile(`${scratch}/no/file`, ascii('x'))),
        'ENOENT',
        'no directory',
      );
      same(
        errnoFrom(() => sys.writeFile(`${path}/x`, ascii('x'))),
        'ENOTDIR',
        'below a file',
      );
    },
  },
  {
    name: 'open: refuses links and other kinds as asked',
    run: ({ sys }, scratch) => {
      sys.writeFile(`${scratch}/file`, ascii('x'));
      same(shell(sys, `ln -s file ${scratch}/link`).code, 0, 'ln');
      sys.close(sys.open(`${scratch}/link`));
      sys.close(sys.open(scratch, { directory: true }));
      same(
        errnoFrom(() => sys.open(`${scratch}/link`, { nofollow: true })),
        'ELOOP',
        'nofollow',
      );
      same(
        errnoFrom(() => sys.open(`${scratch}/file`, { directory: true })),
        'ENOTDIR',
        'directory',
      );
      same(
        errnoFrom(() => sys.open(`${scratch}/none`)),
        'ENOENT',
        'missing',
      );
      check(errnoFrom(() => sys.open('/etc\0/passwd')) !== 'nothing thrown', 'a NUL in a path');
    },
  },
  {
    name: 'list: names in byte order, also those beyond ASCII',
    run: ({ sys }, scratch) => {
      const names = ['B', 'a', 'a.b', 'a-b', 'é', '€', '\u{1f600}'];
      for (const name of names) sys.writeFile(`${scratch}/${name}`, ascii(''));
      same(sys.list(scratch), ['B', 'a', 'a-b', 'a.b', 'é', '€', '\u{1f600}'], 'order');
      const octal = "printf '\\360\\237\\230\\200'";
      same(shell(sys, `test -f "${scratch}/$(${octal})"`).code, 0, 'UTF-8 on disk');
      same(
        errnoFrom(() => sys.list(`${scratch}/none`)),
        'ENOENT',
        'missing',
      );
      same(
        errnoFrom(() => sys.list(`${scratch}/a`)),
        'ENOTDIR',
        'a file',
      );
    },
  },
  {
    name: 'directories: private, once, removed when empty',
    run: ({ sys }, scratch) => {
      const path = `${scratch}/dir`;
      sys.makeDirectory(path);
      same(shell(sys, `stat -c %a ${path}`).output.trim(), '700', 'mode');
      same(
        errnoFrom(() => sys.makeDirectory(path)),
        'EEXIST',
        'again',
      );
      sys.writeFile(`${path}/x`, ascii(''));
      same(
        errnoFrom(() => sys.removeDirectory(path)),
        'ENOTEMPTY',
        'not empty',
      );
      const [one, two] = [sys.makeTempDirectory(), sys.makeTempDirectory()];
      check(one !== two, 'temporary directories have new names');
      same(shell(sys, `stat -c %a ${one}`).output.trim(), '700', 'mode of a temporary one');
      for (const made of [one, two]) sys.removeDirectory(made);
      same(
        errnoFrom(() => sys.removeDirectory(one)),
        'ENOENT',
        'removed',
      );
    },
  },
  {
    name: 'writeInPlace: overwrites, and never changes a length',
    run: ({ sys }, scratch) => {
      const path = `${scratch}/file`;
      sys.writeFile(path, ascii('0123456789'));
      sys.writeInPlace(path, ascii('ab'), 8);
      sys.writeInPlace(path, ascii('c'), 0);
      same(readText(sys, path), 'c1234567ab', 'content');
      same(
        errnoFrom(() => sys.writeInPlace(path, ascii('xy'), 9)),
        'EINVAL',
        'beyond the end',
      );
      same(
        errnoFrom(() => sys.writeInPlace(path, ascii('x'), -1)),
        'EINVAL',
        'before the start',
      );
      same(readText(sys, path), 'c1234567ab', 'content after the refusals');
      same(
        errnoFrom(() => sys.writeInPlace(`${scratch}/none`, ascii('x'), 0)),
        'ENOENT',
        'missing',
      );
      same(sys.list(scratch), ['file'], 'nothing made');
    },
  },
  {
    name: 'openWrite: appends, and never makes a file',
    run: ({ sys }, scratch) => {
      const path = `${scratch}/file`;
      sys.writeFile(path, ascii('one '));
      const fd = sys.openWrite(path);
      sys.write(fd, ascii('two '));
      sys.write(fd, new Uint8Array(300_000).fill(0x78));
      sys.close(fd);
      same(readText(sys, path).slice(0, 10), 'one two xx', 'content');
      same(sys.stat(sys.open(path)).size, 300_008, 'size');
      same(
        errnoFrom(() => sys.openWrite(`${scratch}/none`)),
        'ENOENT',
        'missing',
      );
      const nothing = sys.openWrite('/dev/null');
      sys.write(nothing, ascii('x'));
      sys.close(nothing);
    },
  },
];

const PROCESSES: ContractRow[] = [
  {
    name: 'spawn: exit codes, signals, and programs that are none',
    run: ({ sys }, scratch) => {
      check(Number.isInteger(sys.pid()) && sys.pid() > 0, 'pid');
      same(shell(sys, 'exit 7').code, 7, 'exit code');
      same(shell(sys, 'kill -9 $$').code, 137, 'killed');
      same(
        runProgram(sys, ['/bin/echo', 'a b', '', 'é']).output,
        'a b  \u00c3\u00a9\n',
        'arguments',
      );
      const start = (program: string) => () => sys.spawn({ argv: [program], env: [] });
      sys.writeFile(`${scratch}/file`, ascii('#!/bin/sh\n'), { mode: 0o644 });
      same(errnoFrom(start(`${scratch}/none`)), 'ENOENT', 'missing program');
      same(errnoFrom(start(`${scratch}/file`)), 'EACCES', 'not executable');
      same(sys.waitChild(0), undefined, 'nothing to wait for after a failed spawn');
    },
  },
  {
    name: 'spawn: what a child gets, and what not',
    run: ({ sys }, scratch) => {
      sys.writeFile(`${scratch}/held`, ascii('x'));
      const held = sys.open(`${scratch}/held`);
      const written = sys.openWrite(`${scratch}/held`);
      const fds = shell(sys, 'ls -l /proc/self/fd').output;
      check(!fds.includes('held'), `a descriptor leaked: ${fds}`);
      for (const fd of [held, written]) sys.close(fd);
      same(shell(sys, 'readlink /proc/self/fd/0').output.trim(), '/dev/null', 'standard input');
      same(shell(sys, 'echo out; echo err >&2').output, 'out\nerr\n', 'output and error');
      const env = runProgram(sys, ['/usr/bin/env'], ['A=1', 'B=x y']).output;
      same(env, 'A=1\nB=x y\n', 'environment');
      same(runProgram(sys, ['/bin/pwd'], ENV, '/usr').output.trim(), '/usr', 'directory');
      const [pid, session] = shell(sys, 'cut -d" " -f1,6 /proc/$$/stat').output.trim().split(' ');
      same(session, pid, 'session');
      const signals = shell(sys, 'grep -E "^Sig(Blk|Ign)" /proc/self/status').output;
      const masks = signals
        .trim()
        .split('\n')
        .map((line) => BigInt(`0x${line.split('\t')[1]}`));
      same(
        masks.map((mask) => (mask & 0x1000n) === 0n),
        [true, true],
        `SIGPIPE in ${signals}`,
      );
    },
  },
  {
    name: 'waitChild: in time, later, several, none',
    run: ({ sys }) => {
      same(sys.waitChild(1000), undefined, 'no child');
      const sleeper = sys.spawn({ argv: ['/bin/sleep', '60'], env: ENV });
      const before = sys.clock().bootNs;
      same(sys.waitChild(50), undefined, 'not in time');
      const ms = (sys.clock().bootNs - before) / 1e6;
      check(ms >= 49 && ms < 2000, `waited ${ms} ms, expected 50`);
      sys.kill(sleeper, 15);
      same(sys.waitChild(5000), { pid: sleeper, code: 143 }, 'ended by a signal');
      same(
        errnoFrom(() => sys.kill(sleeper, 15)),
        'ESRCH',
        'kill one that is gone',
      );
      const argv = ['/bin/sh', '-c', 'exit 3'];
      const started = [1, 2, 3].map(() => sys.spawn({ argv, env: ENV }));
      const ended = started.map(() => sys.waitChild(5000));
      same(
        ended.map((child) => child?.code),
        [3, 3, 3],
        'codes',
      );
      for (const pid of started) {
        same(ended.filter((child) => child?.pid === pid).length, 1, `pid ${pid} ended once`);
      }
    },
  },
  {
    name: 'pipes: silent, readable, ended',
    run: ({ sys }) => {
      const one = sys.pipe();
      const two = sys.pipe();
      const both = [one.read, two.read];
      const before = sys.clock().bootNs;
      same(sys.waitReadable(both, 30), [], 'silent');
      check(sys.clock().bootNs - before >= 29e6, 'waited');
      same(sys.waitReadable([], 0), [], 'no descriptors');
      sys.write(two.write, ascii('hello'));
      same(sys.waitReadable(both, 1000), [two.read], 'one of two');
      const buffer = new Uint8Array(100);
      same(
        [sys.readStream(two.read, buffer), toByteString(buffer, 0, 5)],
        [5, 'hello'],
        'what is there',
      );
      sys.close(one.write);
      same(sys.waitReadable(both, 1000), [one.read], 'an ended one is ready');
      same(sys.readStream(one.read, buffer), 0, 'its end');
      sys.write(two.write, ascii('x'));
      same(sys.waitReadable(both, 1000), both, 'both, in order');
      sys.close(two.read);
      same(
        errnoFrom(() => sys.write(two.write, ascii('x'))),
        'EPIPE',
        'nobody reads',
      );
      for (const fd of [one.read, two.write]) sys.close(fd);
    },
  },
  {
    name: 'fork and exec',
    run: ({ sys }) => {
      same(
        errnoFrom(() => sys.exec(['/no/such/program'], [])),
        'ENOENT',
        'exec of nothing',
      );
      const { read, write } = sys.pipe();
      let pid: number;
      try {
        pid = sys.fork();
      } catch (error) {
        same(errnoOf(error), 'ENOSYS', 'fork');
        return 'this engine has no fork';
      }
      if (pid === 0) {
        const session = readText(sys, '/proc/self/stat').split(' ')[5];
        sys.write(write, ascii(`${sys.pid()} ${session}`));
        sys.exec(['/bin/sh', '-c', 'exit 9'], ENV);
      }
      sys.close(write);
      same(sys.waitChild(5000), { pid, code: 9 }, 'the copy');
      const buffer = new Uint8Array(100);
      const said = toByteString(buffer, 0, sys.readStream(read, buffer));
      same(said, `${pid} ${pid}`, 'its pid and session');
      sys.close(read);
      return undefined;
    },
  },
];

const WORLD: ContractRow[] = [
  {
    name: 'clock and sleep',
    run: ({ sys }) => {
      const first = sys.clock();
      check(Number.isInteger(first.bootNs), `bootNs ${first.bootNs} is not whole`);
      const uptime = Number(readText(sys, '/proc/uptime').split(' ')[0]) * 1e9;
      check(
        Math.abs(uptime - first.bootNs) < 1e9,
        `bootNs ${first.bootNs}, the kernel says ${uptime}`,
      );
      sys.sleep(20);
      const second = sys.clock();
      const ns = second.bootNs - first.bootNs;
      check(ns >= 20e6 && ns < 2e9, `slept ${ns} ns, expected 20 ms`);
      if (first.counter === undefined || second.counter === undefined) return 'no counter';
      check(['CNTVCT_EL0', 'TSC'].includes(first.counter.name), first.counter.name);
      check(second.counter.ticks > first.counter.ticks, 'the counter rises');
      const { hz } = first.counter;
      if (hz === undefined) return undefined;
      const counted = ((second.counter.ticks - first.counter.ticks) / hz) * 1e9;
      check(Math.abs(counted - ns) < 5e6, `the counter says ${counted} ns, the clock ${ns}`);
      return undefined;
    },
  },
  {
    name: 'kernelRelease and the log',
    run: ({ sys }) => {
      same(sys.kernelRelease(), readText(sys, '/proc/sys/kernel/osrelease').trim(), 'release');
      // Without the right to write there it says nothing, and never throws.
      sys.logKernel('info', 'contract test\nsecond line');
    },
  },
  {
    name: 'digests: measured or not, and computed',
    run: ({ sys, crypto, computeDigest }, scratch) => {
      const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
      same(toHex(crypto.sha256(ascii('abc'))), abc, 'SHA-256 of abc (FIPS 180-4)');
      for (const size of [0, 1, 4096, 4097, 600_000]) {
        const bytes = Uint8Array.from({ length: size }, (_, index) => index % 251);
        sys.writeFile(`${scratch}/file`, bytes);
        const fd = sys.open(`${scratch}/file`);
        const digest = computeDigest(fd, 'sha256');
        same(digest, toHex(fsVerityDigest(bytes, 'sha256', crypto.sha256)), `${size} bytes`);
        check(sys.measureVerity(fd).verity !== 'measured', 'a new file has no fs-verity');
        sys.close(fd);
      }
      const [empty, none] = [new Uint8Array(), new Uint8Array(300)];
      for (const algorithm of crypto.algorithms) {
        same(crypto.verifySignature(algorithm, none, empty, none), false, `${algorithm}, no key`);
      }
    },
  },
  {
    name: 'reading ahead: whatever is asked, no byte changes',
    run: ({ sys }, scratch) => {
      sys.writeFile(`${scratch}/file`, ascii('0123456789'));
      const fd = sys.open(`${scratch}/file`);
      for (const [offset, length] of [
        [0, 10],
        [4096, 1 << 20],
        [2, 0],
      ] as const) {
        const errno = errnoFrom(() => sys.readAhead(fd, offset, length));
        // Not every file system can: tmpfs has nothing to read from.
        check(['nothing thrown', 'EINVAL'].includes(errno), `readAhead: ${errno}`);
      }
      const errno = errnoFrom(() => sys.readTree(fd));
      check(['ENODATA', 'ENOTTY', 'EOPNOTSUPP'].includes(errno), `readTree: ${errno}`);
      const four = new Uint8Array(4);
      same([sys.read(fd, four, 0), toByteString(four)], [4, '0123'], 'content');
      sys.close(fd);
      for (const call of [() => sys.readAhead(fd, 0, 1), () => sys.readTree(fd)]) {
        same(errnoFrom(call), 'EBADF', 'after close');
      }
    },
  },
  {
    name: 'uevents: none in time',
    run: ({ sys }) => {
      const events = sys.openUevents();
      const lines = sys.readUevent(events, 30);
      const isEvent = lines?.some((line) => line.startsWith('ACTION='));
      check(isEvent !== false, `an announcement without an action: ${lines?.join()}`);
      sys.close(events);
    },
  },
];

/** Lines of the mount table for a mount point. */
function mountsAt(sys: DeviceSys, path: string): string[] {
  const lines = shell(sys, 'cat /proc/self/mountinfo').output.trim().split('\n');
  return lines.filter((line) => line.split(' ')[4] === path);
}

const ROOT: ContractRow[] = [
  {
    name: 'uevents: one that comes',
    needs: 'root',
    run: ({ sys }) => {
      const events = sys.openUevents();
      try {
        const { code } = shell(sys, 'echo change > /sys/class/mem/null/uevent');
        if (code !== 0) return 'sysfs cannot be written here';
        for (;;) {
          const lines = sys.readUevent(events, 2000);
          if (lines === undefined) return 'this network namespace gets no announcements';
          if (!lines.includes('DEVNAME=null')) continue;
          check(lines.includes('ACTION=change'), lines.join(' '));
          check(
            lines.every((line) => /^[A-Z_]+=/.test(line)),
            lines.join(' '),
          );
          return undefined;
        }
      } finally {
        sys.close(events);
      }
    },
  },
  {
    name: 'mount, bind, move and unmount',
    needs: 'root',
    run: ({ sys }, scratch) => {
      const [one, two, three] = [`${scratch}/one`, `${scratch}/two`, `${scratch}/three`];
      for (const path of [one, two, three]) sys.makeDirectory(path);
      const data = 'size=1m';
      sys.mount('none', one, 'tmpfs', {
        readOnly: false,
        nosuid: true,
        nodev: true,
        noexec: true,
        data,
      });
      try {
        const options = mountsAt(sys, one)[0]?.split(' ')[5]?.split(',') ?? [];
        for (const option of ['rw', 'nosuid', 'nodev', 'noexec']) {
          check(options.includes(option), `${option} in ${options.join()}`);
        }
        sys.writeFile(`${one}/x`, ascii('seen'));
        sys.bindMount(one, two);
        same(readText(sys, `${two}/x`), 'seen', 'through the second place');
        sys.unmount(two);
        sys.moveTree(one, three);
        same(readText(sys, `${three}/x`), 'seen', 'where it was moved');
        same(sys.list(one), [], 'where it was');
      } finally {
        for (const path of [one, two, three]) shell(sys, `umount ${path} 2>/dev/null`);
      }
      same(
        errnoFrom(() => sys.unmount(three)),
        'EINVAL',
        'unmount of nothing',
      );
      same(
        errnoFrom(() => sys.mount('none', one, 'no-such-type', { readOnly: true, data: '' })),
        'ENODEV',
        'type',
      );
    },
  },
  {
    name: 'the new mount calls, with attributes',
    needs: 'root',
    run: ({ sys }, scratch) => {
      const target = `${scratch}/target`;
      sys.makeDirectory(target);
      const context = sys.fsopen('tmpfs');
      sys.fsconfig(context, { kind: 'string', key: 'size', value: '1m' });
      same(
        errnoFrom(() => sys.fsconfig(context, { kind: 'flag', key: 'nonsense' })),
        'EINVAL',
        'option',
      );
      check(sys.fsmessages(context).join().includes('nonsense'), 'the kernel says which');
      sys.fsconfig(context, { kind: 'create' });
      const mount = sys.fsmount(context, { readOnly: true, nosuid: true });
      sys.setMountAttributes(mount, { nodev: true });
      sys.moveMount(mount, target);
      for (const fd of [context, mount]) sys.close(fd);
      try {
        const options = mountsAt(sys, target)[0]?.split(' ')[5]?.split(',') ?? [];
        for (const option of ['ro', 'nosuid', 'nodev']) {
          check(options.includes(option), `${option} in ${options.join()}`);
        }
        check(!options.includes('noexec'), 'noexec was not asked for');
      } finally {
        sys.unmount(target, { detach: true });
      }
    },
  },
  {
    name: 'loop devices, and writing in place to a block device',
    needs: 'root',
    run: ({ sys }, scratch) => {
      sys.writeFile(`${scratch}/file`, new Uint8Array(8192).fill(0x61));
      const file = sys.open(`${scratch}/file`);
      let loop;
      try {
        loop = sys.attachLoop(file);
      } catch (error) {
        return `no loop device: ${String(error)}`;
      } finally {
        sys.close(file);
      }
      const bytes = new Uint8Array(4);
      same([sys.read(loop.fd, bytes, 8190), bytes[0], bytes[1]], [2, 0x61, 0x61], 'its last bytes');
      same(sys.stat(loop.fd).kind, 'other', 'kind');
      same(
        errnoFrom(() => sys.writeInPlace(loop.path, bytes, 0)),
        'EPERM',
        'it is read-only',
      );
      sys.close(loop.fd);
      return undefined;
    },
  },
  {
    name: 'loadModule: a file that is no module',
    needs: 'root',
    run: ({ sys }, scratch) => {
      sys.writeFile(`${scratch}/file`, ascii('no module'));
      const file = sys.open(`${scratch}/file`);
      const errno = errnoFrom(() => sys.loadModule(file, ''));
      sys.close(file);
      check(['ENOEXEC', 'EPERM', 'ENOSYS', 'EINVAL'].includes(errno), errno);
    },
  },
];

export const SYS_CONTRACT: readonly ContractRow[] = [...FILES, ...PROCESSES, ...WORLD, ...ROOT];
