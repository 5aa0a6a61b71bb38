/** `coldseal status`: the record of this boot for people; `--json` gives the record itself. */
import type { BootRecord, StartedContainer } from '../format/boot-record.ts';
import { requireRecord } from './booted.ts';
import { type DeviceCommand, fact, ms } from './command.ts';

export const statusCommand: DeviceCommand = {
  name: 'status',
  about: () => 'what this boot did, and how long it took',
  run: (engine) => {
    const record = requireRecord(engine);
    return { lines: describeRecord(record), result: record };
  },
};

/** A record, one fact a line. */
export function describeRecord(record: BootRecord): string[] {
  const { release, clock, stages } = record;
  const before = clock.beforeKernelNs;
  const end = stages.at(-1)?.endNs ?? null;
  return [
    fact('outcome', record.outcome),
    fact('slot', record.slot ?? 'none'),
    fact('release', release === null ? 'none' : `${release.version} ${release.id}`),
    ...(release === null ? [] : [fact('role', release.role)]),
    fact('product', record.product),
    fact('board', record.board, record.isProduction ? '(production)' : '(development)'),
    fact('kernel', record.kernel),
    fact('engine', record.engine),
    ...record.attempts.flatMap(({ slot, reason }) =>
      reason === null ? [] : fact(`refused ${slot}`, `${reason.code}:`, reason.message),
    ),
    fact('before kernel', before === null ? 'unknown' : `${ms(before)} (${clock.counter})`),
    ...stages.map(({ name, startNs, endNs }) =>
      fact(
        name,
        `at ${ms(startNs)}`,
        endNs === null ? 'did not end' : `took ${ms(endNs - startNs)}`,
      ),
    ),
    ...(end === null ? [] : [fact('kernel to init', ms(end))]),
    ...(end === null || before === null ? [] : [fact('total', ms(before + end))]),
    ...record.images.map(({ name, role, digest, measured, fileVerity, mountedAt }) =>
      fact(`image ${name}`, `${role}, ${measured} ${digest}, files ${fileVerity}, at ${mountedAt}`),
    ),
    ...record.containers.map(describeContainer),
    ...record.notes.map(({ code, message }) => fact('note', `${code}:`, message)),
  ];
}

/** What became of a container, in a line. */
export function describeContainer(container: StartedContainer): string {
  const { name, start, startNs, startedNs, firstOutputNs, reason } = container;
  const label = `container ${name}`;
  if (reason !== null) return fact(label, `${start},`, `${reason.code}:`, reason.message);
  const started = startedNs === null ? 'not started' : `started in ${ms(startedNs - startNs)}`;
  const heard = firstOutputNs === null ? 'no output yet' : `first output at ${ms(firstOutputNs)}`;
  return fact(label, `${start}, ${started}, ${heard}`);
}
