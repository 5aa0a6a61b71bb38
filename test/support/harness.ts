/**
 * Runs one bundled test file in its own process: `node harness.mjs BUNDLE RESULT`.
 *
 * The result file is written last, so a file that exits early, hangs or crashes leaves none, which the runner
 * counts as a failure.
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { isSkip, ledger } from './ledger.ts';

type SuiteRun = () => Promise<[errors: string | true, ran: number, skipped: number, total: number]>;

const [bundle = '', resultPath = ''] = process.argv.slice(2);
const world = globalThis as unknown as {
  UVU_DEFER: number;
  UVU_QUEUE: unknown[][];
  UVU_INDEX: number;
};
world.UVU_DEFER = 1;
world.UVU_INDEX = 0;
world.UVU_QUEUE = [[]];

const { faults, suites, tests } = ledger();
try {
  await import(pathToFileURL(bundle).href);
} catch (error) {
  if (isSkip(error)) {
    tests.push({
      suite: '',
      name: 'the whole file',
      outcome: 'skipped',
      ms: 0,
      detail: error.message,
    });
  } else {
    faults.push(`importing the file threw ${error instanceof Error ? error.stack : String(error)}`);
  }
}

const runs = world.UVU_QUEUE[0] as SuiteRun[];
for (const run of runs) {
  try {
    const [errors, ran, , total] = await run();
    if (errors !== true) process.stdout.write(`\n${errors}\n`);
    if (ran !== total && errors === true)
      faults.push(`uvu ran ${ran} of ${total} tests and reported no error`);
  } catch (error) {
    faults.push(`a suite threw ${String(error)}`);
  }
}
for (const { name, registered, runs: count } of suites) {
  if (registered > 0 && count === 0)
    faults.push(`suite "${name}" was registered but .run() was never called`);
}
for (const record of tests) {
  if (record.outcome === 'pending')
    faults.push(`${record.suite}: "${record.name}" was registered and never ran`);
}
if (tests.length === 0) faults.push('the file registered no test');

writeFileSync(resultPath, JSON.stringify({ faults, tests, suites }));
process.exit(0);
