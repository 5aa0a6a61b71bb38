/** Refusing bytes: the sentence every reader of an image says, in one place. */
import { ColdsealError, type ErrorCode } from './errors.ts';

/** Throws `what: expected …` under a code. */
export function refuse(code: ErrorCode, what: string, expected: string | number): never {
  throw new ColdsealError(code, `${what}: expected ${expected}`);
}
