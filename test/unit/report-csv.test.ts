/** Tables of a report: rows and figures, quotes, formulas; and a row for each build for Otava. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { csvText, SAMPLE_COLUMNS, samplesCsv } from '../../toolchain/budget/report/csv.ts';
import { exactText } from '../../toolchain/budget/report/words.ts';
import { arbitraryEvidence, arbitraryName } from '../support/arbitrary-evidence.ts';
import { sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as CSV');

/** A reader of RFC 4180, a character at a time. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  let [row, cell, isQuoted]: [string[], string, boolean] = [[], '', false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (isQuoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i]!;
      else isQuoted = false;
    } else if (c === '"') isQuoted = true;
    else if (c === ',') {
      row.push(cell);
      cell = '';
    } else if (c === '\r' && text[i + 1] === '\n') {
      i++;
      rows.push([...row, cell]);
      [row, cell] = [[], ''];
    } else cell += c;
  }
  assert.equal([row, cell, isQuoted], [[], '', false], 'the last line ends');
  return rows;
}

test('a row for each boot and stage, with every digit', () => {
  const evidence = sampleEvidence({ sample: 'virtual-regression' });
  const [head, ...rows] = readCsv(samplesCsv(evidence));
  assert.equal(head, [...SAMPLE_COLUMNS]);
  const cell = (row: string[], column: (typeof SAMPLE_COLUMNS)[number]): string =>
    row[SAMPLE_COLUMNS.indexOf(column)]!;
  const kinds = new Map<string, number>();
  for (const row of rows) kinds.set(cell(row, 'kind'), (kinds.get(cell(row, 'kind')) ?? 0) + 1);
  // Two arms of three boots, seven stages and a stretch; three events of each typical boot.
  assert.equal(Object.fromEntries(kinds), { total: 6, stage: 42, stretch: 6, event: 6 });
  const verify = rows.filter(
    (row) => cell(row, 'name') === 'verify' && cell(row, 'arm') === 'candidate',
  );
  assert.equal(
    verify.map(
      (row) => `${cell(row, 'boot')} ${cell(row, 'duration_ms')} ${cell(row, 'budget_ms')}`,
    ),
    ['0 107.000000 80.000000', '1 107.000000 80.000000', '2 107.000000 80.000000'],
  );
});

test('sums of cells are the totals of the evidence', () => {
  const evidence = sampleEvidence({ sample: 'board-over' });
  const rows = readCsv(samplesCsv(evidence)).filter((row) => row[11] === 'stage');
  for (const [boot, totalNs] of evidence.groups[0]!.candidate.totalsNs.entries()) {
    const own = rows.filter((row) => row[6] === String(boot));
    const sum = own.reduce((ns, row) => ns + Number(row[14]!.replace('.', '')), 0);
    assert.is(sum, totalNs);
  }
});

test('unknown is an empty cell, remarks and units have rows of their own', () => {
  const unended = readCsv(samplesCsv(sampleEvidence({ sample: 'board-unended' })));
  assert.is(unended.filter((row) => row[11] === 'total' && row[14] === '').length, 2);
  assert.equal(
    unended.filter((row) => ['flag', 'unusable'].includes(row[11]!)).map((row) => row.slice(11)),
    [
      ['flag', 'GAP', '', '', '', 'nothing was logged for 410 ms'],
      ['unusable', 'CLOCK_STEP', '', '', '', 'the clock went back by 12 ms'],
    ],
  );
  const units = readCsv(samplesCsv(sampleEvidence({ sample: 'systemd' }))).filter(
    (row) => row[11] === 'unit',
  );
  assert.is(units.length, 180);
  assert.is(units.filter((row) => row[14] === '').length, 4);
});

test('quotes and formulas', () => {
  const rows: [string, string][] = [
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['a;b', '"a;b"'],
    ['say "x"', '"say ""x"""'],
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-2', "'-2"],
    ['@SUM(A1)', "'@SUM(A1)"],
    [' =1', "' =1"],
    ['＝1', "'＝1"],
    ['=HYPERLINK("u","x")', '"\'=HYPERLINK(""u"",""x"")"'],
    ["'=1", "''=1"],
    ["it's", "it's"],
    ["'x'", "'x'"],
    ['1-2', '1-2'],
    [' x ', '" x "'],
    ['two\r\nlines', 'two\ufffd\ufffdlines'],
    ['', ''],
  ];
  for (const [text, cell] of rows) assert.is(csvText(['c'], [[text]]), `c\r\n${cell}\r\n`);
});

test('any name comes back, and no cell is a formula', () => {
  fc.assert(
    fc.property(fc.array(arbitraryName, { minLength: 1, maxLength: 4 }), (names) => {
      const [, row] = readCsv(csvText(['a'], [names]));
      for (const [i, name] of names.entries()) {
        assert.not.match(row![i]!, /^\s*[=+\-@]/);
        const printable = /^[\u0020-\u007e]*$/.test(name);
        if (printable) assert.is(row![i]!.replace(/^'(?='*\s*[=+\-@])/, ''), name);
      }
    }),
  );
});

test('every row of any evidence has all columns', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      const rows = readCsv(samplesCsv(evidence));
      assert.ok(rows.every((row) => row.length === SAMPLE_COLUMNS.length));
      assert.is(samplesCsv(evidence), samplesCsv(evidence));
    }),
    { numRuns: 20 },
  );
});

test('figures keep every digit', () => {
  const rows: [number, 6 | 9, string][] = [
    [0, 6, '0.000000'],
    [1, 6, '0.000001'],
    [1_234_567_890, 6, '1234.567890'],
    [-1, 9, '-0.000000001'],
    [86_400e9, 9, '86400.000000000'],
    [1.5, 6, '0.000002'],
  ];
  for (const [ns, digits, text] of rows) assert.is(exactText(ns, digits), text);
});

test.run();
