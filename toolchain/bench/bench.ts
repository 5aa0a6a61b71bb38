/** Runs the chosen cases one after the other; a case that fails is a result, and the next one still runs. */
import { bootCase } from './case-boot.ts';
import { millionCase } from './case-million.ts';
import { rebuildCase } from './case-rebuild.ts';
import { reportCase } from './case-report.ts';
import { tarCase } from './case-tar.ts';
import { machineCase, readCase, verifyCase } from './cases-read.ts';
import { dumpCase, growthCase, startCase, storeCase, treeCase } from './cases-build.ts';
import type { BenchCase, BenchContext } from './context.ts';
import type { Sample } from './measure.ts';
import type { CaseResult } from './table.ts';

/** In the order they run. */
export const CASES: readonly BenchCase[] = [
  machineCase,
  startCase,
  dumpCase,
  readCase,
  storeCase,
  verifyCase,
  treeCase,
  rebuildCase,
  tarCase,
  growthCase,
  millionCase,
  reportCase,
  bootCase,
];

export interface MeasuredCase extends CaseResult {
  readonly title: string;
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
}

/** The cases whose names match one of the patterns, as parts or regular expressions; all of them without patterns. */
export function chooseCases(patterns: readonly string[]): readonly BenchCase[] {
  if (patterns.length === 0) return CASES;
  const regexps = patterns.map((pattern) => new RegExp(pattern));
  return CASES.filter(({ name }) => regexps.some((regexp) => regexp.test(name)));
}

/** Runs cases; each gives a result, whatever happens. */
export async function runCases(
  cases: readonly BenchCase[],
  context: BenchContext,
): Promise<MeasuredCase[]> {
  const results: MeasuredCase[] = [];
  for (const [i, { name, title, run }] of cases.entries()) {
    context.progress(`[${i + 1}/${cases.length}] ${name}: ${title}`);
    const nothing = { name, title, rows: [], notes: [], samples: {} };
    try {
      const found = await run(context);
      if (typeof found === 'string') results.push({ ...nothing, skipped: found });
      else results.push({ name, title, ...found });
    } catch (error) {
      results.push({ ...nothing, failed: (error as Error).message });
    }
  }
  return results;
}
