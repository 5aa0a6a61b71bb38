/**
 * `mount.composefs`: the mount helper, with the C tool's options, messages and exit status.
 *
 * Different on purpose (docs/composefs-differences.md): an empty digest is an error and not "no
 * digest"; `tryverity` looks whether the objects have fs-verity, so it never makes a mount in which
 * no file opens; `\:` in basedir is a colon of a path. Options and messages follow
 * tools/mountcomposefs.c 1.0.8.
 */
import { resolve } from 'node:path';
import { libc } from '../../runtime/engines/node/libc.ts';
import { createNodeSys } from '../../runtime/engines/node/sys.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { mountImage } from '../../runtime/mount-steps.ts';
import {
  checkMountOptions,
  type MountRequest,
  parseImageDigest,
  type VerityMode,
} from '../../runtime/mounts.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import type { Fd, Sys } from '../../runtime/sys.ts';
import type { Output } from '../cli/output.ts';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';
import { getopt } from './getopt.ts';

const NAME = 'mount.composefs';

const USAGE = `usage: ${NAME} [-t type] [-o opt[,opts..]] IMAGE MOUNTPOINT
Example:
  ${NAME} -o basedir=/composefs/objects exampleimage.cfs /mnt/exampleimage
or, as a mount helper:
  mount -t composefs -o basedir=/composefs/objects exampleimage.cfs /mnt/exampleimage

Supported options:
  basedir=PATH[:PATH]    Specify location of basedir(s)
  digest=DIGEST          Specify required image digest
  idmap=PATH             Specify path to a user namespace whose ID mapping should be used
  verity                 Require all files to have specified and valid fs-verity digests
  tryverity              If supported by kernel, require fs-verity
  ro                     Read only
  rw                     Read/write
  upperdir               Overlayfs upperdir
  workdir                Overlayfs workdir
`;

/** A message of the tool; everything but help ends with status 1. */
class Refusal extends Error {
  readonly withUsage: boolean;

  constructor(message: string, withUsage = false) {
    super(message);
    this.withUsage = withUsage;
  }
}

interface HelperOptions {
  basedirs: string[];
  digest?: string;
  idmap?: string;
  upperdir?: string;
  workdir?: string;
  verity: boolean;
  tryverity: boolean;
  ro: boolean;
}

/** Runs the tool; returns its exit status. */
export function main(argv: string[], output: Output): Promise<number> {
  try {
    return Promise.resolve(run(argv, output));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    output.errorText(
      error.withUsage ? `${error.message}\n${USAGE}` : `${NAME}: ${error.message}\n\n`,
    );
    return Promise.resolve(1);
  }
}

function run(argv: string[], output: Output): number {
  const { options: given, operands, problem } = getopt(argv, { short: 'ht:o:' });
  if (problem !== undefined) throw new Refusal(`${NAME}: ${problem}`, true);
  let mountOptions: string | undefined;
  for (const [letter, value] of given) {
    if (letter === 'h') {
      output.errorText(USAGE);
      return 0;
    }
    if (letter === 'o') mountOptions = value;
    else if (value !== 'composefs') throw new Refusal(`Unsupported fs type '${value}'`);
  }
  const [image, target] = operands;
  if (image === undefined) throw new Refusal('No source path specified', true);
  if (target === undefined) throw new Refusal('No mount path specified', true);
  const options = readOptions(mountOptions);
  if (options.basedirs.length === 0) throw new Refusal('No object dirs specified', true);
  if ((options.upperdir === undefined) !== (options.workdir === undefined)) {
    throw new Refusal('Both workdir and upperdir must be specified if used');
  }
  mountWith(createNodeSys(), image, target, options);
  return 0;
}

/** Splits at commas that have no backslash; the last option wins. */
function readOptions(text: string | undefined): HelperOptions {
  const options: HelperOptions = { basedirs: [], verity: false, tryverity: false, ro: false };
  for (const part of text === undefined ? [] : splitUnescaped(text, ',')) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    const raw = equals < 0 ? undefined : part.slice(equals + 1);
    const need = (): string => {
      if (raw === undefined) throw new Refusal(`No value specified for ${key} option`);
      return raw;
    };
    if (key === 'basedir') options.basedirs = readBasedirs(need());
    else if (key === 'digest' || key === 'upperdir' || key === 'workdir' || key === 'idmap') {
      options[key] = unescape(need());
    } else if (key === 'verity' || key === 'tryverity') options[key] = true;
    else if (key === 'rw' || key === 'ro') options.ro = key === 'ro';
    else throw new Refusal(`Unsupported option ${key}`);
  }
  return options;
}

function readBasedirs(value: string): string[] {
  const dirs = splitUnescaped(value, ':').map(unescape);
  if (dirs.includes('')) throw new Refusal('Value for basedir option has incorrect format');
  return dirs;
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts = [''];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === separator) parts.push('');
    else if (text[i] === '\\' && i + 1 < text.length)
      parts[parts.length - 1] += text.slice(i, ++i + 1);
    else parts[parts.length - 1] += text[i]!;
  }
  return parts;
}

function unescape(text: string): string {
  return text.replace(/\\(.?)/gs, '$1');
}

function mountWith(sys: Sys, image: string, target: string, options: HelperOptions): void {
  const userNamespace =
    options.idmap === undefined
      ? undefined
      : open(sys, options.idmap, `Failed to open userns ${options.idmap}`);
  const fd = open(sys, image, `Failed to open ${image}`);
  // A digest implies verity, so that "if supported" cannot weaken it.
  const isRequired = options.verity || options.digest !== undefined;
  const verity: VerityMode = isRequired ? 'require' : options.tryverity ? 'if-supported' : 'off';
  const absolute = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(path);
  try {
    const request: MountRequest = {
      image,
      target: resolve(target),
      basedirs: options.basedirs.map((dir) => resolve(dir)),
      verity,
      readOnly: options.ro,
      upperdir: absolute(options.upperdir),
      workdir: absolute(options.workdir),
      source: 'composefs',
    };
    checkMountOptions(request);
    mountImage(sys, fd, {
      request,
      digest: options.digest === undefined ? undefined : parseImageDigest(options.digest),
      userNamespace,
      computeDigest,
      skipObjectCheck: isRequired,
    });
  } catch (error) {
    throw new Refusal(`Failed to mount composefs ${image}: ${messageOf(error)}`);
  } finally {
    sys.close(fd);
    if (userNamespace !== undefined) sys.close(userNamespace);
  }
}

function open(sys: Sys, path: string, doing: string): Fd {
  try {
    return sys.open(path);
  } catch (error) {
    throw new Refusal(`${doing}: ${messageOf(error)}`);
  }
}

/** What the C tool says: two sentences of its own, and else the C library's words for the errno. */
function messageOf(error: unknown): string {
  const code = error instanceof ColdsealError ? error.code : '';
  if (code === 'VERIFY_IMAGE_NO_VERITY' || code === 'HOST_NO_VERITY')
    return 'Image has no fs-verity';
  if (code === 'VERIFY_IMAGE_DIGEST') return 'Image has wrong fs-verity';
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const errno = errnoOf(cause);
    if (errno !== undefined) return libc().messageOf(errno);
  }
  const isRefused = code.startsWith('USAGE_') || code.startsWith('FORMAT_');
  if (!isRefused && !code.startsWith('HOST_')) throw error;
  return libc().messageOf(isRefused ? 'EINVAL' : 'ENODEV');
}
