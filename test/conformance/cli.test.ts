/** The command line contract, on the built CLI in real processes, for every command there is. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../toolchain/cli/program.ts';
import { PERSONALITIES } from '../../toolchain/cli/personalities.ts';
import { makeExampleFixture, type ExampleFixture } from '../support/example-fixture.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { areToolsRequired, requireRoot, requireTool, skipTest } from '../support/tools.ts';

const test = suite('command line');

let fixture: ExampleFixture | undefined;

test.after(() => fixture?.dir.remove());

test('the program helps, tells its version, and names every command', async () => {
  const help = await runCli(['--help']);
  assert.equal([help.code, help.stderr], [0, '']);
  for (const { name } of [...COMMANDS, ...PERSONALITIES])
    assert.ok(help.stdout.includes(`  ${name}`), name);
  assert.match((await runCli(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('misuse of the program exits 2 with its code', async () => {
  const cases: readonly [args: string[], code: string][] = [
    [[], 'USAGE_MISSING_COMMAND'],
    [['no-such-command'], 'USAGE_UNKNOWN_COMMAND'],
    [['--no-such-option'], 'USAGE_UNKNOWN_OPTION'],
  ];
  for (const [args, code] of cases) {
    const text = await runCli(args);
    assert.equal([text.code, text.stdout], [2, ''], code);
    assert.ok(text.stderr.includes(code), text.stderr);
    const json = await runCli([...args, '--json']);
    const document = JSON.parse(json.stdout) as {
      schema: number;
      ok: boolean;
      error: { code: string };
    };
    assert.equal(
      [json.code, document.schema, document.ok, document.error.code],
      [2, 1, false, code],
    );
  }
});

/** Values that a table cannot judge: the arguments, exit code, error code, and what the message says. */
const VALUES: readonly (readonly [args: readonly string[], exit: number, says: RegExp])[] = [
  [['keys', 'init', '/nowhere/x', '--not-before=2026-02-30T00:00:00Z'], 2, /USAGE_BAD_VALUE/],
  [['keys', 'init', '/nowhere/x', '--not-before=9999999'], 2, /expected a time such as/],
  [['keys', 'init', '/nowhere/x', `--organization=${'a'.repeat(65)}`], 2, /1 to 64 printable/],
  [['keys', 'init', '/nowhere/x', '--organization=a\nb'], 2, /"a\\nb": expected 1 to 64/],
  [['umount', '/proc'], 2, /Cannot unmount \/proc: proc is mounted there/],
  [['verify', '/nowhere/x', '--trust', '/dev/null'], 4, /Cannot use trust file \/dev\/null: /],
  [['image', 'ls', '/'], 6, /Cannot read image \/: it is a directory, expected a file/],
  [
    ['image', 'build', '--from-file', '/dev/null', '/nowhere/x'],
    4,
    /Cannot use dump \/dev\/null: /,
  ],
  [['image', 'diff', 'package.json', '-'], 4, /Cannot use image package\.json: /],
  [['image', 'ls', '-'], 4, /Cannot use image stdin: /],
];

test('a value is refused by the command that knows it, with exit code and reason', async () => {
  for (const [args, exit, says] of VALUES) {
    const { code, stdout, stderr } = await runCli(args);
    assert.equal([code, stdout], [exit, ''], args.join(' '));
    assert.match(stderr, says);
  }
});

test('a result that does not fit on the disk is a failure', async () => {
  for (const args of [['doctor'], ['--version'], ['doctor', '--json']]) {
    const fd = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [CLI_PATH, ...args], {
      stdio: ['ignore', fd, 'pipe'],
      encoding: 'utf8',
    });
    closeSync(fd);
    assert.is(status, 6, args.join(' '));
    assert.match(stderr, /Cannot write to stdout: no space left/);
  }
});

for (const command of COMMANDS) {
  const words = command.name.split(' ');

  test(`${command.name}: --help exits 0 and shows an example`, async () => {
    const { code, stdout, stderr } = await runCli([...words, '--help']);
    assert.equal([code, stderr], [0, '']);
    assert.ok(command.examples.length > 0, 'no example');
    for (const { run } of command.examples) {
      assert.ok(stdout.includes(`  ${run}\n`), run);
      assert.ok(run.includes(`coldseal ${command.name}`), run);
    }
    const tooLong = stdout
      .split('\n')
      .filter((line) => line.length > 80 && !/^ {2}coldseal /.test(line));
    assert.equal(tooLong, []);
  });

  test(`${command.name}: an unknown option exits 2 and the nearest one is named`, async () => {
    const { code, stderr } = await runCli([...words, '--quite']);
    assert.is(code, 2);
    assert.match(stderr, /unknown option '--quite'/);
    assert.match(stderr, /did you mean .*--quiet/);
    // Before the verb, where no verb has a meaning of its own for it.
    const json = await runCli(['--json', ...words, '--quite']);
    const document = JSON.parse(json.stdout) as {
      ok: boolean;
      error: { code: string; hint: string };
    };
    assert.equal([json.code, document.ok, document.error.code], [2, false, 'USAGE_UNKNOWN_OPTION']);
  });

  for (const example of command.examples) {
    test(`example: ${example.run}`, () => {
      if (example.needs === 'root') requireRoot();
      fixture ??= makeExampleFixture(COMMANDS);
      using dir = fixture.copy(command.name);
      const line =
        example.before === undefined ? example.run : `${example.before} && ${example.run}`;
      const { code, stdout, stderr } = fixture.run(line, dir.path);
      if (code === 6 && example.needs !== undefined && !areToolsRequired()) skipTest(stderr.trim());
      assert.is(code, example.exits ?? 0, `${line}\n${stdout}${stderr}`);
    });
  }
}

test('a reader that goes away is not an error', () => {
  const line = `"$0" "$1" --help | true; echo "\${PIPESTATUS[0]}"`;
  const result = spawnSync('bash', ['-c', line, process.execPath, CLI_PATH], { encoding: 'utf8' });
  assert.equal([result.stdout, result.stderr], ['0\n', '']);
});

test('a reader that closes before the first byte is not an error', async () => {
  const child = spawn(process.execPath, [CLI_PATH, '--help'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal([code, stderr], [0, '']);
});

type ColorCase = readonly [
  args: string[],
  env: Record<string, string>,
  isTerminal: boolean,
  on: boolean,
];

const COLORS: readonly ColorCase[] = [
  [[], {}, false, false],
  [[], {}, true, true],
  [[], { NO_COLOR: '1' }, true, false],
  [[], { NO_COLOR: '' }, true, true],
  [[], { TERM: 'dumb' }, true, false],
  [[], { FORCE_COLOR: '1' }, false, true],
  [[], { FORCE_COLOR: '' }, false, false],
  [[], { NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [['--color=always'], { NO_COLOR: '1' }, false, true],
  [['--color=never'], { FORCE_COLOR: '1' }, true, false],
  [['--color', 'never'], {}, true, false],
];

test('colour follows its rules on pipes and terminals', async () => {
  const script = requireTool('script', 'bsdutils');
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env;
  for (const [args, env, isTerminal, on] of COLORS) {
    const words = [process.execPath, CLI_PATH, '--help', ...args];
    const [program, ...rest] = isTerminal ? [script, '-qec', words.join(' '), '/dev/null'] : words;
    const result = spawnSync(program!, rest, {
      env: { ...inherited, TERM: 'xterm', ...env },
      encoding: 'utf8',
    });
    assert.is(result.stdout.includes('\u001b[1m'), on, JSON.stringify([args, env, isTerminal]));
  }
});

test.run();
