/** `npm run check`: format, lint, types, unit, tamper and tidy tests, and the build with its budgets. */
import { main as test } from './test.ts';

/** Everything CI runs apart from the suites that need outside tools. */
export function main(args: readonly string[]): Promise<number> {
  return test(['^test/check/', '^test/unit/', '^test/tamper/', ...args]);
}
