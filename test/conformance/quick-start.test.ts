/** The quick start of README.md, as it is printed there, in an empty directory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../toolchain/cli/program.ts';
import { makeExampleFixture } from '../support/example-fixture.ts';
import { markdownPages } from '../support/markdown.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool, skipTest } from '../support/tools.ts';

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

test('so does every line for a board: a disk written to a file, boots judged and signed', () => {
  if (process.arch !== 'x64')
    skipTest('the lines name the x86 board, and take the busybox of this machine');
  requireTool('busybox', 'busybox-static');
  requireTool('qemu-system-x86_64', 'qemu-system-x86');
  requireTool('e2fsck', 'e2fsprogs');
  requireTool('gcc', 'gcc');
  const readme = markdownPages().find(({ path }) => path === 'README.md')!;
  const lines = readme.blocks.find(({ text }) => text.includes('coldseal boot'))!.text;
  const judging = readme.blocks.find(({ text }) => text.includes('coldseal report'))!.text;
  const fixture = makeExampleFixture(COMMANDS);
  using dir = tempDir();
  const { code, stdout, stderr } = fixture.run(
    `set -eu\ncoldseal keys init keys/dev\n${lines}${judging}`,
    dir.path,
  );
  fixture.dir.remove();
  assert.is(code, 0, stderr);
  for (const part of [
    'slot a        good',
    'switch-root',
    'until the last stage',
    'flashed card.img',
    'no regression against the baseline',
    'verified: boot evidence',
    '2 added, 0 there already',
  ]) {
    assert.ok(stdout.includes(part), `${part}\n${stdout}`);
  }
});

test.run();
