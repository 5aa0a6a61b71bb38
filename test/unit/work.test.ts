/**
 * The hot paths do as much as they did: blocks executed and calls made by fixed workloads, counted exactly.
 *
 * Times cannot be asserted and instructions cannot be counted everywhere; these counts are the same on every run and
 * machine. A count that fell is a failure too: the record would hide the next rise by as much.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bundleWork,
  difference,
  HOW_TO_RECORD,
  isRecording,
  readRecord,
  record,
  TOLERANCES,
  type Work,
  type WorkBundle,
} from '../support/work/count.ts';
import { WORKLOADS } from '../support/work/workloads.ts';

const test = suite('work');

const NAMES = Object.keys(WORKLOADS).filter((name) => name !== 'nothing');
const MAJOR = process.versions.node.split('.')[0]!;

let bundle: WorkBundle;
test.before(async () => {
  bundle = await bundleWork();
});
test.after(() => bundle[Symbol.dispose]());

interface Counted extends Work {
  readonly top: readonly [name: string, executed: number][];
}

const count = (name: string): Counted => JSON.parse(bundle.run(name).stdout) as Counted;

test('every workload makes the recorded calls and executes the recorded blocks', () => {
  const found = Object.fromEntries(NAMES.map((name) => [name, count(name)]));
  const parts = <K extends 'calls' | 'executed'>(key: K): Record<string, Counted[K]> =>
    Object.fromEntries(NAMES.map((name) => [name, found[name]![key]]));
  const { executed, calls } = readRecord();
  if (isRecording) {
    record({ calls: parts('calls'), executed: { ...executed, [MAJOR]: parts('executed') } });
    return;
  }
  assert.equal(parts('calls'), calls, HOW_TO_RECORD);
  const known = executed[MAJOR];
  if (known === undefined) {
    // oxlint-disable-next-line no-console -- says what of the guard did not apply
    console.log(`work: no record of executed blocks for Node ${MAJOR}; calls were compared`);
    return;
  }
  const problems = NAMES.flatMap((name) => {
    const problem = difference(name, found[name]!.executed, known[name]!, TOLERANCES[name]);
    return problem === undefined
      ? []
      : [`${problem}; most of it: ${JSON.stringify(found[name]!.top)}`];
  });
  assert.is(problems.join('\n'), '', HOW_TO_RECORD);
});

test('a count is the same on every run', () => {
  const [a, b, c] = [1, 2, 3].map(() => count('dump'));
  assert.equal(b, a);
  assert.equal(c, a);
});

test('a fifth more is told, and a fifth less', () => {
  assert.is(difference('x', 1000, 1000), undefined);
  assert.is(difference('x', 1005, 1000), undefined);
  assert.is(difference('x', 1200, 1000), 'x: 1200, 20.0 % more than the recorded 1000');
  assert.is(difference('x', 800, 1000), 'x: 800, 20.0 % less than the recorded 1000');
});

test.run();
