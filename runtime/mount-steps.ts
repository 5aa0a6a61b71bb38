/**
 * Mounting a composefs image: the steps of a plan, and taking all of them back when one fails.
 *
 * The image is measured and mounted through one descriptor, so it cannot be exchanged in between. Every mount,
 * loop device and directory made on the way is registered with its undoing at once; only the mount at the target
 * survives. Sources: Linux Documentation/filesystems/overlayfs.rst, erofs.rst, include/uapi/linux/mount.h.
 */
import { COMPOSEFS_FLAGS_HAS_ACL, ComposefsHeader } from './format/composefs.ts';
import { ColdsealError } from './format/errors.ts';
import type { VerityAlgorithm } from './format/fsverity.ts';
import {
  type MountCapabilities,
  probeMountCapabilities,
  textOption,
} from './mount-capabilities.ts';
import {
  type FileVerity,
  type MountPlan,
  type MountRequest,
  type ObjectVerity,
  planMount,
  type VerityMode,
  type WantedDigest,
} from './mounts.ts';
import { withFile } from './read-file.ts';
import { errnoOf, explainSysError } from './sys-error.ts';
import type { Fd, FsConfig, MountAttributes, Sys } from './sys.ts';

/** What was enforced, for the result and for the boot record. */
export interface MountResult {
  readonly imageDigest: 'kernel-measured' | 'computed' | 'not checked';
  readonly fileVerity: FileVerity;
  readonly image: 'file' | 'loop device';
  readonly imageMount: MountPlan['imageMount'];
  readonly layers: MountPlan['layers'];
}

/** What has to be undone, last first; every part is tried even when one fails. */
export class Cleanup {
  readonly #undo: (() => void)[] = [];

  add(undo: () => void): void {
    this.#undo.push(undo);
  }

  run(): void {
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        undo();
      } catch (error) {
        // The failure that led here matters more, and there is nothing else to try.
        if (errnoOf(error) === undefined) throw error;
      }
    }
  }
}

/** Computes the fs-verity digest of an open file, in hexadecimal; for kernels that do not measure it. */
export type ComputeDigest = (fd: Fd, algorithm: VerityAlgorithm) => string;

export interface MountJob {
  readonly request: MountRequest;
  readonly digest?: WantedDigest | undefined;
  readonly userNamespace?: Fd | undefined;
  readonly computeDigest: ComputeDigest;
  /** Mount with verity=require although no file could be opened, as C mount.composefs does. */
  readonly skipObjectCheck?: boolean;
  /** What `probeMountCapabilities` found, where several images are mounted in a row. */
  readonly kernel?: MountCapabilities | undefined;
}

/** Checks the open image against the digest, plans, and mounts. */
export function mountImage(sys: Sys, image: Fd, job: MountJob): MountResult {
  const { request } = job;
  const cleanup = new Cleanup();
  const doing = `Cannot mount ${request.image} on ${request.target}`;
  try {
    const imageDigest =
      job.digest === undefined
        ? 'not checked'
        : checkImageDigest(sys, image, job.digest, request, job.computeDigest);
    const hasAcl = readHeader(sys, image, request.image);
    const objectVerity =
      request.verity === 'off' || job.skipObjectCheck === true
        ? []
        : request.basedirs.map((dir) => sampleVerity(sys, dir));
    const plan = planMount(job.kernel ?? probeMountCapabilities(sys), request, {
      hasAcl,
      objectVerity,
    });
    const erofs = mountErofs(sys, plan, image, job.userNamespace, cleanup);
    mountOverlay(sys, plan, erofs.layer, cleanup);
    const { fileVerity, imageMount, layers } = plan;
    return { imageDigest, fileVerity, image: erofs.backing, imageMount, layers };
  } catch (error) {
    throw explainSysError(error, doing, { hint: hintOf(errnoOf(error)) });
  } finally {
    cleanup.run();
  }
}

/** The digest of the open image, by the kernel if it can; compared before a byte of the image is believed. */
export function checkImageDigest(
  sys: Sys,
  image: Fd,
  wanted: WantedDigest,
  request: { readonly image: string; readonly verity: VerityMode },
  computeDigest: ComputeDigest,
): 'kernel-measured' | 'computed' {
  const kernel = sys.measureVerity(image);
  const isMeasured = kernel.verity === 'measured' && kernel.algorithm === wanted.algorithm;
  if (!isMeasured && request.verity === 'require')
    throw noImageVerity(request.image, kernel.verity);
  const digest = isMeasured ? kernel.digest : computeDigest(image, wanted.algorithm);
  if (digest !== wanted.digest) {
    throw new ColdsealError(
      'VERIFY_IMAGE_DIGEST',
      `Cannot accept the image ${request.image}: its fs-verity digest is ${digest}, expected ${wanted.digest}`,
      { hint: 'the image was changed, or the digest is that of another image' },
    );
  }
  return isMeasured ? 'kernel-measured' : 'computed';
}

function noImageVerity(
  image: string,
  found: 'measured' | 'not-enabled' | 'unsupported',
): ColdsealError {
  if (found === 'unsupported') {
    return new ColdsealError(
      'HOST_NO_VERITY',
      `Cannot measure the image ${image}: its file system or this kernel has no fs-verity`,
      { hint: 'use --verity=if-supported to compare a digest computed by reading the file' },
    );
  }
  const problem = found === 'measured' ? 'has fs-verity of another algorithm' : 'has no fs-verity';
  return new ColdsealError(
    'VERIFY_IMAGE_NO_VERITY',
    `Cannot accept the image ${image}: it ${problem}`,
    {
      hint: 'enable fs-verity on the image, or use --verity=if-supported',
    },
  );
}

/** Whether the image has ACLs, from its header. */
function readHeader(sys: Sys, image: Fd, name: string): boolean {
  const bytes = new Uint8Array(ComposefsHeader.size);
  let length: number;
  try {
    length = sys.read(image, bytes, 0);
  } catch (error) {
    // Also what a kernel says whose fs-verity finds a block that does not fit.
    throw explainSysError(error, `Cannot read the image ${name}`, { code: 'HOST_READ_FAILED' });
  }
  try {
    const header = ComposefsHeader.decode(bytes.subarray(0, length));
    return (header.flags & COMPOSEFS_FLAGS_HAS_ACL) !== 0;
  } catch (cause) {
    throw new ColdsealError(
      'FORMAT_NOT_AN_IMAGE',
      `Cannot mount ${name}: expected a composefs image, it does not begin with the composefs header`,
      { cause },
    );
  }
}

/** Looks at the first object of a store: they all get fs-verity, or none does. */
function sampleVerity(sys: Sys, basedir: string): ObjectVerity {
  const names = inStep(`read the object directory ${basedir}`, () => sys.list(basedir));
  for (const fanOut of names) {
    if (!/^[0-9a-f]{2}$/.test(fanOut)) continue;
    const [first] = sys.list(`${basedir}/${fanOut}`);
    if (first === undefined) continue;
    const { verity } = withFile(sys, `${basedir}/${fanOut}/${first}`, (file) =>
      sys.measureVerity(file),
    );
    return verity === 'measured' ? 'enabled' : 'absent';
  }
  return 'unknown';
}

/** A layer for the overlay: a path, and while the mount is attached nowhere a descriptor. */
interface Layer {
  readonly path: string;
  readonly fd?: Fd;
}

function mountErofs(
  sys: Sys,
  plan: MountPlan,
  image: Fd,
  userNamespace: Fd | undefined,
  cleanup: Cleanup,
): { layer: Layer; backing: 'file' | 'loop device' } {
  try {
    const layer = mountErofsFrom(sys, plan, sys.pathOfFd(image), userNamespace, cleanup);
    return { layer, backing: 'file' };
  } catch (error) {
    // This is how a kernel says that it cannot mount EROFS from a file (before 6.12, or by configuration).
    if (!causedBy(error, 'ENOTBLK')) throw error;
  }
  const loop = inStep('attach a loop device', () => sys.attachLoop(image));
  // Gone with its last user: after this close that is the mount, or nobody.
  cleanup.add(() => sys.close(loop.fd));
  const layer = mountErofsFrom(sys, plan, loop.path, userNamespace, cleanup);
  return { layer, backing: 'loop device' };
}

function mountErofsFrom(
  sys: Sys,
  plan: MountPlan,
  source: string,
  userNamespace: Fd | undefined,
  cleanup: Cleanup,
): Layer {
  const options: FsConfig[] = [textOption('source', source), { kind: 'flag', key: 'ro' }];
  if (plan.noAcl) options.push({ kind: 'flag', key: 'noacl' });
  const mount = createMount(sys, 'erofs', options, { readOnly: true }, cleanup);
  if (userNamespace !== undefined) {
    inStep('map the ids', () => sys.setMountAttributes(mount, { idmap: userNamespace }));
  }
  if (plan.imageMount === 'detached') {
    // What fsmount returns cannot be read through; a layer has to be an ordinary directory descriptor.
    const fd = inStep('open EROFS', () => sys.open(sys.pathOfFd(mount), { directory: true }));
    cleanup.add(() => sys.close(fd));
    return { path: sys.pathOfFd(fd), fd };
  }
  const path = temporaryDirectory(sys, cleanup);
  inStep('attach EROFS', () => sys.moveMount(mount, path));
  cleanup.add(() => sys.unmount(path, { detach: true }));
  return { path };
}

function temporaryDirectory(sys: Sys, cleanup: Cleanup): string {
  const path = inStep('make a temporary directory', () => sys.makeTempDirectory());
  cleanup.add(() => sys.removeDirectory(path));
  return path;
}

/** Makes a mount that is attached nowhere yet. */
function createMount(
  sys: Sys,
  type: string,
  options: readonly FsConfig[],
  attributes: MountAttributes,
  cleanup: Cleanup,
): Fd {
  const context = inStep(`open ${type}`, () => sys.fsopen(type));
  try {
    for (const option of [...options, { kind: 'create' } as const]) {
      const what = option.kind === 'create' ? `create ${type}` : `set ${type} option ${option.key}`;
      inStep(
        what,
        () => sys.fsconfig(context, option),
        () => sys.fsmessages(context),
      );
    }
    const mount = inStep(`mount ${type}`, () => sys.fsmount(context, attributes));
    cleanup.add(() => sys.close(mount));
    return mount;
  } finally {
    sys.close(context);
  }
}

function mountOverlay(sys: Sys, plan: MountPlan, image: Layer, cleanup: Cleanup): void {
  const { target, readOnly, nosuid = false, nodev = false, noexec = false } = plan.request;
  const attributes = { readOnly, nosuid, nodev, noexec };
  if (plan.layers === 'string') {
    const data = overlayOptionString(plan, image.path);
    inStep('mount overlay', () =>
      sys.mount(plan.request.source, target, 'overlay', { ...attributes, data }),
    );
    return;
  }
  const options: FsConfig[] = [
    textOption('source', plan.request.source),
    textOption('metacopy', 'on'),
    textOption('redirect_dir', 'on'),
  ];
  if (plan.fileVerity === 'required') {
    options.push(textOption('verity', 'require'));
  }
  options.push(layerOption(sys, plan, 'lowerdir+', image, cleanup));
  for (const path of plan.request.basedirs) {
    options.push(layerOption(sys, plan, 'datadir+', { path }, cleanup));
  }
  for (const key of ['upperdir', 'workdir'] as const) {
    const path = plan.request[key];
    if (path !== undefined) options.push(layerOption(sys, plan, key, { path }, cleanup));
  }
  const mount = createMount(sys, 'overlay', options, attributes, cleanup);
  inStep(`attach the mount at ${target}`, () => sys.moveMount(mount, target));
}

/** fsconfig(2) takes at most 255 bytes of text. */
const FSCONFIG_TEXT_MAX = 255;

function layerOption(
  sys: Sys,
  plan: MountPlan,
  key: string,
  layer: Layer,
  cleanup: Cleanup,
): FsConfig {
  const isShort = layer.path.length * 3 <= FSCONFIG_TEXT_MAX;
  if (plan.layers === 'append' && isShort) return textOption(key, layer.path);
  const fd =
    layer.fd ?? inStep(`open ${layer.path}`, () => sys.open(layer.path, { directory: true }));
  if (layer.fd === undefined) cleanup.add(() => sys.close(fd));
  if (plan.layers === 'append') return textOption(key, sys.pathOfFd(fd));
  return { kind: 'fd', key, fd };
}

/** The options of overlay in the old syntax, in which comma, colon and backslash need a backslash. */
export function overlayOptionString(plan: MountPlan, image: string): string {
  const { basedirs, upperdir, workdir } = plan.request;
  const escaped = (path: string): string => path.replace(/[\\,:]/g, '\\$&');
  const parts = [
    'metacopy=on',
    'redirect_dir=on',
    `lowerdir=${[image, ...basedirs].map(escaped).join('::')}`,
  ];
  if (upperdir !== undefined) parts.push(`upperdir=${escaped(upperdir)}`);
  if (workdir !== undefined) parts.push(`workdir=${escaped(workdir)}`);
  if (plan.fileVerity === 'required') parts.push('verity=require');
  return parts.join(',');
}

function hintOf(errno: string | undefined): string | undefined {
  if (errno === 'EPERM') return 'mounting needs root; see coldseal doctor';
  if (errno === 'EINVAL') return 'see coldseal doctor for what this kernel can do';
  return errno === 'EUCLEAN' ? 'the image is damaged, or newer than this kernel' : undefined;
}

/** Does one step; a failure says which one it was, and what the kernel had to say about it. */
function inStep<T>(step: string, action: () => T, messages: () => string[] = () => []): T {
  try {
    return action();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const said = messages().join('; ');
    throw explainSysError(
      error,
      `Cannot ${step}${said === '' ? '' : ` (the kernel says: ${said})`}`,
      {
        code: 'HOST_MOUNT_FAILED',
        hint: hintOf(errno),
      },
    );
  }
}

function causedBy(error: unknown, errno: string): boolean {
  return errnoOf(error instanceof ColdsealError ? error.cause : error) === errno;
}
