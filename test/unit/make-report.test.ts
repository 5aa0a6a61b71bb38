/**
 * From files to evidence and to outputs: arms and their digests, the plan, the series of a history, evidence that was
 * changed, and which outputs may be written.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COSE_PS256 } from '../../runtime/format/envelope.ts';
import { PURPOSE } from '../../runtime/format/oids.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { budgetOfBoard, toleranceOfBoard } from '../../toolchain/budget/budget-of-board.ts';
import { evidenceText, parseEvidence } from '../../toolchain/budget/evidence-file.ts';
import { judge } from '../../toolchain/budget/judge.ts';
import {
  DEFAULT_SEED,
  makeReport,
  type ReportOptions,
} from '../../toolchain/budget/make-report.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import type { HistoryBoot } from '../../toolchain/budget/read-history.ts';
import {
  type OutputChoice,
  prepareOutputs,
  writeOutputs,
} from '../../toolchain/budget/write-outputs.ts';
import { loadBoard } from '../../toolchain/board/load.ts';
import { identifyBoots } from '../../toolchain/history/identity.ts';
import { verifyEvidence } from '../../toolchain/sign/read-evidence.ts';
import { expectCode } from '../support/expect-code.ts';
import { judged } from '../support/judged.ts';
import { measuredBoot, MS, OTHER_STAGE_MS } from '../support/measured-boots.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { testAnchor, testSigner } from '../support/test-pki.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('reports');

type Stages = Readonly<Record<string, number | null>>;

/** A boot of a virtual board with every stage that the board has a budget for. */
function boot(change: Partial<MeasuredBoot> = {}, stageMs: Stages = {}): MeasuredBoot {
  return measuredBoot({
    evidence: 'virtual',
    ...change,
    stageMs: { ...OTHER_STAGE_MS, ...stageMs },
  });
}

const linesOf = (boots: readonly object[]): string =>
  boots.map((each) => `${JSON.stringify(each)}\n`).join('');

function put(dir: TempDir, name: string, boots: readonly object[]): string {
  const path = join(dir.path, name);
  writeFileSync(path, linesOf(boots));
  return path;
}

const report = (
  records: readonly string[],
  change: Partial<Omit<ReportOptions, 'records'>> = {},
): Evidence =>
  makeReport({
    records,
    baseline: [],
    board: undefined,
    from: process.cwd(),
    plan: undefined,
    seed: DEFAULT_SEED,
    marginMs: undefined,
    ...change,
  });

// --- arms and settings -----------------------------------------------------------------------------------------

test('each file is a source of its arm, with its digest, its kinds and its boots', () => {
  using dir = tempDir();
  const two = put(dir, 'two.jsonl', [boot(), boot()]);
  const one = put(dir, 'one.jsonl', [boot()]);
  const old = put(dir, 'old.jsonl', [boot()]);
  const sha256 = (path: string): string =>
    createHash('sha256').update(readFileSync(path)).digest('hex');
  const { sources, groups, drift, builds, board } = report([two, one], { baseline: [old] });
  const format = 'logic-analyser';
  assert.equal(sources, [
    { file: 'two.jsonl', sha256: sha256(two), format, arm: 'candidate', boots: 2 },
    { file: 'one.jsonl', sha256: sha256(one), format, arm: 'candidate', boots: 1 },
    { file: 'old.jsonl', sha256: sha256(old), format, arm: 'baseline', boots: 1 },
  ]);
  assert.equal([groups[0]!.candidate.boots, groups[0]!.baseline!.boots], [3, 1]);
  assert.equal([drift, builds, board.id], [null, [], 'qemu-aarch64']);
});

test('the plan is that of the option, or of the run, or of the board', () => {
  using dir = tempDir();
  const path = put(dir, 'a.jsonl', [boot()]);
  const rows: readonly [plan: string | undefined, runPlan: string | undefined, string, string][] = [
    [undefined, undefined, '95/95', 'board'],
    [undefined, '90/95', '90/95', 'run'],
    ['99/90', undefined, '99/90', 'option'],
    ['99/90', '90/95', '99/90', 'option'],
  ];
  for (const [plan, runPlan, text, origin] of rows) {
    const { settings } = report([path], { plan, runPlan });
    assert.equal([settings.plan.text, settings.plan.origin], [text, origin]);
  }
  assert.is(report([path], { plan: '99/90' }).settings.plan.coverage, 0.99);
  expectCode(() => report([path], { plan: '99' }), 'USAGE_PLAN');
});

test('the margin is the one that was asked for, or follows from the budget', () => {
  using dir = tempDir();
  const path = put(dir, 'a.jsonl', [boot()]);
  const marginOf = (marginMs: number | undefined): number =>
    report([path], { marginMs }).settings.totalMarginNs;
  // 20 ms or 1 % of 2000 ms.
  assert.equal([marginOf(undefined), marginOf(0), marginOf(1.5)], [20 * MS, 0, 1.5 * MS]);
  const { seed, alpha, stageMargin } = report([path], { seed: 7 }).settings;
  // docs/statistics.md has both.
  assert.equal([seed, alpha, stageMargin], [7, 0.05, { absoluteNs: 5 * MS, relative: 0.03 }]);
});

const BOARDS: readonly [name: string, boards: readonly string[], board: string | undefined][] = [
  ['records of two boards', ['qemu-aarch64', 'qemu-x86_64'], undefined],
  ['records of two boards, one of them asked for', ['qemu-aarch64', 'x'], 'qemu-aarch64'],
  ['the budget of another board', ['qemu-aarch64'], 'qemu-x86_64'],
];
for (const [name, boards, board] of BOARDS) {
  test(`refused: ${name}`, () => {
    using dir = tempDir();
    const files = boards.map((each, index) => put(dir, `${index}`, [boot({ board: each })]));
    expectCode(() => report(files, { board }), 'USAGE_RECORDS_BOARD');
    const [first, ...others] = files;
    if (others.length === 0) return;
    expectCode(() => report([first!], { baseline: others, board }), 'USAGE_RECORDS_BOARD');
  });
}

test('the budget of a board file is in whole nanoseconds, its stages in the order of a boot', () => {
  const { budget } = loadBoard('qemu-aarch64', process.cwd()).value;
  const constant = {
    name: 'PMIC',
    from: 'power-on',
    to: 'reset',
    ms: { value: 45.1234567, source: 'data sheet', evidence: 'vendor' as const },
    uncertainty_ms: 2.5,
  };
  const stretches = [{ name: 'early', from: 'power-on', to: 'kernel', ms: 0.1 }];
  const changed = {
    ...budget,
    reserve_ms: 100.25,
    stages: { verify: 35, kernel: 450.0000004 },
    stretches,
    constants: [constant],
  };
  const { stages, ...rest } = budgetOfBoard({ budget: changed });
  assert.equal(stages, [
    { name: 'kernel', ns: 450 * MS },
    { name: 'verify', ns: 35 * MS },
  ]);
  const { ms, uncertainty_ms: _, ...names } = constant;
  const { source, evidence } = ms;
  assert.equal(rest, {
    start: budget.start,
    stop: budget.stop,
    totalNs: 2000 * MS,
    reserveNs: 100.25 * MS,
    stretches: [{ name: 'early', from: 'power-on', to: 'kernel', ns: 100_000 }],
    constants: [{ ...names, ns: 45_123_457, uncertaintyNs: 2.5 * MS, source, evidence }],
  });
  const tolerance = { ms: 0.2, percent: 0.5, stages: { containers: 3, 'slot-state': 2 } };
  assert.equal(toleranceOfBoard({ budget: { ...budget, tolerance } }), {
    absoluteNs: 200_000,
    relative: 0.005,
    stages: [
      { name: 'slot-state', ns: 2 * MS },
      { name: 'containers', ns: 3 * MS },
    ],
  });
});

// --- a history -------------------------------------------------------------------------------------------------

/** Boots as a history keeps them. */
function historyOf(boots: readonly MeasuredBoot[]): HistoryBoot[] {
  return identifyBoots(boots).map(({ id, record }) => ({ id, boot: record }));
}

const release = (build: number): MeasuredBoot['release'] => {
  return { id: null, version: `1.${build}`, builtAt: 1_760_000_000 + build };
};
/** Boots of one build; without a time they are told apart by their number. */
const build = (number: number, count: number, change: Partial<MeasuredBoot> = {}): MeasuredBoot[] =>
  Array.from({ length: count }, () => boot({ release: release(number), ...change }));
const seen = ({ builds }: Evidence): [string, number][] =>
  builds.map(({ version, boots }) => [version, boots]);

test('a series ends with the boots of the report, those counted once that are in the history', () => {
  using dir = tempDir();
  const earlier = [...build(1, 2), ...build(2, 1)];
  const own = build(3, 3);
  const path = put(dir, 'a.jsonl', own);
  const rows: readonly [history: readonly MeasuredBoot[], series: [string, number][]][] = [
    [[], [['1.3', 3]]],
    [earlier, [['1.1', 2], ['1.2', 1], ['1.3', 3]]],
    [[...earlier, ...own], [['1.1', 2], ['1.2', 1], ['1.3', 3]]],
    // A journal that has grown since it was added.
    [[...earlier, ...own.slice(0, 2)], [['1.1', 2], ['1.2', 1], ['1.3', 3]]],
    [[...own, ...build(3, 1)], [['1.3', 4]]],
  ]; // prettier-ignore
  for (const [history, series] of rows) {
    const evidence = report([path], { history: historyOf(history) });
    assert.equal(seen(evidence), series);
    assert.is(evidence.drift!.state, 'not-enough');
  }
});

test('a boot that was never in a file is the same one in a journal that is longer by now', () => {
  using dir = tempDir();
  const line = {
    kind: 'coldseal-virtual-boot',
    schema: 1,
    evidence: 'virtual',
    board: 'qemu-aarch64',
    release: { id: 'aa', version: '1' },
    record: testRecord(),
  };
  const short = put(dir, 'records.jsonl', [line]);
  // To a history such boots have no file, as read-records.ts leaves them for it.
  const [own] = report([short]).groups.map(({ candidate }) => candidate.typical!.record);
  const added = { ...own!, source: { ...own!.source, sha256: '' } };
  const long = put(dir, 'renamed.jsonl', [line, line]);
  const { builds } = report([long], { history: historyOf([added]) });
  assert.equal(
    builds.map(({ boots }) => boots),
    [2],
  );
});

test('boots of other kinds are in no series with these', () => {
  using dir = tempDir();
  const path = put(dir, 'a.jsonl', build(9, 1));
  const history = historyOf([
    ...build(1, 1),
    ...build(2, 1, { evidence: 'board-gpio' }),
    ...build(3, 1, { start: 'warm' }),
    ...build(4, 1, { conditions: { temperature: '-30C' } }),
    // Two classes of a virtual board are one group.
    ...build(5, 1, { evidence: 'virtual-wallclock' }),
    ...build(6, 1, { release: null }),
  ]);
  assert.equal(
    seen(report([path], { history })).map(([version]) => version),
    ['1.1', '1.5', '1.9'],
  );
});

// --- evidence instead of records -------------------------------------------------------------------------------

/** Evidence in a file, and its text; with a baseline, a history and a group that passes beside one that does not. */
function evidenceIn(dir: TempDir): { path: string; text: string } {
  const candidate = put(dir, 'a.jsonl', [
    boot({}, { 'verify a': 36 }),
    boot({}, { 'verify a': 36 }),
    boot({ conditions: { temperature: '-30C' } }),
  ]);
  const baseline = put(dir, 'b.jsonl', [boot({}, { 'verify a': 36 })]);
  const text = evidenceText(report([candidate], { baseline: [baseline], history: [] }));
  const path = join(dir.path, 'e.json');
  writeFileSync(path, text);
  return { path, text };
}

type Loose = Record<string, never> & { [key: string]: Loose };
type Change = readonly [name: string, change: (evidence: Loose & Evidence) => void];

/** What somebody would change who wants another answer. */
const CHANGES: readonly Change[] = [
  ['the outcome', ({ outcome }) => Object.assign(outcome, { state: 'pass', code: null })],
  [
    'the state of a check',
    ({ checks }) =>
      Object.assign(
        checks.find(({ state }) => state === 'fail')!,
        { state: 'pass' },
      ),
  ],
  ['the sentence of a check', ({ checks }) => Object.assign(checks[0]!, { sentence: 'fine' })],
  ['a figure of a check', ({ checks }) => Object.assign(checks[0]!.figures[0]!, { value: 1 })],
  ['a check that is gone', ({ checks }) => (checks as unknown[]).shift()],
  ['the order of groups', ({ groups }) => (groups as unknown[]).reverse()],
  ['a limit', ({ groups }) => Object.assign(groups[0]!, { limitNs: 1e12 })],
  ['a label', ({ groups }) => Object.assign(groups[0]!, { label: 'board-gpio, cold' })],
  ['a shift', ({ groups }) => Object.assign(groups[0]!.regression!.total, { shiftNs: -1 })],
  ['drift', ({ drift }) => Object.assign(drift!, { state: 'none' })],
  ['a sample', ({ groups }) => Object.assign(groups[0]!.candidate.totalsNs, { 0: MS })],
  ['the budget', ({ budget }) => Object.assign(budget, { totalNs: 3000 * MS })],
  [
    'the median of all',
    ({ groups }) => Object.assign(groups[0]!.candidate.total!, { medianNs: 1 }),
  ],
];

test('evidence is judged again, to the byte', () => {
  using dir = tempDir();
  const { path, text } = evidenceIn(dir);
  assert.is(evidenceText(report([path])), text);
});

test('evidence without a baseline has none when it is read, and stretches keep their budgets', () => {
  const stretches = [{ name: 'verify', from: 'power-on', to: 'kernel', ns: 100 * MS }];
  const boots = [measuredBoot({ evidence: 'virtual' })];
  const text = evidenceText(judged({ candidate: boots, budget: { stretches } }));
  assert.is(evidenceText(judge(parseEvidence(JSON.parse(text), 'x'))), text);
  // The stretch has the name of a stage, and does not stand for its column.
  for (const change of [
    (columns: { name: string }[]) => columns.splice(4, 1),
    (columns: { name: string }[]) => columns.reverse(),
    (columns: { name: string }[]) => columns.pop(),
  ]) {
    const evidence = JSON.parse(text) as Evidence;
    change(evidence.groups[0]!.candidate.stages as unknown as { name: string }[]);
    expectCode(() => parseEvidence(evidence, 'x'), 'FORMAT_EVIDENCE');
  }
});

for (const [name, change] of CHANGES) {
  test(`changed evidence is refused: ${name}`, () => {
    using dir = tempDir();
    const { path, text } = evidenceIn(dir);
    const evidence = JSON.parse(text) as Loose & Evidence;
    change(evidence);
    writeFileSync(path, evidenceText(evidence));
    const { message } = expectCode(() => report([path]), 'FORMAT_EVIDENCE');
    assert.match(message, 'do not follow from its samples');
  });
}

/** The first column of the first group, and what hangs on it. */
const verifyOf = ({ groups }: Evidence): Loose =>
  groups[0]!.candidate.stages.find(({ name }) => name === 'verify') as unknown as Loose;

const FIGURES: readonly Change[] = [
  ['a median', (evidence) => Object.assign(verifyOf(evidence)['summary']!, { medianNs: MS })],
  ['a figure that is gone', (evidence) => Object.assign(verifyOf(evidence), { summary: null })],
  ['a budget', (evidence) => Object.assign(verifyOf(evidence), { budgetNs: 40 * MS })],
  ['a budget that is gone', (evidence) => Object.assign(verifyOf(evidence), { budgetNs: null })],
];

for (const [name, change] of FIGURES) {
  test(`answers that fit a changed figure do not help: ${name}`, () => {
    using dir = tempDir();
    const { path, text } = evidenceIn(dir);
    assert.is((JSON.parse(text) as Evidence).outcome.code, 'BUDGET_STAGE');
    const changed = JSON.parse(text) as Loose & Evidence;
    change(changed);
    // As this program itself would answer, if it believed the figure.
    const { hasBaseline, hasHistory } = parseEvidence(JSON.parse(text), path);
    const forged = evidenceText(judge({ ...changed, hasBaseline, hasHistory }));
    assert.is.not((JSON.parse(forged) as Evidence).outcome.code, 'BUDGET_STAGE');
    writeFileSync(path, forged);
    expectCode(() => report([path]), 'FORMAT_EVIDENCE');
  });
}

test('the figures of all boots are those of the samples, too', () => {
  using dir = tempDir();
  const { path, text } = evidenceIn(dir);
  const changed = JSON.parse(text) as Evidence;
  Object.assign(changed.groups[0]!.candidate.total!, { medianNs: MS });
  const { hasBaseline, hasHistory } = parseEvidence(JSON.parse(text), path);
  writeFileSync(path, evidenceText(judge({ ...changed, hasBaseline, hasHistory })));
  expectCode(() => report([path]), 'FORMAT_EVIDENCE');
});

const SHAPES: readonly Change[] = [
  ['fewer totals', ({ groups }) => (groups[0]!.candidate.totalsNs as unknown[]).pop()],
  ['fewer times', ({ groups }) => (groups[0]!.candidate.measuredAt as unknown[]).pop()],
  ['fewer releases', ({ groups }) => (groups[0]!.candidate.releaseOf as unknown[]).pop()],
  ['fewer specimens', ({ groups }) => (groups[0]!.candidate.specimenOf as unknown[]).pop()],
  ['a shorter stage', (evidence) => (verifyOf(evidence)['durationsNs'] as unknown as []).pop()],
  ['one boot more', ({ groups }) => Object.assign(groups[0]!.candidate, { boots: 3 })],
  [
    'a column that is gone',
    ({ groups }) => (groups[0]!.candidate.stages as unknown[]).splice(0, 20),
  ],
  ['one column that is gone', ({ groups }) => (groups[0]!.candidate.stages as unknown[]).shift()],
  [
    'a column of the baseline that is gone',
    ({ groups }) => (groups[0]!.baseline!.stages as unknown[]).splice(0, 20),
  ],
  [
    'a release that is none',
    ({ groups }) => Object.assign(groups[0]!.candidate.releaseOf, { 0: 1 }),
  ],
  [
    'a specimen that is none',
    ({ groups }) => Object.assign(groups[0]!.candidate.specimenOf, { 0: 0 }),
  ],
  [
    'a boot that is none',
    ({ groups }) => Object.assign(groups[0]!.candidate.typical!, { boot: 2 }),
  ],
  [
    'a flag of a boot that is none',
    ({ groups }) =>
      (groups[0]!.candidate.flags as unknown[]).push({
        boot: 2,
        flag: { code: 'X', message: 'x', isUnusable: false },
      }),
  ],
  [
    'a stretch without a column',
    ({ budget }) =>
      (budget.stretches as unknown[]).push({ name: 'x', from: 'kernel', to: 'init', ns: 1 }),
  ],
  ['no budget', ({ budget }) => Object.assign(budget, { totalNs: 0 })],
  [
    'a coverage of more than all',
    ({ settings }) => Object.assign(settings.plan, { coverage: 1.1 }),
  ],
  ['a negative time', ({ groups }) => Object.assign(groups[0]!.candidate.totalsNs, { 0: -1 })],
  ['no groups', ({ groups }) => (groups as unknown[]).splice(0, 9)],
  ['another schema', (evidence) => Object.assign(evidence, { schema: 2 })],
];

for (const [name, change] of SHAPES) {
  test(`evidence that cannot be is refused: ${name}`, () => {
    using dir = tempDir();
    const { path, text } = evidenceIn(dir);
    const evidence = JSON.parse(text) as Loose & Evidence;
    change(evidence);
    const { message } = expectCode(() => parseEvidence(evidence, path), 'FORMAT_EVIDENCE');
    assert.match(message, path);
  });
}

test('another version may answer in other words, from the same samples', () => {
  using dir = tempDir();
  const { path, text } = evidenceIn(dir);
  const evidence = JSON.parse(text) as Evidence;
  const tool = { name: 'coldseal', version: '0.0.1' } as const;
  writeFileSync(path, evidenceText({ ...evidence, tool, checks: [] }));
  const again = report([path]);
  assert.is(again.tool.version, '0.0.1');
  assert.equal(again.checks, evidence.checks);
});

test('evidence says everything itself, and nothing may stand beside it', () => {
  using dir = tempDir();
  const { path } = evidenceIn(dir);
  const rows: readonly [option: string, change: Partial<ReportOptions>][] = [
    ['other records', { records: [path, path] }],
    ['--baseline', { baseline: [path] }],
    ['--board', { board: 'qemu-aarch64' }],
    ['--plan', { plan: '95/95' }],
    ['--margin-ms', { marginMs: 0 }],
    ['--history', { history: [] }],
    ['--seed', { seed: DEFAULT_SEED + 1 }],
  ];
  for (const [option, { records = [path], ...change }] of rows) {
    const { message } = expectCode(() => report(records, change), 'USAGE_OPTION_CONFLICT', option);
    assert.match(message, `Cannot use ${option} with the evidence`);
  }
});

const FILES: readonly [name: string, text: string, code: string][] = [
  ['evidence that was cut off', '{"kind":"coldseal-boot-evidence","schema":1,', 'FORMAT_EVIDENCE'],
  ['the beginning of evidence', '{"kind":"coldseal-boot-evidence"', 'FORMAT_EVIDENCE'],
  ['twice the evidence', '{"kind":"coldseal-boot-evidence"}{}', 'FORMAT_EVIDENCE'],
  ['less than that', '{"kind":"coldseal-boot-evid', 'FORMAT_BOOT_RECORDS'],
  ['an empty file', '', 'FORMAT_BOOT_RECORDS'],
];
test('what is neither evidence nor records is refused as what it looks like', () => {
  using dir = tempDir();
  const path = join(dir.path, 'x');
  for (const [name, text, code] of FILES) {
    writeFileSync(path, text);
    expectCode(() => report([path]), code, name);
  }
  expectCode(() => report([dir.path]), 'USAGE_NOT_A_FILE');
  expectCode(() => report([join(dir.path, 'no')]), 'HOST_NOT_FOUND');
});

// --- outputs ---------------------------------------------------------------------------------------------------

const NAMES = ['html', 'junit', 'json', 'csv', 'perfetto', 'openmetrics', 'summary'] as const;

/** A choice of outputs, in a directory. */
function choiceOf(dir: TempDir, change: Partial<OutputChoice>): OutputChoice {
  const none = Object.fromEntries([...NAMES, 'sign'].map((name) => [name, undefined]));
  const paths = Object.entries(change).map(([name, value]) => {
    const isPath = typeof value === 'string' && value !== '-';
    return [name, isPath ? join(dir.path, value) : value];
  });
  return { ...none, force: false, ...Object.fromEntries(paths) } as OutputChoice;
}

type Prepared = readonly [
  name: string,
  choice: Partial<OutputChoice>,
  answer: string | readonly string[],
];

/** Files in their order, or the code of the refusal. `there` is a file that exists. */
const CHOICES: readonly Prepared[] = [
  ['nothing', {}, []],
  ['one', { csv: 'a' }, ['csv a']],
  ['some, in the order of the outputs', { summary: 's', html: 'h' }, ['html h', 'summary s']],
  ['the document of the command', { json: '-', csv: 'a' }, ['csv a']],
  ['two in one file', { html: 'x', junit: 'x' }, 'USAGE_OPTION_CONFLICT'],
  ['two in one file by force', { html: 'x', junit: 'x', force: true }, 'USAGE_OPTION_CONFLICT'],
  ['a page to stdout', { html: '-' }, 'USAGE_OPTION_CONFLICT'],
  ['a file that is there', { csv: 'there' }, 'USAGE_OUTPUT_EXISTS'],
  ['a file that is there, after one that is not', { html: 'a', csv: 'there' }, 'USAGE_OUTPUT_EXISTS'],
  ['a file that is there by force', { csv: 'there', force: true }, ['csv there']],
  ['a signature of nothing', { sign: 'keys' }, 'USAGE_OPTION_CONFLICT'],
  ['a signature of the document', { sign: 'keys', json: '-' }, 'USAGE_OPTION_CONFLICT'],
  ['an output where the signature goes', { sign: 'k', json: 'e', csv: 'e.cose' }, 'USAGE_OPTION_CONFLICT'],
  ['a signature that is there', { sign: 'k', json: 'was' }, 'USAGE_OUTPUT_EXISTS'],
  ['keys that are not there', { sign: 'no', json: 'e' }, 'HOST_NOT_FOUND'],
]; // prettier-ignore

for (const [name, change, answer] of CHOICES) {
  test(`outputs: ${name}`, () => {
    using dir = tempDir();
    for (const file of ['there', 'was.cose']) writeFileSync(join(dir.path, file), 'mine');
    const prepare = (): string[] =>
      prepareOutputs(choiceOf(dir, change)).files.map(
        (each) => `${each.name} ${basename(each.path)}`,
      );
    if (typeof answer === 'string') expectCode(prepare, answer);
    else assert.equal(prepare(), answer);
    assert.equal(readdirSync(dir.path).sort(), ['there', 'was.cose']);
  });
}

test('outputs are written whole and signed, and are those that were asked for', () => {
  using dir = tempDir();
  const evidence = report([put(dir, 'a.jsonl', [boot()])]);
  const all = Object.fromEntries(NAMES.map((name) => [name, `o.${name}`]));
  const signing = {
    path: join(dir.path, 'o.json.cose'),
    signer: testSigner([PURPOSE.EVIDENCE]),
  };
  const prepared = { ...prepareOutputs(choiceOf(dir, all)), signing };
  const expected = [...NAMES.map((name) => `o.${name}`), 'o.json.cose'];
  assert.equal(
    writeOutputs(evidence, prepared).map((path) => basename(path)),
    expected,
  );
  assert.is(readFileSync(join(dir.path, 'o.json'), 'utf8'), evidenceText(evidence));
  const signed = readFileSync(join(dir.path, 'o.json.cose'));
  const trust = { anchors: [testAnchor()], algorithms: [COSE_PS256] } as const;
  const { payload } = verifyEvidence(signed, trust);
  assert.is(Buffer.from(payload).toString(), evidenceText(evidence));
  assert.equal(readdirSync(dir.path).sort(), ['a.jsonl', ...expected].sort());
});

test('where one output cannot be written, none is, and nothing is left behind', () => {
  using dir = tempDir();
  const evidence = report([put(dir, 'a.jsonl', [boot()])]);
  const write = (change: Partial<OutputChoice>): unknown =>
    writeOutputs(evidence, prepareOutputs(choiceOf(dir, change)));
  expectCode(() => write({ html: 'page', summary: 'no/summary' }), 'HOST_NOT_FOUND');
  assert.equal(readdirSync(dir.path), ['a.jsonl']);
  // It came up after the outputs were prepared.
  const prepared = prepareOutputs(choiceOf(dir, { csv: 'a.csv', summary: 's' }));
  writeFileSync(join(dir.path, 's'), 'mine');
  expectCode(() => writeOutputs(evidence, prepared), 'USAGE_OUTPUT_EXISTS');
  assert.not(existsSync(join(dir.path, 'a.csv')));
  assert.is(readFileSync(join(dir.path, 's'), 'utf8'), 'mine');
  write({ summary: 's', force: true });
  assert.match(readFileSync(join(dir.path, 's'), 'utf8'), 'Within budget');
  assert.equal(readdirSync(dir.path).sort(), ['a.jsonl', 's']);
});

test.run();
