/**
 * What this kernel can do for a composefs mount, found out by trying.
 *
 * Version numbers lie (distributions backport), so each capability is asked of the kernel itself; contexts are
 * never mounted anywhere, so closing their descriptors undoes everything. Versions in comments are upstream's.
 */
import { errnoOf } from './sys-error.ts';
import type { Fd, FsConfig, Sys } from './sys.ts';

export interface MountCapabilities {
  readonly kernelRelease: string;
  /** fsopen and the rest (5.2), older than EROFS (5.4). Without it, everything below is false. */
  readonly newMountApi: boolean;
  readonly erofs: boolean;
  readonly overlay: boolean;
  /** Overlay reads options one by one (6.5); this also brings data-only lower layers. */
  readonly overlayContext: boolean;
  /** The overlay option `verity=` (6.6). */
  readonly overlayVerity: boolean;
  /** `lowerdir+` and `datadir+`: one layer at a time, any character in a path (6.8). */
  readonly appendLayers: boolean;
  /** Layers given as descriptors (6.13). */
  readonly descriptorLayers: boolean;
  /** Layers from mounts that are attached nowhere (6.15). */
  readonly detachedLayers: boolean;
}

/** An option of a file system context with a text for a value. */
export function textOption(key: string, value: string): FsConfig {
  return { kind: 'string', key, value };
}

/** Asks the kernel. Throws HOST_PERMISSION's errno (EPERM) when this user may not ask. */
export function probeMountCapabilities(sys: Sys): MountCapabilities {
  const kernelRelease = sys.kernelRelease();
  const erofs = openContext(sys, 'erofs');
  if (erofs === 'no-api') return { ...NOTHING, kernelRelease };
  if (typeof erofs === 'number') sys.close(erofs);
  const base = { ...NOTHING, kernelRelease, newMountApi: true, erofs: typeof erofs === 'number' };
  const overlay = openContext(sys, 'overlay');
  if (typeof overlay === 'string') return base;
  try {
    return { ...base, overlay: true, ...probeOverlay(sys, overlay) };
  } finally {
    sys.close(overlay);
  }
}

const NOTHING = {
  newMountApi: false,
  erofs: false,
  overlay: false,
  overlayContext: false,
  overlayVerity: false,
  appendLayers: false,
  descriptorLayers: false,
  detachedLayers: false,
} as const;

function openContext(sys: Sys, type: string): Fd | 'no-api' | 'no-type' {
  try {
    return sys.fsopen(type);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOSYS') return 'no-api';
    if (errno === 'ENODEV') return 'no-type';
    throw error;
  }
}

function probeOverlay(sys: Sys, context: Fd): Partial<MountCapabilities> {
  // Before 6.5 a context of overlay took any option and found out later.
  if (accepts(sys, context, textOption('coldseal-probe', 'unknown'))) return {};
  const overlayVerity = accepts(sys, context, textOption('verity', 'off'));
  const appendLayers = accepts(sys, context, textOption('lowerdir+', '/'));
  const descriptorLayers = appendLayers && acceptsDescriptor(sys);
  return {
    overlayContext: true,
    overlayVerity,
    appendLayers,
    descriptorLayers,
    detachedLayers: descriptorLayers && acceptsDetached(sys),
  };
}

function accepts(sys: Sys, context: Fd, value: FsConfig): boolean {
  try {
    sys.fsconfig(context, value);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== undefined && errno !== 'EPERM') return false;
    throw error;
  }
}

function acceptsDescriptor(sys: Sys): boolean {
  return withDescriptors(sys, (keep) => {
    const root = keep(sys.open('/', { directory: true }));
    const context = keep(sys.fsopen('overlay'));
    return accepts(sys, context, { kind: 'fd', key: 'lowerdir+', fd: root });
  });
}

/** Puts an overlay over two directories of a tmpfs, none of which is ever attached. */
function acceptsDetached(sys: Sys): boolean {
  try {
    return withDescriptors(sys, (keep) => {
      const tmpfs = keep(sys.fsopen('tmpfs'));
      sys.fsconfig(tmpfs, { kind: 'create' });
      const root = sys.pathOfFd(keep(sys.fsmount(tmpfs, {})));
      const overlay = keep(sys.fsopen('overlay'));
      for (const name of ['a', 'b']) {
        sys.makeDirectory(`${root}/${name}`);
        const layer = keep(sys.open(`${root}/${name}`, { directory: true }));
        sys.fsconfig(overlay, { kind: 'fd', key: 'lowerdir+', fd: layer });
      }
      return accepts(sys, overlay, { kind: 'create' });
    });
  } catch (error) {
    // No tmpfs, or a sandbox in the way: attached layers work everywhere.
    if (errnoOf(error) !== undefined) return false;
    throw error;
  }
}

/** Closes all that was kept, last first. */
function withDescriptors<T>(sys: Sys, use: (keep: (fd: Fd) => Fd) => T): T {
  const opened: Fd[] = [];
  try {
    return use((fd) => {
      opened.push(fd);
      return fd;
    });
  } finally {
    for (const fd of opened.reverse()) sys.close(fd);
  }
}
