/**
 * `coldseal mkcomposefs`: the C tool of that name, with its flags, output and exit status.
 *
 * Every failure is exit status 1 with a line on stderr. Where the C tool's image would hold bytes that nobody
 * wrote, or its output file would be left half-written, this one does better (docs/composefs-differences.md).
 */
import { lstatSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  COMPOSEFS_VERSION_MAX_WRITTEN,
  INLINE_CONTENT_RECOMMENDED_MAX,
} from '../../runtime/format/composefs.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import type { Output } from '../cli/output.ts';
import { isInside } from '../files/is-inside.ts';
import { readInput } from '../files/read-input.ts';
import { buildImage } from '../image/build.ts';
import { byteStringOfText } from '../image/byte-string.ts';
import { parseDumpTable } from '../image/dumpfile.ts';
import type { EntryTable } from '../image/entry-table.ts';
import { scanTable } from '../image/scan.ts';
import { getopt } from './getopt.ts';
import { ImageOutput } from './image-output.ts';
import { strerror } from './strerror.ts';

const NAME = 'mkcomposefs';
const THREADS_MAX = 256;

const OPTIONS = {
  'digest-store': 'value',
  'from-file': 'flag',
  hardlinks: 'flag',
  'max-version': 'value',
  'min-version': 'value',
  'print-digest': 'flag',
  'print-digest-only': 'flag',
  'skip-devices': 'flag',
  'skip-xattrs': 'flag',
  threads: 'value',
  'use-epoch': 'flag',
  'user-xattrs': 'flag',
} as const;

/** What ends the tool: text for stderr and exit status 1. */
class Exit extends Error {}

/** Runs the tool and returns its exit status. */
export async function main(argv: string[], output: Output): Promise<number> {
  try {
    await run(readRequest(argv), output);
    return 0;
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    output.errorText(error.message);
    return 1;
  }
}

interface Request {
  readonly source: string;
  /** Undefined when only the digest is wanted. */
  readonly image: string | undefined;
  readonly flags: ReadonlySet<string>;
  readonly store: string | undefined;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly threads: number;
}

function readRequest(argv: readonly string[]): Request {
  const { options, operands, problem } = getopt(argv, { long: OPTIONS });
  const flags = new Set<string>();
  let store: string | undefined;
  let minVersion: number | undefined;
  let maxVersion: number | undefined;
  let threads = availableParallelism();
  for (const [name, value] of options) {
    // Without a name, the objects go below the working directory.
    if (name === 'digest-store') store = value === '' ? '.' : value;
    else if (name === 'min-version') minVersion = readInteger(value, 'min version');
    else if (name === 'max-version') maxVersion = readInteger(value, 'max version');
    else if (name === 'threads') threads = readThreads(value);
    else flags.add(name);
  }
  if (problem?.endsWith('requires an argument') === true) throw new Exit('option needs a value\n');
  if (problem !== undefined) throw new Exit(usage());
  const isDefault = minVersion === undefined && maxVersion === undefined;
  return {
    ...readOperands(operands, flags.has('print-digest-only')),
    flags,
    store,
    minVersion: minVersion ?? 0,
    maxVersion: maxVersion ?? (isDefault ? 1 : 0),
    threads,
  };
}

function readOperands(
  [source, image, ...rest]: readonly string[],
  isDigestOnly: boolean,
): Pick<Request, 'source' | 'image'> {
  if (source === undefined) throw new Exit(`No source path specified\n${usage()}`);
  if (source === '') throw new Exit(`${NAME}: Empty source path specified\n`);
  if (rest.length > 0) throw new Exit(`Too many arguments\n${usage()}`);
  if (image === undefined && !isDigestOnly) {
    throw new Exit(`No destination path specified\n${usage()}`);
  }
  if (image !== undefined && isDigestOnly) {
    throw new Exit(`Cannot specify destination path with --print-digest-only\n${usage()}`);
  }
  return { source, image };
}

/** A number as strtol(3) reads it and an int keeps it. */
function readInteger(text: string, what: string): number {
  if (!/^[\t\n\v\f\r ]*[+-]?[0-9]{1,1000}$/.test(text)) throw new Exit(`Invalid ${what} ${text}\n`);
  const value = BigInt(text.trim().replace(/^\+/, ''));
  const limit = value < 0n ? -(2n ** 63n) : 2n ** 63n - 1n;
  const isWithin = value < 0n ? value >= limit : value <= limit;
  return Number(BigInt.asIntN(32, isWithin ? value : limit));
}

function readThreads(text: string): number {
  const threads = readInteger(text, 'threads count');
  if (threads <= 0) throw new Exit(`Invalid threads count ${threads}\n`);
  return Math.min(threads, THREADS_MAX);
}

function usage(): string {
  const rows = [
    ['--digest-store=PATH', 'Copy the content of files into this object store'],
    ['--use-epoch', 'Set every modification time to zero'],
    ['--skip-devices', 'Leave out device nodes'],
    ['--skip-xattrs', 'Leave out all extended attributes'],
    ['--user-xattrs', 'Keep only extended attributes named user.*'],
    ['--print-digest', 'Print the fs-verity digest of the image'],
    ['--print-digest-only', 'Print the digest and write no image'],
    ['--from-file', 'SOURCE is a dump file, not a directory'],
    ['--min-version=N', 'Least format version (default=0)'],
    ['--max-version=N', 'Highest format version (default=1)'],
    ['--threads=N', `Threads that hash and copy (default=${availableParallelism()})`],
    ['--hardlinks', 'Keep the names of one file together (not in the C tool)'],
  ] as const;
  const lines = rows.map(([flag, help]) => `  ${flag.padEnd(21)} ${help}\n`);
  return `Usage: ${NAME} [OPTIONS] SOURCE IMAGE\nOptions:\n${lines.join('')}`;
}

async function run(request: Request, output: Output): Promise<void> {
  const { image, flags } = request;
  const target = image === undefined ? undefined : await openTarget(image, output);
  try {
    const versions = checkVersions(request);
    const root = flags.has('from-file') ? readDump(request) : await scan(request, output);
    const consume = (bytes: Uint8Array): void => target?.write(bytes);
    const { digest } = explain(() => buildImage(root, { versions, consume }), 'cannot write file');
    await explainAsync(async () => target?.commit(), 'cannot write file');
    if (flags.has('print-digest') || flags.has('print-digest-only')) output.line(digest);
  } finally {
    target?.abandon();
  }
}

async function openTarget(image: string, output: Output): Promise<ImageOutput> {
  try {
    return await ImageOutput.open(image, output);
  } catch (error) {
    if (error instanceof ColdsealError && error.code === 'USAGE_BYTES_TO_TERMINAL') {
      throw new Exit(`${NAME}: stdout is a tty.  Refusing to use it\n`);
    }
    throw exitFor(error, 'failed to open output file');
  }
}

/** The C tool's rule: with either flag given the other is 0, and the maximum is at least the minimum. */
function checkVersions({ minVersion: min, maxVersion: max }: Request): {
  min: number;
  max: number;
} {
  const isKnown = (version: number): boolean =>
    version >= 0 && version <= COMPOSEFS_VERSION_MAX_WRITTEN;
  if (!isKnown(min) || !isKnown(max)) {
    throw new Exit(`${NAME}: cannot write file: Invalid argument\n`);
  }
  return { min, max: Math.max(min, max) };
}

function readDump({ source }: Request): EntryTable {
  const bytes = explain(() => readInput(source), `open \`${source}\``);
  // Set to anything, even to nothing, as the C tool has it.
  const lenient = process.env['CFS_PARSE_STRICT'] === undefined;
  return explain(() => parseDumpTable(bytes, { lenient }), '');
}

async function scan(request: Request, output: Output): Promise<EntryTable> {
  const { source, flags, store } = request;
  const type = explain(() => lstatSync(source), `error accessing ${source}`);
  if (flags.has('skip-xattrs') && flags.has('user-xattrs')) {
    throw new Exit(`${NAME}: error accessing ${source}: Invalid argument\n`);
  }
  if (!type.isDirectory()) throw new Exit(`${NAME}: cannot write file: Not a directory\n`);
  if (store !== undefined && isInside(store, source)) {
    throw new Exit(`${NAME}: cannot fill store: ${store} lies inside the source ${source}\n`);
  }
  const { table } = await explainAsync(
    () =>
      scanTable(byteStringOfText(source), {
        algorithm: 'sha256',
        inlineMax: INLINE_CONTENT_RECOMMENDED_MAX,
        threads: request.threads,
        useEpoch: flags.has('use-epoch'),
        skipDevices: flags.has('skip-devices'),
        xattrs: flags.has('skip-xattrs') ? 'none' : flags.has('user-xattrs') ? 'user' : 'all',
        hardlinks: flags.has('hardlinks'),
        store,
        interrupted: output.interrupted,
      }),
    '',
  );
  return table;
}

function explain<T>(work: () => T, doing: string): T {
  try {
    return work();
  } catch (error) {
    throw exitFor(error, doing);
  }
}

async function explainAsync<T>(work: () => Promise<T>, doing: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw exitFor(error, doing);
  }
}

/**
 * The line for an error: with `doing`, what was tried and the system's words, as the C tool has it; our own
 * sentence when the error says more. What is neither of the system nor ours goes on as it is.
 */
function exitFor(error: unknown, doing: string): unknown {
  const cause = error instanceof ColdsealError ? error.cause : error;
  if (doing !== '' && errnoOf(cause) !== undefined) {
    return new Exit(`${NAME}: ${doing}: ${strerror(cause)}\n`);
  }
  return error instanceof ColdsealError ? new Exit(`${NAME}: ${error.message}\n`) : error;
}
