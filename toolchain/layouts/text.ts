/** A comparison as tables of text: times, what the disk read, sizes and what is verified, ratios. Pure. */
import { formatBytes } from '../cli/progress.ts';
import { textTable } from '../history/text-table.ts';
import { plain, ratioRows, referenceOf } from './ratios.ts';
import type { Figure, LayoutResult, LayoutsDocument } from './result.ts';

export interface TextStyle {
  readonly bold: (text: string) => string;
}

/** All tables. */
export function layoutsTable(document: LayoutsDocument, style: TextStyle): string[] {
  const part = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', style.bold(title), ...lines];
  return [
    style.bold(headline(document)),
    ...aboutLines(document).map(plain),
    ...part('Times of the board, ms', timesTable(document)),
    ...part('Read from the disk, cold', readsTable(document)),
    plain(storageLine(document)),
    ...part('Room', roomTable(document)),
    ...part('What is verified', verifiedTable(document)),
    ...part(ratioTitle(document), ratiosTable(document)),
  ];
}

function headline({ tree, board, layouts }: LayoutsDocument): string {
  return (
    `${plain(tree.name)}: ${tree.files} files of ${formatBytes(tree.bytes)} in ` +
    `${layouts.length} layouts on ${board.id}`
  );
}

function aboutLines({ board, startup, statFiles, images, seed, runs }: LayoutsDocument): string[] {
  const { emulator, machine, cpu, memoryMiB, kernel } = board;
  return [
    `${emulator}, ${machine}, ${cpu}, ${memoryMiB} MiB, Linux ${kernel}; one instruction is one nanosecond`,
    `start-up set: ${startup.paths.length} files of ${formatBytes(startup.bytes)} (${startup.from}); ` +
      `stat: ${statFiles} files; seed ${seed}`,
    `${images.count} similar images: ${images.changed} files changed and ${images.added} added in each`,
    agreement(runs),
  ];
}

/** How well runs agree, as a sentence. */
export function agreement({ count, largestDifference }: LayoutsDocument['runs']): string {
  if (largestDifference === null) return 'one run, so that none could disagree';
  return `${count} runs differ by at most ${(largestDifference * 100).toFixed(2)}% of a figure`;
}

const FIGURES = [1, 2, 3, 4, 5, 6, 7];

function timesTable({ layouts }: LayoutsDocument): string[] {
  const head = ['layout', 'mount', 'ls cold', 'warm', 'stat cold', 'warm', 'start-up cold', 'warm'];
  const rows = layouts.map(({ title, mount, list, stat, startup }) => [
    title,
    ...[mount, list.cold, list.warm, stat.cold, stat.warm, startup.cold, startup.warm].map(ms),
  ]);
  return textTable(head, rows, FIGURES);
}

/** Milliseconds with two digits, as the board's clock has them. */
export function ms({ ns }: { readonly ns: number }): string {
  return (ns / 1e6).toFixed(2);
}

const COLD = [
  ['mount', ({ mount }: LayoutResult) => mount],
  ['ls', ({ list }: LayoutResult) => list.cold],
  ['stat', ({ stat }: LayoutResult) => stat.cold],
  ['start-up', ({ startup }: LayoutResult) => startup.cold],
] as const;

function readsTable({ layouts, storage }: LayoutsDocument): string[] {
  const head = COLD.flatMap(([name]) => [
    `${name}: reads`,
    'KiB',
    ...(storage === null ? [] : ['modelled ms']),
  ]);
  const cells = ({ reads, readBytes, modelledNs }: Figure): string[] => [
    String(reads),
    (readBytes / 1024).toFixed(0),
    ...(modelledNs === null ? [] : [ms({ ns: modelledNs })]),
  ];
  const rows = layouts.map((layout) => [
    layout.title,
    ...COLD.flatMap(([, of]) => cells(of(layout))),
  ]);
  return textTable(
    ['layout', ...head],
    rows,
    head.map((_, i) => i + 1),
  );
}

/** What the modelled column is, as a sentence. */
export function storageLine({ storage }: LayoutsDocument): string {
  if (storage === null) return 'no storage is modelled: the board file has no rate of one';
  const { board, kind, mbPerS, evidence, latencyUs } = storage;
  const latency = latencyUs === null ? 'its latency is not known' : `${latencyUs} us for each read`;
  return `modelled, not measured: ${kind} of ${board} at ${mbPerS} MB/s (${evidence}; ${latency})`;
}

function roomTable({ layouts, images }: LayoutsDocument): string[] {
  const head = [
    'layout',
    'build s',
    '1 image',
    `${images.count} images`,
    'of 1',
    'page cache',
    'second image',
  ];
  const rows = layouts.map(({ title, buildMs, bytes, cache }) => [
    title,
    (buildMs / 1000).toFixed(1),
    formatBytes(bytes.one),
    formatBytes(bytes.all),
    `${(bytes.all / bytes.one).toFixed(2)}x`,
    signedBytes(cache.first),
    signedBytes(cache.other),
  ]);
  return textTable(head, rows, FIGURES.slice(0, 6));
}

/** `+1.9 MiB`; the page cache may also shrink. */
export function signedBytes(value: number): string {
  return value < 0 ? `-${formatBytes(-value)}` : `+${formatBytes(value)}`;
}

function verifiedTable({ layouts }: LayoutsDocument): string[] {
  const head = ['layout', 'modes, owners, times', 'verified of names and modes', 'of data'];
  const rows = layouts.map(({ title, keepsMetadata, verifiesMetadata, verifiesData }) => [
    title,
    keepsMetadata ? 'as in the tree' : 'not all',
    verifiesMetadata,
    verifiesData,
  ]);
  return textTable(head, rows, []);
}

function ratioTitle({ layouts }: LayoutsDocument): string {
  return `ls -lR as a multiple of ${referenceOf(layouts)?.title ?? ''}`;
}

function ratiosTable({ layouts }: LayoutsDocument): string[] {
  const rows = ratioRows(layouts).map(({ title, cold, warm, published }) => [
    title,
    times(cold),
    times(warm),
    published === undefined ? '' : times(published.cold),
    published === undefined ? '' : times(published.warm),
  ]);
  if (rows.length === 0) return [];
  return textTable(
    ['layout', 'cold', 'warm', 'published, cold', 'published, warm'],
    rows,
    FIGURES.slice(0, 4),
  );
}

/** `0.81x`. */
export function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}
