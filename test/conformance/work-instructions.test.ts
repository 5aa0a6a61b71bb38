/**
 * The same workloads as in test/unit/work.test.ts, counted in machine instructions by an outside judge: valgrind sees
 * the native code, too, that blocks of JavaScript only call.
 *
 * Without a compiler at run time (`--jitless`) and with fixed seeds, ten runs differed by 5 in 100,000. Performance
 * counters would count in less time, but virtual machines seldom let a guest have them. Another Node, C library or
 * valgrind counts differently, and so may another processor, by whose features libraries choose their code. What is
 * recorded has their names; where nothing is recorded for a machine, a line says so and the counts of the unit test
 * are the guard.
 */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { requireTool } from '../support/tools.ts';
import {
  bundleWork,
  difference,
  HOW_TO_RECORD,
  isRecording,
  readRecord,
  record,
} from '../support/work/count.ts';

const test = suite('work in instructions');

/** Lengths of paths differ from machine to machine: that alone is some 0.3 %. */
const TOLERANCE = 0.01;

const NODE_FLAGS = [
  '--jitless',
  '--single-threaded',
  '--predictable',
  '--predictable-gc-schedule',
  '--hash-seed=1',
  '--random-seed=1',
];

/** What the count of instructions depends on, besides the program. */
function machineKey(valgrind: string): string {
  const version = spawnSync(valgrind, ['--version'], { encoding: 'utf8' }).stdout.trim();
  const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const glibc = report.header.glibcVersionRuntime ?? 'other';
  const processor = cpus()[0]?.model.trim() ?? 'other';
  return `node-${process.versions.node} ${process.arch} glibc-${glibc} ${version} on ${processor}`;
}

test('all workloads together take the recorded number of instructions', async () => {
  const valgrind = requireTool('valgrind', 'valgrind');
  const key = machineKey(valgrind);
  const { instructions } = readRecord();
  const recorded = instructions[key];
  if (recorded === undefined && !isRecording) {
    // oxlint-disable-next-line no-console -- says what of the guard did not apply
    console.log(`work: no record of instructions for ${key}; test/unit/work.test.ts guards alone`);
  }
  using bundle = await bundleWork();
  const count = (workload: string): number => {
    const tool = [valgrind, '--tool=callgrind', '--callgrind-out-file=/dev/null'];
    const { stderr } = bundle.run(workload, [...tool, process.execPath, ...NODE_FLAGS], {
      WORK_ONLY: '1',
    });
    const [, digits] = /I +refs: +([\d,]+)/.exec(stderr) ?? [];
    assert.ok(digits, stderr);
    return Number(digits.replaceAll(',', ''));
  };
  const found = count('all') - count('nothing');
  assert.ok(found > 1e8, `${found} instructions`);
  if (isRecording) return record({ instructions: { ...instructions, [key]: found } });
  if (recorded === undefined) return;
  assert.is(difference('instructions', found, recorded, TOLERANCE) ?? '', '', HOW_TO_RECORD);
});

test.run();
