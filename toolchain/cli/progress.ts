/**
 * Progress on stderr: a bar with rate and remaining time on a terminal, one line per long stage elsewhere.
 *
 * Nothing is shown for work that takes less than a second. The clock, the timer and the stream are handed in, so the
 * tests draw bars without waiting.
 */

/** One stage of work being counted. */
export interface Progress {
  update(done: number, total?: number): void;
  done(): void;
}

export interface ProgressOptions {
  /** `step`: nothing is counted, such as a compiler's run; the line has the time alone. */
  readonly unit: 'bytes' | 'entries' | 'step';
  readonly total?: number;
}

export interface ProgressSink {
  /** `bar` redraws one line, `lines` prints finished stages, `silent` prints nothing. */
  readonly mode: 'bar' | 'lines' | 'silent';
  readonly write: (text: string) => void;
  readonly nowMs: () => number;
  readonly columns: () => number;
}

const SHOW_AFTER_MS = 1000;
const REDRAW_MS = 100;
const ERASE_LINE = '\r\u001b[K';

/** Begins a stage. */
export function startProgress(
  label: string,
  options: ProgressOptions,
  sink: ProgressSink,
): Progress {
  const startMs = sink.nowMs();
  let lastDrawMs = startMs + SHOW_AFTER_MS - REDRAW_MS;
  let drawn = false;
  let finished = false;
  let count = 0;
  let total = options.total;

  return {
    update(done, newTotal) {
      count = done;
      total = newTotal ?? total;
      const nowMs = sink.nowMs();
      if (sink.mode !== 'bar' || finished || nowMs - lastDrawMs < REDRAW_MS) return;
      lastDrawMs = nowMs;
      drawn = true;
      const line = formatBar(label, options.unit, count, total, nowMs - startMs, sink.columns());
      sink.write(ERASE_LINE + line);
    },
    done() {
      if (finished) return;
      finished = true;
      if (drawn) sink.write(ERASE_LINE);
      const elapsedMs = sink.nowMs() - startMs;
      if (sink.mode === 'silent' || elapsedMs < SHOW_AFTER_MS) return;
      const time = formatDuration(elapsedMs);
      if (options.unit === 'step') return sink.write(`${label}: ${time}\n`);
      const amount = formatAmount(count, options.unit);
      const rate = formatRate(count, options.unit, elapsedMs);
      sink.write(`${label}: ${amount} in ${time}, ${rate}\n`);
    },
  };
}

/** The line a bar shows, at most `columns - 1` characters so that it never wraps. */
export function formatBar(
  label: string,
  unit: ProgressOptions['unit'],
  done: number,
  total: number | undefined,
  elapsedMs: number,
  columns: number,
): string {
  if (unit === 'step') return label.slice(0, Math.max(0, columns - 1));
  const rate = formatRate(done, unit, elapsedMs);
  if (total === undefined || total <= 0) {
    return `${label} ${formatAmount(done, unit)} ${rate}`.slice(0, Math.max(0, columns - 1));
  }
  const fraction = Math.min(1, done / total);
  const percent = `${Math.floor(fraction * 100)}%`.padStart(4);
  const eta =
    done > 0 ? ` ETA ${formatDuration((elapsedMs * Math.max(0, total - done)) / done)}` : '';
  const tail = `${percent} ${formatAmount(done, unit)}/${formatAmount(total, unit)} ${rate}${eta}`;
  const width = Math.min(30, columns - label.length - tail.length - 5);
  const filled = Math.round(fraction * width);
  const bar = width < 5 ? '' : `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
  return `${label} ${bar}${tail}`.slice(0, Math.max(0, columns - 1));
}

function formatRate(done: number, unit: ProgressOptions['unit'], elapsedMs: number): string {
  const perSecond = elapsedMs > 0 ? (done * 1000) / elapsedMs : 0;
  if (unit !== 'bytes' && perSecond > 0 && perSecond < 1) {
    return `${formatDuration(elapsedMs / done)} each`;
  }
  return `${formatAmount(Math.round(perSecond), unit)}/s`;
}

function formatAmount(value: number, unit: ProgressOptions['unit']): string {
  return unit === 'bytes' ? formatBytes(value) : `${value}`;
}

/** A byte count for people, in binary units: `14.2 MiB`. */
export function formatBytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let amount = value;
  let step = 0;
  while (amount >= 1024 && step < units.length - 1) {
    amount /= 1024;
    step++;
  }
  return `${step === 0 ? amount : amount.toFixed(1)} ${units[step]}`;
}

/** A duration for people: `640 ms`, `3.2 s`, `2 min 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}
