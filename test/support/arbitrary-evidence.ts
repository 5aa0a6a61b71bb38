/**
 * Random evidence for property tests of reports: the samples, with the names of boards, stages, units and so on taken
 * from any text that the schema of records lets through.
 */
import fc from 'fast-check';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { HOSTILE_NAMES, renaming, SAMPLE_NAMES, sampleEvidence } from './sample-evidence.ts';

const isName = (text: string): boolean =>
  /^[^ ]/.test(text) && text.length <= 512 && !/[\u0000-\u001f\u007f-\u009f]/.test(text);

/** One line of any characters, with those that formats give a meaning to more often. */
export const arbitraryName: fc.Arbitrary<string> = fc
  .oneof(
    fc.constantFrom(...HOSTILE_NAMES),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
    fc.string({
      unit: fc.constantFrom(
        ...'<>&"\'`|*_[](){}#!~@\\$:;,=+-. %\u2028\u202e\ud800\udc00a1'.split(''),
      ),
      minLength: 1,
      maxLength: 24,
    }),
  )
  .filter(isName);

export const arbitraryEvidence: fc.Arbitrary<Evidence> = fc
  .record({
    sample: fc.constantFrom(...SAMPLE_NAMES),
    seed: fc.nat(1000),
    boots: fc.option(fc.integer({ min: 1, max: 70 }), { nil: undefined }),
    names: fc.array(arbitraryName, { minLength: 1, maxLength: 10 }),
  })
  .map(({ sample, seed, boots, names }) =>
    sampleEvidence({
      sample,
      seed,
      rename: renaming(names),
      ...(boots === undefined ? {} : { boots }),
    }),
  );
