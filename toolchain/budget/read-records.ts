/**
 * Reading files of boot records: JSON lines of any of the kinds that hold a boot, mixed as they come.
 *
 * `coldseal-measured-boot` is what importers write, `coldseal-virtual-boot` what `boot --out` keeps, and
 * `coldseal-boot-record` the file /run/coldseal/boot.json of a device. A file is read line by line and never held
 * whole, so that ten thousand boots fit; one line that is wrong refuses the file, because a report over the rest
 * would be about other boots than the ones that were asked for.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { checkBootReport } from '../board/boot-report.ts';
import { firstProblem } from '../config/explain-issue.ts';
import { readStdin } from '../files/read-input.ts';
import { fromBootRecord } from './from-boot-record.ts';
import { fromVirtualBoot } from './from-virtual-boot.ts';
import { MEASURED_BOOT, MEASURED_BOOT_KIND, type MeasuredBoot } from './measured-boot.ts';

export interface RecordFile {
  /** Without its directory. */
  readonly file: string;
  /** Of the whole file, lower-case hexadecimal. */
  readonly sha256: string;
  /** The kinds of its lines, or the importers that made them, sorted and separated by `+`. */
  readonly format: string;
  /** In the order of the file. */
  readonly boots: readonly MeasuredBoot[];
}

/** A line of a systemd board with every unit has 100 kB; an evidence file with ten thousand boots some megabytes. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** More is a mistake, or wants a history. */
const BOOTS_MAX = 1_000_000;
const STEP = 1 << 20;
const NEWLINE = 0x0a;

/**
 * A clock of the kernel is steered by an oscillator of at most some hundred parts in a million, which is 0.2 ms in two
 * seconds, and stages end some microseconds before they are stamped.
 */
const SELF_CLOCK_UNCERTAINTY_NS = 1_000_000;

const count = z.int().min(0);
const stageIo = z.strictObject({
  name: z.string().min(1).max(512),
  reads: count,
  readBytes: count,
  writes: count,
  writeBytes: count,
});

const virtualBoot = z.looseObject({
  schema: z.literal(1),
  evidence: z.enum(['virtual', 'virtual-wallclock']),
  board: z.string().min(1).max(64),
  release: z
    .looseObject({ id: z.string().min(1).max(128), version: z.string().min(1).max(128) })
    .nullable(),
  record: z.unknown(),
  storage: z.looseObject({ stages: z.array(stageIo).max(256).optional() }).optional(),
});

/** Calls back with each line and its number, and returns the file's SHA-256. `-` is stdin. Throws FORMAT_*, HOST_*. */
export function readLines(path: string, onLine: (line: string, number: number) => void): string {
  const hash = createHash('sha256');
  let number = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  const take = (piece: Buffer): void => {
    hash.update(piece);
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, start)) {
      rest.push(piece.subarray(start, end));
      onLine(Buffer.concat(rest).toString('utf8'), ++number);
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    restBytes += piece.length - start;
    if (restBytes > LINE_BYTES_MAX) {
      throw refusal(path, number + 1, `has more than ${LINE_BYTES_MAX} bytes`);
    }
    // The buffer is used again for the next piece.
    if (start < piece.length) rest.push(Buffer.from(piece.subarray(start)));
  };
  if (path === '-') take(readStdin());
  else readPieces(path, take);
  if (restBytes > 0) onLine(Buffer.concat(rest).toString('utf8'), ++number);
  return hash.digest('hex');
}

function readPieces(path: string, take: (piece: Buffer) => void): void {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    if (fstatSync(fd).isDirectory()) {
      throw new ColdsealError(
        'USAGE_NOT_A_FILE',
        `Cannot read ${path}: it is a directory, expected a file of boot records`,
        { hint: 'boot --out DIR writes DIR/boot-records.jsonl' },
      );
    }
    const buffer = Buffer.allocUnsafe(STEP);
    for (;;) {
      const count = readSync(fd, buffer, 0, STEP, null);
      if (count === 0) return;
      take(buffer.subarray(0, count));
    }
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Reads a file of records. Throws FORMAT_BOOT_RECORDS with the number of the line that is wrong. */
export function readRecords(path: string): RecordFile {
  const { file, sha256, format, boots } = readGrowingRecords(path);
  // Records that were never in a file belong to this one.
  const own = { file, sha256 };
  return {
    ...own,
    format,
    boots: boots.map((boot) =>
      boot.source.sha256 === '' ? { ...boot, source: { ...boot.source, ...own } } : boot,
    ),
  };
}

/** The same, with records that were never in a file left without one: to a history a journal may grow. */
export function readGrowingRecords(path: string): RecordFile {
  const file = path === '-' ? 'stdin' : basename(path);
  const boots: MeasuredBoot[] = [];
  const formats = new Set<string>();
  const sha256 = readLines(path, (line, number) => {
    if (line.trim() === '') return;
    if (boots.length === BOOTS_MAX) throw refusal(path, number, `is boot ${BOOTS_MAX + 1}`);
    const boot = parseRecord(line, file, (problem, cause) => refusal(path, number, problem, cause));
    formats.add(boot.source.format);
    boots.push(boot);
  });
  if (boots.length === 0) throw refusal(path, 1, 'is not there: the file has no record');
  return { file, sha256, format: [...formats].sort().join('+'), boots };
}

type Refuse = (problem: string, cause?: unknown) => ColdsealError;

/** One line of a file, in any of its kinds. `refuse` makes the error from what is wrong. */
export function parseRecord(line: string, file: string, refuse: Refuse): MeasuredBoot {
  const value = parseJson(line, refuse);
  const { kind } = (value ?? {}) as { readonly kind?: unknown };
  const source = (format: string): MeasuredBoot['source'] => ({ format, file, sha256: '' });
  if (kind === MEASURED_BOOT_KIND) {
    return check(MEASURED_BOOT, value, refuse);
  }
  if (kind === 'coldseal-virtual-boot') {
    const boot = check(virtualBoot, value, refuse);
    const record = checkRecord(boot.record, refuse);
    return fromVirtualBoot({ ...boot, record }, source('virtual-boot'));
  }
  if (kind === 'coldseal-boot-record') {
    return fromBootRecord(checkRecord(value, refuse), {
      evidence: 'board-selfclock',
      start: null,
      specimen: null,
      conditions: {},
      measuredAt: null,
      uncertaintyNs: SELF_CLOCK_UNCERTAINTY_NS,
      source: source('boot-record'),
    });
  }
  throw refuse(
    `has the kind ${JSON.stringify(kind ?? null).slice(0, 100)}, expected a boot record`,
  );
}

function parseJson(line: string, refuse: Refuse): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (error) {
    const isCut = line.startsWith('{') && !line.endsWith('}');
    throw refuse(isCut ? 'was cut off' : 'is not JSON', error);
  }
}

function check<S extends z.ZodType>(schema: S, value: unknown, refuse: Refuse): z.output<S> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw refuse(firstProblem(parsed.error, schema, 'the record'));
}

function checkRecord(value: unknown, refuse: Refuse): ReturnType<typeof checkBootReport> {
  try {
    return checkBootReport(value);
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    throw refuse(error.message.replace(/^.*?: /, ''), error);
  }
}

function refusal(path: string, line: number, problem: string, cause?: unknown): ColdsealError {
  const shown = path === '-' ? 'stdin' : path;
  return new ColdsealError(
    'FORMAT_BOOT_RECORDS',
    `Cannot read the boot records of ${shown}: line ${line} ${problem}`,
    {
      hint: path.endsWith('.cose')
        ? `signed evidence is verified first: coldseal verify ${path} --trust ROOT -o report.json`
        : 'expected JSON lines as boot --out, records import or a device write them; logs are imported first',
      cause,
    },
  );
}
