/**
 * Evidence for tests of reports: made up, but as consistent as real one. Records come first, from a seeded generator;
 * columns are taken from the records, summaries from the columns, results from those, checks from the results.
 *
 * The statistics are the plain definitions, written once more and short, and no judge of the real ones.
 */
import { createHash } from 'node:crypto';
import {
  type Check,
  type CheckState,
  type ComplianceResult,
  type DeclaredConstant,
  type DriftResult,
  type Evidence,
  EVIDENCE_KIND,
  EVIDENCE_SCHEMA,
  type EvidenceBudget,
  type EvidenceBuild,
  type EvidenceGroup,
  type EvidenceSettings,
  type EvidenceSource,
  type Figure,
  type Outcome,
  type RegressionResult,
  type SampleSet,
  type Shift,
  type StageColumn,
  type StageShift,
  type Summary,
} from '../../toolchain/budget/evidence.ts';
import {
  type BootFlag,
  type EvidenceClass,
  isRealBoard,
  MEASURED_BOOT,
  MEASURED_BOOT_KIND,
  MEASURED_BOOT_SCHEMA,
  type MeasuredBoot,
  type StartKind,
  stageOf,
} from '../../toolchain/budget/measured-boot.ts';
import { VectorRng } from './vector-rng.ts';

const MS = 1e6;

/** What the sample called … shows. */
export const SAMPLES = {
  'virtual-clean': 'a virtual board and its baseline, equal to the nanosecond',
  'virtual-regression': 'a virtual board whose stage verify became slower than in its baseline',
  'board-within': 'a real board, 59 boots without exceedance, and a virtual one beside it',
  'board-over': 'a real board with 4 exceedances in 59 boots',
  'board-inconclusive': 'a real board with 20 boots of 59',
  'board-strata': 'two temperatures, of which the cold one is over',
  'board-unended': 'a real board where boots never ended, with flags, one of them unusable',
  'board-constants': 'a real board that timed itself, with declared constants and a guard band',
  'board-shift': 'a real board that is slower than its baseline by an estimate',
  systemd: 'a real board whose typical boot has 180 units side by side, some that never ended',
  history: 'forty builds, with a change of the level at the thirtieth',
  'one-boot': 'one boot and nothing else',
  'no-stages': 'boots of which only the total is known',
  'no-boot-ended': 'boots that all failed',
  'no-groups': 'nothing that could be judged',
  hostile: 'names that would break quoting, markup, tables, formulas and terminals',
} as const;
export type SampleName = keyof typeof SAMPLES;
export const SAMPLE_NAMES = Object.keys(SAMPLES) as SampleName[];

export interface SampleOptions {
  readonly sample: SampleName;
  readonly seed?: number;
  /** Boots of the first group, instead of those of the sample. */
  readonly boots?: number;
  /** Applied to every name that comes from outside: stages, units, board, releases, specimens … */
  readonly rename?: (name: string) => string;
}

/** Names as a schema lets them through: no control characters, 1 to 512 characters. */
export const HOSTILE_NAMES: readonly string[] = [
  '<script>alert(1)</script>',
  '"double" \'single\' `back`',
  'a,b;c\\d|e',
  '=HYPERLINK("http://example.org","x")',
  '+1+1',
  '-2',
  '@SUM(A1)',
  '</testsuite>]]>&amp;&#0;',
  '::error title=x::y%0A',
  '| a | **b** | [c](javascript:d) <img src=x onerror=e>',
  'Größe-日本語-😀-\u202edlrow',
  '\ud800 lone',
  '\uffff\ufffe',
  '\u2028\u2029',
  '{{ 7*7 }}${x}',
  ' leading and trailing ',
  '--',
  '__proto__',
  '../../etc/passwd',
  'n'.repeat(512),
  '😀'.repeat(256),
];

interface StageSpec {
  /** With what follows after a space: the row's. */
  readonly name: string;
  readonly ms: number;
  readonly reads?: number;
}

interface GroupSpec {
  readonly evidence: EvidenceClass;
  readonly start: StartKind | null;
  readonly conditions?: Readonly<Record<string, string>>;
  readonly boots: number;
  readonly baselineBoots?: number;
  readonly stages?: readonly StageSpec[];
  /** Milliseconds that the candidate's stage is slower by. */
  readonly slower?: { readonly stage: string; readonly ms: number };
  /** Boots that are far over the budget; evenly spread. */
  readonly slowBoots?: number;
  readonly unendedBoots?: number;
  readonly units?: number;
  readonly constants?: readonly DeclaredConstant[];
  readonly clockUncertaintyNs?: number | null;
  readonly zero?: string;
  readonly flags?: readonly { readonly boot: number; readonly flag: BootFlag }[];
}

const STAGES: readonly StageSpec[] = [
  { name: 'firmware', ms: 310 },
  { name: 'kernel', ms: 590 },
  { name: 'setup', ms: 26, reads: 4 },
  { name: 'verify a', ms: 61, reads: 12 },
  { name: 'mount root', ms: 24, reads: 30 },
  { name: 'mount store', ms: 13, reads: 9 },
  { name: 'containers', ms: 352, reads: 411 },
  { name: 'handover', ms: 31 },
];
const STAGE_BUDGETS_MS = { firmware: 400, kernel: 700, setup: 50, verify: 80, mount: 60 };
const CONTAINERS_MS = 450;

const SUPERVISOR: DeclaredConstant = {
  name: 'power supervisor and ROM',
  from: 'power-on',
  to: 'kernel',
  ns: 182 * MS,
  uncertaintyNs: 15 * MS,
  source: 'oscilloscope, ten boots, lab notebook 12',
  evidence: 'measured',
};

const GPIO = { evidence: 'board-gpio', start: 'cold', clockUncertaintyNs: 20_000 } as const;
const VIRTUAL = { evidence: 'virtual', start: 'cold', clockUncertaintyNs: 0 } as const;
const FLAGS: NonNullable<GroupSpec['flags']> = [
  {
    boot: 3,
    flag: { code: 'GAP', message: 'nothing was logged for 410 ms', isUnusable: false },
  },
  {
    boot: 7,
    flag: { code: 'CLOCK_STEP', message: 'the clock went back by 12 ms', isUnusable: true },
  },
];

const GROUPS: Readonly<Record<SampleName, readonly GroupSpec[]>> = {
  'virtual-clean': [{ ...VIRTUAL, boots: 3, baselineBoots: 3 }],
  'virtual-regression': [
    { ...VIRTUAL, boots: 3, baselineBoots: 3, slower: { stage: 'verify', ms: 46 } },
  ],
  'board-within': [
    { ...GPIO, boots: 59 },
    { ...VIRTUAL, boots: 2, baselineBoots: 2 },
  ],
  'board-over': [{ ...GPIO, boots: 59, slowBoots: 4 }],
  'board-inconclusive': [{ ...GPIO, boots: 20 }],
  'board-strata': [
    { ...GPIO, conditions: { temperature: '-30C' }, boots: 59, slowBoots: 3 },
    { ...GPIO, conditions: { temperature: '25C' }, boots: 59 },
  ],
  'board-unended': [{ ...GPIO, boots: 59, unendedBoots: 2, flags: FLAGS }],
  'board-constants': [
    {
      evidence: 'board-selfclock',
      start: 'cold',
      boots: 59,
      stages: STAGES.filter(({ name }) => name !== 'firmware'),
      constants: [SUPERVISOR],
      clockUncertaintyNs: MS,
      zero: 'kernel',
    },
  ],
  'board-shift': [
    { ...GPIO, boots: 59, baselineBoots: 59, slower: { stage: 'containers', ms: 64 } },
  ],
  systemd: [{ evidence: 'board-serial', start: 'reboot', boots: 59, units: 180 }],
  history: [{ ...VIRTUAL, boots: 2 }],
  'one-boot': [{ evidence: 'virtual-wallclock', start: null, boots: 1 }],
  'no-stages': [{ ...GPIO, boots: 59, stages: [] }],
  'no-boot-ended': [{ ...GPIO, boots: 4, unendedBoots: 4 }],
  'no-groups': [],
  hostile: [
    {
      ...GPIO,
      conditions: { 'supply,"voltage"': '<9 V>' },
      boots: 59,
      baselineBoots: 12,
      slowBoots: 2,
      units: HOSTILE_NAMES.length,
      constants: [SUPERVISOR],
      flags: FLAGS,
    },
  ],
};

/** Of the samples' board: one with a latency, one without. */
const STORAGE: Evidence['storage'] = [
  { kind: 'emmc-hs400', bytesPerS: 200e6, evidence: 'measured', latencyNs: 120_000 },
  { kind: 'sd', bytesPerS: 25e6, evidence: 'ceiling, device-tree', latencyNs: null },
];

/** The evidence of one sample; the same options give the same. */
export function sampleEvidence(options: SampleOptions): Evidence {
  const { sample, seed = 1 } = options;
  const rename =
    options.rename ?? (sample === 'hostile' ? renaming(HOSTILE_NAMES) : (name) => name);
  const rng = new VectorRng(seed);
  const budget = sampleBudget(rename, sample === 'no-stages');
  const settings = sampleSettings(seed);
  const specs = GROUPS[sample].map((spec, i) =>
    i === 0 && options.boots !== undefined ? { ...spec, boots: options.boots } : spec,
  );
  const groups = specs.map((spec) => sampleGroup(rng, spec, budget, settings, rename));
  const builds = sample === 'history' ? sampleBuilds(rng, rename) : [];
  const drift = builds.length === 0 ? null : driftOf(builds, 29);
  const checks = [
    ...groups.flatMap((group) => checksOf(group, budget, settings)),
    ...(drift === null ? [] : [driftCheck(drift, builds)]),
  ];
  return {
    kind: EVIDENCE_KIND,
    schema: EVIDENCE_SCHEMA,
    tool: { name: 'coldseal', version: '0.2.0' },
    board: { id: rename('qemu-aarch64'), name: rename('Demo board (QEMU aarch64)') },
    budget,
    settings,
    storage: STORAGE,
    sources: sourcesOf(groups, rename),
    groups,
    builds,
    drift,
    checks,
    outcome: outcomeOf(checks),
  };
}

/** Gives the names in turn, the same one for the same name, and never one for two. */
export function renaming(names: readonly string[]): (name: string) => string {
  const given = new Map<string, string>();
  const taken = new Set<string>();
  return (name) => {
    const known = given.get(name);
    if (known !== undefined) return known;
    const text = names[given.size % names.length]!;
    let own = text;
    // No longer than a schema allows.
    for (let n = given.size; taken.has(own); n++) own = `${text.slice(0, 500)} ${n}`;
    given.set(name, own);
    taken.add(own);
    return own;
  };
}

/** Renames the stage and keeps what follows it, because the first space ends the stage's name. */
function rowName(name: string, rename: (name: string) => string): string {
  const stage = stageOf(name);
  return rename(stage).slice(0, 500).replaceAll(' ', '\u00a0') + name.slice(stage.length);
}

function sampleBudget(rename: (name: string) => string, isBare: boolean): EvidenceBudget {
  const stages = Object.entries({ ...STAGE_BUDGETS_MS, containers: CONTAINERS_MS });
  return {
    start: rename('power-on'),
    stop: rename('first-frame'),
    totalNs: 2000 * MS,
    reserveNs: 100 * MS,
    stages: isBare
      ? []
      : stages.map(([name, ms]) => ({ name: rowName(name, rename), ns: ms * MS })),
    stretches: isBare
      ? []
      : [
          {
            name: rename('application'),
            from: rename('containers-started'),
            to: rename('first-frame'),
            ns: 420 * MS,
          },
        ],
    constants: [],
  };
}

function sampleSettings(seed: number): EvidenceSettings {
  return {
    plan: {
      text: '95/95',
      coverage: 0.95,
      confidence: 0.95,
      exceedances: 0,
      boots: 59,
      origin: 'run',
    },
    seed,
    alpha: 0.05,
    totalMarginNs: 20 * MS,
    stageMargin: { absoluteNs: 5 * MS, relative: 0.03 },
    tolerance: { absoluteNs: MS, relative: 0.001, stages: [] },
  };
}

function sampleGroup(
  rng: VectorRng,
  spec: GroupSpec,
  sampledBudget: EvidenceBudget,
  settings: EvidenceSettings,
  rename: (name: string) => string,
): EvidenceGroup {
  const constants = (spec.constants ?? []).map((constant) => ({
    ...constant,
    name: rename(constant.name),
    from: rename(constant.from),
    to: rename(constant.to),
    source: rename(constant.source),
  }));
  const conditions = Object.fromEntries(
    Object.entries(spec.conditions ?? {}).map(([name, value]) => [rename(name), rename(value)]),
  );
  const clockNs = spec.clockUncertaintyNs ?? null;
  const uncertaintyNs =
    clockNs === null ? null : clockNs + constants.reduce((sum, one) => sum + one.uncertaintyNs, 0);
  const limitNs = sampledBudget.totalNs - (uncertaintyNs ?? 0);
  const arm = (isCandidate: boolean, boots: number): SampleSet => {
    const records = Array.from({ length: boots }, (_, boot) => {
      return sampleRecord(rng, spec, boot, isCandidate, sampledBudget, rename);
    });
    return sampleSet(records, constants, sampledBudget);
  };
  const candidate = arm(true, spec.boots);
  const baseline = spec.baselineBoots === undefined ? null : arm(false, spec.baselineBoots);
  const words = [spec.evidence, ...(spec.start === null ? [] : [spec.start])];
  const states = Object.entries(conditions).map(([name, value]) => `${name}=${value}`);
  return {
    id: [...words, ...states].join('-'),
    label: [...words, ...states].join(', '),
    evidence: spec.evidence,
    start: spec.start,
    conditions,
    candidate,
    baseline,
    constants,
    uncertaintyNs,
    limitNs,
    compliance: isRealBoard(spec.evidence)
      ? complianceOf(candidate.totalsNs, limitNs, settings)
      : null,
    regression:
      baseline === null ? null : regressionOf(candidate, baseline, spec.evidence, settings),
  };
}

/** One boot: its stages one after the other with noise of the class, units side by side after the kernel. */
function sampleRecord(
  rng: VectorRng,
  spec: GroupSpec,
  boot: number,
  isCandidate: boolean,
  budget: EvidenceBudget,
  rename: (name: string) => string,
): MeasuredBoot {
  const specs = spec.stages ?? STAGES;
  const isSlow = isCandidate && isChosen(boot, spec.boots, spec.slowBoots ?? 0);
  const isEnded = !isCandidate || !isChosen(boot, spec.boots, spec.unendedBoots ?? 0);
  let atNs = 0;
  const stages = specs.map(({ name, ms }, i) => {
    const slower = isCandidate && spec.slower?.stage === stageOf(name) ? spec.slower.ms * MS : 0;
    const late = isSlow && i === specs.length - 2 ? 640 * MS : 0;
    const ns = Math.round(ms * MS * noise(rng, spec.evidence)) + slower + late;
    const startNs = atNs;
    atNs += ns;
    const isLast = i === specs.length - 1;
    return { name: rowName(name, rename), startNs, endNs: isLast && !isEnded ? null : atNs };
  });
  const totalNs =
    specs.length === 0
      ? Math.round(1420 * MS * noise(rng, spec.evidence))
      : (stages.at(-1)!.endNs ?? null);
  const kernelEndNs = stages.find((_, i) => specs[i]!.name === 'kernel')?.endNs ?? 0;
  const containersNs = stages.find((_, i) => specs[i]!.name === 'containers')?.startNs;
  const record: MeasuredBoot = {
    kind: MEASURED_BOOT_KIND,
    schema: MEASURED_BOOT_SCHEMA,
    evidence: spec.evidence,
    board: rename('qemu-aarch64'),
    specimen: isRealBoard(spec.evidence) ? rename(`SN-00${1 + (boot % 3)}`) : null,
    start: spec.start,
    conditions: Object.fromEntries(
      Object.entries(spec.conditions ?? {}).map(([name, value]) => [rename(name), rename(value)]),
    ),
    release: isCandidate
      ? { id: 'c4'.repeat(32), version: rename('1.5.0'), builtAt: 1_795_000_000 }
      : { id: 'b3'.repeat(32), version: rename('1.4.1'), builtAt: 1_794_000_000 },
    measuredAt: isRealBoard(spec.evidence)
      ? new Date(Date.UTC(2026, 10, 25, 8, boot)).toISOString().replace('.000', '')
      : null,
    clock: {
      name: spec.evidence === 'virtual' ? 'instructions' : 'CLOCK_BOOTTIME',
      zero: rename(spec.zero ?? 'power-on'),
      uncertaintyNs: spec.clockUncertaintyNs ?? null,
    },
    outcome: totalNs === null ? 'failed' : 'booted',
    reason: totalNs === null ? rename('the console fell silent') : null,
    stages,
    units: sampleUnits(
      rng,
      spec.units ?? 0,
      kernelEndNs,
      totalNs ?? kernelEndNs + 900 * MS,
      rename,
    ),
    events: [
      { name: rename(spec.zero ?? 'power-on'), atNs: 0 },
      ...(containersNs === undefined
        ? []
        : [{ name: rename('containers-started'), atNs: containersNs }]),
      ...(totalNs === null ? [] : [{ name: budget.stop, atNs: totalNs }]),
    ],
    io: specs.some(({ reads }) => reads !== undefined)
      ? specs.map(({ name, reads = 0 }) => ({
          stage: rowName(name, rename),
          reads,
          readBytes: reads * 65_536,
        }))
      : null,
    flags: isCandidate
      ? (spec.flags ?? []).filter((row) => row.boot === boot).map(({ flag }) => flag)
      : [],
    source: { format: 'sample', file: rename('boots.jsonl'), sha256: '5a'.repeat(32) },
  };
  return MEASURED_BOOT.parse(record);
}

function isChosen(boot: number, boots: number, count: number): boolean {
  return Math.floor(((boot + 1) * count) / boots) > Math.floor((boot * count) / boots);
}

/** Factor of a duration. Boards are skewed to the slow side; runs of a virtual board agree. */
function noise(rng: VectorRng, evidence: EvidenceClass): number {
  if (evidence === 'virtual') return 1;
  const u = rng.below(1_000_000) / 1e6;
  return 0.985 + 0.02 * u + 0.06 * u ** 6;
}

function sampleUnits(
  rng: VectorRng,
  count: number,
  fromNs: number,
  toNs: number,
  rename: (name: string) => string,
): MeasuredBoot['units'] {
  const tracks = ['service', 'device', 'mount', 'container'];
  return Array.from({ length: count }, (_, i) => {
    const startNs = fromNs + rng.below(Math.max(1, Math.round((toNs - fromNs) * 0.8)));
    const ns = rng.below(Math.max(1, toNs - startNs));
    return {
      track: rng.pick(tracks),
      name: rename(`unit-${String(i).padStart(3, '0')}.service`),
      startNs,
      endNs: i % 41 === 40 ? null : startNs + ns,
    };
  });
}

function sampleSet(
  records: readonly MeasuredBoot[],
  constants: readonly DeclaredConstant[],
  budget: EvidenceBudget,
): SampleSet {
  const addedNs = constants.reduce((sum, { ns }) => sum + ns, 0);
  const eventOf = (record: MeasuredBoot, name: string): number | null =>
    record.events.find((event) => event.name === name)?.atNs ?? null;
  const totalsNs = records.map((record) => {
    const atNs = eventOf(record, budget.stop);
    return atNs === null ? null : atNs + addedNs;
  });
  const releases = [...new Map(records.map(({ release }) => [release!.version, release!]))];
  const specimens = [...new Set(records.flatMap(({ specimen }) => specimen ?? []))];
  const median = typicalBoot(totalsNs);
  return {
    releases: releases.map(([, { id, version }]) => ({ id, version })),
    specimens,
    boots: records.length,
    releaseOf: records.map(({ release }) =>
      releases.findIndex(([version]) => version === release!.version),
    ),
    specimenOf: records.map(({ specimen }) =>
      specimen === null ? -1 : specimens.indexOf(specimen),
    ),
    measuredAt: records.map(({ measuredAt }) => measuredAt),
    totalsNs,
    stages: [...stageColumns(records, budget), ...stretchColumns(records, budget)],
    total: summaryOf(totalsNs),
    flags: records.flatMap(({ flags }, boot) => flags.map((flag) => ({ boot, flag }))),
    typical: median === null ? null : { boot: median, record: records[median]! },
  };
}

function stageColumns(records: readonly MeasuredBoot[], budget: EvidenceBudget): StageColumn[] {
  const measured = records.flatMap(({ stages }) => stages.map(({ name }) => stageOf(name)));
  // A budget for a stage that no record has is a column of unknowns, as when boots are collected.
  const names = [...new Set([...measured, ...budget.stages.map(({ name }) => name)])];
  return names.map((name) => {
    const durationsNs = records.map(({ stages }) => {
      const rows = stages.filter((row) => stageOf(row.name) === name);
      if (rows.length === 0 || rows.some(({ endNs }) => endNs === null)) return null;
      return rows.reduce((sum, { startNs, endNs }) => sum + endNs! - startNs, 0);
    });
    const budgetNs = budget.stages.find((stage) => stage.name === name)?.ns ?? null;
    return { name, durationsNs, summary: summaryOf(durationsNs), budgetNs };
  });
}

function stretchColumns(records: readonly MeasuredBoot[], budget: EvidenceBudget): StageColumn[] {
  return budget.stretches.map(({ name, from, to, ns }) => {
    const durationsNs = records.map(({ events }) => {
      const [start, end] = [from, to].map((one) => events.find((event) => event.name === one));
      return start === undefined || end === undefined ? null : end.atNs - start.atNs;
    });
    return { name, durationsNs, summary: summaryOf(durationsNs), budgetNs: ns };
  });
}

function sorted(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null).sort((a, b) => a - b);
}

/** Nearest rank, so that each figure is one that was measured. */
function quantile(values: readonly number[], part: number): number {
  return values[Math.max(0, Math.ceil(values.length * part) - 1)]!;
}

function summaryOf(values: readonly (number | null)[]): Summary | null {
  const known = sorted(values);
  if (known.length === 0) return null;
  return {
    n: known.length,
    minNs: known[0]!,
    medianNs: quantile(known, 0.5),
    p95Ns: quantile(known, 0.95),
    maxNs: known.at(-1)!,
  };
}

function typicalBoot(totalsNs: readonly (number | null)[]): number | null {
  const known = sorted(totalsNs);
  return known.length === 0 ? null : totalsNs.indexOf(quantile(known, 0.5));
}

/** P(at most k of n), each with the probability q. */
function binomialTail(n: number, k: number, q: number): number {
  if (q <= 0) return 1;
  if (q >= 1) return k >= n ? 1 : 0;
  let logTerm = n * Math.log1p(-q);
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log(n - i + 1) - Math.log(i) + Math.log(q) - Math.log1p(-q);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}

/** The point of [0, 1] where a predicate that holds at 0 stops to hold. */
function lastWhere(holds: (value: number) => boolean): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function complianceOf(
  totalsNs: readonly (number | null)[],
  limitNs: number,
  { plan }: EvidenceSettings,
): ComplianceResult {
  const isOver = (ns: number | null): boolean => ns === null || ns > limitNs;
  const counted = totalsNs.slice(0, plan.boots);
  const exceedances = counted.filter(isOver).length;
  const allBoots = totalsNs.length;
  const allExceedances = totalsNs.filter(isOver).length;
  const missing = plan.boots - counted.length;
  const state = exceedances > plan.exceedances ? 'over' : missing > 0 ? 'inconclusive' : 'within';
  let spare = -1;
  while (
    spare + 1 < allBoots &&
    binomialTail(allBoots, spare + 1, 1 - plan.coverage) <= 1 - plan.confidence
  )
    spare++;
  const ordered = totalsNs.map((ns) => ns ?? Infinity).sort((a, b) => a - b);
  const bound = spare < 0 ? null : ordered[allBoots - 1 - spare]!;
  const passes = (trueCoverage: number): number =>
    binomialTail(plan.boots, plan.exceedances, 1 - trueCoverage);
  return {
    state,
    n: counted.length,
    exceedances,
    moreBoots: state === 'inconclusive' ? missing : 0,
    provenCoverage: lastWhere(
      (p) => binomialTail(allBoots, allExceedances, 1 - p) <= 1 - plan.confidence,
    ),
    allBoots,
    allExceedances,
    boundNs: bound === Infinity ? null : bound,
    characteristic: [0.9, 0.95, 0.99, 0.995, 0.999].map((trueCoverage) => ({
      trueCoverage,
      passes: passes(trueCoverage),
    })),
    coverageToPass: lastWhere((p) => passes(p) < 0.95),
  };
}

function regressionOf(
  candidate: SampleSet,
  baseline: SampleSet,
  evidence: EvidenceClass,
  settings: EvidenceSettings,
): RegressionResult {
  const isExact = evidence === 'virtual';
  const marginOf = (absoluteNs: number, relative: number, ns: number): number =>
    Math.round(Math.max(absoluteNs, relative * ns));
  const { tolerance, stageMargin } = settings;
  const shiftOf = (a: readonly number[], b: readonly number[], marginNs: number): Shift =>
    isExact
      ? exactShift(a, b, marginOf(tolerance.absoluteNs, tolerance.relative, quantile(a, 0.5)))
      : estimatedShift(a, b, marginNs);
  const [before, after] = [sorted(baseline.totalsNs), sorted(candidate.totalsNs)];
  const total = shiftOf(before, after, settings.totalMarginNs);
  const stages = candidate.stages.flatMap(({ name, durationsNs }): StageShift[] => {
    const [a, b] = [
      sorted(baseline.stages.find((stage) => stage.name === name)?.durationsNs ?? []),
      sorted(durationsNs),
    ];
    if (a.length === 0 || b.length === 0) return [];
    const { absoluteNs, relative } = stageMargin;
    const shift = shiftOf(a, b, marginOf(absoluteNs, relative, quantile(a, 0.5)));
    const isSignificant = Math.abs(shift.shiftNs) > shift.marginNs;
    return [
      {
        ...shift,
        name,
        p: isExact ? null : isSignificant ? 0.001 : 1,
        isSignificant,
        change: null,
      },
    ];
  });
  const { lowNs, highNs, shiftNs, marginNs } = total;
  const isWorse = (lowNs ?? shiftNs) > marginNs;
  const isFine = (highNs ?? shiftNs) <= marginNs;
  return {
    method: isExact ? 'exact' : 'shift',
    state: isWorse ? 'regression' : isFine ? 'none' : 'inconclusive',
    total,
    stages: stages.sort((a, b) => Math.abs(b.shiftNs) - Math.abs(a.shiftNs)),
    moreBoots: isWorse || isFine ? 0 : 20,
    guards: isExact
      ? []
      : [
          {
            name: 'shape',
            isRaised: isWorse,
            p: isWorse ? 0.0004 : 0.61,
            sentence: isWorse ? 'the distribution of totals changed' : 'the shape is as before',
          },
        ],
  };
}

/** The distance of the nearest ends of both ranges; 0 where they overlap. */
function exactShift(a: readonly number[], b: readonly number[], marginNs: number): Shift {
  const up = b[0]! - a.at(-1)!;
  const down = b.at(-1)! - a[0]!;
  return {
    baselineMedianNs: quantile(a, 0.5),
    candidateMedianNs: quantile(b, 0.5),
    shiftNs: up > 0 ? up : down < 0 ? down : 0,
    lowNs: null,
    highNs: null,
    marginNs,
  };
}

/** Hodges-Lehmann: the median of all differences; the interval from the normal form of the rank test. */
function estimatedShift(a: readonly number[], b: readonly number[], marginNs: number): Shift {
  const differences = b.flatMap((y) => a.map((x) => y - x)).sort((x, y) => x - y);
  const count = differences.length;
  const half = 1.96 * Math.sqrt((count * (a.length + b.length + 1)) / 12);
  const at = (rank: number): number =>
    differences[Math.min(count - 1, Math.max(0, Math.round(rank)))]!;
  return {
    baselineMedianNs: quantile(a, 0.5),
    candidateMedianNs: quantile(b, 0.5),
    shiftNs: quantile(differences, 0.5),
    lowNs: at(count / 2 - half),
    highNs: at(count / 2 + half),
    marginNs,
  };
}

function sampleBuilds(rng: VectorRng, rename: (name: string) => string): EvidenceBuild[] {
  return Array.from({ length: 40 }, (_, i) => {
    const level = (i < 29 ? 1400 : 1472) * MS;
    const medianNs = level + rng.below(4 * MS);
    const verifyNs = (i < 29 ? 60 : 132) * MS + rng.below(MS);
    return {
      id: createHash('sha256').update(`build ${i}`).digest('hex'),
      version: rename(`1.${i}.0`),
      builtAt: 1_790_000_000 + i * 86_400,
      boots: 12,
      medianNs,
      p95Ns: medianNs + 21 * MS,
      maxNs: medianNs + 30 * MS,
      stages: [
        { name: rowName('verify', rename), medianNs: verifyNs },
        { name: rowName('kernel', rename), medianNs: medianNs - verifyNs },
      ],
    };
  });
}

function driftOf(builds: readonly EvidenceBuild[], at: number): DriftResult {
  const change = (of: 'median' | 'p95', key: 'medianNs' | 'p95Ns'): DriftResult['changes'][0] => ({
    at,
    of,
    beforeNs: summaryOf(builds.slice(0, at).map((build) => build[key]))!.medianNs,
    afterNs: summaryOf(builds.slice(at).map((build) => build[key]))!.medianNs,
    p: 0.002,
  });
  return {
    state: 'drift',
    changes: [change('median', 'medianNs'), change('p95', 'p95Ns')],
    firstBad: { from: at, to: at, change: 0 },
  };
}

const ms = (ns: number): string => `${(ns / MS).toFixed(1)} ms`;
const asNs = (name: string, value: number): Figure => ({ name, value, unit: 'ns' });
const asCount = (name: string, value: number): Figure => ({ name, value, unit: 'count' });

function checksOf(
  group: EvidenceGroup,
  budget: EvidenceBudget,
  settings: EvidenceSettings,
): Check[] {
  return [
    totalCheck(group, budget, settings),
    ...group.candidate.stages.flatMap((column) => stageCheck(group, column, budget)),
    ...(group.regression === null ? [] : [regressionCheck(group, group.regression)]),
    evidenceCheck(group),
  ];
}

function totalCheck(
  group: EvidenceGroup,
  budget: EvidenceBudget,
  { plan }: EvidenceSettings,
): Check {
  const { compliance, candidate } = group;
  const title = `Total within ${budget.totalNs / MS} ms`;
  if (compliance === null) {
    const total = candidate.total;
    const state = total === null ? 'inconclusive' : total.maxNs > budget.totalNs ? 'fail' : 'pass';
    return {
      id: `${group.id}/prediction`,
      group: group.id,
      kind: 'prediction',
      state,
      code: state === 'pass' ? null : 'BUDGET_PREDICTION',
      title: `${title}, predicted`,
      sentence:
        total === null
          ? 'no boot ended'
          : `the slowest of ${total.n} boots took ${ms(total.maxNs)}; a ${group.evidence} clock predicts, ` +
            'and proves nothing about boards',
      figures: total === null ? [] : [asNs('median', total.medianNs), asNs('max', total.maxNs)],
    };
  }
  const states = { within: 'pass', over: 'fail', inconclusive: 'inconclusive' } as const;
  const { n, exceedances, moreBoots, boundNs, provenCoverage } = compliance;
  const more = moreBoots > 0 ? `; ${moreBoots} more boots would decide` : '';
  return {
    id: `${group.id}/compliance`,
    group: group.id,
    kind: 'compliance',
    state: states[compliance.state],
    code:
      compliance.state === 'within'
        ? null
        : compliance.state === 'over'
          ? 'BUDGET_EXCEEDED'
          : 'BUDGET_INCONCLUSIVE',
    title,
    sentence: `${exceedances} of ${n} boots over ${ms(group.limitNs)}, plan ${plan.text}${more}`,
    figures: [
      asNs('limit', group.limitNs),
      asCount('boots', n),
      asCount('exceedances', exceedances),
      { name: 'proven coverage', value: provenCoverage, unit: 'ratio' },
      ...(boundNs === null ? [] : [asNs('bound', boundNs)]),
    ],
  };
}

function stageCheck(
  group: EvidenceGroup,
  { name, budgetNs, summary }: StageColumn,
  budget: EvidenceBudget,
): Check[] {
  if (budgetNs === null) return [];
  const isStretch = budget.stretches.some((stretch) => stretch.name === name);
  const state: CheckState =
    summary === null ? 'not-evaluated' : summary.p95Ns > budgetNs ? 'fail' : 'pass';
  return [
    {
      id: `${group.id}/${isStretch ? 'stretch' : 'stage'}/${name}`,
      group: group.id,
      kind: 'stage',
      state,
      code: state === 'pass' ? null : state === 'fail' ? 'BUDGET_STAGE' : 'BUDGET_NO_DATA',
      title: `${isStretch ? 'Stretch' : 'Stage'} ${name} within ${budgetNs / MS} ms`,
      sentence:
        summary === null
          ? 'it was never measured'
          : `95 of 100 boots took ${ms(summary.p95Ns)} or less, the slowest ${ms(summary.maxNs)}`,
      figures:
        summary === null
          ? [asNs('budget', budgetNs)]
          : [
              asNs('budget', budgetNs),
              asNs('median', summary.medianNs),
              asNs('p95', summary.p95Ns),
              asNs('max', summary.maxNs),
            ],
    },
  ];
}

function regressionCheck(group: EvidenceGroup, regression: RegressionResult): Check {
  const states = { regression: 'fail', none: 'pass', inconclusive: 'inconclusive' } as const;
  const { shiftNs, marginNs, lowNs, highNs } = regression.total;
  const range = lowNs === null || highNs === null ? '' : ` (${ms(lowNs)} to ${ms(highNs)})`;
  const baseline = group.baseline!.releases.map(({ version }) => version).join(', ');
  return {
    id: `${group.id}/regression`,
    group: group.id,
    kind: 'regression',
    state: states[regression.state],
    code:
      regression.state === 'none'
        ? null
        : regression.state === 'regression'
          ? 'BUDGET_REGRESSION'
          : 'BUDGET_INCONCLUSIVE',
    title: `Not slower than ${baseline}`,
    sentence: `${shiftNs < 0 ? 'faster' : 'slower'} by ${ms(Math.abs(shiftNs))}${range}, margin ${ms(marginNs)}`,
    figures: [asNs('shift', shiftNs), asNs('margin', marginNs)],
  };
}

function evidenceCheck(group: EvidenceGroup): Check {
  const unusable = group.candidate.flags.filter(({ flag }) => flag.isUnusable);
  const isBad = unusable.length > 0;
  return {
    id: `${group.id}/evidence`,
    group: group.id,
    kind: 'evidence',
    state: isBad ? 'bad-evidence' : 'pass',
    code: isBad ? 'BUDGET_BAD_EVIDENCE' : null,
    title: 'Evidence is usable',
    sentence: isBad
      ? `boot ${unusable[0]!.boot}: ${unusable[0]!.flag.message}`
      : `${group.candidate.boots} boots, ${group.candidate.flags.length} flags`,
    figures: [
      asCount('boots', group.candidate.boots),
      asCount('flags', group.candidate.flags.length),
    ],
  };
}

function driftCheck(
  { state, changes, firstBad }: DriftResult,
  builds: readonly EvidenceBuild[],
): Check {
  const isBad = state === 'drift';
  const [change] = changes;
  return {
    id: 'drift',
    group: null,
    kind: 'drift',
    state: isBad ? 'fail' : state === 'none' ? 'pass' : 'not-evaluated',
    code: isBad ? 'BUDGET_DRIFT' : null,
    title: 'No change of the level over builds',
    sentence:
      change === undefined || firstBad === null
        ? `the level is the same over ${builds.length} builds`
        : `since ${builds[firstBad.from]!.version} ${ms(change.afterNs)} instead of ${ms(change.beforeNs)}`,
    figures: [asCount('builds', builds.length)],
  };
}

/** Worst first. */
const RANKS: readonly CheckState[] = ['fail', 'bad-evidence', 'inconclusive', 'pass'];

function outcomeOf(checks: readonly Check[]): Outcome {
  const judged = checks.filter(({ state }) => state !== 'not-evaluated');
  const worst = judged.sort((a, b) => RANKS.indexOf(a.state) - RANKS.indexOf(b.state))[0];
  if (worst === undefined) {
    const code = 'BUDGET_NO_DATA';
    const sentence = 'Inconclusive: nothing was measured';
    return { state: 'inconclusive', code, exitCode: 5, sentence };
  }
  const words = {
    pass: 'Passed',
    fail: 'Failed',
    inconclusive: 'Inconclusive',
    'bad-evidence': 'No verdict, the evidence cannot be used',
  } as const;
  const state = worst.state as Outcome['state'];
  return {
    state,
    code: worst.code,
    exitCode: state === 'pass' ? 0 : 5,
    sentence: `${words[state]}: ${worst.title}: ${worst.sentence}`,
  };
}

function sourcesOf(
  groups: readonly EvidenceGroup[],
  rename: (name: string) => string,
): EvidenceSource[] {
  return groups.flatMap(({ candidate, baseline }, i) => {
    const source = (arm: 'candidate' | 'baseline', boots: number): EvidenceSource => {
      const file = rename(`${arm}-${i}.jsonl`);
      const sha256 = createHash('sha256').update(`${arm} ${i}`).digest('hex');
      return { file, sha256, format: 'sample', arm, boots };
    };
    return [
      source('candidate', candidate.boots),
      ...(baseline === null ? [] : [source('baseline', baseline.boots)]),
    ];
  });
}
