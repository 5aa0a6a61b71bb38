/**
 * Whether compressing the initramfs pays on a board: reading fewer bytes against unpacking them.
 *
 * A boot waits for `bytes / storage speed + archive / unpacking speed`. Each compression is a line over the time that a
 * byte takes to read; the fastest one at each storage speed is the lower envelope of these lines.
 */
import type { Fact } from '../board/figures.ts';
import type { Board } from '../board/schema.ts';
import { type Compression, COMPRESSIONS } from './initramfs.ts';

export interface CompressedSize {
  readonly compression: Compression;
  readonly bytes: number;
}

export interface CompressionCost extends CompressedSize {
  /** Time in the kernel until it is unpacked; undefined where the board file has no figure. */
  readonly unpackMs: number | undefined;
  /** Time to read and unpack it on this board; undefined where a figure is missing. */
  readonly totalMs: number | undefined;
}

/** The compression that is fastest from a storage speed on, up to that of the next range. */
export interface SpeedRange {
  readonly fromMbS: number;
  readonly compression: Compression;
}

export interface BreakEven {
  /** Sequential read, the measured figure before the vendor's. */
  readonly storageMbS: number | undefined;
  readonly costs: readonly CompressionCost[];
  /** Ascending by speed, the first from 0; only what has an unpacking figure takes part. */
  readonly fastest: readonly SpeedRange[];
  /** For this board; undefined where a figure is missing. */
  readonly best: Compression | undefined;
}

/** Bytes per millisecond in a MB/s. */
const BYTES_PER_MS = 1000;

/** The comparison for a board; `archiveBytes` is what is unpacked. */
export function breakEven(
  board: Pick<Board, 'storage' | 'decompress_mb_s'>,
  archiveBytes: number,
  sizes: readonly CompressedSize[],
): BreakEven {
  const [storage] = board.storage;
  const storageMbS = figureOf(storage?.measured_mb_s ?? storage?.ceiling_mb_s);
  const costs = [...sizes].sort(byOrder).map(({ compression, bytes }): CompressionCost => {
    const unpackMs = unpackTime(board, archiveBytes, compression);
    const readMs = storageMbS === undefined ? undefined : bytes / storageMbS / BYTES_PER_MS;
    const isKnown = unpackMs !== undefined && readMs !== undefined;
    return { compression, bytes, unpackMs, totalMs: isKnown ? readMs + unpackMs : undefined };
  });
  const fastest = lowerEnvelope(costs);
  const isComplete = costs.every(({ totalMs }) => totalMs !== undefined);
  const best = isComplete
    ? fastest.filter(({ fromMbS }) => fromMbS <= storageMbS!).at(-1)?.compression
    : undefined;
  return { storageMbS, costs, fastest, best };
}

/** The schema's shape of a figure loses its type on the way through zod. */
function figureOf(fact: unknown): number | undefined {
  return (fact as Fact | undefined)?.value;
}

function byOrder(a: CompressedSize, b: CompressedSize): number {
  return COMPRESSIONS.indexOf(a.compression) - COMPRESSIONS.indexOf(b.compression);
}

function unpackTime(
  { decompress_mb_s: speeds }: Pick<Board, 'decompress_mb_s'>,
  archiveBytes: number,
  compression: Compression,
): number | undefined {
  if (compression === 'none') return 0;
  const speed = figureOf(speeds[compression]);
  return speed === undefined ? undefined : archiveBytes / speed / BYTES_PER_MS;
}

/** From the slowest storage on: at 0 MB/s the fewest bytes win, and each later range has a shorter unpacking. */
function lowerEnvelope(costs: readonly CompressionCost[]): SpeedRange[] {
  const lines = costs.flatMap(({ compression, bytes, unpackMs }) =>
    unpackMs === undefined ? [] : [{ compression, bytes, unpackMs }],
  );
  const ranges: SpeedRange[] = [];
  let current = lines.reduce((best, line) =>
    line.bytes < best.bytes || (line.bytes === best.bytes && line.unpackMs < best.unpackMs)
      ? line
      : best,
  );
  for (let fromMbS = 0; ;) {
    ranges.push({ fromMbS, compression: current.compression });
    const next = lines
      .filter(({ unpackMs }) => unpackMs < current.unpackMs)
      .map((line) => ({
        line,
        at: (line.bytes - current.bytes) / (current.unpackMs - line.unpackMs) / BYTES_PER_MS,
      }))
      .sort((a, b) => a.at - b.at || a.line.unpackMs - b.line.unpackMs)[0];
    if (next === undefined) return ranges;
    current = next.line;
    fromMbS = next.at;
  }
}

/** The comparison in a line or two. */
export function breakEvenText({ storageMbS, costs, fastest, best }: BreakEven): string[] {
  const ms = (value: number | undefined): string =>
    value === undefined ? '?' : `${value.toFixed(1)} ms`;
  const each = costs.map(
    ({ compression, bytes, unpackMs, totalMs }) =>
      `${compression} ${bytes} bytes` +
      (totalMs === undefined ? `, unpacked in ${ms(unpackMs)}` : `, ${ms(totalMs)}`),
  );
  const ranges = fastest.map(({ fromMbS, compression }) =>
    fromMbS === 0 ? compression : `${compression} from ${fromMbS.toFixed(0)} MB/s on`,
  );
  const lacks = costs.flatMap(({ compression, unpackMs }) =>
    unpackMs === undefined ? [`decompress_mb_s.${compression}`] : [],
  );
  const at = storageMbS === undefined ? '' : ` at ${storageMbS} MB/s`;
  const bySpeed = `by storage speed: ${ranges.join(', ')}`;
  return [
    `${each.join('; ')}${at}`,
    lacks.length > 0
      ? `which is fastest cannot be told: the board file has no ${lacks.join(', ')}`
      : storageMbS === undefined
        ? `fastest ${bySpeed}; the board file has no storage[0].measured_mb_s`
        : `fastest here: ${best}; ${bySpeed}`,
  ];
}
