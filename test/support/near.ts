/** Numbers that were computed on another way, such as by another program, agree up to their last digits. */
import * as assert from 'uvu/assert';

/** Asserts a relative difference of at most `tolerance`; of zero, an absolute one. */
export function assertNear(actual: number, expected: number, tolerance = 1e-11, label = ''): void {
  const scale = expected === 0 ? 1 : Math.abs(expected);
  const isNear = actual === expected || Math.abs(actual - expected) <= tolerance * scale;
  assert.ok(isNear, `${label} expected ${expected}, got ${actual}`);
}
