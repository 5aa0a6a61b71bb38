/** Reports as JUnit XML: which element an answer becomes, times, names; and no name gets out of its quotes. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { escapeXml, junitXml } from '../../toolchain/budget/report/junit.ts';
import { evidenceText } from '../../toolchain/budget/evidence-file.ts';
import { evidenceDigest } from '../../toolchain/budget/report/words.ts';
import type { Check, CheckState, Evidence } from '../../toolchain/budget/evidence.ts';
import { createHash } from 'node:crypto';
import { arbitraryEvidence, arbitraryName } from '../support/arbitrary-evidence.ts';
import { SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as JUnit XML');

const CHECK: Check = {
  id: 'drift',
  group: null,
  kind: 'drift',
  state: 'fail',
  code: 'BUDGET_DRIFT',
  title: 'Question',
  sentence: 'answer',
  figures: [
    { name: 'shift', value: 1_250_000, unit: 'ns' },
    { name: 'builds', value: 3, unit: 'count' },
    { name: 'coverage', value: 0.95, unit: 'ratio' },
  ],
};

function withChecks(checks: readonly Check[]): Evidence {
  return { ...sampleEvidence({ sample: 'no-groups' }), checks };
}

test('an answer becomes the element that CI systems count', () => {
  const attributes = 'message="answer" type="BUDGET_DRIFT"';
  const rows: [CheckState, string, string][] = [
    ['pass', '<system-out>', 'failures="0" errors="0"'],
    ['noted', '<system-out>', 'failures="0" errors="0"'],
    ['fail', `<failure ${attributes}>`, 'failures="1" errors="0"'],
    ['inconclusive', `<failure ${attributes}>`, 'failures="1" errors="0"'],
    ['bad-evidence', `<error ${attributes}>`, 'failures="0" errors="1"'],
    ['not-evaluated', `<skipped ${attributes}>`, 'failures="0" errors="0" skipped="1"'],
  ];
  for (const [state, element, counts] of rows) {
    const xml = junitXml(withChecks([{ ...CHECK, state }]));
    assert.ok(xml.includes(`${element}answer\nshift 1.3 ms, builds 3, coverage 95 %</`), xml);
    assert.ok(xml.includes(`tests="1" ${counts}`), xml);
  }
});

test('cases of one name get their identifiers, because GitLab keeps one of them', () => {
  const xml = junitXml(withChecks([CHECK, { ...CHECK, id: 'other' }]));
  assert.equal(
    [...xml.matchAll(/<testcase [^>]*name="([^"]*)"/g)].map(([, name]) => name),
    ['Question', 'Question (other)'],
  );
});

test('the time of a case is the median of what is judged, in seconds; without one there is none', () => {
  const xml = junitXml(sampleEvidence({ sample: 'virtual-regression' }));
  const times = [...xml.matchAll(/ name="([^"]*)"(?: time="([^"]*)")?>/g)].map(
    ([, name, time]) => `${name} ${time}`,
  );
  for (const line of [
    'Total within 2000 ms, predicted 1.453000000',
    'Stage verify within 80 ms 0.107000000',
    'Stretch application within 420 ms 0.383000000',
    'Not slower than 1.4.1 1.453000000',
    'Evidence is usable undefined',
  ]) {
    assert.ok(times.includes(line), `${line} in ${times.join('; ')}`);
  }
});

test('a stage whose name ends in that of another one has its own time', () => {
  const evidence = sampleEvidence({
    sample: 'virtual-clean',
    rename: (name) => ({ verify: 'boot/setup', kernel: 'setup', setup: 'x' })[name] ?? name,
  });
  const xml = junitXml(evidence);
  assert.match(xml, /"Stage boot\/setup within 80 ms" time="0\.061000000"/);
  assert.match(xml, /"Stage setup within 700 ms" time="0\.590000000"/);
});

test('a class is board and group, and points do not make packages of them', () => {
  const evidence = sampleEvidence({ sample: 'board-strata', rename: (name) => `${name}.5` });
  const classes = junitXml(evidence).matchAll(/classname="([^"]*)"/g);
  assert.equal(
    [...new Set([...classes].map(([, name]) => name))],
    [
      'coldseal.qemu-aarch64_5.board-gpio-cold-temperature_5=-30C_5',
      'coldseal.qemu-aarch64_5.board-gpio-cold-temperature_5=25C_5',
    ],
  );
});

test('properties name the plan, the seed and the digest of the evidence file', () => {
  const evidence = sampleEvidence({ sample: 'history' });
  const xml = junitXml(evidence);
  const digest = createHash('sha256').update(evidenceText(evidence)).digest('hex');
  assert.is(evidenceDigest(evidence), digest);
  for (const property of [
    `name="evidence_sha256" value="${digest}"`,
    'name="plan" value="95/95"',
    'name="seed" value="1"',
    'name="evidence" value="virtual"',
  ]) {
    assert.is(xml.split(property).length, property.includes('"evidence"') ? 2 : 3, property);
  }
  assert.ok(xml.includes('<testsuite name="qemu-aarch64 all" tests="1"'));
});

test('a name cannot attach a file of the build host', () => {
  const sentence = '[[ATTACHMENT|/etc/passwd]]';
  const xml = junitXml(withChecks([{ ...CHECK, sentence }]));
  assert.not.ok(xml.slice(xml.indexOf('>', xml.indexOf('<failure'))).includes('[[ATTACHMENT'));
});

test('escapes: markup, white space in attributes, what XML 1.0 has no place for', () => {
  const rows: [string, string][] = [
    ['<a b="c">\'&', '&#60;a b=&#34;c&#34;&#62;&#39;&#38;'],
    ['a\tb\nc\rd', 'a&#9;b&#10;c&#13;d'],
    ['\u0000\u001b\ufffe\ud800', '\ufffd\ufffd\ufffd\ufffd'],
    ['😀 ü', '😀 ü'],
  ];
  for (const [text, escaped] of rows) assert.is(escapeXml(text), escaped);
});

test('no name gets out: tags, attributes and lines are those of plain names', () => {
  const shape = (xml: string): string =>
    xml
      .replace(/"[^"]*"/g, '""')
      .replace(/>[^<]*</g, '><')
      // A name that comes twice gets more text, a median that is missing no attribute: neither is shape.
      .replaceAll('\n', '');
  fc.assert(
    fc.property(arbitraryName, fc.constantFrom(...SAMPLE_NAMES), (name, sample) => {
      const hostile = sampleEvidence({ sample, rename: (text) => `${name.slice(0, 200)}${text}` });
      const tame = sampleEvidence({ sample, rename: (text) => `x${text}` });
      assert.is(shape(junitXml(hostile)), shape(junitXml(tame)));
    }),
    { numRuns: 80 },
  );
});

test('the same evidence, the same text', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      const again = JSON.parse(evidenceText(evidence)) as Evidence;
      assert.is(junitXml(again), junitXml(evidence));
    }),
    { numRuns: 30 },
  );
});

test.run();
