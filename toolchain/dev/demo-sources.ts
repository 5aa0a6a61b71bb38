/**
 * What the demo builds its images from: a Debian root file system and a container bundle.
 *
 * The root file system is Debian's own, made by mmdebstrap and kept as a tar in the cache, so that later runs need
 * neither the network nor half a minute. Extracting it gives the same tree every time, times included. Without root
 * a few packages are extracted and not installed, which needs no user namespaces and is enough to build images of.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { formatBytes } from '../cli/progress.ts';
import type { DemoSession } from './demo-session.ts';

export const SUITE = 'bookworm';

/** Modification times of what the demo makes, and the ceiling of Debian's: 2025-01-01. */
const EPOCH_SECONDS = 1_735_689_600;

/** Change it when the options below change, so that an old tar is not taken for the new one. */
const RECIPE = 1;

const INSTALLED = [
  '--variant=essential',
  '--include=busybox-static',
  // The tree is thrown away if anything fails, so dpkg need not wait for the disk.
  '--dpkgopt=force-unsafe-io',
];
const EXTRACTED = [
  '--mode=chrootless',
  '--variant=extract',
  '--include=base-files,bash,busybox-static,coreutils,dpkg',
];

/** The tar of the root file system: from the cache, or made now. */
export async function rootfsTar(
  session: DemoSession,
  cache: string,
  isRoot: boolean,
): Promise<string> {
  const kind = isRoot ? 'installed' : 'extracted';
  const tar = join(cache, `rootfs-${SUITE}-${process.arch}-${kind}-${RECIPE}.tar`);
  if (existsSync(tar)) {
    session.print(`${tar}: ${formatBytes(statSync(tar).size)}, made by an earlier run`);
    return tar;
  }
  const unfinished = join(cache, `.unfinished-${process.pid}-${basename(tar)}`);
  const options = isRoot ? INSTALLED : EXTRACTED;
  const argv = ['mmdebstrap', '--quiet', ...options, SUITE, unfinished];
  try {
    session.print(
      'The first run downloads about 30 MB of Debian packages and takes half a minute.',
    );
    await session.run({ argv, env: { SOURCE_DATE_EPOCH: String(EPOCH_SECONDS) } });
    renameSync(unfinished, tar);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return tar;
}

/** Extracts the tar; without root, owners become the user and device nodes are left out. */
export async function extractRootfs(
  session: DemoSession,
  tar: string,
  directory: string,
  isRoot: boolean,
): Promise<void> {
  mkdirSync(directory, { mode: 0o755 });
  const owners = isRoot
    ? ['--same-owner', '--numeric-owner', '--xattrs', '--xattrs-include=*']
    : ['--no-same-owner', '--exclude=./dev/*'];
  const argv = ['tar', '-x', '-p', ...owners, '-f', tar, '-C', directory];
  await session.run({ argv, shown: `tar -x ${owners.join(' ')} -f ${basename(tar)} -C rootfs` });
}

/** What the container runs: read back by the demo, as a container engine would. */
export const CONTAINER_ARGS = [
  '/bin/sh',
  '-c',
  'echo "hello from the container, PID $$, $(/bin/busybox | head -n 1)"',
];

/** An OCI bundle of one static binary: the same busybox as in the root file system, so its object is shared. */
export function makeBundle(rootfs: string, bundle: string): void {
  const bin = join(bundle, 'rootfs/bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(join(rootfs, 'bin/busybox'), join(bin, 'busybox'));
  chmodSync(join(bin, 'busybox'), 0o755);
  symlinkSync('busybox', join(bin, 'sh'));
  symlinkSync('busybox', join(bin, 'head'));
  const config = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: CONTAINER_ARGS,
      env: ['PATH=/bin'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'demo',
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'ipc' }] },
  };
  writeFileSync(join(bundle, 'config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
  setTimes(bundle);
}

/** The same times in every run, children first because they change their directory's. */
export function setTimes(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) setTimes(child);
    else if (entry.isSymbolicLink()) lutimesSync(child, EPOCH_SECONDS, EPOCH_SECONDS);
    else utimesSync(child, EPOCH_SECONDS, EPOCH_SECONDS);
  }
  utimesSync(path, EPOCH_SECONDS, EPOCH_SECONDS);
}

/** The bootset of the demo. */
export function bootsetText(board: string): string {
  return `product: coldseal-demo
version: '1.0'
board: ${board}
epochs: { 1: 1 }
keys: keys/dev
images:
  - name: debian
    role: system
    source: { directory: rootfs }
  - name: hello
    role: container
    start: early
    source: { directory: bundle }
`;
}

/** Puts a copy with one changed byte in the place of a file; returns what puts the original back. */
export function tamper(path: string, aside: string, offset: number): () => void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = bytes[at]! ^ 0x01;
  // A sealed file cannot be written, but whoever has the disk can put another in its place.
  renameSync(path, aside);
  writeFileSync(path, bytes);
  return () => renameSync(aside, path);
}
