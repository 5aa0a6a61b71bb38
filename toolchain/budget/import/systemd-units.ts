/**
 * When systemd's units started: the JSON of `systemd-analyze plot`, and `systemctl show` of units. Pure.
 *
 * The plot cuts every stamp off at the end of the boot, but not the column `time`; so a unit ends that long after it
 * began. Stamps are microseconds since the kernel's start, and 0 is "never".
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { BOOT_NS_MAX, type MeasuredBoot } from '../measured-boot.ts';
import { rowName } from './log-input.ts';
import { US } from './plausible.ts';

export interface UnitSources {
  readonly plot: string | undefined;
  /** Properties by name, a block a unit. */
  readonly units: readonly ReadonlyMap<string, string>[];
}

interface UnitStamps {
  readonly name: string;
  readonly startUs: number;
  /** Null: it was still starting, or nobody knows. */
  readonly endUs: number | null;
}

/** Units that began during the boot, and how many have times that cannot be. */
export function unitRows(
  { plot, units }: UnitSources,
  kernelNs: number,
  finishNs: number | null,
): { units: MeasuredBoot['units']; left: number } {
  const rows: MeasuredBoot['units'] = [];
  let left = 0;
  for (const { name, startUs, endUs } of [...plotUnits(plot), ...shownUnits(units)]) {
    if (startUs === 0) continue;
    const startNs = kernelNs + startUs * US;
    const endNs = endUs === null ? null : kernelNs + endUs * US;
    if (!isTime(startNs) || (endNs !== null && !isTime(endNs))) left++;
    // A timer may start a unit long after the boot.
    else if (finishNs === null || startNs <= finishNs) {
      rows.push({ name: rowName(name), track: 'unit', startNs, endNs });
    }
  }
  return { units: rows, left };
}

function isTime(ns: number): boolean {
  return Number.isSafeInteger(ns) && ns <= BOOT_NS_MAX;
}

/** systemd 257 has a legend behind the JSON, unless it is given --no-legend. */
const LEGEND = /\]\s{0,10}(?:(\d{1,9}) units? listed\.)?\s{0,10}$/i;

function plotUnits(plot: string | undefined): UnitStamps[] {
  if (plot === undefined) return [];
  const [legend, count] = LEGEND.exec(plot.slice(-200)) ?? [];
  const json = legend === undefined ? plot : plot.slice(0, plot.length - legend.length + 1);
  let rows: unknown;
  try {
    rows = JSON.parse(json);
  } catch (cause) {
    const problem = rowName((cause as Error).message);
    throw new ColdsealError('FORMAT_BOOT_LOG_TRUNCATED', `the plot is not whole: ${problem}`, {
      cause,
    });
  }
  const units = rows as unknown[];
  if (count !== undefined && Number(count) !== units.length) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `the plot has ${units.length} units, and says that it has ${count}`,
    );
  }
  return units.map(plotUnit);
}

function plotUnit(row: unknown, index: number): UnitStamps {
  const fields = (typeof row === 'object' && row !== null ? row : {}) as Record<string, unknown>;
  const { name, activating, activated, time } = fields;
  const isNumber = (value: unknown): value is number => typeof value === 'number' && value >= 0;
  if (
    typeof name !== 'string' ||
    !isNumber(activating) ||
    !isNumber(activated) ||
    !isNumber(time)
  ) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      `row ${index} of the plot is no unit with its times`,
    );
  }
  // Without a time a unit was active at once, or was never; the plot then puts it at the end of the boot.
  const isKnown = time > 0 || activated === activating;
  return { name, startUs: activating, endUs: isKnown ? activating + time : null };
}

function shownUnits(units: readonly ReadonlyMap<string, string>[]): UnitStamps[] {
  return units.flatMap((unit) => {
    const name = unit.get('Id');
    if (name === undefined) return [];
    const stamp = (key: string): number => Number(unit.get(`${key}TimestampMonotonic`) ?? 0);
    const [startUs, activeUs, overUs] = [
      stamp('InactiveExit'),
      stamp('ActiveEnter'),
      stamp('InactiveEnter'),
    ];
    // A unit that is done at once was never active; systemd-analyze counts until it was over.
    const endUs = activeUs >= startUs ? activeUs : overUs >= startUs ? overUs : null;
    return [{ name, startUs, endUs }];
  });
}
