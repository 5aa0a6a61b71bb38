/**
 * Boots sorted into groups whose figures may stand beside each other, and their figures in columns. Pure.
 *
 * A group is one kind of evidence, one kind of start, one set of conditions; never more, since a mean over two
 * populations describes neither. The two classes of a virtual board are one group, of the weaker class that is in it.
 * Nothing is left out: a boot that never ended has no total and stays in its place, as does one that is no evidence.
 */
import { identityOf } from '../history/identity.ts';
import type {
  DeclaredConstant,
  EvidenceBudget,
  SampleSet,
  StageColumn,
  Summary,
} from './evidence.ts';
import { type MeasuredTotal, stretchOf, totalOf } from './events.ts';
import {
  type BootFlag,
  EVIDENCE_CLASSES,
  type EvidenceClass,
  isRealBoard,
  MEASURED_BOOT,
  type MeasuredBoot,
  stageOf,
  type StartKind,
} from './measured-boot.ts';
import { summarize } from './statistics/quantiles.ts';

/** Everything that decides which group a boot is in. */
export interface GroupKey {
  readonly id: string;
  readonly evidence: EvidenceClass;
  readonly start: StartKind | null;
  readonly conditions: Readonly<Record<string, string>>;
}

export interface CollectedGroup extends GroupKey {
  readonly samples: SampleSet;
  /** Constants that some of the totals contain. */
  readonly constants: readonly DeclaredConstant[];
  /** Of the clock, the largest of its boots, and of the constants. Null when a boot does not say. */
  readonly uncertaintyNs: number | null;
}

/** Sorts boots, which are in run order, into groups. The order of groups is that of their identifiers. */
export function collectGroups(
  boots: readonly MeasuredBoot[],
  budget: EvidenceBudget,
): CollectedGroup[] {
  const byGroup = new Map<string, MeasuredBoot[]>();
  for (const boot of boots) {
    const id = groupIdOf(boot);
    const group = byGroup.get(id);
    if (group === undefined) byGroup.set(id, [boot]);
    else group.push(boot);
  }
  return [...byGroup]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, members]) => collectGroup(id, members, budget));
}

/** Which group a boot is in: `virtual-cold`, `board-gpio-cold-temperature=-30C`. */
export function groupIdOf({ evidence, start, conditions }: MeasuredBoot): string {
  const family = isRealBoard(evidence) ? evidence : 'virtual';
  return [family, start ?? 'start-unknown', ...conditionWords(conditions)].join('-');
}

/** Conditions in the order of their names, `name=value`. */
export function conditionWords(conditions: Readonly<Record<string, string>>): string[] {
  return Object.keys(conditions)
    .sort()
    .map((name) => `${name}=${conditions[name]!}`);
}

function collectGroup(
  id: string,
  given: readonly MeasuredBoot[],
  budget: EvidenceBudget,
): CollectedGroup {
  const boots = inRunOrder(given);
  const [first] = boots;
  const { start, conditions } = first!;
  const totals = boots.map((boot) => totalOf(boot, budget));
  const constants = budget.constants.filter((each) =>
    totals.some((total) => total.constants.includes(each)),
  );
  const clockNs = boots.reduce<number | null>(
    (most, { clock: { uncertaintyNs } }) =>
      most === null || uncertaintyNs === null ? null : Math.max(most, uncertaintyNs),
    0,
  );
  const repeats = repeatFlags(boots);
  const flags = boots.flatMap((boot, index) =>
    [...boot.flags, ...missingFlags(boot, totals[index]!.missing, budget), ...repeats[index]!].map(
      (flag) => ({ boot: index, flag }),
    ),
  );
  const unusable = new Set(flags.flatMap(({ boot, flag }) => (flag.isUnusable ? [boot] : [])));
  const totalsNs = totals.map(({ totalNs }, index) => (unusable.has(index) ? null : totalNs));
  const names = namesOf(boots);
  return {
    id,
    evidence: weakest(boots),
    start,
    conditions,
    constants,
    uncertaintyNs:
      clockNs === null
        ? null
        : constants.reduce((sum, { uncertaintyNs }) => sum + uncertaintyNs, clockNs),
    samples: {
      releases: names.releases,
      specimens: names.specimens,
      boots: boots.length,
      releaseOf: names.releaseOf,
      specimenOf: names.specimenOf,
      measuredAt: boots.map(({ measuredAt }) => measuredAt),
      totalsNs,
      stages: stageColumns(boots, budget),
      total: summaryOf(totalsNs),
      flags,
      typical: typicalOf(boots, totalsNs),
    },
  };
}

/** A plan counts boots in the order they were run: by their times, or as they come where one does not say its own. */
function inRunOrder(boots: readonly MeasuredBoot[]): readonly MeasuredBoot[] {
  if (boots.some(({ measuredAt }) => measuredAt === null)) return boots;
  return [...boots].sort((a, b) => Date.parse(a.measuredAt!) - Date.parse(b.measuredAt!));
}

/**
 * A boot that is given twice proves nothing more, and thirty would pass for sixty. Only boots of an emulator may be
 * equal in everything: those of a board differ in the log they are from, if not in their nanoseconds.
 */
function repeatFlags(boots: readonly MeasuredBoot[]): BootFlag[][] {
  const seen = new Map<string, number>();
  return boots.map((boot, index) => {
    if (!isRealBoard(boot.evidence)) return [];
    const identity = identityOf(boot);
    const first = seen.get(identity);
    if (first === undefined) {
      seen.set(identity, index);
      return [];
    }
    const message = `the record of boot ${first} again: one boot is there twice`;
    return [{ code: 'BUDGET_FLAG_REPEATED', message, isUnusable: true }];
  });
}

function weakest(boots: readonly MeasuredBoot[]): EvidenceClass {
  return EVIDENCE_CLASSES.find((name) => boots.some(({ evidence }) => evidence === name))!;
}

/** A boot that says it got up, in a record without the budget's events, is no evidence about the budget. */
function missingFlags(
  { outcome, clock }: MeasuredBoot,
  missing: MeasuredTotal['missing'],
  { start, stop }: EvidenceBudget,
): BootFlag[] {
  // A boot that failed is over whatever the budget is, from wherever its clock counts.
  if (missing === null || outcome === 'failed') return [];
  const flag = (code: string, message: string): BootFlag => ({ code, message, isUnusable: true });
  if (missing === 'start') {
    const message =
      `the budget begins at ${start}, and the record's clock at ${clock.zero}: ` +
      `declare what lies between as a constant of the board file's budget`;
    return [flag('BUDGET_FLAG_NO_START', message)];
  }
  if (missing === 'order') {
    return [flag('BUDGET_FLAG_STOP_BEFORE_START', `${stop} came before ${start}`)];
  }
  return [
    flag('BUDGET_FLAG_NO_STOP', `the budget ends at ${stop}, which the record does not have`),
  ];
}

type Names = Pick<SampleSet, 'releases' | 'releaseOf' | 'specimens' | 'specimenOf'>;

function namesOf(boots: readonly MeasuredBoot[]): Names {
  const releases: SampleSet['releases'][number][] = [];
  const specimens: string[] = [];
  const releaseOf = boots.map(({ release }) => {
    if (release === null) return -1;
    const { id, version } = release;
    const known = releases.findIndex((each) => each.id === id && each.version === version);
    return known >= 0 ? known : releases.push({ id, version }) - 1;
  });
  const specimenOf = boots.map(({ specimen }) => {
    if (specimen === null) return -1;
    const known = specimens.indexOf(specimen);
    return known >= 0 ? known : specimens.push(specimen) - 1;
  });
  return { releases, releaseOf, specimens, specimenOf };
}

/** By boot. */
type Durations = (number | null)[];

/** Stages in the order of the boots, then stretches as the budget lists them. */
function stageColumns(boots: readonly MeasuredBoot[], budget: EvidenceBudget): StageColumn[] {
  const columns = new Map<string, Durations>();
  boots.forEach(({ stages }, index) => {
    for (const { name, startNs, endNs } of stages) {
      const column = columnOf(columns, stageOf(name), boots.length);
      // A stage with a row that did not end has no duration.
      const sum = column[index] ?? 0;
      column[index] = endNs === null || sum === BROKEN ? BROKEN : sum + endNs - startNs;
    }
  });
  const budgets = new Map(budget.stages.map(({ name, ns }) => [name, ns]));
  // A budget for a stage that no record has is a column of unknowns, so that it cannot pass unseen.
  for (const { name } of budget.stages) {
    if (name === BEFORE_KERNEL && !columns.has(name))
      columns.set(name, beforeKernel(columns, boots.length));
    columnOf(columns, name, boots.length);
  }
  return [
    ...[...columns].map(([name, durations]) => columnFrom(name, durations, budgets.get(name))),
    ...budget.stretches.map(({ name, from, to, ns }) =>
      columnFrom(
        name,
        boots.map((boot) => stretchOf(boot, from, to)),
        ns,
      ),
    ),
  ];
}

/** The processor's counter tells of one stretch before the kernel, firmware and loaders of its two parts. */
const BEFORE_KERNEL = 'before-kernel';
const PARTS = ['firmware', 'loader'];

function beforeKernel(columns: ReadonlyMap<string, Durations>, boots: number): Durations {
  const parts = PARTS.flatMap((name) => {
    const column = columns.get(name);
    return column === undefined ? [] : [column];
  });
  return Array.from({ length: boots }, (_, boot) => {
    const known = parts.map((column) => column[boot]!).filter((ns) => ns !== null);
    if (known.includes(BROKEN)) return BROKEN;
    return known.length === 0 ? null : known.reduce((sum, ns) => sum + ns, 0);
  });
}

/** Stands in a column, while it is made, for a stage that did not end. */
const BROKEN = -1;

function columnOf(columns: Map<string, Durations>, name: string, length: number): Durations {
  const found = columns.get(name);
  if (found !== undefined) return found;
  const column = Array.from<number | null>({ length }).fill(null);
  columns.set(name, column);
  return column;
}

function columnFrom(
  name: string,
  durations: readonly (number | null)[],
  budgetNs: number | undefined,
): StageColumn {
  const durationsNs = durations.map((ns) => (ns === BROKEN ? null : ns));
  return { name, durationsNs, summary: summaryOf(durationsNs), budgetNs: budgetNs ?? null };
}

/** Of what is known; null where nothing is. */
export function summaryOf(values: readonly (number | null)[]): Summary | null {
  const known = values.filter((ns) => ns !== null);
  if (known.length === 0) return null;
  const { n, min, median, p95, max } = summarize(known);
  return { n, minNs: min, medianNs: median, p95Ns: p95, maxNs: max };
}

/** The boot in the middle, the earlier one of two. */
function typicalOf(
  boots: readonly MeasuredBoot[],
  totalsNs: readonly (number | null)[],
): SampleSet['typical'] {
  const known = totalsNs.flatMap((ns, boot) => (ns === null ? [] : [{ ns, boot }]));
  known.sort((a, b) => a.ns - b.ns || a.boot - b.boot);
  const middle = known[Math.floor((known.length - 1) / 2)];
  if (middle === undefined) return null;
  // Parsed, so that its fields have the order in which an evidence file is read again.
  return { boot: middle.boot, record: MEASURED_BOOT.parse(boots[middle.boot]) };
}
