/**
 * `npm test`: sets the host up, builds, and runs the tests; `npm test -- PATTERN…` runs the files that match.
 *
 * The last line is always `N passed, N failed, N skipped`. Options: `--junit FILE`, `--no-build`.
 */
import { runTests } from '../../test/run.ts';
import { build } from './build.ts';
import { setUpHost } from './setup.ts';

/** Runs what the arguments ask for and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  // oxlint-disable-next-line no-console -- a development script
  const print = (line: string): void => console.log(line);
  const patterns: string[] = [];
  let junit: string | undefined;
  let isBuilding = true;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--junit') junit = args[++i];
    else if (arg === '--no-build') isBuilding = false;
    else if (arg.startsWith('-')) {
      print(`Cannot run the tests with ${arg}: expected --junit FILE, --no-build or patterns`);
      return 2;
    } else patterns.push(arg);
  }
  if (patterns.length === 0) setUpHost({ print });
  try {
    if (isBuilding) await build({ keepOldChunks: true });
  } catch (error) {
    print(`Cannot build: ${(error as Error).message}`);
    print('0 passed, 1 failed, 0 skipped');
    return 1;
  }
  const totals = await runTests({ patterns, print, junit });
  return totals.failed === 0 ? 0 : 1;
}
