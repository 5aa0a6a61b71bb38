/**
 * Finds out which features this machine has, by trying each and leaving nothing behind.
 *
 * What cannot be tried without privileges is `unknown`, with the reason; what cannot be tried at all is taken from the
 * kernel's version and says so.
 */
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createNodeSys } from '../../runtime/engines/node/sys.ts';
import { ErofsInodeCompact, ErofsSuperblock, EROFS_BLKSZBITS } from '../../runtime/format/erofs.ts';
import { VERITY_BLOCK_SIZE } from '../../runtime/format/fsverity.ts';
import {
  type MountCapabilities,
  probeMountCapabilities,
} from '../../runtime/mount-capabilities.ts';
import { hasVerityRegression } from '../../runtime/mounts.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import type { Fd, Sys } from '../../runtime/sys.ts';
import { FileCopier } from '../objects/copy.ts';
import { FEATURE_NAMES, FEATURES, type FeatureName } from './features.ts';

export interface Finding {
  readonly status: 'yes' | 'no' | 'unknown';
  /** How it is known, or why not. */
  readonly detail: string;
}

export type Findings = Readonly<Record<FeatureName, Finding>>;

const yes = (detail = ''): Finding => ({ status: 'yes', detail });
const no = (detail = ''): Finding => ({ status: 'no', detail });
const unknown = (detail: string): Finding => ({ status: 'unknown', detail });
const NEEDS_ROOT = unknown('needs root to be tried');

/** Tries everything. `dir` is where fs-verity and reflinks are looked for. */
export async function probeFeatures(dir: string, sys: Sys = createNodeSys()): Promise<Findings> {
  const release = sys.kernelRelease();
  const byVersion = (name: FeatureName): Finding => fromVersion(release, FEATURES[name].since);
  const root = probeRoot();
  const mounts = probeMounts(sys);
  const files = probeDirectory(dir, sys);
  return {
    root,
    'user-namespaces': probeUserNamespaces(),
    ...mounts,
    'erofs-file':
      mounts.erofs.status === 'yes' && root.status === 'yes'
        ? probeErofsFile(sys, dir)
        : NEEDS_ROOT,
    'erofs-long-symlinks': byVersion('erofs-long-symlinks'),
    'overlay-userxattr-data': byVersion('overlay-userxattr-data'),
    'verity-intact': hasVerityRegression(release)
      ? no(`kernel ${release}; later 7.0 releases may be repaired`)
      : yes(`kernel ${release}`),
    loop: probeLoop(),
    ...files,
    idmap: await probeIdmap(sys, root, dir),
    fuse: probeFuse(),
  };
}

function probeRoot(): Finding {
  const status = readFileSync('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const isAdmin = (effective >> 21n) & 1n;
  return isAdmin === 1n ? yes() : no(`user ${process.geteuid?.() ?? '?'} lacks CAP_SYS_ADMIN`);
}

function probeUserNamespaces(): Finding {
  const { status, error } = spawnSync('unshare', ['--user', 'true'], { stdio: 'ignore' });
  if (error !== undefined) return unknown('unshare(1) not found (Debian package util-linux)');
  return status === 0 ? yes() : no('this user may not make one, or the kernel has none');
}

type MountFeature =
  | 'new-mount-api'
  | 'erofs'
  | 'overlay'
  | 'overlay-data-only'
  | 'overlay-verity'
  | 'overlay-append'
  | 'overlay-descriptors'
  | 'overlay-detached';

function probeMounts(sys: Sys): Record<MountFeature, Finding> {
  let kernel: MountCapabilities;
  try {
    kernel = probeMountCapabilities(sys);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return withoutPrivileges(errnoOf(error) === 'EPERM');
  }
  const answer = (has: boolean): Finding => (has ? yes() : no());
  if (!kernel.newMountApi) return { ...withoutPrivileges(false), 'new-mount-api': no() };
  return {
    'new-mount-api': yes(),
    erofs: answer(kernel.erofs),
    overlay: answer(kernel.overlay),
    'overlay-data-only': answer(kernel.overlayContext),
    'overlay-verity': answer(kernel.overlayVerity),
    'overlay-append': answer(kernel.appendLayers),
    'overlay-descriptors': answer(kernel.descriptorLayers),
    'overlay-detached': answer(kernel.detachedLayers),
  };
}

/** /proc/filesystems lists what is loaded; a module that is not loaded yet is not there. */
function withoutPrivileges(hasNewApi: boolean): Record<MountFeature, Finding> {
  const loaded = new Set(readFileSync('/proc/filesystems', 'utf8').split(/\s+/));
  const listed = (type: string): Finding =>
    loaded.has(type) ? yes('/proc/filesystems') : unknown('not loaded; needs root to be tried');
  return {
    'new-mount-api': hasNewApi ? yes() : NEEDS_ROOT,
    erofs: listed('erofs'),
    overlay: listed('overlay'),
    'overlay-data-only': NEEDS_ROOT,
    'overlay-verity': NEEDS_ROOT,
    'overlay-append': NEEDS_ROOT,
    'overlay-descriptors': NEEDS_ROOT,
    'overlay-detached': NEEDS_ROOT,
  };
}

/** The smallest EROFS image: a superblock and a root directory without entries. */
function tinyErofs(): Uint8Array {
  const image = new Uint8Array(4096);
  const zeros = new Uint8Array(16);
  ErofsSuperblock.encode(
    {
      checksum: 0,
      feature_compat: 0,
      blkszbits: EROFS_BLKSZBITS,
      sb_extslots: 0,
      root_nid: 36,
      inos: 1n,
      build_time: 0n,
      build_time_nsec: 0,
      blocks: 1,
      meta_blkaddr: 0,
      xattr_blkaddr: 0,
      uuid: zeros,
      volume_name: zeros,
      feature_incompat: 0,
      available_compr_algs: 0,
      extra_devices: 0,
      devt_slotoff: 0,
      dirblkbits: 0,
      xattr_prefix_count: 0,
      xattr_prefix_start: 0,
      packed_nid: 0n,
      xattr_filter_reserved: 0,
    },
    image,
    1024,
  );
  const view = new DataView(image.buffer);
  view.setUint16(36 * 32 + ErofsInodeCompact.at['i_mode'], 0o40755, true);
  view.setUint16(36 * 32 + ErofsInodeCompact.at['i_nlink'], 2, true);
  return image;
}

/**
 * A detached EROFS mount of the tiny image, for the time of `use`. The image is in the directory looked at: from
 * a file of a tmpfs, where temporary files often are, no kernel mounts.
 */
function withErofs(sys: Sys, parent: string, use: (mount: Fd) => void): void {
  const dir = mkdtempSync(join(parent, '.coldseal-'));
  const opened: Fd[] = [];
  const keep = (fd: Fd): Fd => (opened.push(fd), fd);
  try {
    writeFileSync(join(dir, 'image'), tinyErofs());
    const image = keep(sys.open(join(dir, 'image')));
    const context = keep(sys.fsopen('erofs'));
    sys.fsconfig(context, { kind: 'string', key: 'source', value: sys.pathOfFd(image) });
    sys.fsconfig(context, { kind: 'create' });
    use(keep(sys.fsmount(context, { readOnly: true })));
  } finally {
    for (const fd of opened.reverse()) sys.close(fd);
    rmSync(dir, { recursive: true });
  }
}

function probeErofsFile(sys: Sys, dir: string): Finding {
  try {
    withErofs(sys, dir, () => undefined);
    return yes();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno === 'ENOTBLK' ? no(`from a file in ${dir}`) : unknown(`trying it gave ${errno}`);
  }
}

/** Needs a user namespace other than our own: a process that does nothing holds one meanwhile. */
async function probeIdmap(sys: Sys, root: Finding, dir: string): Promise<Finding> {
  if (root.status !== 'yes') return NEEDS_ROOT;
  const holder = spawn(
    'unshare',
    ['--user', '--map-root-user', 'sh', '-c', 'echo ready; exec sleep 60'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  try {
    const isReady = await new Promise<boolean>((resolve) => {
      holder.stdout.once('data', () => resolve(true));
      holder.once('error', () => resolve(false));
      holder.once('exit', () => resolve(false));
    });
    if (!isReady) return unknown('no user namespace to try it with');
    const namespace = sys.open(`/proc/${holder.pid}/ns/user`);
    try {
      withErofs(sys, dir, (mount) => sys.setMountAttributes(mount, { idmap: namespace }));
      return yes();
    } finally {
      sys.close(namespace);
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno === 'EINVAL' || errno === 'ENOSYS'
      ? no(errno)
      : unknown(`trying it gave ${errno}`);
  } finally {
    holder.kill('SIGKILL');
  }
}

function probeLoop(): Finding {
  try {
    closeSync(openSync('/dev/loop-control', constants.O_RDWR));
    return yes('/dev/loop-control');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EACCES' || errno === 'EPERM') return NEEDS_ROOT;
    return no(`/dev/loop-control: ${errno ?? 'cannot be opened'}`);
  }
}

function probeFuse(): Finding {
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return yes('/dev/fuse');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EACCES' || errno === 'EPERM') return unknown('this user may not open /dev/fuse');
    return no(`/dev/fuse: ${errno ?? 'cannot be opened'}`);
  }
}

/** Tries fs-verity and reflinks on files of our own in the directory. */
function probeDirectory(dir: string, sys: Sys): Record<'verity' | 'reflink', Finding> {
  let own: string;
  try {
    own = mkdtempSync(join(dir, '.coldseal-'));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') {
      throw explainSysError(error, `Cannot look for features in ${dir}`);
    }
    const cannot = unknown(`${dir} cannot be written: ${errno ?? ''}`);
    return { verity: cannot, reflink: cannot };
  }
  try {
    const path = join(own, 'file');
    writeFileSync(path, Buffer.alloc(4096));
    return { reflink: probeReflink(path, dir), verity: probeVerity(path, dir, sys) };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

function probeVerity(path: string, dir: string, sys: Sys): Finding {
  const fd = sys.open(path);
  try {
    if (sys.enableVerity(fd, 'sha256')) return yes(`in ${dir}`);
    const { bsize } = statfsSync(dir);
    // mke2fs chooses 1024 for small disks, and the kernel then says only EINVAL.
    return bsize < VERITY_BLOCK_SIZE
      ? no(`in ${dir}, whose blocks have ${bsize} bytes: expected ${VERITY_BLOCK_SIZE}`)
      : no(`in ${dir}`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return unknown(`trying it in ${dir} gave ${errnoOf(error)}`);
  } finally {
    sys.close(fd);
  }
}

function probeReflink(path: string, dir: string): Finding {
  const from = openSync(path, constants.O_RDONLY);
  const to = openSync(
    `${path}-copy`,
    constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
    0o600,
  );
  try {
    const source = { fd: from, size: 4096, dev: 0, blocks: 8 };
    return new FileCopier().copy(source, to).method === 'reflink'
      ? yes(`in ${dir}`)
      : no(`in ${dir}`);
  } finally {
    closeSync(from);
    closeSync(to);
  }
}

/** What the version alone suggests. */
function fromVersion(release: string, since: string): Finding {
  const numbers = (text: string): number => {
    const [major = 0, minor = 0] = text.split('.').map((part) => Number.parseInt(part, 10));
    return major * 1000 + minor;
  };
  const detail = `by version only, kernel ${release}`;
  return numbers(release) >= numbers(since) ? yes(detail) : no(detail);
}

/** The kernel's build configuration, where it is to be found. */
export function readKernelConfig(release: string): ReadonlyMap<string, string> | undefined {
  for (const path of [
    '/proc/config.gz',
    `/boot/config-${release}`,
    `/lib/modules/${release}/config`,
  ]) {
    try {
      const bytes = readFileSync(path);
      const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
      return new Map(
        [...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
      );
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
  return undefined;
}

/** One line for each feature: what is there, and what to do about what is not. */
export function describeFindings(
  findings: Findings,
  config: ReadonlyMap<string, string> | undefined,
): string[] {
  return FEATURE_NAMES.map((name) => {
    const { status, detail } = findings[name];
    const info: { title: string; since: string; option?: string; without: string } = FEATURES[name];
    const remarks = [info.title];
    if (detail !== '') remarks.push(detail);
    if (status !== 'yes') {
      if (info.since !== '') remarks.push(`since Linux ${info.since}`);
      if (info.option !== undefined) remarks.push(describeOption(info.option, config));
      remarks.push(`without it: ${info.without}`);
    }
    return `${status.padEnd(7)}  ${name.padEnd(22)}  ${remarks.join('; ')}`;
  });
}

function describeOption(option: string, config: ReadonlyMap<string, string> | undefined): string {
  if (config === undefined) return option;
  const value = config.get(option);
  return value === undefined ? `${option} is not set in this kernel` : `${option}=${value}`;
}
