/**
 * Mounting from the host: options of a person made into a mount request, and its result into lines.
 *
 * The decisions are the runtime's own (runtime/mounts.ts); nothing is decided twice.
 */
import { resolve } from 'node:path';
import { createNodeSys } from '../../runtime/engines/node/sys.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { mountImage, type MountResult } from '../../runtime/mount-steps.ts';
import {
  checkMountOptions,
  type MountRequest,
  mountWarnings,
  parseImageDigest,
  type VerityMode,
  type WantedDigest,
} from '../../runtime/mounts.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { type Fd, type Sys } from '../../runtime/sys.ts';
import { showBytes } from '../image/byte-string.ts';
import { dataLayersOf, mountAt, mountSource } from './mount-table.ts';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';

export interface MountOptions {
  readonly image: string;
  readonly dir: string;
  readonly basedir: readonly string[];
  readonly digest?: string | undefined;
  readonly verity: VerityMode;
  readonly upperdir?: string | undefined;
  readonly workdir?: string | undefined;
  readonly idmap?: string | undefined;
  readonly ro: boolean;
  readonly rw: boolean;
}

export interface MountReport extends MountResult {
  readonly dir: string;
  readonly basedirs: readonly string[];
  readonly readOnly: boolean;
  readonly warnings: readonly string[];
}

/** Mounts an image file as asked; the source of the mount names the image. */
export function mountImageFile(options: MountOptions, sys: Sys = createNodeSys()): MountReport {
  const readOnly = decideReadOnly(options);
  // Before anything is opened: a digest that is no digest never means "none".
  const digest = options.digest === undefined ? undefined : parseImageDigest(options.digest);
  const image = openNamed(sys, options.image, 'image');
  try {
    const userNamespace =
      options.idmap === undefined ? undefined : openNamed(sys, options.idmap, 'user namespace');
    try {
      return mountOpen(sys, options, image, { digest, userNamespace, readOnly });
    } finally {
      if (userNamespace !== undefined) sys.close(userNamespace);
    }
  } finally {
    sys.close(image);
  }
}

function mountOpen(
  sys: Sys,
  options: MountOptions,
  image: Fd,
  wanted: { digest: WantedDigest | undefined; userNamespace: Fd | undefined; readOnly: boolean },
): MountReport {
  const { digest, userNamespace, readOnly } = wanted;
  const stat = sys.stat(image);
  if (stat.kind !== 'file') {
    throw new ColdsealError(
      'USAGE_NOT_A_FILE',
      `Cannot mount ${options.image}: it is a ${stat.kind}, expected a composefs image file`,
    );
  }
  const basedirs = options.basedir.map((dir) => (dir === '' ? '' : resolve(dir)));
  const absolute = (path: string | undefined): string | undefined =>
    path === undefined || path === '' ? path : resolve(path);
  const request: MountRequest = {
    image: options.image,
    target: resolve(options.dir),
    basedirs,
    verity: options.verity,
    readOnly,
    upperdir: absolute(options.upperdir),
    workdir: absolute(options.workdir),
    source: mountSource(resolve(options.image), stat),
  };
  checkMountOptions(request);
  const result = mountImage(sys, image, { request, digest, userNamespace, computeDigest });
  const warnings = mountWarnings(sys.kernelRelease(), result.fileVerity);
  return { ...result, dir: options.dir, basedirs, readOnly, warnings };
}

function decideReadOnly(options: MountOptions): boolean {
  const refuse = (problem: string): never => {
    throw new ColdsealError('USAGE_MOUNT_OPTIONS', `Cannot mount ${options.image}: ${problem}`);
  };
  if (options.ro && options.rw) refuse('expected --ro or --rw, not both');
  if (options.rw && options.upperdir === undefined) {
    refuse('expected --upperdir and --workdir with --rw, an image itself is never written');
  }
  return options.ro || options.upperdir === undefined;
}

function openNamed(sys: Sys, path: string, what: string): Fd {
  try {
    return sys.open(path);
  } catch (error) {
    throw explainSysError(error, `Cannot open the ${what} ${path}`);
  }
}

/** What was enforced, in lines. */
export function describeMount(report: MountReport): string[] {
  const where =
    report.imageMount === 'detached' ? 'not attached anywhere' : 'through a temporary directory';
  return [
    `mounted at    ${report.dir} (${report.readOnly ? 'read-only' : 'writable'})`,
    `image digest  ${report.imageDigest}`,
    `file verity   ${report.fileVerity}`,
    `image         from the ${report.image}, ${where}`,
    `layers        ${report.basedirs.join(', ')}`,
  ];
}

/** Unmounts a composefs mount; returns the source that the mount table showed. */
export function unmountImage(
  dir: string,
  options: { lazy: boolean },
  sys: Pick<Sys, 'unmount'> = createNodeSys(),
): string {
  const target = resolve(dir);
  const entry = mountAt(target);
  if (entry === undefined || dataLayersOf(entry).length === 0) {
    const found =
      entry === undefined ? 'nothing is mounted there' : `${entry.type} is mounted there`;
    throw new ColdsealError(
      'USAGE_NOT_MOUNTED',
      `Cannot unmount ${dir}: ${found}, expected a composefs mount`,
    );
  }
  try {
    sys.unmount(target, { detach: options.lazy });
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw explainSysError(error, `Cannot unmount ${dir}`);
    throw new ColdsealError('HOST_MOUNT_BUSY', `Cannot unmount ${dir}: something uses it`, {
      hint: 'end what runs or stands there (see fuser -vm), or use --lazy',
    });
  }
  return showBytes(entry.source);
}
