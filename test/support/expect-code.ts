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

/** The same of what `run` rejects with. */
export async function codeOfRejection(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ColdsealError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

/** Asserts that `run` throws a ColdsealError with this code, and returns it. */
export function expectCode(run: () => unknown, code: string, label = ''): ColdsealError {
  try {
    run();
  } catch (error) {
    return requireCode(error, code, label);
  }
  return assert.unreachable(`${label} nothing was thrown, expected ${code}`) as never;
}

/** The same for what `run` rejects with. */
export async function expectCodeAsync(
  run: () => Promise<unknown>,
  code: string,
  label = '',
): Promise<ColdsealError> {
  try {
    await run();
  } catch (error) {
    return requireCode(error, code, label);
  }
  return assert.unreachable(`${label} nothing was thrown, expected ${code}`) as never;
}

function requireCode(error: unknown, code: string, label: string): ColdsealError {
  if (!(error instanceof ColdsealError)) throw error;
  assert.is(error.code, code, label);
  return error;
}
