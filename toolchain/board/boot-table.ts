/**
 * A boot for people: a table of stages with a bar against the budget, what was remarkable, what containers said.
 *
 * Lines of text without control characters of the guest; colour is the caller's.
 */
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import type { VirtualBoot } from './virtual.ts';
import type { BootTimes, TimeRow } from './boot-times.ts';

const BAR_WIDTH = 40;
const CONTAINER_LINES_MAX = 20;
const LEFT_COLUMNS = 1;

/** Styles that a line may have. */
export interface TableStyle {
  readonly bold: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** The report of one boot. */
export function bootTable(boot: VirtualBoot, style: TableStyle): string[] {
  const { record, times } = boot;
  return [
    style.bold(headline(boot)),
    ...attemptLines(record).map(style.yellow),
    '',
    ...stageLines(times, style),
    '',
    totalLine(times, style),
    ...containerLines(times),
    ...storageLines(boot),
    ...record.notes.map(({ code, message }) => style.yellow(`note: ${code}: ${oneLine(message)}`)),
    ...failureLines(record).map(style.red),
    ...outputLines(boot),
  ];
}

/** What several runs say about each other, and what kind of evidence that makes. */
export function agreementText(boots: readonly VirtualBoot[]): string {
  const { evidence, agreement } = boots.at(-1)!;
  if (agreement === undefined) return `evidence: ${evidence}; one run, so that none could disagree`;
  const { runs, maxDeviation, at, limit, isWithin } = agreement;
  const most =
    maxDeviation === 0 ? 'are equal' : `differ by ${percent(maxDeviation, 2)} of the total (${at})`;
  const verdict = isWithin ? `within ${percent(limit)}` : `more than ${percent(limit)}`;
  return `evidence: ${evidence}; ${runs} runs ${most}, ${verdict}`;
}

function headline({ record, board, emulator }: VirtualBoot): string {
  const release = record.release;
  const what = release === null ? 'no release' : `${record.product} ${release.version}`;
  const how = record.outcome === 'booted' ? `slot ${record.slot ?? '?'}` : record.outcome;
  const { name, version, machine, cpu, isKernelUnpacked } = emulator;
  const kernel = isKernelUnpacked ? ', kernel unpacked beforehand' : '';
  return `${what} on ${board} (${name} ${version}, ${machine}, ${cpu}${kernel}): ${how}`;
}

function attemptLines({ attempts }: BootRecord): string[] {
  return attempts.flatMap(({ slot, reason }) =>
    reason === null ? [] : [`slot ${slot} refused: ${reason.code}: ${oneLine(reason.message)}`],
  );
}

function stageLines(times: BootTimes, style: TableStyle): string[] {
  const scaleNs = Math.max(times.budgetNs, times.totalNs, 1);
  const header = ['stage', 'start ms', 'ms', 'share', 'end ms', 'budget'];
  const cells = times.rows.map(({ name, startNs, endNs, budgetNs }) => {
    const durationNs = endNs === null ? null : endNs - startNs;
    return [
      name,
      ms(startNs),
      durationNs === null ? 'not ended' : ms(durationNs),
      durationNs === null ? '' : percent(durationNs / Math.max(times.totalNs, 1)),
      endNs === null ? '' : ms(endNs),
      budgetNs === null ? '' : ms(budgetNs),
    ];
  });
  const [head, ...lines] = aligned([header, ...cells]);
  return [
    head!,
    ...times.rows.map((row, i) => {
      const text = `${lines[i]}  ${stretch(row, scaleNs)}`.trimEnd();
      return row.isOver ? style.red(text) : text;
    }),
  ];
}

/** Cells as lines of one table, names at the left and numbers at the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < LEFT_COLUMNS ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  '),
  );
}

/** Where a stage lies between power-on and the budget. */
function stretch({ startNs, endNs }: TimeRow, scaleNs: number): string {
  const column = (at: number): number =>
    Math.min(BAR_WIDTH - 1, Math.floor((at / scaleNs) * BAR_WIDTH));
  const from = column(startNs);
  const to = endNs === null ? from : Math.max(from, column(endNs - 1));
  return `${' '.repeat(from)}${(endNs === null ? '?' : '#').repeat(to - from + 1)}`;
}

function totalLine({ totalNs, totalUntil, budgetNs }: BootTimes, style: TableStyle): string {
  const isOver = totalNs > budgetNs;
  const filled = Math.min(BAR_WIDTH, Math.round((totalNs / budgetNs) * BAR_WIDTH));
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`;
  const left = isOver ? `${ms(totalNs - budgetNs)} over` : `${ms(budgetNs - totalNs)} left`;
  const share = percent(totalNs / budgetNs);
  const until = totalUntil.replace(/^the /, '');
  const text = `total ${ms(totalNs)} of ${ms(budgetNs)} ms ${bar} ${share}, ${left}; until the ${until}`;
  return isOver ? style.red(text) : text;
}

function containerLines({ containers }: BootTimes): string[] {
  return containers.map(({ name, startNs, startedNs, firstOutputNs }) => {
    const at = (ns: number | null): string => (ns === null ? 'never' : `${ms(ns)} ms`);
    const [asked, started, output] = [startNs, startedNs, firstOutputNs].map(at);
    return `container ${name}: asked for at ${asked}, started at ${started}, first output at ${output}`;
  });
}

/** What was counted, in a boot of its own, and what it would take: apart from the times, which it is no part of. */
function storageLines({ storage }: VirtualBoot): string[] {
  const { io, modelled } = storage;
  return [
    ...countLines(storage),
    ...modelled.map(({ kind, mbPerS, evidence, latencyUs, latencyEvidence, loadMs, readMs }) => {
      const latency =
        latencyUs === null
          ? 'its latency is not known'
          : `${latencyUs} us for each read, ${latencyEvidence}`;
      const reads = io === undefined ? '' : ` and ${readMs.toFixed(1)} ms for these reads`;
      const load = `${loadMs.toFixed(1)} ms for kernel and initramfs`;
      return (
        `modelled, not measured: ${kind} at ${mbPerS} MB/s (${evidence}; ${latency}) ` +
        `adds ${load}${reads}`
      );
    }),
  ];
}

/** Stages that read or wrote something, with a column of modelled time for each storage with a rate. */
function countLines({ io, stages = [], outside, modelled }: VirtualBoot['storage']): string[] {
  if (io === undefined) return [];
  const header = ['requests of the disk', 'reads', 'KiB', 'writes', 'KiB'];
  const rows = stages.flatMap((row, i) => {
    const { name, reads, readBytes, writes, writeBytes } = row;
    if (reads + writes === 0) return [];
    const times = modelled.map((storage) => storage.stages[i]!.modelledMs.toFixed(1));
    return [[name, `${reads}`, kib(readBytes), `${writes}`, kib(writeBytes), ...times]];
  });
  const columns = [...header, ...modelled.map(({ kind }) => `${kind}, modelled ms`)];
  const after = outside?.afterwards.reads ?? 0;
  return [
    '',
    ...aligned([columns, ...rows]),
    `read from the disk: ${io.readBytes} bytes in ${io.readRequests} requests, ` +
      `counted in a boot of its own; QEMU's trace agrees at every stage, ${after} more came later`,
  ];
}

const kib = (bytes: number): string => (bytes / 1024).toFixed(1);

function failureLines({ containers }: BootRecord): string[] {
  return containers.flatMap(({ name, reason }) =>
    reason === null ? [] : [`container ${name} failed: ${reason.code}: ${oneLine(reason.message)}`],
  );
}

/** The attendant puts the name of the container before each line that it copies to the console. */
function outputLines({ record, console }: VirtualBoot): string[] {
  const lines = console.split('\n');
  return record.containers.flatMap(({ name }) => {
    const said = lines.filter((line) => line.startsWith(`${name}: `));
    const more = said.length - CONTAINER_LINES_MAX;
    const shown = said.slice(0, CONTAINER_LINES_MAX).map((line) => `| ${oneLine(line)}`);
    return more > 0 ? [...shown, `| ${name}: and ${more} lines more`] : shown;
  });
}

/** Milliseconds with a tenth, as the board's clock has them. */
function ms(ns: number): string {
  return (ns / 1e6).toFixed(1);
}

function percent(part: number, digits = 1): string {
  return `${(part * 100).toFixed(digits)}%`;
}

function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a guest wrote it
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 500);
}
