/** `coldseal qa` on a real emulator: two releases interleaved, one of which panics. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { measure, recordsOf } from '../../toolchain/qa/measure.ts';
import { prepareRun } from '../../toolchain/qa/prepare-run.ts';
import { makeStandInRelease } from '../support/stand-in-release.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('qa on a virtual board');

test('a release that boots beside one that panics', async () => {
  using good = tempDir();
  using bad = tempDir();
  using out = tempDir();
  const release = await makeStandInRelease(good.path, { architecture: 'aarch64' });
  const baseline = await makeStandInRelease(bad.path, { architecture: 'aarch64', fault: 'panic' });
  const prepared = await prepareRun({
    arguments: {
      release,
      baseline,
      board: 'virtual',
      boardFile: null,
      select: null,
      powerOn: null,
      powerOff: null,
      offTimeS: 5,
      settleS: 2,
      timeoutS: 300,
      dictionary: null,
      evidence: 'board-selfclock',
      specimen: null,
      conditions: {},
    },
    directory: out.path,
    plan: undefined,
    boots: 2,
    seed: 1,
  });
  const dir = join(out.path, 'run');
  const { boots } = await measure(prepared, {
    dir,
    signal: new AbortController().signal,
    note: () => undefined,
    warn: () => undefined,
    nowMs: () => 0,
    now: () => '2026-11-25T12:00:00Z',
  });
  for (const record of recordsOf(boots, 'candidate')) {
    assert.equal([record.outcome, record.evidence, record.start], ['booted', 'virtual', 'cold']);
    const stop = record.events.find(({ name }) => name === 'containers')!.atNs;
    assert.ok(stop > 0.5e9 && stop < 5e9, String(stop));
  }
  for (const record of recordsOf(boots, 'baseline')) {
    assert.is(record.outcome, 'failed');
    assert.match(record.reason!, /^HOST_BOARD_SILENT: /);
  }
  const first = boots.find(({ arm }) => arm === 'baseline')!;
  const capture = readFileSync(join(dir, `capture-${first.run}.log`), 'latin1');
  assert.match(capture, /Kernel panic/);
});

test.run();
