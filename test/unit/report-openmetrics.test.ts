/** Reports as metrics: names, labels, states; and that both parsers of Prometheus have nothing to refuse. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMetrics } from '../../toolchain/budget/report/openmetrics.ts';
import { arbitraryEvidence } from '../support/arbitrary-evidence.ts';
import { SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as OpenMetrics');

const linesOf = (text: string): string[] => text.slice(0, -1).split('\n');
// A name, labels, one number and nothing after it: a timestamp would stand there.
const SAMPLE =
  /^(coldseal_boot_[a-z_]+)(\{(?:[a-z_0-9]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.]+)$/;

test('figures of stages and totals in seconds, by statistic', () => {
  const lines = linesOf(openMetrics(sampleEvidence({ sample: 'virtual-regression' })));
  const group = 'board="qemu-aarch64",group="virtual-cold",evidence="virtual"';
  for (const line of [
    `coldseal_boot_stage_seconds{${group},arm="candidate",stage="verify",statistic="p95"} 0.107000000`,
    `coldseal_boot_stage_seconds{${group},arm="baseline",stage="verify",statistic="median"} 0.061000000`,
    `coldseal_boot_stretch_seconds{${group},arm="candidate",stretch="application",statistic="max"} 0.383000000`,
    `coldseal_boot_total_seconds{${group},arm="candidate",statistic="min"} 1.453000000`,
    `coldseal_boot_total_shift_seconds{${group}} 0.046000000`,
    'coldseal_boot_budget_seconds{board="qemu-aarch64",start="power-on",stop="first-frame"} 2.000000000',
    'coldseal_boot_verdict{board="qemu-aarch64",state="fail"} 1',
    'coldseal_boot_verdict{board="qemu-aarch64",state="pass"} 0',
    `coldseal_boot_release_info{${group},arm="candidate",version="1.5.0",release_id="${'c4'.repeat(32)}"} 1`,
    '# TYPE coldseal_boot_stage_seconds gauge',
    '# UNIT coldseal_boot_stage_seconds seconds',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  assert.is(lines.at(-1), '# EOF');
});

test('results of a plan on a real board', () => {
  const lines = linesOf(openMetrics(sampleEvidence({ sample: 'board-over' })));
  const group = '{board="qemu-aarch64",group="board-gpio-cold",evidence="board-gpio"}';
  assert.ok(lines.includes(`coldseal_boot_exceedances${group} 4`));
  assert.ok(
    lines.some((line) => line.startsWith(`coldseal_boot_proven_coverage_ratio${group} 0.8`)),
  );
  const unended = linesOf(openMetrics(sampleEvidence({ sample: 'board-unended' })));
  assert.ok(unended.some((line) => /^coldseal_boot_unended_boots\{.*\} 2$/.test(line)));
});

test('no label numbers the boots: as many lines for ten boots as for sixty', () => {
  const [few, many] = [10, 60].map((boots) => {
    return linesOf(openMetrics(sampleEvidence({ sample: 'board-within', boots }))).length;
  });
  // Ten boots are too few for a bound, which is a family of three lines and a sample.
  assert.is(many! - few!, 4);
});

test('any evidence: one form of line, families together, no sample twice, one state at 1', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      const text = openMetrics(evidence);
      const lines = linesOf(text);
      assert.is(lines.pop(), '# EOF');
      const seen = new Set<string>();
      const families: string[] = [];
      for (const line of lines) {
        if (line.startsWith('# ')) {
          assert.match(line, /^# (TYPE|UNIT|HELP) coldseal_boot_[a-z_]+ \S/);
          continue;
        }
        const [, name, labels] = SAMPLE.exec(line) ?? [];
        assert.ok(name !== undefined, line);
        assert.not.ok(seen.has(`${name}${labels}`), line);
        seen.add(`${name}${labels}`);
        if (families.at(-1) !== name) families.push(name);
      }
      assert.is(new Set(families).size, families.length, 'a family is in one place');
      const verdicts = lines.filter((line) => line.startsWith('coldseal_boot_verdict{'));
      assert.is(verdicts.filter((line) => line.endsWith(' 1')).length, 1);
      assert.is(verdicts.length, 4);
    }),
    { numRuns: 50 },
  );
});

test('the same evidence, the same text', () => {
  for (const sample of SAMPLE_NAMES) {
    assert.is(openMetrics(sampleEvidence({ sample })), openMetrics(sampleEvidence({ sample })));
  }
});

test.run();
