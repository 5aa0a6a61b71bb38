/** From boots to verdicts: which group a boot is in, what each check answers, and what the whole comes to. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collectGroups } from '../../toolchain/budget/collect.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { evidenceText, parseEvidence } from '../../toolchain/budget/evidence-file.ts';
import { judge } from '../../toolchain/budget/judge.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { outcomeOf } from '../../toolchain/budget/outcome.ts';
import { parsePlan } from '../../toolchain/budget/statistics/plan.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { expectCode } from '../support/expect-code.ts';
import { BUDGET, find, type Given, judged, stateOf } from '../support/judged.ts';
import { type BootChange, measuredBoot, measuredBoots, MS } from '../support/measured-boots.ts';

const test = suite('judging boots');

/** Milliseconds of a boot of `measuredBoot`. */
const USUAL = 555.6;

/** A little noise, the same for every run of the tests: half a millisecond up and down. */
const noisy = (index: number): BootChange => ({
  stageMs: { kernel: 350 + ((index * 7919) % 101) / 100 - 0.5 },
});
const later = (ms: number) => (index: number) => ({
  stageMs: { ...noisy(index).stageMs, 'verify a': 22 + ms },
});
const virtual = (change: BootChange = {}): MeasuredBoot =>
  measuredBoot({ evidence: 'virtual', ...change });

// --- outcomes --------------------------------------------------------------------------------------------------

type Row = readonly [name: string, given: Given, state: string, code: string | null];
const fast = measuredBoots(59, noisy);

const OUTCOMES: readonly Row[] = [
  ['59 boots, none over', { candidate: fast }, 'pass', null],
  ['58 boots, none over', { candidate: fast.slice(1) }, 'inconclusive', 'BUDGET_INCONCLUSIVE'],
  [
    'one of 59 over',
    { candidate: [...fast.slice(1), measuredBoot({ stageMs: { kernel: 395 } })] },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'one over, after the 59 of the plan',
    { candidate: [...fast, measuredBoot({ stageMs: { kernel: 395 } })] },
    'pass',
    null,
  ],
  [
    'one that never ended',
    { candidate: [...fast.slice(1), measuredBoot({ isCut: true })] },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'one that failed before its clock began',
    {
      candidate: [...fast.slice(1), measuredBoot({ isCut: true })],
      budget: { start: 'ignition', constants: [] },
    },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'boots that failed before their clock began, and no others',
    { candidate: measuredBoots(59, () => ({ isCut: true })), budget: { start: 'ignition' } },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'boots of exactly the limit',
    { candidate: measuredBoots(59), budget: { totalNs: USUAL * MS } },
    'pass',
    null,
  ],
  [
    'boots of a nanosecond more',
    { candidate: measuredBoots(59), budget: { totalNs: USUAL * MS - 1 } },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'a clock that may be off by the rest',
    {
      candidate: measuredBoots(59, () => ({
        clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: 45 * MS },
      })),
    },
    'fail',
    'BUDGET_OVER',
  ],
  [
    'a clock that says nothing of itself',
    {
      candidate: measuredBoots(59, () => ({
        clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: null },
      })),
    },
    'bad-evidence',
    'BUDGET_EVIDENCE',
  ],
  [
    'nobody said how they were started',
    { candidate: measuredBoots(59, () => ({ start: null })) },
    'bad-evidence',
    'BUDGET_EVIDENCE',
  ],
  [
    'warm boots alone',
    { candidate: measuredBoots(59, () => ({ start: 'warm' })) },
    'inconclusive',
    'BUDGET_INCONCLUSIVE',
  ],
  [
    'a record without the end of the budget',
    { candidate: fast, budget: { stop: 'first-light' } },
    'bad-evidence',
    'BUDGET_FLAG_NO_STOP',
  ],
  [
    'a record that begins after the budget',
    {
      candidate: measuredBoots(59, () => ({
        clock: { name: 'kernel', zero: 'kernel', uncertaintyNs: 0 },
      })),
      budget: { start: 'ignition' },
    },
    'bad-evidence',
    'BUDGET_FLAG_NO_START',
  ],
  [
    'a stop before its start',
    { candidate: fast, budget: { start: 'containers', stop: 'power-on' } },
    'bad-evidence',
    'BUDGET_FLAG_STOP_BEFORE_START',
  ],
  [
    'the same 30 boots twice',
    { candidate: [...fast.slice(0, 30), ...fast.slice(0, 30)] },
    'bad-evidence',
    'BUDGET_FLAG_REPEATED',
  ],
  [
    'the same boot under two names of its log, which says when it was',
    {
      candidate: [
        ...fast,
        measuredBoot({ measuredAt: '2026-01-01T00:00:00Z' }),
        measuredBoot({
          measuredAt: '2026-01-01T00:00:00Z',
          source: { format: 'logic-analyser', file: 'b.csv', sha256: 'cd'.repeat(32) },
        }),
      ],
    },
    'bad-evidence',
    'BUDGET_FLAG_REPEATED',
  ],
  ['virtual boots that are equal', { candidate: [virtual(), virtual()] }, 'pass', null],
  [
    'boots of two releases, enough together',
    {
      candidate: measuredBoots(60, (index) => ({
        release: { id: 'aa', version: index < 30 ? '1.0' : '1.1', builtAt: 0 },
      })),
    },
    'bad-evidence',
    'BUDGET_EVIDENCE',
  ],
  [
    'warm boots that are slow, beside 59 cold ones',
    {
      candidate: [
        ...fast,
        ...measuredBoots(9, () => ({ start: 'warm', stageMs: { 'verify a': 300 } })),
      ],
    },
    'pass',
    null,
  ],
  [
    'a stage over its own budget',
    { candidate: measuredBoots(59, () => ({ stageMs: { 'verify a': 31 } })) },
    'fail',
    'BUDGET_STAGE',
  ],
  [
    'a budget for a stage that nobody measured',
    { candidate: fast, budget: { stages: [{ name: 'userspace', ns: MS }] } },
    'bad-evidence',
    'BUDGET_EVIDENCE',
  ],
  ['one virtual boot', { candidate: [virtual()] }, 'pass', null],
  [
    'a virtual boot over the budget',
    { candidate: [virtual({ stageMs: { kernel: 400 } })] },
    'fail',
    'BUDGET_OVER',
  ],
  ['a virtual boot that hung', { candidate: [virtual({ isCut: true })] }, 'fail', 'BUDGET_OVER'],
];

for (const [name, given, state, code] of OUTCOMES) {
  test(`outcome: ${name}`, () => {
    const { outcome, checks } = judged(given);
    assert.equal([outcome.state, outcome.code], [state, code], outcome.sentence);
    assert.is(outcome.exitCode, state === 'pass' ? 0 : 5);
    assert.is(new Set(checks.map(({ id }) => id)).size, checks.length);
  });
}

test('a real board and a virtual one are judged apart, and the worse one decides', () => {
  const both = judged({ candidate: [...fast.slice(1), virtual()] });
  assert.equal(
    both.groups.map(({ id }) => id),
    ['board-gpio-cold', 'virtual-cold'],
  );
  assert.is(both.outcome.code, 'BUDGET_INCONCLUSIVE');
  assert.is(stateOf(both, 'virtual-cold/total'), 'pass');
});

test('conditions are judged apart, and the worst comes first', () => {
  const cold = { temperature: '-30C' };
  const { groups, outcome } = judged({
    candidate: [
      ...fast,
      ...measuredBoots(59, () => ({ conditions: cold, stageMs: { kernel: 400 } })),
    ],
  });
  assert.equal(
    groups.map(({ label }) => label),
    ['board-gpio, cold, temperature=-30C', 'board-gpio, cold'],
  );
  assert.is(outcome.code, 'BUDGET_OVER');
});

test('pooling is refused even where the pool would pass', () => {
  // 30 boots each are 60 together, which would be enough for the plan.
  const { outcome } = judged({
    candidate: [...fast.slice(0, 30), ...measuredBoots(30, () => ({ evidence: 'board-serial' }))],
  });
  assert.is(outcome.code, 'BUDGET_INCONCLUSIVE');
});

test('boots are counted in the order they were run, whatever the order of the lines', () => {
  const at = (index: number): string => `2026-01-01T00:${String(index).padStart(2, '0')}:00Z`;
  const run = measuredBoots(60, (index) => ({
    measuredAt: at(index),
    stageMs: { kernel: index === 7 ? 400 : 350 },
  }));
  const behind = [...run.slice(0, 7), ...run.slice(8), run[7]!];
  assert.is(judged({ candidate: behind }).outcome.code, 'BUDGET_OVER');
});

test('a boot that is over after those of the plan is told, and decides nothing', () => {
  const slow = measuredBoot({ stageMs: { kernel: 400 } });
  const { outcome } = judged({ candidate: [...fast, slow] });
  assert.is(outcome.state, 'pass');
  assert.match(outcome.sentence, '59 boots, 0 over; 1 of 1 after these over, not counted');
});

test('bad evidence makes no claim about boots', () => {
  const { checks } = judged({ candidate: measuredBoots(59, () => ({ start: null })) });
  const { sentence } = checks.find(({ id }) => id.endsWith('/total'))!;
  assert.is(
    sentence,
    '59 boots, 0 over 600.0 ms, and no verdict: the evidence cannot be used; board-gpio',
  );
});

test('a plan that allows one boot over takes 93', () => {
  const slow = measuredBoot({ stageMs: { kernel: 400 } });
  const plan = { text: '95/95/1', ...parsePlan('95/95/1'), origin: 'option' } as const;
  const run = (candidate: readonly MeasuredBoot[]): string | null =>
    judged({ candidate, settings: { plan } }).outcome.code;
  assert.is(run([...measuredBoots(92, noisy), slow]), null);
  assert.is(run([...measuredBoots(91, noisy), slow]), 'BUDGET_INCONCLUSIVE');
  const slower = measuredBoot({ stageMs: { kernel: 401 } });
  assert.is(run([...measuredBoots(91, noisy), slow, slower]), 'BUDGET_OVER');
});

test('an over stays an over beside a record that is no evidence', () => {
  const flag = { code: 'BUDGET_FLAG_X', message: 'the clock jumped', isUnusable: true };
  const broken = measuredBoot({ flags: [flag] });
  const slow = measuredBoot({ stageMs: { kernel: 400 } });
  assert.is(judged({ candidate: [...fast, broken, slow] }).outcome.state, 'bad-evidence');
  assert.is(judged({ candidate: [slow, broken, ...fast] }).outcome.code, 'BUDGET_OVER');
});

test('constants are part of the total, and their uncertainty of the limit', () => {
  const constant = {
    name: 'PMIC and ROM',
    from: 'power-on',
    to: 'reset',
    ns: 30 * MS,
    uncertaintyNs: 5 * MS,
    source: 'data sheet',
    evidence: 'vendor',
  };
  const candidate = measuredBoots(59, (index) => {
    const { events } = measuredBoot(noisy(index));
    const renamed = events.map((each) =>
      each.name === 'power-on' ? { ...each, name: 'reset' } : each,
    );
    return { ...noisy(index), events: renamed } as BootChange;
  });
  const { groups, outcome } = judged({ candidate, budget: { constants: [constant] } });
  const [group] = groups;
  assert.is(group!.limitNs, 595 * MS);
  assert.is(Math.round(group!.candidate.total!.medianNs / MS), Math.round(USUAL + 30));
  assert.equal(group!.constants, [constant]);
  assert.is(outcome.state, 'pass');
});

test('the reserve is noted when the median eats into it, and decides nothing', () => {
  const noted = judged({ candidate: fast, budget: { reserveNs: 60 * MS } });
  assert.is(stateOf(noted, 'board-gpio-cold/reserve'), 'noted');
  assert.is(noted.outcome.state, 'pass');
  const untouched = judged({ candidate: fast, budget: { reserveNs: 40 * MS } });
  assert.not(untouched.checks.some(({ id }) => id.endsWith('/reserve')));
});

test('a stretch between two events has a column and a check of its own', () => {
  const stretches = [{ name: 'loading', from: 'power-on', to: 'kernel', ns: 100 * MS }];
  const evidence = judged({ candidate: fast, budget: { stretches } });
  assert.is(find(evidence, 'board-gpio-cold/stage/loading').code, 'BUDGET_STAGE');
  const column = evidence.groups[0]!.candidate.stages.find(({ name }) => name === 'loading');
  assert.is(column!.summary!.medianNs, 130 * MS);
});

test('rows of one stage are added up; one that did not end leaves it without a time', () => {
  const samples = (boot: MeasuredBoot): readonly (number | null)[] =>
    collectGroups([boot], BUDGET)[0]!.samples.stages.find(({ name }) => name === 'modules')!
      .durationsNs;
  const boot = measuredBoot();
  assert.equal(samples(boot), [8 * MS]);
  const stages = boot.stages.map((stage) =>
    stage.name === 'modules erofs' ? { ...stage, endNs: null } : stage,
  );
  assert.equal(samples({ ...boot, stages }), [null]);
});

test('firmware and loaders are what is before the kernel, where a budget asks for it', () => {
  const parts = { 'before-kernel': null, firmware: 80, loader: 50, kernel: 350 };
  const boots = measuredBoots(2, () => ({ evidence: 'virtual', stageMs: parts }));
  const evidence = judged({
    candidate: boots,
    budget: { stages: [{ name: 'before-kernel', ns: 120 * MS }] },
  });
  const { code, sentence } = find(evidence, 'virtual-cold/stage/before-kernel');
  assert.is(code, 'BUDGET_STAGE');
  assert.match(sentence, '130.0 ms of 120.0 ms');
});

// --- regression ------------------------------------------------------------------------------------------------

test('5 % of one stage are found with one virtual boot, and the stage is named', () => {
  for (const [name, ms] of [
    ['verify a', 22],
    ['setup', 2.6],
    ['kernel', 350],
    ['modules erofs', 5],
  ] as const) {
    const stageMs = { [name]: ms * 1.05 };
    const evidence = judged({ candidate: [virtual({ stageMs })], baseline: [virtual()] });
    const { sentence, code } = find(evidence, 'virtual-cold/regression');
    assert.is(code, 'BUDGET_REGRESSION', name);
    assert.ok(sentence.includes(name.split(' ')[0]!), sentence);
    assert.is(evidence.outcome.exitCode, 5);
  }
});

const COMPARED: readonly [
  name: string,
  before: BootChange[],
  after: BootChange[],
  state: string,
][] = [
  ['the same', [{}], [{}], 'pass'],
  ['within the tolerance of stages', [{}], [{ stageMs: { setup: 2.69 } }], 'pass'],
  ['within the tolerance of this stage', [{}], [{ stageMs: { containers: 30.9 } }], 'pass'],
  ['beyond the tolerance of this stage', [{}], [{ stageMs: { containers: 31.1 } }], 'fail'],
  [
    'within what the baseline does itself',
    [{}, { stageMs: { setup: 3 } }],
    [{ stageMs: { setup: 3 } }],
    'pass',
  ],
  ['faster', [{}], [{ stageMs: { kernel: 300 } }], 'pass'],
  ['faster, though one stage is slower', [{}], [{ stageMs: { kernel: 300, setup: 4 } }], 'pass'],
  ['slower, though one stage is faster', [{}], [{ stageMs: { kernel: 360, setup: 1 } }], 'fail'],
  [
    'slower, though a busy host made another stage faster',
    [{ stageMs: { containers: 31.2 } }],
    [{ stageMs: { containers: 28, setup: 2.9 } }],
    'fail',
  ],
  [
    'faster in the total by more than the host can make it',
    [{ stageMs: { containers: 40 } }],
    [{ stageMs: { containers: 28, setup: 2.9 } }],
    'pass',
  ],
  ['a stage that is new', [{}], [{ stageMs: { policy: 3 } }], 'fail'],
  ['a stage that is gone', [{}], [{ stageMs: { setup: null } }], 'pass'],
];
for (const [name, before, after, state] of COMPARED) {
  test(`virtual boots are compared exactly: ${name}`, () => {
    const evidence = judged({ candidate: after.map(virtual), baseline: before.map(virtual) });
    assert.is(stateOf(evidence, 'virtual-cold/regression'), state);
    assert.is(evidence.groups[0]!.regression!.method, 'exact');
  });
}

const SHIFTED: readonly [name: string, count: number, ms: number, state: string][] = [
  ['the same', 12, 0, 'pass'],
  ['more than the margin', 12, 25, 'fail'],
  ['less than the margin', 12, 7, 'pass'],
  ['at the margin', 12, 20, 'inconclusive'],
  ['too few boots', 4, 25, 'inconclusive'],
  ['faster', 12, -21, 'pass'],
];
for (const [name, count, ms, state] of SHIFTED) {
  test(`real boots are compared by their shift: ${name}`, () => {
    const evidence = judged({
      candidate: measuredBoots(count, later(ms)),
      baseline: measuredBoots(count, (index) => noisy(index + 3)),
      budget: { stages: [] },
    });
    const check = find(evidence, 'board-gpio-cold/regression');
    assert.is(check.state, state, check.sentence);
    assert.is(evidence.groups[0]!.regression!.method, 'shift');
  });
}

test('the stage that moved explains the shift, the others do not', () => {
  const evidence = judged({
    candidate: measuredBoots(15, later(25)),
    baseline: measuredBoots(15, noisy),
  });
  const { stages } = evidence.groups[0]!.regression!;
  assert.equal([stages[0]!.name, stages[0]!.isSignificant], ['verify', true]);
  assert.not(stages.slice(1).some(({ isSignificant }) => isSignificant));
  assert.match(find(evidence, 'board-gpio-cold/regression').sentence, 'verify +25.0 ms (+113.6 %)');
});

test('virtual runs that do not agree are compared by their shift', () => {
  const wallclock = (index: number): BootChange => ({
    ...noisy(index),
    evidence: 'virtual-wallclock',
  });
  const { groups } = judged({
    candidate: [virtual()],
    baseline: measuredBoots(12, wallclock),
  });
  assert.equal(
    [groups[0]!.evidence, groups[0]!.regression!.method],
    ['virtual-wallclock', 'shift'],
  );
});

test('a baseline of another kind leaves the question open', () => {
  const evidence = judged({ candidate: fast, baseline: [virtual()] });
  assert.is(evidence.outcome.code, 'BUDGET_INCONCLUSIVE');
  assert.is(stateOf(evidence, 'board-gpio-cold/regression'), 'inconclusive');
});

test('a baseline that never booted cannot be compared with', () => {
  const evidence = judged({ candidate: [virtual()], baseline: [virtual({ isCut: true })] });
  assert.is(stateOf(evidence, 'virtual-cold/regression'), 'bad-evidence');
});

// --- the whole -------------------------------------------------------------------------------------------------

test('no check that decides is no pass', () => {
  assert.is(outcomeOf([]).code, 'BUDGET_INCONCLUSIVE');
  const evidence = judged({
    candidate: measuredBoots(9, () => ({ start: 'reboot' })),
    budget: { stages: [] },
  });
  assert.is(stateOf(evidence, 'board-gpio-reboot/total'), 'not-evaluated');
  assert.is(evidence.outcome.code, 'BUDGET_INCONCLUSIVE');
});

test('evidence that is read again is judged the same, to the byte', () => {
  const given: readonly Given[] = [
    { candidate: fast, baseline: measuredBoots(12, later(3)) },
    { candidate: [virtual({ isCut: true }), virtual()], baseline: [virtual()] },
    {
      candidate: [...fast, ...measuredBoots(3, () => ({ specimen: 'x', conditions: { a: 'b' } }))],
    },
  ];
  for (const each of given) {
    const text = evidenceText(judged(each));
    const again = evidenceText(judge(parseEvidence(JSON.parse(text), 'x')));
    assertBytes(Buffer.from(again), Buffer.from(text));
  }
});

test('an evidence file with columns of other lengths is refused', () => {
  const evidence = JSON.parse(evidenceText(judged({ candidate: fast }))) as Evidence;
  const totals = evidence.groups[0]!.candidate.totalsNs as (number | null)[];
  totals.pop();
  const { message } = expectCode(() => parseEvidence(evidence, 'x.json'), 'FORMAT_EVIDENCE');
  assert.match(message, 'columns of different lengths');
  expectCode(() => parseEvidence({ ...evidence, groups: [] }, 'x.json'), 'FORMAT_EVIDENCE');
  expectCode(() => parseEvidence(null, 'x.json'), 'FORMAT_EVIDENCE');
});

test('what follows from the samples of an evidence file is made again, not believed', () => {
  const text = evidenceText(
    judged({
      candidate: fast,
      baseline: measuredBoots(12, later(3)),
      budget: { stretches: [{ name: 'verify', from: 'kernel', to: 'containers', ns: 500 * MS }] },
    }),
  );
  const CHANGES: readonly (readonly [change: string, to: string])[] = [
    ['"exceedances":0,"boots":59', '"exceedances":0,"boots":5'],
    ['"exceedances":0,"boots":59', '"exceedances":1,"boots":59'],
    ['"coverage":0.95', '"coverage":0.5'],
    ['"p95Ns":', '"p95Ns":1'],
    ['"budgetNs":30000000', '"budgetNs":90000000'],
    ['"budgetNs":500000000', '"budgetNs":900000000'],
  ];
  for (const [before, after] of CHANGES) {
    assert.ok(text.includes(before), before);
    const changed = text.replace(before, after);
    const again = evidenceText(judge(parseEvidence(JSON.parse(changed), 'x')));
    assertBytes(Buffer.from(again), Buffer.from(text));
  }
});

test('an evidence file whose plan is none, or whose files have other boots, is refused', () => {
  const text = evidenceText(judged({ candidate: fast }));
  const refused = (before: string, after: string): string => {
    assert.ok(text.includes(before), before);
    const changed = JSON.parse(text.replace(before, after)) as unknown;
    return expectCode(() => parseEvidence(changed, 'x'), 'FORMAT_EVIDENCE').message;
  };
  assert.match(refused('"text":"95/95"', '"text":"sure"'), 'settings.plan.text is "sure"');
  assert.match(
    refused('"arm":"candidate","boots":59', '"arm":"candidate","boots":900'),
    'its sources have 900 boots, and its groups 59',
  );
});

test('one more slow boot never turns a no into a yes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 300, max: 420 }), { minLength: 1, maxLength: 70 }),
      fc.nat(70),
      (kernels, place) => {
        const boots = kernels.map((kernel) => measuredBoot({ stageMs: { kernel } }));
        const slow = measuredBoot({ stageMs: { kernel: 421 } });
        const before = judged({ candidate: boots, budget: { stages: [] } }).outcome;
        const at = Math.min(place, boots.length);
        const more = [...boots.slice(0, at), slow, ...boots.slice(at)];
        const after = judged({ candidate: more, budget: { stages: [] } }).outcome;
        if (before.state === 'fail') assert.is(after.state, 'fail');
        if (before.state === 'inconclusive') assert.is.not(after.state, 'pass');
      },
    ),
    { numRuns: 60 },
  );
});

test.run();
