/** Reports on a terminal: the words, the ledger, the width; and nothing that a terminal would obey. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TableStyle } from '../../toolchain/board/boot-table.ts';
import { ledgerOf } from '../../toolchain/budget/report/ledger.ts';
import { clip, columnsOf, plainText, wrap } from '../../toolchain/budget/report/plain-text.ts';
import { reportText } from '../../toolchain/budget/report/text.ts';
import { evidenceDigest } from '../../toolchain/budget/report/words.ts';
import { arbitraryEvidence } from '../support/arbitrary-evidence.ts';
import { SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as text');

const same = (text: string): string => text;
const PLAIN: TableStyle = { bold: same, red: same, yellow: same };
const MARKED: TableStyle = {
  bold: (text) => `[b]${text}`,
  red: (text) => `[r]${text}`,
  yellow: (text) => `[y]${text}`,
};

test('a regression of a virtual board', () => {
  const evidence = sampleEvidence({ sample: 'virtual-regression' });
  const lines = reportText(evidence, PLAIN);
  assert.equal(lines.slice(0, 12), [
    'Failed: Stage verify within 80 ms: 95 of 100 boots took 107.0 ms or less, the slowest 107.0 ms',
    'board qemu-aarch64 (Demo board (QEMU aarch64)); plan 95/95 (fixed before the run), alpha 0.05, seed',
    '1',
    '',
    'virtual, cold',
    'evidence: virtual, an emulator that counts instructions: predicts, proves nothing about boards',
    '3 boots of 1.5.0; baseline: 3 boots of 1.4.1; limit 2000.0 ms',
    'pass           Total within 2000 ms, predicted: the slowest of 3 boots took 1453.0 ms; a virtual',
    '               clock predicts, and proves nothing about boards',
    'pass           Stages within their budgets: 6 of them, listed below',
    'FAIL           Stage verify within 80 ms: 95 of 100 boots took 107.0 ms or less, the slowest 107.0',
    '               ms',
  ]);
  const ledger = lines.indexOf(
    'budget                 allocated ms  used ms (median)  p95 ms  left ms',
  );
  assert.equal(lines.slice(ledger + 1), [
    'firmware                      400.0             310.0   310.0     90.0',
    'kernel                        700.0             590.0   590.0    110.0',
    'setup                          50.0              26.0    26.0     24.0',
    'verify                         80.0             107.0   107.0    -27.0',
    'mount                          60.0              37.0    37.0     23.0',
    'containers                    450.0             352.0   352.0     98.0',
    'handover                                         31.0    31.0',
    'reserve                       100.0',
    'not allocated                 160.0',
    'total                        2000.0            1453.0  1453.0    547.0',
    'application (stretch)         420.0             383.0   383.0     37.0',
    '',
    'changed  baseline ms  candidate ms  shift ms  interval ms',
    'verify          61.0         107.0     +46.0',
    '',
    '466 reads of 30539776 bytes in the typical boot; modelled, not measured: emmc-hs400 at 200 MB/s',
    // 466 x 0.12 ms + 30.539776 MB / 200 MB/s, and 30.539776 MB / 25 MB/s.
    '(measured) would take 208.6 ms; sd at 25 MB/s (ceiling, device-tree) would take 1221.6 ms',
    '',
    `coldseal 0.2.0, evidence sha256 ${evidenceDigest(evidence)}`,
  ]);
});

test('red is what failed, yellow what is open, and a pass has no colour', () => {
  const rows: [(typeof SAMPLE_NAMES)[number], RegExp, number][] = [
    ['virtual-regression', /^\[r\]FAIL {11}Stage verify/, 1],
    ['virtual-regression', /^\[r\]verify .* -27\.0$/, 1],
    ['virtual-regression', /^\[b\]total /, 1],
    ['board-inconclusive', /^\[y\]inconclusive {3}Total within/, 1],
    ['board-unended', /^\[r\]bad evidence {3}Evidence is usable/, 1],
    ['board-unended', /^\[y\]boot 7: CLOCK_STEP: the clock went back by 12 ms \(unusable\)$/, 1],
    ['board-within', /^\[b\]Passed: /, 1],
    ['board-within', /^\[r\]/, 0],
    ['no-boot-ended', /^not evaluated {2}Stretch application/, 1],
  ];
  for (const [sample, pattern, count] of rows) {
    const lines = reportText(sampleEvidence({ sample }), MARKED);
    const found = lines.filter((line) => pattern.test(line)).length;
    assert.ok(count === 0 ? found === 0 : found >= count, `${sample} ${String(pattern)}: ${found}`);
  }
});

test('each group names its class; limits say what was taken off', () => {
  const lines = reportText(sampleEvidence({ sample: 'board-within' }), PLAIN);
  assert.equal(
    lines.filter((line) => line.startsWith('evidence: ')),
    [
      'evidence: board-gpio, a real board, timed at its pins',
      'evidence: virtual, an emulator that counts instructions: predicts, proves nothing about boards',
    ],
  );
  const text = reportText(sampleEvidence({ sample: 'board-constants' }), PLAIN).join(' ');
  assert.ok(text.includes('limit 1984.0 ms after 16.0 ms for uncertainty; declared: power superv'));
  const pins = reportText(sampleEvidence({ sample: 'board-over' }), PLAIN).join(' ');
  assert.ok(pins.includes('limit 2000.0 ms after 0.020 ms for uncertainty'));
  const unknown = reportText(sampleEvidence({ sample: 'one-boot' }), PLAIN).join(' ');
  assert.ok(unknown.includes('uncertainty of the clock not known'));
});

test('a change over builds has its own part', () => {
  const lines = reportText(sampleEvidence({ sample: 'history' }), PLAIN);
  assert.ok(lines.includes('all builds'));
  assert.ok(
    lines.some((line) => /^since 1\.29\.0: median 140\d\.\d ms to 147\d\.\d ms$/.test(line)),
  );
});

test('rows of the ledger with a budget add up to the total', () => {
  for (const sample of SAMPLE_NAMES) {
    const { groups, budget } = sampleEvidence({ sample });
    for (const group of groups) {
      const rows = ledgerOf(group, budget);
      const parts = rows.filter(({ kind }) => kind !== 'total' && kind !== 'stretch');
      const sum = parts.reduce((ns, { allocatedNs }) => ns + (allocatedNs ?? 0), 0);
      assert.is(sum, budget.totalNs, sample);
    }
  }
  // A stage that the budget names and nobody measured is a row without a figure.
  const { groups, budget } = sampleEvidence({ sample: 'board-constants' });
  const firmware = ledgerOf(groups[0]!, budget).find(({ name }) => name === 'firmware');
  assert.equal([firmware!.allocatedNs, firmware!.usedNs], [400e6, null]);
});

test('any evidence: 100 columns, nothing that a terminal obeys, the same each time', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      const lines = reportText(evidence, PLAIN);
      for (const line of lines) {
        assert.ok(columnsOf(line) <= 100, line);
        // oxlint-disable-next-line no-control-regex -- what must not be there
        assert.not.match(line, /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
      }
      assert.equal(reportText(evidence, PLAIN), lines);
    }),
    { numRuns: 60 },
  );
});

test('what is no character of a line is replaced', () => {
  const rows: [string, string][] = [
    ['a\u001b[31mb', 'a\ufffd[31mb'],
    ['a\nb\u009bc', 'a\ufffdb\ufffdc'],
    ['\u202eabc\u2066', '\ufffdabc\ufffd'],
    ['\u202a\u200f\u061c\u2028', '\ufffd'.repeat(4)],
    ['\ud800x\udc00', '\ufffdx\ufffd'],
    ['\uffff\u{1ffff}\ufeff', '\ufffd\ufffd\ufffd'],
    ['Größe 日本 😀', 'Größe 日本 😀'],
  ];
  for (const [text, plain] of rows) assert.is(plainText(text), plain);
});

test('columns: wide and combining characters, clipping, wrapping', () => {
  assert.is(columnsOf('日本 a'), 6);
  assert.is(columnsOf('😀'), 2);
  assert.is(columnsOf('e\u0301'), 1);
  assert.is(clip('日本語', 5), '日本…');
  assert.is(clip('日本語', 6), '日本語');
  assert.is(clip('abc', 2), 'a…');
  assert.equal(wrap('one two three', 7), ['one two', 'three']);
  assert.equal(wrap('abcdefgh ij', 3), ['abc', 'def', 'gh', 'ij']);
  assert.equal(wrap('', 3), ['']);
});

test.run();
