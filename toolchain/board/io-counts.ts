/**
 * Who read what: the disk's requests by stage, from the counters that a boot noted and QEMU's trace of the same boot.
 *
 * The two are independent. The guest's counters say how much was done by each mark; the trace says what each request
 * was. At every mark the first so many requests of the trace must have exactly the bytes that the guest counted, or
 * nothing is said at all. Pure.
 *
 * Reads are counted alike by both. For writes bytes decide, since Linux counts an empty flush as a write of nothing;
 * the number of writes is the disk's.
 */
import type { BootRecord, DiskCounters } from '../../runtime/format/boot-record.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { DiskRequest, DiskTrace } from './io-trace.ts';

export interface IoCount {
  readonly reads: number;
  readonly readBytes: number;
  readonly writes: number;
  readonly writeBytes: number;
}

/** `kernel`, a stage of the record, `between the stages`, or `first-output`: from the last stage to that. */
export interface StageIo extends IoCount {
  readonly name: string;
}

export interface IoCounts {
  /** Everything up to the last first output, in order; the sum is the total. */
  readonly stages: readonly StageIo[];
  readonly total: IoCount;
  /** Not of this boot's time: before the kernel took the disk, and after the last first output. */
  readonly outside: { readonly firmware: IoCount; readonly afterwards: IoCount };
}

export const BETWEEN = 'between the stages';
export const AFTER = 'first-output';

/** A board that did not boot when asked to count, or did not count, tells nothing of its disk. Throws HOST_IO_COUNT. */
export function requireCounted({ outcome, io, notes }: BootRecord): void {
  if (outcome !== 'booted') {
    const why = notes.map(({ message }) => `: ${message}`)[0] ?? '';
    throw refusal(`the board did not boot when it was asked to count${why}`, OLD);
  }
  if (io === undefined) throw refusal('the board did not count', OLD);
}

/** Attributes every request. Throws HOST_IO_COUNT where guest and QEMU do not agree, or where nobody counted. */
export function countIo(record: BootRecord, trace: DiskTrace): IoCounts {
  const counted = attributeIo(record, judgeCounters(trace.kernel));
  if (counted === undefined) throw refusal('the board did not count', OLD);
  const afterwards = minus(sum(trace.kernel), counted.total);
  return { ...counted, outside: { firmware: sum(trace.firmware), afterwards } };
}

/** The rows and total of a record by its own counters, which `read` may judge; undefined where nobody counted. */
export function attributeIo(
  { io, stages }: BootRecord,
  read: (name: string, counters: DiskCounters) => IoCount = asCounted,
): Omit<IoCounts, 'outside'> | undefined {
  if (io === undefined) return undefined;
  const rows: StageIo[] = [];
  let between = NOTHING;
  let at = NOTHING;
  const since = (name: string, counters: DiskCounters): IoCount => {
    const now = read(name, counters);
    const step = minus(now, at);
    at = now;
    return step;
  };
  for (const { name, startIo, endIo } of stages) {
    if (startIo !== undefined) between = plus(between, since(name, startIo));
    const step = endIo === undefined ? NOTHING : since(name, endIo);
    // Counting begins at the end of this stage, which reads the initramfs only: the driver is built in.
    const isOfKernel = name === 'policy' && startIo === undefined && endIo !== undefined;
    if (isOfKernel) rows.unshift({ name: 'kernel', ...step });
    rows.push({ name, ...(isOfKernel ? NOTHING : step) });
  }
  rows.push({ name: BETWEEN, ...between }, { name: AFTER, ...since('the end', io) });
  return { stages: rows, total: at };
}

function asCounted(_: string, counters: DiskCounters): IoCount {
  const { readRequests, readBytes, writeRequests, writeBytes } = counters;
  return { reads: readRequests, readBytes, writes: writeRequests, writeBytes };
}

/** What the disk did by the time the guest had counted so much; the result throws HOST_IO_COUNT where they differ. */
export function judgeCounters(
  requests: readonly DiskRequest[],
): (name: string, counters: DiskCounters) => IoCount {
  const readBytes = runningSum(requests, 'read');
  const writeBytes = runningSum(requests, 'write');
  return (name, counters) => {
    const { readRequests: reads } = counters;
    const writes = writeBytes.indexOf(counters.writeBytes);
    if (readBytes[reads] !== counters.readBytes) {
      throw refusal(
        `by ${name} the board has counted ${reads} reads of ${counters.readBytes} bytes, ` +
          `and QEMU ${describe(readBytes, reads)}`,
      );
    }
    if (writes < 0 || writes > counters.writeRequests) {
      throw refusal(
        `by ${name} the board has counted ${counters.writeBytes} bytes in ` +
          `${counters.writeRequests} writes, and QEMU never so: it has ${writeBytes.join(', ')}`,
      );
    }
    return { reads, readBytes: counters.readBytes, writes, writeBytes: counters.writeBytes };
  };
}

function describe(sums: readonly number[], count: number): string {
  const bytes = sums[count];
  return bytes === undefined ? `only ${sums.length - 1} reads` : `${bytes} bytes in as many`;
}

/** Bytes of the first n requests of a kind, by n. */
function runningSum(requests: readonly DiskRequest[], kind: DiskRequest['kind']): number[] {
  const sums = [0];
  for (const request of requests) {
    if (request.kind === kind) sums.push(sums.at(-1)! + request.bytes);
  }
  return sums;
}

function sum(requests: readonly DiskRequest[]): IoCount {
  const [reads, writes] = [runningSum(requests, 'read'), runningSum(requests, 'write')];
  return {
    reads: reads.length - 1,
    readBytes: reads.at(-1)!,
    writes: writes.length - 1,
    writeBytes: writes.at(-1)!,
  };
}

const NOTHING: IoCount = { reads: 0, readBytes: 0, writes: 0, writeBytes: 0 };

function plus(a: IoCount, b: IoCount): IoCount {
  return {
    reads: a.reads + b.reads,
    readBytes: a.readBytes + b.readBytes,
    writes: a.writes + b.writes,
    writeBytes: a.writeBytes + b.writeBytes,
  };
}

function minus(a: IoCount, b: IoCount): IoCount {
  return {
    reads: a.reads - b.reads,
    readBytes: a.readBytes - b.readBytes,
    writes: a.writes - b.writes,
    writeBytes: a.writeBytes - b.writeBytes,
  };
}

const OLD = 'the release was made by an older version of coldseal; make it again';

function refusal(problem: string, hint?: string): ColdsealError {
  return new ColdsealError(
    'HOST_IO_COUNT',
    `Cannot say what was read from the disk: ${problem}`,
    hint === undefined ? {} : { hint },
  );
}
