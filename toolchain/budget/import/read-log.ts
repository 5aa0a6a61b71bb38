/**
 * Logs on the host's disk: a file, stdin, a directory with everything in it, or a tar archive of one.
 *
 * A copy of /proc/device-tree or efivarfs is a directory of small files, and a board sends one as an archive. Links are
 * not followed, sizes are asked before anything is read, and nothing is unpacked to disk.
 */
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { explainSysError } from '../../../runtime/sys-error.ts';
import { readInput } from '../../files/read-input.ts';
import { LOG_BYTES_MAX, type LogInput } from './log-input.ts';
import { isTar, tarFiles } from './tar.ts';

const FILES_MAX = 10_000;
const DEPTH_MAX = 20;

/** Reads a log. Throws HOST_NOT_FOUND, HOST_PERMISSION, USAGE_NOT_A_FILE or FORMAT_BOOT_LOG_*. */
export function readLog(path: string): LogInput {
  const name = path === '-' ? 'stdin' : nameOf(path);
  if (path === '-') return logOf(name, readInput('-'));
  const stat = statOf(path);
  if (stat.isDirectory()) return { name, files: directoryFiles(path) };
  if (!stat.isFile() && !stat.isFIFO()) {
    throw new ColdsealError(
      'USAGE_NOT_A_FILE',
      `Cannot read ${path}: it is a device, expected a log`,
    );
  }
  if (stat.size > LOG_BYTES_MAX) throw sizeError(path, `it has ${stat.size} bytes`);
  return logOf(name, readInput(path));
}

/** A name may have any bytes, and a record has lines of text. */
function nameOf(path: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is being replaced
  return (basename(path) || path).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?').slice(0, 255);
}

function logOf(name: string, bytes: Buffer): LogInput {
  if (!isTar(bytes)) return { name, files: new Map([[name, bytes]]) };
  return { name, files: tarFiles(bytes, name) };
}

function statOf(path: string): ReturnType<typeof statSync> & object {
  try {
    return statSync(path);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
}

function sizeError(path: string, what: string): ColdsealError {
  return new ColdsealError(
    'FORMAT_BOOT_LOG_SIZE',
    `Cannot read ${path}: ${what}, expected at most ${LOG_BYTES_MAX}`,
    { hint: 'cut the log down to the boot' },
  );
}

/** The files below a directory, by their paths within it, sorted by name. */
function directoryFiles(root: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let total = 0;
  const walk = (relative: string, depth: number): void => {
    if (depth > DEPTH_MAX)
      throw sizeError(root, `it is nested deeper than ${DEPTH_MAX} directories`);
    for (const entry of entriesOf(join(root, relative))) {
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory()) walk(path, depth + 1);
      if (!entry.isFile()) continue;
      const bytes = boundedFile(join(root, path), LOG_BYTES_MAX - total);
      total += bytes.length;
      files.set(path, bytes);
      if (files.size > FILES_MAX) throw sizeError(root, `it has more than ${FILES_MAX} files`);
    }
  };
  walk('', 0);
  return files;
}

function entriesOf(directory: string): Dirent[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw explainSysError(error, `Cannot read ${directory}`);
  }
}

function boundedFile(path: string, max: number): Uint8Array {
  if (statOf(path).size > max)
    throw sizeError(path, 'with the files before it there are too many bytes');
  return readInput(path);
}
