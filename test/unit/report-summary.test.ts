/** Summaries for CI jobs: the verdict first, an end to everything, and names that stay names. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  annotations,
  markdown,
  markdownSummary,
  SUMMARY_BYTES_MAX,
} from '../../toolchain/budget/report/summary.ts';
import { arbitraryEvidence, arbitraryName } from '../support/arbitrary-evidence.ts';
import { SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as a job summary');

test('the verdict is the first line, what failed the first rows', () => {
  const lines = markdownSummary(sampleEvidence({ sample: 'virtual-regression' })).split('\n');
  assert.match(lines[0]!, /^## ❌ Failed: Stage verify within 80 ms/);
  const states = lines.filter((line) => / (FAIL|pass) \|/.test(line)).map((line) => line[2]);
  assert.is(states.join(''), `❌❌${'✅'.repeat(8)}`);
});

test('the ledger adds up, over and total are bold, what changed is below', () => {
  const lines = markdownSummary(sampleEvidence({ sample: 'virtual-regression' })).split('\n');
  for (const line of [
    '| **verify** | **80.0** | **107.0** | **107.0** | **-27.0** |',
    '| handover |  | 31.0 | 31.0 |  |',
    '| not allocated | 160.0 |  |  |  |',
    '| **total** | **2000.0** | **1453.0** | **1453.0** | **547.0** |',
    '| application *(stretch)* | 420.0 | 383.0 | 383.0 | 37.0 |',
    '| verify | 61.0 | 107.0 | +46.0 |  |',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  const rows = lines.slice(lines.indexOf('| --- | ---: | ---: | ---: | ---: |') + 1);
  const allocated = rows.map((row) => Number(row.split('|')[2]?.replaceAll('*', '')));
  const total = allocated.findIndex((_, i) => rows[i]!.startsWith('| **total**'));
  const sum = allocated.slice(0, total).reduce((a, b) => a + b, 0);
  assert.is(sum, allocated[total]);
});

test('every group says its class, its limit and what was declared', () => {
  const text = markdownSummary(sampleEvidence({ sample: 'board-constants' }));
  assert.ok(text.includes('Evidence class `board-selfclock` (a real board that timed itself)'));
  assert.ok(text.includes('limit 1984.0 ms after 16.0 ms for uncertainty; declared: power superv'));
  for (const sample of SAMPLE_NAMES) {
    const evidence = sampleEvidence({ sample });
    const classes = [...markdownSummary(evidence).matchAll(/Evidence class `([a-z-]+)`/g)];
    assert.equal(
      classes.map(([, name]) => name),
      evidence.groups.map((group) => group.evidence),
    );
  }
});

test('a change of the level names its build', () => {
  const text = markdownSummary(sampleEvidence({ sample: 'history' }));
  assert.match(text, /\| 1\.29\.0 \| median \| 140\d\.\d \| 147\d\.\d \|/);
});

test('three annotations at most, the worst, and the last one counts the rest', () => {
  const lines = annotations(sampleEvidence({ sample: 'board-shift' }));
  assert.is(lines.length, 2);
  assert.match(lines[0]!, /^::error title=qemu-aarch64%3A [^:]+::/);
  const evidence = sampleEvidence({ sample: 'board-unended' });
  const checks = evidence.checks.map((check) => ({ ...check, state: 'fail' as const }));
  const many = annotations({ ...evidence, checks });
  assert.is(many.length, 3);
  assert.is(checks.length, 9);
  assert.match(many[2]!, /\(and 6 more in the report\)$/);
  assert.match(many[1]!, /[^)]$/);
  assert.equal(annotations(sampleEvidence({ sample: 'board-within' })), []);
  const noted = evidence.checks.map((check) => ({ ...check, state: 'noted' as const }));
  assert.equal(annotations({ ...evidence, checks: noted }), []);
  const [open] = annotations(sampleEvidence({ sample: 'board-inconclusive' }));
  assert.match(open!, /^::warning title=/);
});

test('an annotation is one line whose text cannot be a command or a property', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      for (const line of annotations(evidence)) {
        assert.match(line, /^::(error|warning) title=[^:,\r\n]*::[^\r\n]*$/);
        assert.not.match(line.replace(/%(25|0A|0D|3A|2C)/g, ''), /%/);
      }
    }),
    { numRuns: 40 },
  );
});

test('names become entities wherever Markdown sees something in them', () => {
  const rows: [string, string][] = [
    ['initrd-switch-root.service', 'initrd-switch-root.service'],
    ['first_frame', 'first&#95;frame'],
    ['a|b', 'a&#124;b'],
    ['<img src=x>', '&#60;img src=x&#62;'],
    ['http://x', 'http&#58;//x'],
    ['www.x', 'www&#46;x'],
    ['@user #1 !2', '&#64;&#8288;user &#35;&#8288;1 &#33;&#8288;2'],
    ['95% of', '95% of'],
    ['note: text', 'note: text'],
    [':smile:', '&#58;smile:'],
    ['$x$', '&#36;&#8288;x&#36;'],
    ['\u202eabc', '\ufffdabc'],
  ];
  for (const [name, text] of rows) assert.is(markdown(name), text);
});

test('no name makes or breaks a row: tables are those of plain names', () => {
  const shape = (text: string): string[] => {
    return text.split('\n').map((line) => (line.startsWith('|') ? line.replace(/[^|]+/g, '') : ''));
  };
  fc.assert(
    fc.property(arbitraryName, fc.constantFrom(...SAMPLE_NAMES), (name, sample) => {
      const hostile = sampleEvidence({ sample, rename: (text) => `${name.slice(0, 200)}${text}` });
      const tame = sampleEvidence({ sample, rename: (text) => `x${text}` });
      assert.equal(shape(markdownSummary(hostile)), shape(markdownSummary(tame)));
      assert.not.match(markdownSummary(hostile), /<[a-z!/]/i);
    }),
    { numRuns: 60 },
  );
});

test('a summary ends below the limit of GitHub and says so', () => {
  const evidence = sampleEvidence({ sample: 'hostile' });
  const name = '<'.repeat(512);
  const checks = Array.from({ length: 5000 }, (_, i) => {
    return { ...evidence.checks[0]!, id: String(i), title: name, sentence: name.repeat(2) };
  });
  const groups = Array.from({ length: 800 }, (_, i) => ({ ...evidence.groups[0]!, id: `${i}` }));
  const text = markdownSummary({ ...evidence, checks, groups });
  const bytes = Buffer.byteLength(text);
  assert.ok(bytes <= SUMMARY_BYTES_MAX && bytes > SUMMARY_BYTES_MAX - 4096, `${bytes}`);
  assert.ok(text.includes('*and 4900 more*'));
  assert.ok(text.endsWith('*The rest did not fit into a summary; the evidence file has it.*\n'));
});

test.run();
