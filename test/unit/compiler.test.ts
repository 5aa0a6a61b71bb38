/**
 * The compiler's limit is set where it is known, and this Node knows it: an unknown one would be complained about.
 */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { knowsLimit } from '../../toolchain/cli/compiler.ts';

const test = suite('compiler');

test('only versions that have been seen to know the limit are told', () => {
  const rows: [version: string, known: boolean][] = [
    ['18.20.4', false],
    ['20.12.0', true],
    ['22.1.0', true],
    ['24.0.0', true],
    ['25.0.0', false],
    ['', false],
  ];
  for (const [version, known] of rows) assert.is(knowsLimit(version), known, version);
});

test('this Node takes it without a word', () => {
  if (!knowsLimit(process.versions.node)) return;
  const limit = '--max-inlined-bytecode-size-cumulative=200';
  const set = (flag: string): string => {
    const script = `require('node:v8').setFlagsFromString('${flag}')`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script]);
    return `${status} ${stdout.toString()}${stderr.toString()}`;
  };
  assert.is(set(limit), '0 ');
  assert.match(set('--no-such-limit=200'), /unrecognized/);
});

test.run();
