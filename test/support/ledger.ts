/**
 * What one test file registered and what became of it, kept apart from uvu's own count.
 *
 * uvu reports success when a hook throws, when `.run()` was forgotten and in other cases (test/run.ts lists them); the
 * ledger is what the runner believes.
 */

export type Outcome = 'pending' | 'passed' | 'failed' | 'skipped';

export interface TestRecord {
  readonly suite: string;
  readonly name: string;
  outcome: Outcome;
  ms: number;
  /** Why it failed or was skipped. */
  detail: string;
}

export interface Ledger {
  readonly tests: TestRecord[];
  /** Faults of the file itself: hooks that threw, suites never run, `.only`, skips without a reason. */
  readonly faults: string[];
  /** Suites that were registered, and how often each was run. */
  readonly suites: { name: string; registered: number; runs: number }[];
}

declare global {
  // oxlint-disable-next-line no-var -- `var` is how TypeScript declares a global
  var COLDSEAL_LEDGER: Ledger | undefined;
}

/** The ledger of this process, one per test file. */
export function ledger(): Ledger {
  globalThis.COLDSEAL_LEDGER ??= { tests: [], faults: [], suites: [] };
  return globalThis.COLDSEAL_LEDGER;
}

/** Thrown by a test that cannot run here; its message is the declared reason. */
export class SkipTest extends Error {
  override readonly name = 'SkipTest';
}

/** Whether a thrown value is a declared skip; by name, since bundles may hold two copies of the class. */
export function isSkip(error: unknown): error is SkipTest {
  return error instanceof Error && error.name === 'SkipTest' && error.message !== '';
}
