/** Damaged images and dump texts for some seconds: COLDSEAL_FUZZ_SECONDS, or 60 in CI, or 3. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fuzz } from '../../toolchain/dev/fuzz.ts';

const isCi = process.env['CI'] === 'true';
const SECONDS = Number(process.env['COLDSEAL_FUZZ_SECONDS'] ?? (isCi ? 60 : 3));
/** Two seeds, each from its beginning, so that every machine sees the same damage first. */
const SEEDS = [1, 20260821];

const test = suite('fuzz');

for (const seed of SEEDS) {
  test(`gives a result or a ColdsealError, seed ${seed}`, () => {
    const { bugs, runs, outcomes } = fuzz({ seed, seconds: SECONDS / SEEDS.length });
    const details = bugs.map(({ run, message }) => `run ${run}: ${message}`).join('\n');
    assert.is(bugs.length, 0, `npm run fuzz -- --seed ${seed} repeats it\n${details}`);
    assert.ok(runs > 100, `${runs} runs`);
    assert.ok((outcomes.get('image accepted') ?? 0) > 0, 'some damage goes unnoticed by structure');
  });
}

test.run();
