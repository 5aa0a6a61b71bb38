/** The quick start of README.md, as it is printed there, in an empty directory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../toolchain/cli/program.ts';
import { makeExampleFixture } from '../support/example-fixture.ts';
import { markdownPages } from '../support/markdown.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';

const test = suite('quick start');

test('every line of it works, from keys to a mounted image', () => {
  requireRoot();
  const readme = markdownPages().find(({ path }) => path === 'README.md')!;
  const lines = readme.blocks.find(({ text }) => text.includes('coldseal release'))!.text;
  const fixture = makeExampleFixture(COMMANDS);
  using dir = tempDir();
  const { code, stdout, stderr } = fixture.run(`set -eu\n${lines}`, dir.path);
  fixture.dir.remove();
  assert.is(code, 0, stderr);
  for (const part of ['verified: 1 images', 'mounted at', 'PRETTY_NAME', 'unmounted mnt']) {
    assert.ok(stdout.includes(part), `${part}\n${stdout}`);
  }
});

test.run();
