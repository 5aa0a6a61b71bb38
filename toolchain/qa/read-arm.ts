/**
 * A release as an arm of a measuring run: what release.json says of it, and a digest of the files that a board can
 * boot, so that a run which goes on later can tell whether they are still the same.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { explainSysError } from '../../runtime/sys-error.ts';
import { requireDirectory } from '../files/require-directory.ts';
import { DISK_FILE } from '../sign/release-files.ts';
import { readReleaseRecord } from '../sign/release-record.ts';
import type { ArmRelease } from './driver.ts';

/** As records have it. */
const oneLine = z
  .string()
  .min(1)
  .max(512)
  // oxlint-disable-next-line no-control-regex -- what must not be in it
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/);

const releaseJson = z.object({
  releaseId: oneLine,
  version: oneLine,
  builtAt: z.int().min(0).optional(),
  boards: z.array(z.string()).optional(),
  boot: z.object({ board: z.string() }).nullable().optional(),
});

export interface ReadArm {
  readonly release: ArmRelease;
  /** SHA-256 over the files that decide what boots, lower-case hexadecimal. */
  readonly sha256: string;
  /** The board that it was made for; null where it names none, or several. */
  readonly board: string | null;
}

/** What decides what a board boots. timings.json and the like differ with every build. */
const DECIDING_FILES = ['release.json', 'manifest.cose', DISK_FILE];
const STEP = 4 * 1024 * 1024;

/** Reads a release directory. Throws FORMAT_RELEASE_JSON, HOST_NOT_FOUND, USAGE_NOT_A_DIRECTORY. */
export function readArm(given: string, from: string): ReadArm {
  const dir = resolve(from, given);
  requireDirectory(dir, 'Cannot measure the release');
  const {
    releaseId,
    version,
    builtAt = null,
    boards = [],
    boot,
  } = readReleaseRecord(dir, releaseJson);
  const only = boards.length === 1 ? boards[0]! : null;
  return {
    release: { given, dir, id: releaseId, version, builtAt },
    sha256: digestOf(dir),
    board: boot?.board ?? only,
  };
}

function digestOf(dir: string): string {
  const all = createHash('sha256');
  for (const name of DECIDING_FILES) {
    const path = join(dir, name);
    if (existsSync(path)) all.update(`${name} ${fileDigest(path)}\n`);
  }
  return all.digest('hex');
}

function fileDigest(path: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(STEP);
  try {
    const fd = openSync(path, 'r');
    try {
      for (let count; (count = readSync(fd, buffer)) > 0;) hash.update(buffer.subarray(0, count));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
  return hash.digest('hex');
}
