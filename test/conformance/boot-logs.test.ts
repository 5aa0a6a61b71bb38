/** Importers against the tools themselves: what sigrok-cli and dtc of this machine write today is read. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { at, fileLog, importOne, rows, vectorLog } from '../support/boot-logs.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('boot logs of tools');

function run(tool: string, args: readonly string[], cwd?: string): string {
  const result = spawnSync(tool, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  assert.is(result.status, 0, result.stderr);
  return result.stdout;
}

test('sigrok-cli: the same signals with and without a column of times, at several sample rates', () => {
  const sigrok = requireTool('sigrok-cli', 'sigrok-cli');
  using dir = tempDir();
  for (const rate of ['1k', '10k', '200k', '1m', '3m', '24m']) {
    // Captured once: where the demo driver's pattern begins differs between two captures on a busy machine.
    const session = join(dir.path, `${rate}.sr`);
    const settings = ['-c', `samplerate=${rate}`, '--channels', 'D0,D1,D2'];
    run(sigrok, ['-d', 'demo', '--samples', '200', ...settings, '-o', session]);
    const capture = (output: string): string => run(sigrok, ['-i', session, '-O', output]);
    const plain = importOne(fileLog(capture('csv')));
    for (const output of [
      'csv:time=true',
      'csv:time=true:dedup=true',
      'csv:time=true:label=channel',
    ]) {
      assert.equal(importOne(fileLog(capture(output))).events, plain.events, `${rate} ${output}`);
    }
    assert.ok(at(plain, 'D0 rising')! > 0, rate);
  }
});

test('dtc: the node of U-Boot from its files', () => {
  const dtc = requireTool('dtc', 'device-tree-compiler');
  using dir = tempDir();
  const log = vectorLog('bootstage/device-tree.tar');
  for (const [path, bytes] of log.files) {
    mkdirSync(join(dir.path, path, '..'), { recursive: true });
    writeFileSync(join(dir.path, path), bytes);
  }
  const source = run(dtc, ['-q', '-f', '-I', 'fs', '-O', 'dts', 'device-tree'], dir.path);
  assert.equal(rows(importOne(fileLog(source))), rows(importOne(log)));
});

test.run();
