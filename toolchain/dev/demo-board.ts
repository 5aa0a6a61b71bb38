/**
 * The system that the demo's virtual boards boot: a root file system with crun, busybox and a small init, and two
 * containers, for either architecture, made of Debian's packages without root and without running any of their code.
 *
 * Of each package only the files named here are taken, so the tree stays small enough to read. The same packages give
 * the same tree: names, content, permissions and times. There are no device nodes; the kernel's devtmpfs is the one
 * that the runtime mounted. Owners are those of whoever builds it.
 */
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { RUN_PROGRAM } from '../../runtime/device-paths.ts';
import type { BoardArchitecture } from '../board/qemu.ts';
import { type DebianPackage, fetchPackage } from '../host/debian-packages.ts';
import { setTimes } from './demo-sources.ts';

/** The first Debian whose kernel mounts EROFS straight from a file; the userland is of the same age. */
export const BOARD_SUITE = 'trixie';

interface Architecture {
  readonly debian: string;
  readonly triplet: string;
  /** Links beside `bin`, `lib` and `sbin` that the dynamic loader's path needs. */
  readonly links: readonly string[];
}

const ARCHITECTURES: Readonly<Record<BoardArchitecture, Architecture>> = {
  x86_64: { debian: 'amd64', triplet: 'x86_64-linux-gnu', links: ['lib64'] },
  aarch64: { debian: 'arm64', triplet: 'aarch64-linux-gnu', links: [] },
};

/** The files of each package that the board needs; LIB is the directory of the libraries. */
const FILES: Readonly<Record<string, readonly RegExp[]>> = {
  'base-files': [/^usr\/lib\/os-release$/],
  'busybox-static': [/^usr\/bin\/busybox$/],
  crun: [/^usr\/bin\/crun$/],
  libc6: [/^usr\/lib(64)?\/ld-linux-[^/]*$/, /^LIB\/(ld-linux-[^/]*|libc\.so\.6|libm\.so\.6)$/],
  libcap2: [/^LIB\/libcap\.so\.2[.\d]*$/],
  libseccomp2: [/^LIB\/libseccomp\.so\.2[.\d]*$/],
  libsystemd0: [/^LIB\/libsystemd\.so\.0[.\d]*$/],
  libyajl2: [/^LIB\/libyajl\.so\.2[.\d]*$/],
};

const DIRECTORIES = ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/sbin', 'var'];
const APPLETS = ['cat', 'dmesg', 'echo', 'ls', 'mount', 'ps', 'sh', 'sleep', 'uname'];
const ADMIN_APPLETS = ['halt', 'init', 'poweroff', 'reboot'];

const INITTAB = `# /proc, /sys, /dev and /run are there already: the runtime mounted them.
::sysinit:/etc/rc
::ctrlaltdel:/sbin/reboot
`;

/** A system that cannot start its containers is not marked good, so the other slot gets its chance. */
const RC = `#!/bin/sh
${RUN_PROGRAM} run-containers && ${RUN_PROGRAM} mark-good
`;

export interface BoardSystemSettings {
  readonly architecture: BoardArchitecture;
  /** Of fetched packages; by default the cache of all commands. */
  readonly cache?: string;
  readonly signal?: AbortSignal;
}

export interface BoardSystem {
  readonly rootfs: string;
  /** OCI bundles by name. */
  readonly bundles: Readonly<Record<ContainerName, string>>;
  readonly packages: readonly Pick<DebianPackage, 'name' | 'version'>[];
}

export type ContainerName = 'hello' | 'later';

/** What each container says about itself, and when it starts. */
const CONTAINERS: Readonly<Record<ContainerName, { start: 'early' | 'normal'; says: string }>> = {
  hello: { start: 'early', says: 'hello from the container' },
  later: { start: 'normal', says: 'the later container is here, too' },
};

/** Makes the system and its containers in a directory, which is made or empty. */
export async function demoBoardSystem(
  directory: string,
  settings: BoardSystemSettings,
): Promise<BoardSystem> {
  const { debian } = ARCHITECTURES[settings.architecture];
  const source = {
    suite: BOARD_SUITE,
    architecture: debian,
    ...(settings.cache === undefined ? {} : { cache: settings.cache }),
    ...(settings.signal === undefined ? {} : { signal: settings.signal }),
  };
  const packages: DebianPackage[] = [];
  for (const name of Object.keys(FILES)) packages.push(await fetchPackage(source, name));
  const rootfs = join(directory, 'rootfs');
  makeRootfs(rootfs, ARCHITECTURES[settings.architecture], packages);
  const makeBundle = (name: ContainerName): string => {
    const bundle = join(directory, name);
    makeBoardBundle(join(rootfs, 'usr/bin/busybox'), bundle, name);
    return bundle;
  };
  return {
    rootfs,
    bundles: { hello: makeBundle('hello'), later: makeBundle('later') },
    packages: packages.map(({ name, version }) => ({ name, version })),
  };
}

/** The bootset of a board with such a system; its sources are beside it. */
export function boardBootset(board: string): string {
  const containers = Object.entries(CONTAINERS).map(
    ([name, { start }]) => `  - name: ${name}
    role: container
    start: ${start}
    source: { directory: ${name} }
`,
  );
  return `product: coldseal-demo
version: '1.0'
board: ${board}
epochs: { 1: 1 }
keys: keys/dev
images:
  - name: debian
    role: system
    source: { directory: rootfs }
${containers.join('')}`;
}

function makeRootfs(
  rootfs: string,
  { triplet, links }: Architecture,
  packages: readonly DebianPackage[],
): void {
  for (const path of DIRECTORIES) makeDirectory(join(rootfs, path));
  chmodSync(join(rootfs, 'tmp'), 0o1777);
  for (const { name, directory } of packages) {
    for (const pattern of FILES[name]!) {
      const expression = new RegExp(pattern.source.replace('LIB', `usr/lib/${triplet}`));
      takeFiles(directory, expression, rootfs);
    }
  }
  for (const name of ['bin', 'lib', 'sbin', ...links])
    symlinkSync(`usr/${name}`, join(rootfs, name));
  for (const name of APPLETS) symlinkSync('busybox', join(rootfs, 'usr/bin', name));
  for (const name of ADMIN_APPLETS) symlinkSync('../bin/busybox', join(rootfs, 'usr/sbin', name));
  symlinkSync('../usr/lib/os-release', join(rootfs, 'etc/os-release'));
  writeText(join(rootfs, 'etc/hostname'), 'coldseal\n');
  writeText(join(rootfs, 'etc/inittab'), INITTAB);
  writeText(join(rootfs, 'etc/rc'), RC, 0o755);
  setTimes(rootfs);
}

/** Copies what matches; permissions become the two that matter, whatever the umask and the package say. */
function takeFiles(directory: string, pattern: RegExp, rootfs: string): void {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const found = paths.filter((path) => pattern.test(path));
  if (found.length === 0) {
    throw new ColdsealError(
      'HOST_NOT_FOUND',
      `Cannot make the board's system: expected a file like ${pattern.source} in ${directory}`,
      { hint: 'the package has changed; look at the table in toolchain/dev/demo-board.ts' },
    );
  }
  for (const path of found) {
    const [from, to] = [join(directory, path), join(rootfs, path)];
    makeDirectory(dirname(to));
    const stat = lstatSync(from);
    if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else {
      copyFileSync(from, to);
      chmodSync(to, (stat.mode & 0o111) === 0 ? 0o644 : 0o755);
    }
  }
}

/** An OCI bundle of one static binary: the same as in the system, so the two share one object. */
function makeBoardBundle(busybox: string, bundle: string, name: ContainerName): void {
  const rootfs = join(bundle, 'rootfs');
  for (const path of ['bin', 'dev', 'proc']) makeDirectory(join(rootfs, path));
  copyFileSync(busybox, join(rootfs, 'bin/busybox'));
  chmodSync(join(rootfs, 'bin/busybox'), 0o755);
  symlinkSync('busybox', join(rootfs, 'bin/sh'));
  writeText(join(bundle, 'config.json'), `${JSON.stringify(bundleConfig(name), undefined, 2)}\n`);
  setTimes(bundle);
}

/**
 * As little as crun needs below a read-only root, measured on the virtual boards: it makes device nodes, so /dev has
 * to be writable; namespaces are nearly free (all six cost 1.4 ms more than three). One program that starts no
 * other says its line soonest; the kernel tells what `uname -m` would.
 */
export function bundleConfig(name: ContainerName): object {
  const script =
    'read arch < /proc/sys/kernel/arch; read up idle < /proc/uptime; ' +
    `echo "${CONTAINERS[name].says}: PID $$ on $arch, $up s after the kernel's start"`;
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/sh', '-c', script],
      env: ['PATH=/bin'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: name,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'mode=755', 'size=64k'],
      },
    ],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network', 'cgroup'].map((type) => ({ type })),
    },
  };
}

/** Directories that are made on the way have these permissions, too, whatever the umask. */
function makeDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let at = path; at.length >= first.length; at = dirname(at)) chmodSync(at, 0o755);
}

function writeText(path: string, text: string, mode = 0o644): void {
  writeFileSync(path, text);
  chmodSync(path, mode);
}
