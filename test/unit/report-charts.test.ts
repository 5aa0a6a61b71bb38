/** What the charts are drawn with: ticks, ranges, labels that keep apart; and what the charts do at their edges. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EvidenceBuild, StageShift } from '../../toolchain/budget/evidence.ts';
import { cdfChart } from '../../toolchain/budget/report/chart-cdf.ts';
import { dotChart } from '../../toolchain/budget/report/chart-dots.ts';
import { ganttChart } from '../../toolchain/budget/report/chart-gantt.ts';
import { trendChart } from '../../toolchain/budget/report/chart-trend.ts';
import { SHIFTS_SHOWN, waterfallChart } from '../../toolchain/budget/report/chart-waterfall.ts';
import { overviewPart } from '../../toolchain/budget/report/page-verdict.ts';
import {
  domainOf,
  extent,
  fixed,
  flagpoles,
  PLOT_WIDTH_MIN,
  tag,
  textWidth,
  timeScale,
  timeTicks,
} from '../../toolchain/budget/report/svg.ts';
import { parseScreenshotArgs } from '../../toolchain/dev/screenshots.ts';
import { type Element, elementsOf, readMarkup, textOf } from '../support/markup.ts';
import { sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report charts');

const MS = 1e6;
const time = fc.integer({ min: 0, max: 86_400e9 });

test('numbers and elements', () => {
  const rows: readonly [string, string][] = [
    [fixed(1.005), '1'],
    [fixed(-0.001), '0'],
    [fixed(1 / 3, 3), '0.333'],
    [tag('line', { x1: 1.239, class: undefined }), '<line x1="1.24"/>'],
    [tag('text', { class: 'a"b<' }, 'x'), '<text class="a&#34;b&#60;">x</text>'],
  ];
  for (const [given, expected] of rows) assert.is(given, expected);
  assert.equal(extent([]), [0, 0]);
  // More values than a call takes arguments.
  assert.equal(extent(Array.from({ length: 300_000 }, (_, i) => i)), [0, 299_999]);
});

test('ticks are round milliseconds', () => {
  const texts = (from: number, to: number): string =>
    timeTicks(timeScale([from * MS, to * MS], [0, 100]))
      .map(({ text }) => text)
      .join(' ');
  const rows: readonly [number, number, string][] = [
    [0, 2060, '0 500 1000 1500 2000'],
    [1380, 1520, '1400 1450 1500'],
    [1406.9, 1407.1, '1406.90 1406.95 1407.00 1407.05 1407.10'],
    [1406.99, 1407.01, '1406.99 1407.00 1407.01'],
    [0, 120_000, '0 50000 100000'],
  ];
  for (const [from, to, expected] of rows) assert.is(texts(from, to), expected);
});

test('ticks keep apart at the smallest width, whatever the range', () => {
  fc.assert(
    fc.property(time, fc.integer({ min: 1000, max: 86_400e9 }), (from, length) => {
      const ticks = timeTicks(timeScale([from, from + length], [0, 100]));
      ticks.slice(1).forEach((tick, i) => {
        const gapPx = ((tick.at - ticks[i]!.at) / 100) * PLOT_WIDTH_MIN;
        assert.ok(gapPx >= textWidth(tick.text), `${tick.text} is too near`);
      });
      assert.is(new Set(ticks.map(({ text }) => text)).size, ticks.length);
    }),
  );
});

test('a range has room around its times, takes near marks in and leaves far ones out', () => {
  const rows: readonly [times: number[], marks: number[], from: number, to: number][] = [
    [[1400, 1500], [], 1394, 1506],
    [[1400, 1500], [2000], 1364, 2036],
    [[1400, 1500], [20_000], 1394, 1506],
    [[], [2000], 1999.76, 2000.24],
  ];
  for (const [times, marks, from, to] of rows) {
    const inNs = (values: number[]): number[] => values.map((value) => value * MS);
    const domain = domainOf(inNs(times), inNs(marks)).map((ns) => Math.round(ns / 1e4) / 100);
    if (times.length > 0) assert.equal(domain, [from, to]);
    else assert.ok(domain[0]! < 2000 && domain[1]! > 2000);
  }
  fc.assert(
    fc.property(fc.array(time, { minLength: 1 }), fc.array(time), (times, marks) => {
      const [from, to] = domainOf(times, marks);
      assert.ok(from < to);
      assert.ok(times.every((at) => at > from && at < to));
    }),
  );
});

test('no label lies on another, and no line goes through one, at any width', () => {
  const pole = fc.record({
    at: fc.integer({ min: 0, max: 100 }),
    text: fc.stringMatching(/^[a-z]{1,18}$/),
    class: fc.constant('mark-x'),
  });
  const widths = fc.integer({ min: PLOT_WIDTH_MIN, max: 1200 });
  fc.assert(
    fc.property(fc.array(pole, { maxLength: 6 }), widths, (poles, width) => {
      const { svg, heightPx } = flagpoles(poles, 100);
      const root = readMarkup(svg);
      const px = (percent: string): number => (parseFloat(percent) / 100) * width;
      const lines = elementsOf(root, 'line').map(({ attributes }) => ({
        x: px(attributes.get('x1')!),
        top: Number(attributes.get('y1')),
      }));
      const labels = elementsOf(root, 'text').map((element) => {
        const { attributes } = element;
        const x = px(attributes.get('x')!) + Number(attributes.get('dx'));
        const length = textWidth(textOf(element));
        const y = Number(attributes.get('y'));
        const isEnd = attributes.get('class') === 'label end';
        return { left: isEnd ? x - length : x, right: isEnd ? x : x + length, y };
      });
      labels.forEach((label, i) => {
        assert.ok(label.y > 0 && label.y <= heightPx);
        for (const other of labels.slice(i + 1)) {
          const isBeside = label.right <= other.left || other.right <= label.left;
          assert.ok(isBeside || Math.abs(label.y - other.y) >= 16);
        }
        for (const line of lines) {
          const isThrough = line.x > label.left && line.x < label.right && line.top < label.y - 3;
          assert.not.ok(isThrough);
        }
      });
    }),
    // A short label under a long one, beside its line.
    {
      examples: [
        [
          [60, 66, 72].map((at) => ({ at, text: at === 72 ? 'x' : 'longer', class: 'mark-x' })),
          250,
        ],
      ],
    },
  );
});

/** Where lines of a kind stand across; those of the legend have no place. */
function placesOf(root: Element, kind: string): number[] {
  return elementsOf(root, 'line')
    .filter(({ attributes }) => attributes.get('class') === kind)
    .map(({ attributes }) => attributes.get('x1')!)
    .filter((x) => x.endsWith('%'))
    .map(parseFloat);
}

const chartOf = (markup: string): Element => readMarkup(markup);

test('the curve ends at the share of boots that ended; one that is no evidence is in neither number', () => {
  const evidence = sampleEvidence({ sample: 'board-unended' });
  const [group] = evidence.groups;
  const root = chartOf(cdfChart(group!, evidence.settings, evidence.budget.totalNs, 'c'));
  const path = elementsOf(root, 'path').find(
    ({ attributes }) => attributes.get('class') === 'curve',
  );
  const picture = elementsOf(root, 'svg').find(({ attributes }) => attributes.has('viewBox'))!;
  const height = Number(picture.attributes.get('viewBox')!.split(' ')[3]);
  const ends = [...path!.attributes.get('d')!.matchAll(/,([\d.]+)/g)].map(([, y]) => Number(y));
  assert.ok(Math.abs(Math.min(...ends) - (2 / 58) * height) < 0.11);
  assert.match(textOf(root), '58 boots, 2 never ended: ends at 96.5%');
  assert.match(textOf(root), '2 never ended.');
});

test('a guard band is drawn between limit and budget, in proportion', () => {
  const evidence = sampleEvidence({ sample: 'board-constants' });
  const [group] = evidence.groups;
  const root = chartOf(cdfChart(group!, evidence.settings, evidence.budget.totalNs, 'c'));
  const band = elementsOf(root, 'rect').find(
    ({ attributes }) => attributes.get('class') === 'guard' && attributes.get('x')!.endsWith('%'),
  )!;
  const x = parseFloat(band.attributes.get('x')!);
  const width = parseFloat(band.attributes.get('width')!);
  assert.ok(Math.abs(x - placesOf(root, 'mark-limit')[0]!) < 0.01);
  assert.ok(Math.abs(x + width - placesOf(root, 'mark-budget')[0]!) < 0.01);
  assert.is(placesOf(root, 'mark-bound').length, 1);
});

test('the gantt draws the typical boot where it was', () => {
  const evidence = sampleEvidence({ sample: 'board-within' });
  const [group] = evidence.groups;
  const { record, boot } = group!.candidate.typical!;
  const root = chartOf(ganttChart(group!, evidence.budget, 'g'));
  const table = elementsOf(root, 'table')[0]!;
  const [budgetAt] = placesOf(root, 'mark-budget');
  // All on one scale, known by where the budget is.
  const placeOf = (ns: number): number => (ns / evidence.budget.totalNs) * budgetAt!;
  const rows = elementsOf(table, 'tr').filter((row) =>
    record.stages.some(({ name }) => textOf(elementsOf(row, 'th')[0]!).startsWith(name)),
  );
  assert.is(rows.length, record.stages.length);
  rows.forEach((row, i) => {
    const stage = record.stages[i]!;
    const solid = elementsOf(row, 'rect').find(({ attributes }) =>
      attributes.get('class')!.startsWith('time'),
    )!;
    assert.ok(Math.abs(parseFloat(solid.attributes.get('x')!) - placeOf(stage.startNs)) < 0.01);
    const width = placeOf(stage.endNs!) - placeOf(stage.startNs);
    assert.ok(Math.abs(parseFloat(solid.attributes.get('width')!) - width) < 0.01);
  });
  assert.match(textOf(table), `Boot ${boot} (of 59 boots, counted from 0)`);
  assert.match(textOf(table), 'are left to the limit of 1999.98 ms');
});

/** The nanoseconds of a row's figures, by the head of their column. */
function figuresOf(row: Element): Record<string, number[]> {
  return Object.fromEntries(
    elementsOf(row, 'td').flatMap((cell) => {
      const head = cell.attributes.get('data-head');
      const figures = elementsOf(cell, 'data').map(({ attributes }) => attributes.get('value'));
      return head === undefined ? [] : [[head, figures.map(Number)]];
    }),
  );
}

/** Rows of a table by the start of their name. */
function rowsNamed(root: Element, name: string): Element[] {
  return elementsOf(root, 'tr').filter((row) => {
    const [head] = elementsOf(row, 'th');
    return head?.attributes.get('scope') === 'row' && textOf(head).startsWith(name);
  });
}

test('steps of the waterfall and what they leave unexplained lead from baseline to candidate', () => {
  for (const sample of ['virtual-regression', 'board-shift'] as const) {
    const evidence = sampleEvidence({ sample });
    const [group] = evidence.groups;
    const regression = group!.regression!;
    const root = chartOf(waterfallChart(group!, regression, evidence.budget, 'w'));
    const [ofStages, ofStretches] = elementsOf(root, 'tbody');
    const steps = elementsOf(ofStages!, 'tr').flatMap((row) => figuresOf(row)['shift'] ?? []);
    const { baselineMedianNs, candidateMedianNs } = regression.total;
    assert.is(
      steps.reduce((sum, ns) => sum + ns, 0),
      candidateMedianNs - baselineMedianNs,
    );
    // Stretches are across stages and in no sum.
    assert.is(elementsOf(ofStretches!, 'tr').length, evidence.budget.stretches.length + 1);
    for (const shift of regression.stages) {
      const [row] = rowsNamed(root, shift.name);
      const { lowNs, highNs } = shift;
      const interval =
        lowNs === null || highNs === null ? {} : { 'interval from … to': [lowNs, highNs] };
      assert.equal(figuresOf(row!), {
        baseline: [shift.baselineMedianNs],
        candidate: [shift.candidateMedianNs],
        shift: [shift.shiftNs],
        ...interval,
      });
    }
  }
});

test('every figure of gantt and overview stands in its column', () => {
  const evidence = sampleEvidence({ sample: 'board-over' });
  const [group] = evidence.groups;
  const { total, stages, boots } = group!.candidate;
  const gantt = chartOf(ganttChart(group!, evidence.budget, 'g'));
  for (const { name, summary } of stages.filter(({ name }) => name !== 'application')) {
    const [first, ...others] = rowsNamed(gantt, name).map(figuresOf);
    assert.equal(first!['median'], [summary!.medianNs]);
    assert.equal(first!['p95'], [summary!.p95Ns]);
    // They are of all rows of a stage together, and stand with the first.
    for (const other of others) assert.equal(other['median'], []);
  }
  assert.equal(figuresOf(rowsNamed(gantt, 'Total')[0]!)['p95'], [total!.p95Ns]);
  const overview = chartOf(overviewPart(evidence));
  assert.equal(figuresOf(rowsNamed(overview, 'Fail')[0]!), {
    boots: [boots],
    median: [total!.medianNs],
    p95: [total!.p95Ns],
    slowest: [total!.maxNs],
    limit: [group!.limitNs],
  });
});

test('of very many shifts the largest are shown and the others summed', () => {
  const evidence = sampleEvidence({ sample: 'board-shift' });
  const [group] = evidence.groups;
  const { regression } = group!;
  const shiftOf = (i: number): StageShift => ({
    ...regression!.stages[0]!,
    name: `stage-${i}`,
    shiftNs: (100 - i) * 1000,
  });
  const stages = Array.from({ length: 100 }, (_, i) => shiftOf(i));
  const markup = waterfallChart(group!, { ...regression!, stages }, evidence.budget, 'w');
  const text = textOf(chartOf(markup));
  assert.match(text, `stage-${SHIFTS_SHOWN - 1} `);
  assert.not.match(text, `stage-${SHIFTS_SHOWN} `);
  assert.match(text, '60 smaller shifts together');
});

test('a change of the trend stands at its build, and ranges of bad builds are said', () => {
  const { builds, drift, budget } = sampleEvidence({ sample: 'history' });
  const bad = { ...drift!, firstBad: { from: 27, to: 29, change: 0 } };
  const root = chartOf(trendChart(builds, bad, budget.totalNs, 't'));
  // Between the builds 29 and 30 of 40.
  assert.equal(placesOf(root, 'mark-change'), [72.5]);
  assert.match(textOf(root), 'one from build 1.27.0 (28 of 40) to build 1.29.0 (30 of 40)');
  const few = trendChart(
    builds.slice(0, 3),
    { state: 'not-enough', changes: [], firstBad: null },
    1,
    't',
  );
  assert.match(textOf(chartOf(few)), 'Too few builds to find a change of the level.');
  const none: EvidenceBuild[] = [];
  assert.match(trendChart(none, null, 1, 't'), 'One build is no trend.');
});

test('arms of very different size both have room for their labels', () => {
  const evidence = sampleEvidence({ sample: 'hostile' });
  const [group] = evidence.groups;
  const root = chartOf(dotChart(group!, evidence.budget.totalNs, 'd'));
  const places = elementsOf(root, 'text')
    .filter(({ attributes }) => attributes.get('class') === 'label strong')
    .map((element) => [textOf(element), element.attributes.get('x')]);
  assert.equal(places, [
    ['baseline', '0%'],
    ['candidate', '32%'],
  ]);
});

test('arguments of screenshots', () => {
  const rows: readonly [string[], ReturnType<typeof parseScreenshotArgs>][] = [
    [['a.html', 'out'], { report: 'a.html', dir: 'out', heightMax: Infinity }],
    [['a.html', 'out', '--height', '900'], { report: 'a.html', dir: 'out', heightMax: 900 }],
    [['--height', '9', 'a.html', 'out'], { report: 'a.html', dir: 'out', heightMax: 9 }],
    [['a.html', 'out', '--height'], '--height lacks its pixels'],
    [['a.html', 'out', '--height', '0'], '--height lacks its pixels'],
    [['a.html'], 'expected REPORT.html DIR [--height PIXELS]'],
    [['a', 'b', 'c'], 'expected REPORT.html DIR [--height PIXELS]'],
  ];
  for (const [args, expected] of rows) assert.equal(parseScreenshotArgs(args), expected);
});

test.run();
