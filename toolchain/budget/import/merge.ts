/**
 * Several sources of one boot on one clock: loader, kernel and system have each their own, and an event that two of
 * them have ties them. Pure.
 *
 * The first source stays and the others are moved onto its clock. All common events must then agree; sources without
 * one in common are refused. Where the tie is the kernel's start, the loader's last instant is laid onto the zero of
 * the kernel's clock: what the kernel does before it has a clock is not in the record, and a flag says so.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { type BootFlag, EVIDENCE_CLASSES } from '../measured-boot.ts';
import type { ImportedBoot } from './importer.ts';
import { boundedRows, MS, plausibleNs } from './plausible.ts';

/** One boot as one importer read it. */
export interface MergeSource {
  readonly format: string;
  readonly boot: ImportedBoot;
}

/** Clocks that are read by different programs at what is called one event differ by less than this. */
const AGREEMENT_NS = 20 * MS;

/** What systemd takes to stamp its own start; 0.4 s on the emulated system of test/vectors/boot-logs. */
const SYSTEMD_STARTS_NS = 1000 * MS;

/** Events that tie clocks, best first. Others have the same names by accident. */
const TIES = ['kernel', 'init', 'os-loader', 'payload', 'u-boot', 'kernel-output'] as const;

/** Clocks that begin with the kernel. */
const KERNEL_ZERO = 'kernel';

/** Merges the sources of one boot. Throws FORMAT_BOOT_LOG_MERGE. */
export function mergeBoots(sources: readonly MergeSource[]): ImportedBoot {
  const [first, ...others] = sources;
  let merged = first!.boot;
  let named = first!.format;
  for (const { format, boot } of others) {
    merged = mergeTwo(merged, named, boot, format);
    named = `${named} and ${format}`;
  }
  const told = new Set<string>();
  const flags = merged.flags.filter(({ message }) => {
    return !told.has(message) && told.add(message) !== undefined;
  });
  return boundedRows({ ...merged, flags });
}

function mergeTwo(a: ImportedBoot, aName: string, b: ImportedBoot, bName: string): ImportedBoot {
  const at = ({ events }: ImportedBoot, name: string): number | undefined =>
    events.find((event) => event.name === name)?.atNs;
  const common = TIES.filter((name) => at(a, name) !== undefined && at(b, name) !== undefined);
  const tie = common[0];
  if (tie === undefined) throw noTie(a, aName, b, bName);
  const shift = at(a, tie)! - at(b, tie)!;
  const allowed = AGREEMENT_NS + (a.clock.uncertaintyNs ?? 0) + (b.clock.uncertaintyNs ?? 0);
  for (const name of common) {
    const apartNs = Math.abs(at(b, name)! + shift - at(a, name)!);
    // Who runs first in userspace is told apart by the kernel and by systemd by what it takes to start systemd.
    const startsNs = name === 'init' && tie === 'kernel' ? SYSTEMD_STARTS_NS : 0;
    if (apartNs <= allowed + startsNs) continue;
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_MERGE',
      `${aName} and ${bName} agree about ${tie}, and about ${name} they are ${apartNs / MS} ms apart`,
      { hint: 'they are probably of different boots' },
    );
  }
  const own = namedBy(a, b);
  if (own === undefined) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_MERGE',
      `${aName} is of the board ${a.board!}, and ${bName} of ${b.board!}`,
      { hint: 'they are probably of different boots' },
    );
  }
  // The clock that begins earlier is that of the record.
  const isEarlier = shift < 0;
  const moved = isEarlier ? [shifted(a, -shift), b] : [a, shifted(b, shift)];
  const clock = isEarlier ? b.clock : a.clock;
  return {
    ...a,
    ...own,
    // A record is worth what its weakest figure is.
    evidence: EVIDENCE_CLASSES.find((name) => [a, b].some(({ evidence }) => evidence === name))!,
    isEmulated: a.isEmulated || b.isEmulated,
    clock: {
      name: a.clock.name === b.clock.name ? clock.name : `${a.clock.name} and ${b.clock.name}`,
      zero: clock.zero,
      uncertaintyNs: sumOrNull(a.clock.uncertaintyNs, b.clock.uncertaintyNs),
    },
    outcome: a.outcome === 'failed' || b.outcome === 'failed' ? 'failed' : 'booted',
    reason: a.reason ?? b.reason,
    stages: mergedStages(moved[0]!, moved[1]!),
    units: moved.flatMap(({ units }) => units),
    events: moved.flatMap(({ events }) => events),
    flags: [...a.flags, ...b.flags, ...gapFlag(tie, a, b)],
  };
}

/** The board and the release, whichever source names them; undefined where the boards are two. */
function namedBy(
  a: ImportedBoot,
  b: ImportedBoot,
): Pick<ImportedBoot, 'board' | 'release'> | undefined {
  const board = a.board ?? b.board;
  if (b.board !== undefined && b.board !== board) return undefined;
  return {
    ...(board === undefined ? {} : { board }),
    release: a.release ?? b.release ?? null,
  };
}

function sumOrNull(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function noTie(a: ImportedBoot, aName: string, b: ImportedBoot, bName: string): ColdsealError {
  const ties = ({ events }: ImportedBoot): string =>
    TIES.filter((tie) => events.some(({ name }) => name === tie)).join(', ') || 'none';
  return new ColdsealError(
    'FORMAT_BOOT_LOG_MERGE',
    `${aName} and ${bName} have no event in common that ties their clocks: ` +
      `the first has ${ties(a)}, the second ${ties(b)}`,
    { hint: `expected one of ${TIES.join(', ')} in both` },
  );
}

/**
 * Of the same stage the first source's rows stay, since it was named first; an end that it does not know is the
 * other's. Stages are one after the other, so where sources differ a little the later begins when the earlier ends.
 */
function mergedStages(a: ImportedBoot, b: ImportedBoot): ImportedBoot['stages'] {
  const word = (name: string): string => name.split(' ', 1)[0]!;
  const own = new Set(a.stages.map(({ name }) => word(name)));
  const kept = a.stages.map((row) => {
    const end = b.stages.findLast(({ name }) => word(name) === word(row.name))?.endNs ?? null;
    return row.endNs === null && end !== null && end >= row.startNs ? { ...row, endNs: end } : row;
  });
  const added = b.stages.filter(({ name }) => !own.has(word(name)));
  const rows = [...kept, ...added].sort((x, y) => x.startNs - y.startNs);
  let lastEnd = 0;
  return rows.map((row) => {
    const startNs = Math.max(row.startNs, Math.min(lastEnd, row.endNs ?? Infinity));
    lastEnd = Math.max(lastEnd, row.endNs ?? 0);
    return { ...row, startNs };
  });
}

function shifted(boot: ImportedBoot, byNs: number): ImportedBoot {
  const move = (ns: number): number => plausibleNs(ns + byNs, 'a time on the common clock');
  const row = <T extends { readonly startNs: number; readonly endNs: number | null }>(
    each: T,
  ): T => ({
    ...each,
    startNs: move(each.startNs),
    endNs: each.endNs === null ? null : move(each.endNs),
  });
  return {
    ...boot,
    stages: boot.stages.map(row),
    units: boot.units.map(row),
    events: boot.events.map(({ name, atNs }) => ({ name, atNs: move(atNs) })),
  };
}

/** A clock from before the kernel, tied to one that the kernel starts. */
function gapFlag(tie: string, a: ImportedBoot, b: ImportedBoot): BootFlag[] {
  const kernels = [a, b].filter(({ clock }) => clock.zero === KERNEL_ZERO).length;
  if (tie !== 'kernel' || kernels !== 1) return [];
  return [
    {
      code: 'BUDGET_FLAG_KERNEL_GAP',
      message:
        'between the last instant of the loader and the first tick of the kernel’s clock the kernel ' +
        'unpacks itself: that time is in no source',
      isUnusable: false,
    },
  ];
}
