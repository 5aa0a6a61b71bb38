/** One boot as lines of text: what was booted, how it was measured, and each stage. Pure. */
import type { MeasuredBoot } from '../budget/measured-boot.ts';
import { formatMs } from './text-chart.ts';
import { textTable } from './text-table.ts';

/** The lines of a boot. */
export function describeBoot(id: string, record: MeasuredBoot): string[] {
  const { release, clock, reason, source } = record;
  const conditions = Object.entries(record.conditions).map(([name, value]) => `${name}=${value}`);
  const uncertainty =
    clock.uncertaintyNs === null ? 'uncertainty unknown' : `± ${formatMs(clock.uncertaintyNs)} ms`;
  return [
    `boot       ${id}`,
    `board      ${record.board}${record.specimen === null ? '' : `, ${record.specimen}`}`,
    `evidence   ${record.evidence}`,
    `start      ${record.start ?? 'unknown'}`,
    ...(conditions.length === 0 ? [] : [`conditions ${conditions.join(', ')}`]),
    `release    ${release === null ? 'unknown' : release.version}`,
    ...(release === null || release.id === null ? [] : [`release id ${release.id}`]),
    `measured   ${record.measuredAt ?? 'at an unknown time'}`,
    `clock      ${clock.name}, 0 is ${clock.zero}, ${uncertainty}`,
    `outcome    ${record.outcome}${reason === null ? '' : `: ${reason}`}`,
    `source     ${source.format}, ${source.file}`,
    ...record.flags.map(({ code, message, isUnusable }) => {
      return `${isUnusable ? 'unusable' : 'flag'}   ${code}: ${message}`;
    }),
    ...stageLines(record),
    ...eventLines(record),
    ...(record.units.length === 0 ? [] : [`${record.units.length} units are in the record`]),
  ];
}

function stageLines({ stages }: MeasuredBoot): string[] {
  if (stages.length === 0) return [];
  const rows = stages.map(({ name, startNs, endNs }) => [
    name,
    formatMs(startNs),
    endNs === null ? '-' : formatMs(endNs),
    endNs === null ? '-' : formatMs(endNs - startNs),
  ]);
  return ['', ...textTable(['stage', 'start ms', 'end ms', 'took ms'], rows, [1, 2, 3])];
}

function eventLines({ events }: MeasuredBoot): string[] {
  if (events.length === 0) return [];
  const rows = events.map(({ name, atNs }) => [name, formatMs(atNs)]);
  return ['', ...textTable(['event', 'at ms'], rows, [1])];
}
