/**
 * Whether the objects of an image are there: in some object directory, a regular file of the right size, and on
 * request with the right content.
 *
 * Directories are searched in order and the first one that has the path decides, as overlayfs does with its
 * data layers; a right object further down would never be read.
 */
import { closeSync, constants, lstatSync, openSync } from 'node:fs';
import { verityAlgorithmOfDigestSize } from '../../runtime/format/fsverity.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import type { Output } from '../cli/output.ts';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';
import { byteStringOfText, nodePath, showBytes, type ByteString } from './byte-string.ts';
import type { ImageObject } from './objects.ts';

export type ObjectProblem = 'missing' | 'not-a-file' | 'wrong-size' | 'wrong-digest';

export interface ObjectFinding {
  readonly object: ImageObject;
  readonly problem: ObjectProblem;
  /** What was found instead. */
  readonly found: string;
}

/** Looks for one object; undefined when it is there and right. */
export function findObject(
  object: ImageObject,
  basedirs: readonly string[],
  isVerifying: boolean,
): ObjectFinding | undefined {
  for (const basedir of basedirs) {
    const path = nodePath(`${byteStringOfText(basedir)}/${object.path}` as ByteString);
    const stats = statOrNothing(path, object);
    if (stats === undefined) continue;
    if (!stats.isFile()) return { object, problem: 'not-a-file', found: 'not a regular file' };
    if (stats.size !== object.size) {
      return { object, problem: 'wrong-size', found: `${stats.size} bytes` };
    }
    return isVerifying ? checkDigest(object, path) : undefined;
  }
  return { object, problem: 'missing', found: 'nothing' };
}

function statOrNothing(
  path: string | Buffer,
  object: ImageObject,
): ReturnType<typeof lstatSync> | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw explainSysError(error, `Cannot look for object ${showBytes(object.path)}`);
  }
}

/** Reads the bytes whatever the kernel says: this is to find what storage did to them. */
function checkDigest(object: ImageObject, path: string | Buffer): ObjectFinding | undefined {
  if (object.digest === undefined) return undefined;
  const algorithm = verityAlgorithmOfDigestSize(object.digest.length / 2)!;
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOCTTY);
    const digest = computeDigest(fd, algorithm);
    return digest === object.digest
      ? undefined
      : { object, problem: 'wrong-digest', found: `digest ${digest}` };
  } catch (error) {
    // An I/O error is what fs-verity answers when stored bytes do not match.
    if (errnoOf(error) === 'EIO') return { object, problem: 'wrong-digest', found: 'an I/O error' };
    throw explainSysError(error, `Cannot read object ${showBytes(object.path)}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

export interface MissingReport {
  readonly findings: readonly ObjectFinding[];
  /** Objects that are there, but whose content nothing can vouch for. */
  readonly unverified: number;
}

/** Looks for all objects, with progress when their content is read. */
export function findMissing(
  objects: readonly ImageObject[],
  basedirs: readonly string[],
  isVerifying: boolean,
  output: Output,
): MissingReport {
  const total = objects.reduce((sum, { size }) => sum + size, 0);
  const progress = isVerifying
    ? output.progress('measure objects', { unit: 'bytes', total })
    : undefined;
  const findings: ObjectFinding[] = [];
  let unverified = 0;
  let done = 0;
  for (const object of objects) {
    output.interrupted.throwIfAborted();
    const finding = findObject(object, basedirs, isVerifying);
    if (finding !== undefined) findings.push(finding);
    else if (object.digest === undefined) unverified++;
    progress?.update((done += object.size));
  }
  progress?.done();
  return { findings, unverified };
}
