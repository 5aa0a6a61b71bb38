/** Refusal tests assert the code: a crash must not pass for a refusal. */
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';

/** The code of what `run` throws; fails when it returns or throws anything but a ColdsealError. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ColdsealError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

/** Asserts that `run` throws a ColdsealError with this code. */
export function expectCode(run: () => unknown, code: string, label = ''): void {
  assert.is(codeOf(run), code, label);
}
