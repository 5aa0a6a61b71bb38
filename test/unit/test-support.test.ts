/** The helpers of the tests themselves. */
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertBytes } from '../support/assert-bytes.ts';
import { isSkip } from '../support/ledger.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';
import { againAfterPanic, hasPanicked, KernelPanic } from '../support/kernel-panic.ts';

const test = suite('test support');

/** What a call throws. */
function thrownBy(call: () => unknown): Error {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected it to throw');
}

test('a tool that is there is found', () => {
  assert.match(requireTool('sh', 'dash'), /\/sh$/);
});

test('a missing tool skips, and fails where tools are required', () => {
  const cases: readonly [env: NodeJS.ProcessEnv, skips: boolean][] = [
    [{}, true],
    [{ REQUIRE_TOOLS: '0' }, true],
    [{ REQUIRE_TOOLS: '1' }, false],
    [{ CI: 'true' }, false],
  ];
  for (const [env, skips] of cases) {
    const error = thrownBy(() => requireTool('no-such-tool', 'nothing', env));
    assert.is(isSkip(error), skips, JSON.stringify(env));
    assert.match(error.message, /no-such-tool not found \(Debian package nothing\)/);
  }
});

test('bytes that differ are shown as an offset and two rows', () => {
  const expected = new Uint8Array(1 << 20);
  const actual = expected.slice();
  assertBytes(actual, expected);
  actual[0x12345] = 0x41;
  const { message } = thrownBy(() => assertBytes(actual, expected, 'image'));
  assert.match(message, /^image differ at byte 74565 \(0x12345\)\n/);
  assert.match(message, /00012340 {2}00 00 00 00 00 41/);
  assert.ok(message.length < 300);
  assert.match(
    thrownBy(() => assertBytes(actual.subarray(0, 5), expected)).message,
    /5 bytes, expected 1048576/,
  );
});

test('a temporary directory goes at the end of the block', () => {
  let path: string;
  {
    using dir = tempDir();
    path = dir.path;
    assert.ok(existsSync(path));
  }
  assert.not(existsSync(path));
});

/** What the two attempts of a boot come to, and what comes of both. */
const PANICS: readonly [string, readonly (string | Error)[], string, number][] = [
  ['a boot that works', ['booted'], 'booted', 0],
  ['a kernel that died by itself', [new KernelPanic('oops'), 'booted'], 'booted', 1],
  ['one that dies again', [new KernelPanic('1'), new KernelPanic('2')], 'KernelPanic', 1],
  ['another failure after it', [new KernelPanic('1'), new TypeError('x')], 'TypeError', 1],
  ['a failure that is none', [new TypeError('x'), 'booted'], 'TypeError', 0],
];

test('a board whose kernel died boots once more, and no failure is hidden', async () => {
  for (const [what, outcomes, expected, told] of PANICS) {
    const left = [...outcomes];
    const consoles: string[] = [];
    const boot = async (): Promise<string> => {
      const next = left.shift()!;
      if (typeof next === 'string') return next;
      throw next;
    };
    const result = await againAfterPanic(boot, (console) => consoles.push(console)).catch(
      (error: unknown) => (error as Error).name,
    );
    assert.equal([result, consoles.length], [expected, told], what);
  }
  assert.ok(hasPanicked('[ 0.1] Kernel panic - not syncing: Fatal exception in interrupt'));
  // Of these the disk or the runtime is the cause.
  for (const line of [
    'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100',
    'Kernel panic - not syncing: VFS: Unable to mount root fs',
    'BUG: kernel NULL pointer dereference',
  ]) {
    assert.not(hasPanicked(line), line);
  }
});

test.run();
