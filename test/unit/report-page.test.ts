/** The page of a report: well-formed whatever the names are, the same bytes each time, its figures the evidence's. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Evidence, SampleSet, Summary } from '../../toolchain/budget/evidence.ts';
import { evidenceText, parseEvidence } from '../../toolchain/budget/evidence-file.ts';
import { judge } from '../../toolchain/budget/judge.ts';
import { escapeHtml, escapeJson, shorten, visible } from '../../toolchain/budget/report/escape.ts';
import { ledgerOf } from '../../toolchain/budget/report/ledger.ts';
import { reportPage } from '../../toolchain/budget/report/page.ts';
import {
  chanceText,
  ms,
  msBeside,
  percent,
  signedMs,
} from '../../toolchain/budget/report/page-figures.ts';
import { EMBED_BYTES_MAX, rangesOf } from '../../toolchain/budget/report/page-sources.ts';
import { COLOURS, PAGE_STYLE } from '../../toolchain/budget/report/page-style.ts';
import { timelineOf } from '../../toolchain/budget/report/timeline.ts';
import { manyBoots, manyRows, outlierOf } from '../support/big-evidence.ts';
import { decodeText, type Element, elementsOf, readMarkup, textOf } from '../support/markup.ts';
import { HOSTILE_NAMES, SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report page');

const MS = 1e6;
/** What a page may take without the evidence in it. */
const PAGE_BYTES_MAX = 1_500_000;

const pageOf = (evidence: Evidence): Element => readMarkup(reportPage(evidence));
const ids = (root: Element): Map<string, Element> =>
  new Map(
    elementsOf(root).flatMap((element) => {
      const id = element.attributes.get('id');
      return id === undefined ? [] : [[id, element] as const];
    }),
  );
const withoutData = (page: string): string =>
  page.replace(/<script type="application\/json"[^]*?<\/script>/, '');
/** The section that an identifier heads. */
function sectionOf(root: Element, id: string): Element {
  const found = elementsOf(root, 'section').find(
    (section) => section.attributes.get('aria-labelledby') === id,
  );
  assert.ok(found, `no section ${id}`);
  return found;
}

test('every sample is a well-formed page, and every reference in it leads somewhere', () => {
  for (const sample of SAMPLE_NAMES) {
    const root = pageOf(sampleEvidence({ sample }));
    const all = elementsOf(root);
    const given = all.flatMap(({ attributes }) => attributes.get('id') ?? []);
    assert.is(new Set(given).size, given.length, `${sample}: an identifier twice`);
    const named = new Set(given);
    for (const { name, attributes } of all) {
      const references = [
        ...(attributes.get('aria-labelledby')?.split(' ') ?? []),
        ...(attributes.get('href')?.replace(/^#/, '').split(' ') ?? []),
      ];
      for (const id of references) assert.ok(named.has(id), `${sample}: ${name} refers to ${id}`);
      const isLink = (attributes.get('href') ?? '#').startsWith('#');
      assert.ok(isLink, `${sample}: ${name} leads out of the page`);
      assert.not.ok(attributes.has('style'), `${sample}: a style that the policy refuses`);
      assert.not.ok(
        [...attributes.keys()].some((key) => key.startsWith('on')),
        sample,
      );
    }
    for (const { attributes } of all.filter(({ name }) => name === 'th')) {
      assert.ok(attributes.has('scope'), `${sample}: a head without a scope`);
    }
    for (const table of all.filter(({ name }) => name === 'table')) {
      assert.is(elementsOf(table, 'caption').length, 1, `${sample}: a table without a caption`);
    }
    for (const svg of all.filter(({ name }) => name === 'svg')) {
      if (svg.attributes.get('role') === 'img') {
        assert.ok(textOf(elementsOf(svg, 'title')[0]!).length > 5, sample);
        assert.ok(textOf(elementsOf(svg, 'desc')[0]!).length > 20, sample);
      }
    }
  }
});

test('what the judge makes of the samples is a page too, with its remarks and its verdict', () => {
  let noted = 0;
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    if (evidence.groups.length === 0) continue;
    const judged = judge(parseEvidence(JSON.parse(evidenceText(evidence)), sample));
    const page = reportPage(judged);
    const text = textOf(readMarkup(page));
    assert.not.match(withoutData(page), /NaN|Infinity|undefined/);
    assert.ok(text.includes(visible(judged.outcome.sentence)), sample);
    for (const { title, sentence } of judged.checks) {
      assert.ok(text.includes(visible(title)) && text.includes(visible(sentence)), title);
    }
    noted += judged.checks.filter(({ state }) => state === 'noted').length;
  }
  assert.ok(noted > 0);
});

test('numbers of pictures are finite', () => {
  for (const sample of SAMPLE_NAMES) {
    assert.not.match(withoutData(reportPage(sampleEvidence({ sample }))), /NaN|Infinity|undefined/);
  }
});

test('the same evidence gives the same bytes, also when it was read from its own page', () => {
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const page = reportPage(evidence);
    assert.ok(page === reportPage(sampleEvidence({ sample })), sample);
    const block = elementsOf(readMarkup(page), 'script')[0]!;
    assert.is(block.attributes.get('type'), 'application/json');
    const read = JSON.parse(block.children[0] as string) as Evidence;
    assert.ok(JSON.stringify(read) === JSON.stringify(evidence), sample);
    assert.ok(reportPage(read) === page, sample);
  }
});

test('the policy allows the one style sheet and nothing else, and nothing in it is fetched', () => {
  const page = reportPage(sampleEvidence({ sample: 'board-strata' }));
  const root = readMarkup(page);
  const policy = elementsOf(root, 'meta').find(({ attributes }) => attributes.has('http-equiv'))!;
  const digest = createHash('sha256').update(PAGE_STYLE).digest('base64');
  assert.is(
    policy.attributes.get('content'),
    `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`,
  );
  assert.equal(
    elementsOf(root, 'style').map(({ children }) => children),
    [[PAGE_STYLE]],
  );
  // The one address is the name of a language, in the pictures.
  assert.equal(
    [...new Set(withoutData(page).match(/https?:[^"' ]+/g))],
    ['http://www.w3.org/2000/svg'],
  );
  assert.not.match(PAGE_STYLE, /@import|url\((?!#)|@font-face/);
});

test('sections come in the order in which they are needed', () => {
  const root = pageOf(sampleEvidence({ sample: 'history' }));
  const headings = elementsOf(root).filter(({ name }) => /^h[1-6]$/.test(name));
  assert.equal(
    headings
      .map(({ name }) => name)
      .join(' ')
      .startsWith('h1 h2 h2'),
    true,
  );
  const names = ['verdict', 'asked', 'groups', 'checks', 'g1', 'g1-stages', 'g1-totals'];
  names.push('g1-boots', 'g1-trend', 'g1-ledger', 'g1-storage', 'environment', 'again', 'flags');
  assert.equal(
    headings.flatMap(({ attributes }) => attributes.get('id') ?? []),
    names,
  );
  const shift = pageOf(sampleEvidence({ sample: 'board-shift' }));
  const order = [...ids(shift).keys()].filter((id) => /^g1-[a-z]+$/.test(id));
  const parts = ['stages', 'totals', 'boots', 'shift', 'ledger', 'plan'].map((id) => `g1-${id}`);
  assert.equal(
    order.filter((id) => parts.includes(id)),
    parts,
  );
});

test('the verdict is first, with its sentence, exit code, reason and class of evidence', () => {
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const { outcome } = evidence;
    const text = textOf(sectionOf(pageOf(evidence), 'verdict'));
    assert.ok(text.includes(visible(outcome.sentence)), sample);
    assert.ok(text.includes(`exit code ${outcome.exitCode}`), sample);
    if (outcome.code !== null) assert.ok(text.includes(outcome.code), sample);
    const [group] = evidence.groups;
    if (group !== undefined) assert.ok(text.includes(group.evidence), sample);
  }
});

/** Every number of the evidence. */
function numbersOf(value: unknown, found = new Set<number>()): Set<number> {
  if (typeof value === 'number') found.add(value);
  else if (typeof value === 'object' && value !== null) {
    for (const each of Object.values(value)) numbersOf(each, found);
  }
  return found;
}

test("every figure of the page is one of the evidence's, and is printed as it is", () => {
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const known = numbersOf(evidence);
    const figures = elementsOf(pageOf(evidence), 'data');
    for (const figure of figures) {
      const value = Number(figure.attributes.get('value'));
      const text = textOf(figure).replace('−', '-').replace('+', '');
      const isDerived = figure.attributes.get('class') === 'derived';
      assert.ok(isDerived || known.has(value), `${sample}: ${value} is not in the evidence`);
      // Shares and counts print as themselves; times are nanoseconds that print as milliseconds.
      if (Math.abs(value) <= 1 || text.endsWith('%')) continue;
      const printed = Number(text);
      const digits = /\.(\d+)$/.exec(text)?.[1]?.length ?? 0;
      const isTime = digits > 0 || value === 0;
      const off = Math.abs(printed - (isTime ? value / MS : value));
      assert.ok(off <= 0.5000001 * 10 ** -digits, `${sample}: ${value} is printed as ${text}`);
    }
  }
});

const summaryFigures = ({ medianNs, p95Ns }: Summary): number[] => [medianNs, p95Ns];

test('no figure of the evidence is missing: summaries, checks, builds that changed, shifts, the plan', () => {
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const printed = new Set(
      elementsOf(pageOf(evidence), 'data').map(({ attributes }) => Number(attributes.get('value'))),
    );
    const wanted: number[] = [
      evidence.budget.totalNs,
      ...evidence.checks.flatMap(({ figures }) => figures.map(({ value }) => value)),
      ...(evidence.drift?.changes.flatMap(({ beforeNs, afterNs }) => [beforeNs, afterNs]) ?? []),
      evidence.settings.seed,
      evidence.settings.alpha,
      evidence.settings.totalMarginNs,
    ];
    for (const { candidate, limitNs, regression, compliance, constants } of evidence.groups) {
      wanted.push(...evidence.budget.stages.map(({ ns }) => ns));
      wanted.push(...evidence.budget.stretches.map(({ ns }) => ns));
      wanted.push(limitNs, candidate.boots, ...constants.map(({ ns }) => ns));
      if (candidate.total !== null) {
        wanted.push(...summaryFigures(candidate.total), candidate.total.maxNs);
        for (const { summary } of candidate.stages) {
          if (summary !== null) wanted.push(...summaryFigures(summary));
        }
      }
      for (const shift of regression?.stages ?? []) {
        wanted.push(shift.baselineMedianNs, shift.candidateMedianNs, shift.shiftNs);
      }
      if (compliance !== null) {
        wanted.push(compliance.coverageToPass, compliance.boundNs ?? limitNs);
        wanted.push(...compliance.characteristic.map(({ passes }) => passes));
      }
    }
    const missing = wanted.filter((value) => !printed.has(value));
    assert.equal(missing, [], sample);
  }
});

test('hostile names are text: the page has the same elements with them as without', () => {
  const shapeOf = (page: string): string =>
    elementsOf(readMarkup(page))
      .map(({ name }) => name)
      .join(' ');
  const plain = new Set(shapeOf(reportPage(sampleEvidence({ sample: 'systemd' }))).split(' '));
  for (const hostile of HOSTILE_NAMES) {
    let given = 0;
    const rename = (): string => `${hostile.slice(0, 500)} ${++given}`.trimStart();
    const page = reportPage(sampleEvidence({ sample: 'systemd', rename }));
    const names = new Set(shapeOf(page).split(' '));
    assert.equal(
      [...names].filter((name) => !plain.has(name)),
      [],
      hostile,
    );
  }
  const text = textOf(pageOf(sampleEvidence({ sample: 'hostile' })));
  assert.match(text, '<script>alert(1)</script>');
  assert.match(text, '</testsuite>]]>&amp;&#0;');
  assert.match(text, 'Größe-日本語-😀-\\u{202e}dlrow');
});

test('any text is escaped so that it reads back, and none can end what it stands in', () => {
  const text = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(text, (value) => {
      const escaped = escapeHtml(value);
      assert.not.match(escaped, /[<>"']|&(?!#\d+;)/);
      assert.is(decodeText(escaped), visible(value));
      assert.is(visible(visible(value)), visible(value));
      assert.not.match(visible(value), /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069\ufeff]/u);
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.stringify(value);
      const escaped = escapeJson(json);
      assert.not.match(escaped, /[<>&\u2028\u2029]/);
      assert.equal(JSON.parse(escaped), JSON.parse(json));
    }),
  );
  const cases: readonly [text: string, spelled: string][] = [
    ['plain Größe 日本語 😀', 'plain Größe 日本語 😀'],
    ['a\u202eb', 'a\\u{202e}b'],
    ['\ud800', '\\u{d800}'],
    ['\u0000\n', '\\u{0}\\u{a}'],
    ['zero\u200bwidth', 'zero\\u{200b}width'],
    // Joiners belong to words and emoji.
    ['👩\u200d💻 می\u200cخواهم', '👩\u200d💻 می\u200cخواهم'],
    ['\ufffe', '\\u{fffe}'],
  ];
  for (const [given, spelled] of cases) assert.is(visible(given), spelled);
});

test('long names are cut in the middle, between characters', () => {
  assert.is(shorten('short', 10), 'short');
  assert.is(shorten('abcdefghij', 5), 'abc…j');
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.integer({ min: 3, max: 30 }),
      (text, max) => {
        const cut = shorten(text, max);
        assert.ok(Array.from(cut).length <= max);
        // Throws on half a pair.
        assert.not.throws(() => encodeURIComponent(cut));
      },
    ),
  );
});

test('figures', () => {
  const rows: readonly [given: string, expected: string][] = [
    [ms(1_088_900_000), '1088.9'],
    [ms(0), '0.0'],
    [ms(-40_000), '0.0'],
    [ms(-1_250_000, 2), '−1.25'],
    [signedMs(3_200_000), '+3.2'],
    [signedMs(-3_200_000), '−3.2'],
    [signedMs(-1), '0.0'],
    // What is over the limit must not look as if it were the limit.
    [msBeside(2000 * MS + 1, 2000 * MS), '2000.000001'],
    [msBeside(1_999_980_000, 2000 * MS), '1999.98'],
    [msBeside(2000 * MS, 2000 * MS), '2000.0'],
    [percent(0.95), '95%'],
    [percent(0.29), '29%'],
    [percent(0.99913), '99.913%'],
    // 59 boots without exceedance prove a little more than 95%; nothing is rounded up to certainty.
    [percent(0.950492), '95.049%'],
    [percent(0.9999999), '99.999%'],
    [percent(1), '100%'],
    [chanceText(0.04123), 'p = 0.0412'],
    [chanceText(0), 'p &#60; 0.0001'],
    [rangesOf([0, 2, 3, 4, 9]), '0, 2–4, 9'],
    [rangesOf([]), ''],
    [rangesOf(Array.from({ length: 60 }, (_, i) => i * 2)).slice(-4), '46 …'],
  ];
  for (const [given, expected] of rows) assert.is(given, expected);
});

test('the ledger stands on the page row by row, and what was allocated adds up to the budget', () => {
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const root = pageOf(evidence);
    evidence.groups.forEach((group, i) => {
      const rows = elementsOf(sectionOf(root, `g${i + 1}-ledger`), 'tr').slice(1);
      const figures = rows
        .filter(({ attributes }) => attributes.get('class') !== 'section')
        .map((row) =>
          elementsOf(row, 'td')
            .slice(0, 4)
            .map((cell) => elementsOf(cell, 'data')[0]?.attributes.get('value'))
            .map((value) => (value === undefined ? null : Number(value))),
        );
      const ledger = ledgerOf(group, evidence.budget);
      const expected = ledger.map(({ kind, allocatedNs, usedNs, p95Ns, leftNs }) => {
        return kind === 'constant'
          ? [null, usedNs, null, null]
          : [allocatedNs, usedNs, leftNs, p95Ns];
      });
      assert.equal(figures, expected, sample);
      const parts = ledger.filter(({ kind }) => ['stage', 'reserve', 'free'].includes(kind));
      const sum = parts.reduce((total, { allocatedNs }) => total + (allocatedNs ?? 0), 0);
      assert.is(sum, evidence.budget.totalNs, sample);
    });
  }
  const rows = elementsOf(
    sectionOf(pageOf(sampleEvidence({ sample: 'board-over' })), 'g1-ledger'),
    'tr',
  ).map(textOf);
  assert.ok(rows.includes('Reserve100.0'));
  assert.ok(rows.includes('Not allocated160.0'));
  // By the median, as stages are judged: only their slowest boots are over.
  assert.ok(rows.some((row) => row.startsWith('containers450.0352.098.0997.3')));
});

test('a budget that was given away twice is over', () => {
  const evidence = sampleEvidence({ sample: 'no-stages' });
  const budget = { ...evidence.budget, stages: [{ name: 'verify', ns: 2000 * MS }] };
  const text = textOf(sectionOf(pageOf({ ...evidence, budget }), 'g1-ledger'));
  assert.match(text, 'Not allocated over−100.0');
});

test('a stage with a budget that no boot had is in the ledger, as not measured', () => {
  const evidence = sampleEvidence({ sample: 'no-stages' });
  const budget = { ...evidence.budget, stages: [{ name: 'verify', ns: 80 * MS }] };
  const text = textOf(sectionOf(pageOf({ ...evidence, budget }), 'g1-ledger'));
  assert.match(text, 'verify80.0not measured');
});

test('declared constants fill what the clock cannot see, and the total ends where it was measured', () => {
  const evidence = sampleEvidence({ sample: 'board-constants' });
  const [group] = evidence.groups;
  const { stages, constants, totalNs } = timelineOf(group!, evidence.budget)!;
  assert.is(constants[0]!.startNs, 0);
  assert.is(constants[0]!.endNs, 182 * MS);
  assert.is(stages[0]!.startNs, 182 * MS);
  assert.is(stages.at(-1)!.endNs, totalNs);
  // One whose stretch begins elsewhere comes after everything that was measured.
  const late = { ...group!.constants[0]!, from: 'first-frame', to: 'photons' };
  const moved = timelineOf({ ...group!, constants: [late] }, evidence.budget)!;
  assert.is(moved.stages[0]!.startNs, 0);
  assert.is(moved.constants[0]!.endNs, moved.totalNs);
});

test('time begins at the start event, wherever the clock does', () => {
  const evidence = sampleEvidence({ sample: 'board-within' });
  const [group] = evidence.groups;
  const { typical, totalsNs } = group!.candidate;
  const totalNs = totalsNs[typical!.boot]!;
  const first = typical!.record.stages[0]!;
  const startOf = (start: string, events: { name: string; atNs: number }[]): number => {
    const record = { ...typical!.record, events };
    const candidate = { ...group!.candidate, typical: { ...typical!, record } };
    const budget = { ...evidence.budget, start, stop: 'ready' };
    return timelineOf({ ...group!, candidate }, budget)!.stages[0]!.startNs;
  };
  assert.is(startOf('loader', [{ name: 'loader', atNs: 7 * MS }]), -7 * MS);
  assert.is(startOf('firmware:end', []), -first.endNs!);
  // Without it, so much before the stop event as was measured; without both, at the clock's zero.
  assert.is(startOf('loader', [{ name: 'ready', atNs: totalNs + 9 * MS }]), -9 * MS);
  assert.is(startOf('loader', []), 0);
});

test('chances are never rounded to none or to certain', () => {
  const evidence = sampleEvidence({ sample: 'board-over' });
  const [group] = evidence.groups;
  const rows = [0, 1e-9, 0.5, 1 - 1e-9, 1];
  const characteristic = rows.map((passes) => ({ trueCoverage: 0.9, passes }));
  const compliance = { ...group!.compliance!, characteristic };
  const text = textOf(
    sectionOf(pageOf({ ...evidence, groups: [{ ...group!, compliance }] }), 'g1-plan'),
  );
  assert.match(text, '90%0%90%< 0.1%90%50%90%> 99.9%90%100%');
});

test('what is not there is said in a sentence', () => {
  const rows: readonly [Parameters<typeof sampleEvidence>[0]['sample'], string][] = [
    ['no-groups', 'There are no boots, so there is nothing to judge.'],
    ['no-boot-ended', 'No boot got to its end, so there is no typical one to show.'],
    ['no-stages', 'The record has no stages.'],
    ['one-boot', 'Too few boots for a distribution'],
    ['virtual-clean', 'it is no verdict about a real board'],
    ['board-within', 'it is no verdict about a real board'],
    ['board-within', 'No boot has a flag.'],
  ];
  for (const [sample, sentence] of rows) {
    assert.match(textOf(pageOf(sampleEvidence({ sample }))), sentence);
  }
  const real = textOf(pageOf(sampleEvidence({ sample: 'board-over' })));
  assert.not.match(real, 'no verdict about a real board');
  const history = sampleEvidence({ sample: 'history' });
  assert.match(textOf(pageOf({ ...history, groups: [] })), 'The first bad build is');
  const one = { ...history, builds: history.builds.slice(0, 1), drift: null };
  assert.match(textOf(pageOf(one)), 'One build is no trend.');
});

test('boots that never ended stand at the edge, each with a cross; flagged ones have a ring', () => {
  const evidence = sampleEvidence({ sample: 'board-unended' });
  const chart = ids(pageOf(evidence)).get('g1-dots')!;
  const uses = elementsOf(chart, 'use').map(({ attributes }) => attributes.get('href'));
  const count = (set: SampleSet): number => set.totalsNs.filter((ns) => ns === null).length;
  const { candidate } = evidence.groups[0]!;
  assert.is(uses.filter((href) => href === '#g1-dots-cross').length, count(candidate));
  assert.is(uses.filter((href) => href === '#g1-dots-ring').length, candidate.flags.length);
});

test('every boot of an ordinary report has a dot of its own', () => {
  const evidence = sampleEvidence({ sample: 'board-shift' });
  const chart = ids(pageOf(evidence)).get('g1-dots')!;
  const dots = (kind: string): number =>
    elementsOf(chart, 'path')
      .filter(({ attributes }) => attributes.get('class') === `dot ${kind}`)
      .map(({ attributes }) => attributes.get('d')!.split('M').length - 1)[0]!;
  assert.is(dots('candidate'), 59);
  assert.is(dots('baseline'), 59);
});

test('ten thousand boots stay small, and none that stands apart is lost', () => {
  const boots = 10_000;
  const evidence = manyBoots(boots);
  const page = reportPage(evidence);
  assert.ok(withoutData(page).length < PAGE_BYTES_MAX);
  const root = readMarkup(page);
  const chart = ids(root).get('g1-dots')!;
  const candidate = elementsOf(chart, 'path').find(
    ({ attributes }) => attributes.get('class') === 'dot candidate',
  )!;
  const places = [...candidate.attributes.get('d')!.matchAll(/M([\d.]+) ([\d.]+)h0/g)];
  const heights = places.map(([, , y]) => Number(y));
  const top = Math.min(...heights);
  const [lonely, ...others] = places.filter(([, , y]) => Number(y) === top);
  assert.equal(others, []);
  // The candidate's arm lies in the right half of the picture.
  const expected = 520 + ((outlierOf(boots) + 0.5) / boots) * 480;
  assert.ok(Math.abs(Number(lonely![1]) - expected) <= 0.5);
  // Its curve goes as far right as its slowest boot.
  const curve = elementsOf(ids(root).get('g1-cdf')!, 'path').find(
    ({ attributes }) => attributes.get('class') === 'curve',
  )!;
  const last = Math.max(
    ...[...curve.attributes.get('d')!.matchAll(/[ML]([\d.]+)/g)].map(([, x]) => Number(x)),
  );
  assert.ok(last > 900 && last < 1000);
});

test('sixty stages are all there, of 4,000 initcalls the 40 longest and how many are left out', () => {
  const evidence = manyRows(60, 4000);
  const page = reportPage(evidence);
  assert.ok(withoutData(page).length < PAGE_BYTES_MAX);
  const gantt = ids(readMarkup(page)).get('g1-gantt')!;
  const rows = elementsOf(gantt, 'tr');
  const { units } = evidence.groups[0]!.candidate.typical!.record;
  const longest = [...units].sort((a, b) => b.endNs! - b.startNs - (a.endNs! - a.startNs));
  assert.is(rows.filter((row) => textOf(row).startsWith('stage-')).length, 60);
  const shown = elementsOf(gantt, 'th')
    .map(textOf)
    .filter((name) => name.startsWith('initcall_'));
  assert.equal(
    [...shown].sort(),
    longest
      .slice(0, 40)
      .map(({ name }) => name)
      .sort(),
  );
  const rest = ms(longest[40]!.endNs! - longest[40]!.startNs);
  assert.match(
    textOf(gantt),
    `The 40 longest of 4000 are shown; 3960 more took at most ${rest} ms each.`,
  );
});

test('evidence that is too large for the page is named by the digest of its file', () => {
  const evidence = manyBoots(30_000);
  const json = evidenceText(evidence);
  assert.ok(json.length > EMBED_BYTES_MAX);
  const page = reportPage(evidence);
  assert.not.match(page, '<script');
  assert.ok(page.includes(createHash('sha256').update(json).digest('hex')));
  assert.ok(page.length < PAGE_BYTES_MAX);
});

/** Relative luminance and contrast as WCAG 2 defines them. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [r, g, blue] = [1, 3, 5].map((i) => {
      const c = parseInt(colour.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * blue!;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

test('contrast is enough to read in both schemes: 4.5 for text, 3 for what is drawn', () => {
  assert.is(contrast('#000000', '#ffffff'), 21);
  for (const scheme of [0, 1] as const) {
    const of = (name: string): string => COLOURS[name]![scheme];
    const states = ['pass', 'fail', 'inconclusive', 'bad-evidence'];
    const pairs: [string, string, number][] = [
      ...['ink', 'soft', 'link', 'noted', ...states].flatMap((name): [string, string, number][] => [
        [name, 'paper', 4.5],
        [name, 'fill', 4.5],
      ]),
      ...states.flatMap((name): [string, string, number][] => [
        [name, `${name}-ground`, 4.5],
        ['ink', `${name}-ground`, 4.5],
        ['soft', `${name}-ground`, 4.5],
      ]),
      ['time', 'paper', 3],
      ['base', 'paper', 3],
    ];
    for (const [text, ground, least] of pairs) {
      const found = contrast(of(text), of(ground));
      assert.ok(found >= least, `${text} on ${ground}, scheme ${scheme}: ${found.toFixed(2)}`);
    }
  }
});

test.run();
