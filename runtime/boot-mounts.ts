/**
 * The mounts of a boot: the kernel's own file systems, the store, the images of a slot, and the change of the root.
 *
 * Everything made for a slot is registered with its undoing at once, so that a slot that fails leaves nothing behind.
 */
import {
  NEW_ROOT,
  RUN,
  RUN_CONFIG,
  RUN_CONTAINERS,
  RUN_OUTPUT,
  RUN_PROGRAM,
  RUN_SEALED,
  RUN_STORE,
  SEALED,
  STORE_OBJECTS,
  storeImage,
} from './device-paths.ts';
import type { Engine } from './engine.ts';
import type { BootedImage } from './format/boot-record.ts';
import { toHex } from './format/bytes.ts';
import type { ErrorCode } from './format/errors.ts';
import { type ImageEntry, MOUNT, MOUNT_FLAG } from './format/manifest-image.ts';
import type { MountCapabilities } from './mount-capabilities.ts';
import { type Cleanup, mountImage } from './mount-steps.ts';
import type { VerityMode } from './mounts.ts';
import { withFile } from './read-file.ts';
import { errnoOf, explainSysError, stepError } from './sys-error.ts';
import type { DeviceSys, Fd } from './sys.ts';
import { checkImage } from './verify.ts';

const SAFE = { readOnly: false, nosuid: true, nodev: true, noexec: true };
/** In this order: later ones lie on earlier ones. /run keeps executables: the runtime itself is there. */
const KERNEL_MOUNTS = [
  { type: 'devtmpfs', target: '/dev', options: { ...SAFE, nodev: false, data: 'mode=0755' } },
  { type: 'proc', target: '/proc', options: { ...SAFE, data: '' } },
  { type: 'sysfs', target: '/sys', options: { ...SAFE, data: '' } },
  { type: 'cgroup2', target: '/sys/fs/cgroup', options: { ...SAFE, data: '' } },
  { type: 'tmpfs', target: '/run', options: { ...SAFE, noexec: false, data: 'mode=0755' } },
] as const;
const MOVED = ['/dev', '/proc', '/sys', '/run'] as const;
const DIRECTORIES = [
  RUN,
  `${RUN}/bin`,
  RUN_SEALED,
  RUN_STORE,
  RUN_CONTAINERS,
  RUN_CONFIG,
  RUN_OUTPUT,
];
const INIT = '/init';

/** One step of the system; a failure names it. */
export function inStep<T>(code: ErrorCode, doing: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw stepError(code, `Cannot ${doing}`, cause);
  }
}

/** Mounts what the kernel provides and makes our places below /run. */
export function mountKernelFileSystems(sys: DeviceSys): void {
  for (const { type, target, options } of KERNEL_MOUNTS) {
    inStep('HOST_BOOT_STEP', `mount ${type} on ${target}`, () =>
      unless('EBUSY', () => sys.mount(type, target, type, options)),
    );
  }
  for (const path of DIRECTORIES) {
    inStep('HOST_BOOT_STEP', `make ${path}`, () => unless('EEXIST', () => sys.makeDirectory(path)));
  }
}

/** Does it, and takes one errno as done already. */
function unless(errno: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (errnoOf(error) !== errno) throw error;
  }
}

export function mountStore(sys: DeviceSys, device: string): void {
  inStep('HOST_STORE_MOUNT', `mount the store ${device}`, () =>
    sys.mount(device, RUN_STORE, 'ext4', {
      readOnly: true,
      nosuid: true,
      nodev: true,
      data: '',
    }),
  );
}

export interface ImageMountJob {
  readonly verity: VerityMode;
  readonly kernel: MountCapabilities;
  readonly undo: Cleanup;
}

/** Measures an image of the store and mounts it at its place, all through one descriptor. */
export function mountEntry(engine: Engine, image: ImageEntry, job: ImageMountJob): BootedImage {
  const { sys, computeDigest } = engine;
  const path = `${RUN_STORE}/${storeImage(image.digest)}`;
  const digest = toHex(image.digest.value);
  const target = makeTarget(sys, image, job.undo);
  const mountOpen = (fd: Fd): BootedImage => {
    const { size } = sys.stat(fd);
    // The digest is compared by mountImage, on this same descriptor.
    checkImage(image, { size, digest: image.digest.value });
    const has = (flag: number): boolean => (image.flags & flag) !== 0;
    const result = mountImage(sys, fd, {
      request: {
        image: path,
        target,
        basedirs: [`${RUN_STORE}/${STORE_OBJECTS}`],
        verity: job.verity,
        readOnly: true,
        nosuid: has(MOUNT_FLAG.NOSUID),
        nodev: has(MOUNT_FLAG.NODEV),
        noexec: has(MOUNT_FLAG.NOEXEC),
        source: `coldseal:${image.name}`,
      },
      digest: { algorithm: image.digest.algorithm, digest },
      computeDigest,
      kernel: job.kernel,
    });
    job.undo.add(() => sys.unmount(target, { detach: true }));
    return {
      name: image.name,
      role: (['system', 'container', 'config'] as const)[image.role - 1]!,
      digest: `${image.digest.algorithm}:${digest}`,
      size,
      measured: result.imageDigest,
      fileVerity: result.fileVerity,
      mountedAt: target === NEW_ROOT ? '/' : target,
    };
  };
  try {
    return withFile(sys, path, mountOpen);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`, { code: 'HOST_READ_FAILED' });
  }
}

function makeTarget(sys: DeviceSys, image: ImageEntry, undo: Cleanup): string {
  if (image.mount === MOUNT.ROOT) return NEW_ROOT;
  const parent = image.mount === MOUNT.CONTAINER ? RUN_CONTAINERS : RUN_CONFIG;
  const path = `${parent}/${image.name}`;
  inStep('HOST_BOOT_STEP', `make ${path}`, () => sys.makeDirectory(path));
  undo.add(() => sys.removeDirectory(path));
  return path;
}

/** Takes along the runtime and what was sealed with it, and makes the system image the root. */
export function switchToSystem(sys: DeviceSys, undo: Cleanup): void {
  inStep('HOST_SWITCH_ROOT', 'make the system image the root', () => {
    sys.writeFile(RUN_PROGRAM, new Uint8Array(), { mode: 0o755 });
    for (const [source, target] of [
      [INIT, RUN_PROGRAM],
      [SEALED, RUN_SEALED],
    ] as const) {
      sys.bindMount(source, target);
      undo.add(() => sys.unmount(target, { detach: true }));
    }
    for (const path of MOVED) {
      const target = `${NEW_ROOT}${path}`;
      sys.moveTree(path, target);
      undo.add(() => sys.moveTree(target, path));
    }
    sys.switchRoot(NEW_ROOT);
  });
}
