/** What each check says and why: the edges of limits, reserves, guards and flags, and which of them decides. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collectGroups } from '../../toolchain/budget/collect.ts';
import type { Check, EvidenceBudget, SampleSet } from '../../toolchain/budget/evidence.ts';
import type { BootFlag, MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { outcomeOf } from '../../toolchain/budget/outcome.ts';
import { BUDGET, find, type Given, judged, stateOf } from '../support/judged.ts';
import { type BootChange, measuredBoot, measuredBoots, MS } from '../support/measured-boots.ts';

const test = suite('checks');

/** Milliseconds of a boot of `measuredBoot`. */
const USUAL = 555.6;

const virtual = (change: BootChange = {}): MeasuredBoot =>
  measuredBoot({ evidence: 'virtual', ...change });
const clock = (uncertaintyNs: number | null): MeasuredBoot['clock'] => {
  return { name: 'analyser', zero: 'power-on', uncertaintyNs };
};
const flag = (code: string, isUnusable: boolean): BootFlag => {
  return { code, message: `what ${code} means`, isUnusable };
};
const kernels = (offsetsMs: readonly number[], change: BootChange = {}): MeasuredBoot[] =>
  measuredBoots(offsetsMs.length, (index) => {
    return { ...change, stageMs: { kernel: 350 + offsetsMs[index]! } };
  });

// --- the answer of one check -----------------------------------------------------------------------------------

const real = 'board-gpio-cold';
const usual = measuredBoots(59);
const NO_STAGES = { stages: [] };

type Row = readonly [
  name: string,
  given: Given,
  id: string,
  state: Check['state'],
  sentence: RegExp,
];

const ROWS: readonly Row[] = [
  [
    'virtual boots of exactly the limit',
    { candidate: [virtual()], budget: { totalNs: USUAL * MS } },
    'virtual-cold/total',
    'pass',
    /^555\.6 ms of 555\.6 ms \(median of 1 boot\); virtual, which predicts/,
  ],
  [
    'virtual boots of a nanosecond more',
    { candidate: [virtual(), virtual()], budget: { totalNs: USUAL * MS - 1 } },
    'virtual-cold/total',
    'fail',
    /; 2 of 2 boots over;/,
  ],
  [
    'virtual boots that are no evidence, and no other',
    { candidate: [virtual({ flags: [flag('X', true)] })] },
    'virtual-cold/total',
    'bad-evidence',
    /^no boot has a total$/,
  ],
  [
    'virtual boots that all hung',
    { candidate: [virtual({ isCut: true }), virtual({ isCut: true })] },
    'virtual-cold/total',
    'fail',
    /^none of 2 boots got to its end; 2 of 2 boots over/,
  ],
  [
    'boots that nobody said how they were started are over all the same',
    { candidate: measuredBoots(59, () => ({ start: null, stageMs: { kernel: 400 } })) },
    'board-gpio-start-unknown/total',
    'fail',
    /^59 boots, 59 over 600\.0 ms, where/,
  ],
  [
    'enough boots, and one that is no evidence',
    { candidate: [...usual, measuredBoot({ flags: [flag('X', true)] })] },
    `${real}/total`,
    'bad-evidence',
    /^59 boots, 0 over 600\.0 ms, and no verdict: the evidence cannot be used/,
  ],
  [
    'boots with flags that do no harm',
    { candidate: measuredBoots(59, () => ({ flags: [flag('X', false)] })) },
    `${real}/total`,
    'pass',
    /^95 % of cold boots are within 600\.0 ms with 95 % confidence/,
  ],
  [
    'no boot but such as are no evidence',
    { candidate: [measuredBoot({ flags: [flag('X', true)] })] },
    `${real}/total`,
    'bad-evidence',
    /^no boot can be judged$/,
  ],
  [
    'an uncertainty as large as the budget: the total',
    { candidate: measuredBoots(59, () => ({ clock: clock(600 * MS) })) },
    `${real}/total`,
    'bad-evidence',
    /^no boot can be judged$/,
  ],
  [
    'an uncertainty as large as the budget: the evidence',
    { candidate: measuredBoots(59, () => ({ clock: clock(600 * MS) })) },
    `${real}/evidence`,
    'bad-evidence',
    /^the uncertainty is as large as the budget$/,
  ],
  [
    'warm boots',
    { candidate: measuredBoots(59, () => ({ start: 'warm' })) },
    'board-gpio-warm/total',
    'not-evaluated',
    /for cold boots; these are warm ones/,
  ],
  [
    'a stage of exactly its budget',
    { candidate: measuredBoots(59, () => ({ stageMs: { 'verify a': 30 } })) },
    `${real}/stage/verify`,
    'pass',
    /^30\.0 ms of 30\.0 ms \(median of 59\); board-gpio$/,
  ],
  [
    'a stage of a nanosecond more',
    { candidate: measuredBoots(59, () => ({ stageMs: { 'verify a': 30.000001 } })) },
    `${real}/stage/verify`,
    'fail',
    /^30\.0 ms of 30\.0 ms/,
  ],
  [
    'a stage with its slowest boots over',
    {
      candidate: [...usual.slice(9), ...measuredBoots(9, () => ({ stageMs: { 'verify a': 31 } }))],
    },
    `${real}/stage/verify`,
    'pass',
    /^22\.0 ms of 30\.0 ms \(median of 59, 95th percentile 31\.0 ms\)/,
  ],
  [
    'a budget for what is before the kernel, in one piece',
    { candidate: usual, budget: { stages: [{ name: 'before-kernel', ns: 130 * MS }] } },
    `${real}/stage/before-kernel`,
    'pass',
    /^130\.0 ms of 130\.0 ms/,
  ],
  [
    'one piece and its parts',
    {
      candidate: measuredBoots(59, () => ({ stageMs: { firmware: 20 } })),
      budget: { stages: [{ name: 'before-kernel', ns: 130 * MS }] },
    },
    `${real}/stage/before-kernel`,
    'pass',
    /^130\.0 ms of 130\.0 ms/,
  ],
  [
    'a budget for what is before the kernel, which no record has',
    {
      candidate: measuredBoots(59, () => ({ stageMs: { 'before-kernel': null } })),
      budget: { stages: [{ name: 'before-kernel', ns: 130 * MS }] },
    },
    `${real}/stage/before-kernel`,
    'bad-evidence',
    /^is in no record, so that its budget cannot be checked$/,
  ],
  [
    'two flags of one boot that is no evidence',
    { candidate: [...usual, measuredBoot({ flags: [flag('A', true), flag('B', true)] })] },
    `${real}/evidence`,
    'bad-evidence',
    /^1 of 60 boots: what A means$/,
  ],
  [
    'two flags of one boot that do no harm',
    { candidate: [...usual, measuredBoot({ flags: [flag('B', false), flag('A', false)] })] },
    `${real}/evidence`,
    'noted',
    /^1 of 60 boots flagged: A, B$/,
  ],
  [
    'a virtual clock that says nothing of itself, and a start that nobody named',
    { candidate: [virtual({ clock: clock(null), start: null })] },
    'virtual-start-unknown/evidence',
    'pass',
    /^1 boot, none flagged; virtual$/,
  ],
];

for (const [name, given, id, state, sentence] of ROWS) {
  test(`check: ${name}`, () => {
    const check = find(judged(given), id);
    assert.is(check.state, state, check.sentence);
    assert.match(check.sentence, sentence);
  });
}

test('the reserve is noted when less than it is left, and not where nothing is', () => {
  const noted = (totalMs: number, reserveMs: number): string | undefined =>
    judged({
      candidate: usual,
      budget: { totalNs: totalMs * MS, reserveNs: reserveMs * MS },
    }).checks.find(({ id }) => id === `${real}/reserve`)?.sentence;
  assert.is(noted(605.6, 50), undefined);
  assert.is(noted(605.6, 50.000001), '50.0 ms are left of a reserve of 50.0 ms');
  assert.is(noted(USUAL, 10), '0.0 ms are left of a reserve of 10.0 ms');
  // Over the budget is no matter of the reserve.
  assert.is(noted(USUAL - 0.000001, 10), undefined);
  assert.is(noted(600, 0), undefined);
});

test('compliance counts the boots of the plan, and proves with all of them', () => {
  const slow = measuredBoot({ stageMs: { kernel: 400 } });
  const slower = measuredBoot({ stageMs: { kernel: 401 } });
  const { compliance, label } = judged({ candidate: [...usual, slow, slower] }).groups[0]!;
  const { n, exceedances, allBoots, allExceedances, coverageToPass } = compliance!;
  assert.equal([n, exceedances, allBoots, allExceedances], [59, 0, 61, 2]);
  assert.ok(coverageToPass > 0.99 && coverageToPass < 1, String(coverageToPass));
  assert.is(label, 'board-gpio, cold');
  const { groups } = judged({ candidate: [virtual(), measuredBoot({ start: null })] });
  assert.equal(
    groups.map((group) => [group.label, group.compliance === null]),
    [
      ['board-gpio, start unknown', false],
      ['virtual, cold', true],
    ],
  );
});

test('drift is asked for with a history, and is a check of the whole', () => {
  assert.is(judged({ candidate: usual }).drift, null);
  assert.not(judged({ candidate: usual }).checks.some(({ id }) => id === 'drift'));
  const evidence = judged({ candidate: usual, builds: [] });
  assert.is(evidence.drift!.state, 'not-enough');
  assert.is(find(evidence, 'drift').group, null);
});

// --- columns ---------------------------------------------------------------------------------------------------

const samplesOf = (
  boots: readonly MeasuredBoot[],
  change: Partial<EvidenceBudget> = {},
): SampleSet => collectGroups(boots, { ...BUDGET, ...change })[0]!.samples;

test('groups are in the order of their identifiers, in which conditions are sorted', () => {
  const boots = [
    measuredBoot({ evidence: 'board-serial' }),
    measuredBoot({ conditions: { b: '1', a: '2' } }),
    virtual({ evidence: 'virtual' }),
    measuredBoot({ conditions: { a: '2', b: '1' } }),
    virtual({ evidence: 'virtual-wallclock' }),
  ];
  assert.equal(
    collectGroups(boots, BUDGET).map(({ id, evidence, samples }) => [id, evidence, samples.boots]),
    [
      ['board-gpio-cold-a=2-b=1', 'board-gpio', 2],
      ['board-serial-cold', 'board-serial', 1],
      ['virtual-cold', 'virtual-wallclock', 2],
    ],
  );
});

test('a group is as uncertain as its worst clock', () => {
  const of = (...clocks: readonly (number | null)[]): number | null =>
    collectGroups(
      clocks.map((ns) => measuredBoot({ clock: clock(ns) })),
      BUDGET,
    )[0]!.uncertaintyNs;
  assert.equal([of(3, 5, 1), of(5, null, 3), of(null, 5)], [5, null, null]);
});

test('a constant that one boot needs is in the group, and its uncertainty too', () => {
  const constant = {
    name: 'PMIC',
    from: 'power-on',
    to: 'reset',
    ns: 30 * MS,
    uncertaintyNs: 5 * MS,
    source: 'data sheet',
    evidence: 'vendor',
  };
  const own = measuredBoot();
  const later = own.events.map((each) =>
    each.name === 'power-on' ? { ...each, name: 'reset' } : each,
  );
  const [group] = collectGroups([own, { ...own, events: later }], {
    ...BUDGET,
    constants: [constant],
  });
  assert.equal(group!.constants, [constant]);
  assert.is(group!.uncertaintyNs, 5 * MS);
  assert.equal(group!.samples.totalsNs, [USUAL * MS, (USUAL + 30) * MS]);
});

test('a boot that is no evidence has no total, and stays in its place', () => {
  const boots = [virtual(), virtual({ flags: [flag('X', true)] }), virtual({ isCut: true })];
  const { totalsNs, total, boots: count } = samplesOf(boots);
  assert.equal(totalsNs, [USUAL * MS, null, null]);
  assert.equal([count, total!.n], [3, 1]);
});

test('a stage that did not end has no time, whichever of its rows that was', () => {
  const cut = (name: string): (number | null)[] => {
    const boot = measuredBoot({ stageMs: { 'before-kernel': null, firmware: 80, loader: 50 } });
    const stages = boot.stages.map((row) => (row.name === name ? { ...row, endNs: null } : row));
    const columns = samplesOf([{ ...boot, stages }], {
      stages: [{ name: 'before-kernel', ns: MS }],
    }).stages;
    return ['modules', 'before-kernel'].map(
      (each) => columns.find((column) => column.name === each)!.durationsNs[0]!,
    );
  };
  assert.equal(cut('none'), [8 * MS, 130 * MS]);
  assert.equal(cut('modules virtio_blk'), [null, 130 * MS]);
  assert.equal(cut('modules erofs'), [null, 130 * MS]);
  assert.equal(cut('firmware'), [8 * MS, null]);
  assert.equal(cut('loader'), [8 * MS, null]);
});

test('what is before the kernel is unknown where neither part is known, of each boot', () => {
  const parts = { 'before-kernel': null, firmware: 80 };
  const { stages } = samplesOf(
    [measuredBoot({ stageMs: parts }), measuredBoot({ stageMs: { 'before-kernel': null } })],
    { stages: [{ name: 'before-kernel', ns: MS }] },
  );
  const column = stages.find(({ name }) => name === 'before-kernel')!;
  assert.equal(column.durationsNs, [80 * MS, null]);
});

const TYPICAL: readonly [offsetsMs: readonly number[], boot: number][] = [
  [[7], 0],
  [[3, 1, 2], 2],
  // The lower of two in the middle, and the earlier of equal ones.
  [[4, 1, 3, 2], 3],
  [[2, 1, 2, 2, 3], 2],
  [[1, 1], 0],
];
test('the typical boot is the one in the middle', () => {
  for (const [offsets, boot] of TYPICAL) {
    assert.is(samplesOf(kernels(offsets)).typical!.boot, boot, offsets.join());
  }
  assert.is(samplesOf([measuredBoot({ isCut: true })]).typical, null);
});

test('releases and specimens are told apart by all of their names', () => {
  const release = (id: string | null, version: string): BootChange => {
    return { release: { id, version, builtAt: null } };
  };
  const { releases, releaseOf, specimens, specimenOf } = samplesOf([
    measuredBoot(release('a', '1')),
    measuredBoot({ ...release('a', '2'), specimen: 'y' }),
    measuredBoot({ ...release('b', '1'), specimen: 'x' }),
    measuredBoot({ release: null, specimen: 'y' }),
    measuredBoot(release('a', '1')),
  ]);
  assert.is(releases.length, 3);
  assert.equal(releaseOf, [0, 1, 2, -1, 0]);
  assert.equal(
    [specimens, specimenOf],
    [
      ['y', 'x'],
      [-1, 0, 1, 0, -1],
    ],
  );
});

test('figures are those of all boots: type 7 of Hyndman and Fan', () => {
  const offsets = Array.from({ length: 21 }, (_, index) => 20 - index);
  const { total } = samplesOf(kernels(offsets));
  assert.equal(
    [total!.n, total!.minNs, total!.medianNs, total!.p95Ns, total!.maxNs],
    [21, USUAL * MS, (USUAL + 10) * MS, (USUAL + 19) * MS, (USUAL + 20) * MS],
  );
});

// --- exact comparison ------------------------------------------------------------------------------------------

type Compared = readonly [
  name: string,
  after: BootChange['stageMs'],
  state: Check['state'],
  sentence: RegExp,
];

const EXACT: readonly Compared[] = [
  // 0.5 % of 350 ms are 1.75 ms.
  [
    'a part of a long stage',
    { kernel: 351.7 },
    'pass',
    /^total \+1\.7 ms, margin 3\.1 ms; compared exactly/,
  ],
  // Each within its own, and together beyond 0.1 ms and 3 ms.
  [
    'many that are within theirs',
    { kernel: 351.7, containers: 30.9 },
    'fail',
    /^total \+4\.6 ms, margin 3\.1 ms; compared exactly/,
  ],
  [
    'a new stage of less than the tolerance',
    { policy: 0.05 },
    'pass',
    /^total \+0\.1 ms, margin 3\.1 ms; compared exactly/,
  ],
  ['a new stage', { policy: 3 }, 'fail', /; policy is new: 3\.0 ms;/],
  ['a stage that is gone', { setup: null }, 'pass', /; setup is gone: -2\.6 ms;/],
  [
    'a stage that is gone pays for one that is slower',
    { setup: null, 'verify a': 24 },
    'pass',
    /; setup is gone: -2\.6 ms, verify \+2\.0 ms \(\+9\.1 %\);/,
  ],
  [
    'more stages than three: the largest, first',
    { 'modules erofs': 6, setup: 4.6, 'verify a': 27, kernel: 360 },
    'fail',
    /; kernel \+10\.0 ms \(\+2\.9 %\), verify \+5\.0 ms \(\+22\.7 %\), setup \+2\.0 ms \(\+76\.9 %\); comp/,
  ],
];

for (const [name, stageMs, state, sentence] of EXACT) {
  test(`compared exactly: ${name}`, () => {
    const candidate = [virtual({ stageMs: stageMs! })];
    const check = find(judged({ candidate, baseline: [virtual()] }), 'virtual-cold/regression');
    assert.is(check.state, state, check.sentence);
    assert.match(check.sentence, sentence);
  });
}

test('a stage that took no time in the baseline has no share', () => {
  const baseline = [virtual({ stageMs: { setup: 0 } })];
  const evidence = judged({ candidate: [virtual()], baseline });
  assert.match(find(evidence, 'virtual-cold/regression').sentence, /; setup \+2\.6 ms; compared/);
});

test('a stretch lies over stages, and is not counted beside them', () => {
  const stretches = [{ name: 'system', from: 'kernel', to: 'containers', ns: 500 * MS }];
  const candidate = [virtual({ stageMs: { 'before-kernel': 125, kernel: 355 } })];
  const evidence = judged({ candidate, baseline: [virtual()], budget: { stretches } });
  assert.is(stateOf(evidence, 'virtual-cold/regression'), 'pass');
  const { stages } = evidence.groups[0]!.regression!;
  assert.ok(stages.some(({ name, isSignificant }) => name === 'system' && isSignificant));
});

test('a candidate that never booted cannot be compared', () => {
  const evidence = judged({ candidate: [virtual({ isCut: true })], baseline: [virtual()] });
  assert.is(stateOf(evidence, 'virtual-cold/regression'), 'bad-evidence');
  assert.is(evidence.groups[0]!.regression, null);
});

// --- arms with noise -------------------------------------------------------------------------------------------

const compared = (before: readonly MeasuredBoot[], after: readonly MeasuredBoot[]): Given => {
  return { candidate: after, baseline: before, budget: { stages: [] } };
};

test('the interval has the confidence of alpha: of 5 and 5 boots, from the third difference', () => {
  // The critical value of Mann and Whitney's table for 5 and 5, two-sided 0.05, is 2; for 0.1 it is 4.
  const arms = compared(kernels([0, 1, 2, 3, 4]), kernels([10, 20, 30, 40, 50]));
  const span = (alpha: number): number[] => {
    const { total } = judged({ ...arms, settings: { alpha } }).groups[0]!.regression!;
    return [total.lowNs! / MS, total.highNs! / MS];
  };
  assert.equal(span(0.05), [8, 48]);
  assert.equal(span(0.1), [10, 46]);
});

test('a stage among many needs more than chance: Holm', () => {
  const verify = (ms: number): BootChange => ({ stageMs: { 'verify a': ms } });
  const arm = (ms: number): MeasuredBoot[] =>
    measuredBoots(5, (index) => verify(ms + index / 1000));
  // Two of 252 orders are as extreme, which is 0.0079; of seven stages that is 0.056.
  const { stages } = judged(compared(arm(22), arm(28))).groups[0]!.regression!;
  assert.is(stages[0]!.name, 'verify');
  assert.ok(Math.abs(stages[0]!.p! - (7 * 2) / 252) < 1e-12, String(stages[0]!.p));
  assert.is(stages[0]!.isSignificant, false);
});

test('of stages the largest shift is first, whichever way it goes', () => {
  const after = measuredBoots(5, () => ({ stageMs: { kernel: 330, 'verify a': 32, setup: null } }));
  const { stages } = judged(compared(measuredBoots(5), after)).groups[0]!.regression!;
  assert.equal(
    stages.slice(0, 3).map(({ name, shiftNs }) => [name, shiftNs / MS]),
    [
      ['kernel', -20],
      ['verify', 10],
      ['setup', -2.6],
    ],
  );
});

test('too few boots say how many more would help', () => {
  const { sentence } = find(
    judged(compared(kernels([0, 1, 2, 3]), kernels([0, 1, 2, 3]))),
    `${real}/regression`,
  );
  assert.match(sentence, /; run 1 more boot of each;/);
});

/** The guards of arms by name, and the checks that they make. */
function guards(given: Given): readonly [raised: readonly string[], noted: readonly string[]] {
  const evidence = judged(given);
  const raised = evidence.groups[0]!.regression!.guards.filter(({ isRaised }) => isRaised);
  const noted = evidence.checks.filter(({ id }) => id.includes('/guard/'));
  assert.ok(noted.every(({ state }) => state === 'noted'));
  return [raised.map(({ name }) => name), noted.map(({ id }) => id.slice(id.lastIndexOf('/') + 1))];
}

const spread = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => ((index * 7919) % 101) / 100);

test('guards are noted when they are raised, and the tail decides', () => {
  const calm = spread(60);
  const rising = calm.map((ms, index) => (index % 8 === 0 ? ms + 15 : ms));
  const twoModes = calm.map((ms, index) => (index % 2 === 0 ? ms + 8 : ms));
  assert.equal(guards(compared(kernels(calm), kernels(calm))), [[], []]);
  assert.equal(guards(compared(kernels(calm), kernels(rising))), [['p95'], ['p95']]);
  assert.equal(guards(compared(kernels(calm), kernels(twoModes))), [
    ['p95', 'shape'],
    ['p95', 'shape'],
  ]);
  const tail = calm.map((ms, index) => (index % 4 === 0 ? ms + 60 : ms));
  const given = compared(kernels(calm), kernels(tail));
  const [raised, noted] = guards(given);
  assert.ok(raised.includes('tail'));
  assert.not(noted.includes('tail'));
  const check = find(judged(given), `${real}/regression`);
  assert.is(check.state, 'fail');
  assert.match(check.sentence, /; 15 boots over the limit, 0 in the baseline;/);
});

test('a regression by its shift says nothing of a tail that is not worse', () => {
  const check = find(
    judged(compared(kernels(spread(12)), kernels(spread(12).map((ms) => ms + 25)))),
    `${real}/regression`,
  );
  assert.is(check.state, 'fail');
  assert.not.match(check.sentence, 'over the limit');
});

test('boots that hung in the baseline were over the limit there, too', () => {
  const arm = [...kernels(spread(12)), ...measuredBoots(8, () => ({ isCut: true }))];
  const evidence = judged(compared(arm, arm));
  assert.is(stateOf(evidence, `${real}/regression`), 'pass');
  const [tail] = evidence.groups[0]!.regression!.guards;
  assert.is(tail!.sentence, '8 boots over the limit, 8 in the baseline');
});

// --- the whole -------------------------------------------------------------------------------------------------

test('the group that decides is first', () => {
  const few = measuredBoot();
  const unsure = measuredBoot({ evidence: 'board-serial', clock: clock(null) });
  const over = virtual({ stageMs: { kernel: 400 } });
  const ids = (...candidate: readonly MeasuredBoot[]): string[] =>
    judged({ candidate, budget: NO_STAGES }).groups.map(({ id }) => id);
  assert.equal(ids(few, unsure), ['board-serial-cold', 'board-gpio-cold']);
  assert.equal(ids(few, unsure, over), ['virtual-cold', 'board-serial-cold', 'board-gpio-cold']);
  // A group that nothing is asked of is last.
  const warm = measuredBoot({ start: 'warm', flags: [flag('X', false)] });
  assert.equal(ids(warm, virtual()), ['virtual-cold', 'board-gpio-warm']);
});

const check = (
  kind: Check['kind'],
  state: Check['state'],
  code: string | null = null,
  title = kind as string,
): Check => {
  return { id: kind, group: null, kind, state, code, title, sentence: `${kind} says`, figures: [] };
};

type Outcome = readonly [checks: readonly Check[], state: string, code: string | null, RegExp];
const OUTCOMES: readonly Outcome[] = [
  [
    [check('regression', 'fail', 'R'), check('stage', 'fail', 'S', 'verify within 3 ms')],
    'fail',
    'S',
    /^Over budget: verify stage says \(and 1 more\)$/,
  ],
  [
    [check('stage', 'fail', 'S'), check('compliance', 'fail', 'C'), check('drift', 'noted')],
    'fail',
    'C',
    /^Over budget: compliance says \(and 1 more\)$/,
  ],
  [
    [check('compliance', 'bad-evidence', 'C'), check('stage', 'fail', 'S', 'a within b')],
    'fail',
    'S',
    /^Over budget: a stage says$/,
  ],
  [
    [check('compliance', 'inconclusive', 'C'), check('evidence', 'bad-evidence', 'E')],
    'bad-evidence',
    'E',
    /^Bad evidence: evidence says$/,
  ],
  [
    [check('compliance', 'bad-evidence', 'C'), check('evidence', 'bad-evidence', 'E')],
    'bad-evidence',
    'E',
    /^Bad evidence: evidence says \(and 1 more\)$/,
  ],
  [[check('regression', 'fail', 'R')], 'fail', 'R', /^Regression: regression says$/],
  [
    [check('prediction', 'pass'), check('regression', 'inconclusive', 'I')],
    'inconclusive',
    'I',
    /^Inconclusive: regression says$/,
  ],
  [
    [check('prediction', 'pass'), check('regression', 'pass'), check('stage', 'pass')],
    'pass',
    null,
    /^Within budget: prediction says; no regression against the baseline$/,
  ],
  [[check('compliance', 'pass')], 'pass', null, /^Within budget: compliance says$/],
  [
    [check('stage', 'pass'), check('evidence', 'pass')],
    'inconclusive',
    'BUDGET_INCONCLUSIVE',
    /^I/,
  ],
  [[check('drift', 'noted')], 'inconclusive', 'BUDGET_INCONCLUSIVE', /^Inconclusive: nothing here/],
  // Nobody judged a total, so that nobody may say that it is within the budget.
  [
    [check('compliance', 'not-evaluated'), check('regression', 'pass'), check('stage', 'pass')],
    'pass',
    null,
    /^No regression against the baseline; no total was judged$/,
  ],
];

test('the worst check decides, of equals the one that weighs most', () => {
  for (const [checks, state, code, sentence] of OUTCOMES) {
    for (const order of [checks, checks.toReversed()]) {
      const outcome = outcomeOf(order);
      assert.equal([outcome.state, outcome.code], [state, code], outcome.sentence);
      assert.match(outcome.sentence, sentence);
      assert.is(outcome.exitCode, state === 'pass' ? 0 : 5);
    }
  }
});

test.run();
