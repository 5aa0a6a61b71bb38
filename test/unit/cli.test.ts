/** The command line: parsing, help, output, colours, progress, and what each failure comes to. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { decideColor, type ColorMode } from '../../toolchain/cli/color.ts';
import { defineCommand, parseFlag, type Command } from '../../toolchain/cli/command.ts';
import { runMain } from '../../toolchain/cli/main-run.ts';
import type { OutputStream } from '../../toolchain/cli/output.ts';
import {
  formatBar,
  formatBytes,
  formatDuration,
  startProgress,
} from '../../toolchain/cli/progress.ts';

const test = suite('cli');

const sample = defineCommand({
  name: 'image sample',
  summary: 'Show what was given',
  description: 'First paragraph.\n\nSecond paragraph.',
  args: [
    { name: 'source', help: 'where from' },
    { name: 'rest', help: 'what else', optional: true, variadic: true },
  ],
  options: {
    basedir: { flag: '--basedir <dir>', help: 'a directory', repeat: true },
    threads: { flag: '-t, --threads <n>', help: 'how many', integer: { min: 1, max: 256 } },
    verity: {
      flag: '--verity <mode>',
      help: 'how strict',
      choices: ['require', 'off'],
      default: 'require',
    },
    useEpoch: { flag: '--use-epoch', help: 'zero times' },
    noSync: { flag: '--no-sync', help: 'do not wait' },
  },
  examples: [{ run: 'coldseal image sample x', note: 'Show x' }],
  exitCodes: { 3: 'something is missing' },
  async run({ args, options, output }) {
    output.line(JSON.stringify([args, options]));
    output.result({ args, options });
  },
});

/** A command that does `body`; the simplest way to see what the CLI makes of it. */
function commandOf(body: Command['run']): Command {
  return {
    name: 'act',
    summary: 'Act',
    description: undefined,
    args: [],
    options: {},
    examples: [],
    exitCodes: {},
    run: body,
  };
}

interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface FakeSettings {
  readonly isTTY?: boolean;
  readonly env?: Record<string, string>;
  readonly nowMs?: () => number;
  /** Whether stdout is closed by its reader. */
  readonly isClosed?: boolean;
  /** Whether stdout is a file on a full disk. */
  readonly isFull?: boolean;
  readonly interruption?: AbortController;
}

async function run(
  argv: readonly string[],
  commands: readonly Command[] = [sample],
  fake: FakeSettings = {},
): Promise<RunResult> {
  const text = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr'): OutputStream => ({
    isTTY: fake.isTTY ?? false,
    columns: 80,
    on: () => undefined,
    write(chunk, done) {
      const errno = fake.isFull === true ? 'ENOSPC' : 'EPIPE';
      const isBroken = name === 'stdout' && (fake.isClosed === true || fake.isFull === true);
      if (!isBroken)
        text[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
      done(isBroken ? Object.assign(new Error(`write ${errno}`), { code: errno }) : null);
      return true;
    },
  });
  const interruption = fake.interruption ?? new AbortController();
  const code = await runMain(
    {
      argv,
      version: '1.2.3',
      env: fake.env ?? {},
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      nowMs: fake.nowMs ?? (() => 0),
      interrupted: () => interruption.signal,
      wasInterrupted: () => interruption.signal.aborted,
    },
    commands,
  );
  return { code, ...text };
}

const GIVEN: readonly [argv: string, args: string[], options: Record<string, unknown>][] = [
  ['a', ['a'], {}],
  ['a b c', ['a', 'b', 'c'], {}],
  ['a --basedir=x --basedir y', ['a'], { basedir: ['x', 'y'] }],
  ['a --threads=256 --use-epoch', ['a'], { threads: 256, useEpoch: true }],
  ['a -t 1', ['a'], { threads: 1 }],
  ['a --verity off', ['a'], { verity: 'off' }],
  ['a --no-sync', ['a'], { noSync: true }],
  ['-- --verity', ['--verity'], {}],
  ['-', ['-'], {}],
  ['a --quiet --color=never', ['a'], {}],
];

test('a verb may have verbs of its own, with options of the same name', async () => {
  const verb = (name: string): Command =>
    defineCommand({
      name,
      summary: 'Show what was given',
      args: [{ name: 'dir', help: 'where', optional: true }],
      options: { out: { flag: '-o, --out <file>', help: 'where to' } },
      examples: [],
      async run({ args, options, output }) {
        output.line([name, ...args, options.out].join());
      },
    });
  const both = [verb('measure'), verb('measure again')];
  for (const [argv, expected] of [
    [['measure'], 'measure,'],
    [['measure', 'x', '-o', 'y'], 'measure,x,y'],
    [['measure', '-o', 'y', 'x'], 'measure,x,y'],
    [['measure', 'again', 'x', '-o', 'y'], 'measure again,x,y'],
    [['measure', 'again', '--out', 'y'], 'measure again,y'],
    // A directory of that name is given by its path.
    [['measure', './again'], 'measure,./again,'],
  ] as [string[], string][]) {
    const { code, stdout, stderr } = await run(argv, both);
    assert.equal([code, stdout.trimEnd()], [0, expected], `${argv.join(' ')}: ${stderr}`);
  }
  assert.match((await run(['measure', 'again', '--help'], both)).stdout, /coldseal measure again/);
  assert.match((await run(['measure', 'again', '--json'], both)).stdout, /"ok": true/);
});

test('arguments and options arrive typed', async () => {
  const defaults = { basedir: [], verity: 'require', useEpoch: false, noSync: false };
  for (const [line, args, options] of GIVEN) {
    const { code, stdout } = await run(['image', 'sample', ...line.split(' ')]);
    assert.is(code, 0, line);
    assert.equal(JSON.parse(stdout), [args, { ...defaults, ...options }], line);
  }
});

const MISUSED: readonly [line: string, code: string, says: string][] = [
  ['', 'USAGE_MISSING_COMMAND', 'see coldseal --help'],
  ['image', 'USAGE_MISSING_COMMAND', 'see coldseal image --help'],
  ['imgae sample', 'USAGE_UNKNOWN_COMMAND', 'did you mean image?'],
  ['image sampel x', 'USAGE_UNKNOWN_COMMAND', 'did you mean sample?'],
  ['image zzz', 'USAGE_UNKNOWN_COMMAND', 'see coldseal image --help'],
  ['image sample', 'USAGE_MISSING_ARGUMENT', 'source'],
  ['image sample', 'USAGE_MISSING_ARGUMENT', 'see coldseal image sample --help'],
  ['image sample x --use-epcoh', 'USAGE_UNKNOWN_OPTION', 'did you mean --use-epoch?'],
  ['image sample x --jsn', 'USAGE_UNKNOWN_OPTION', 'did you mean --json?'],
  ['image sample x --threads', 'USAGE_MISSING_VALUE', '--threads'],
  ['image sample x --threads=0', 'USAGE_BAD_VALUE', 'expected an integer from 1 to 256'],
  ['image sample x --threads=1e2', 'USAGE_BAD_VALUE', 'expected an integer'],
  ['image sample x --verity=of', 'USAGE_BAD_VALUE', 'expected require, off'],
  ['image sample x --color=red', 'USAGE_BAD_VALUE', 'expected auto, always, never'],
  ['image sample x --use-epoch=yes', 'USAGE_UNKNOWN_OPTION', '--use-epoch'],
  ['act x', 'USAGE_EXCESS_ARGUMENT', "too many arguments for 'act', expected 0 but got 1"],
  ['image sample x --threads=-1', 'USAGE_BAD_VALUE', 'option -t, --threads <n> is "-1", expected'],
  ['image sample x --basedir=', 'USAGE_BAD_VALUE', '--basedir <dir> is "", expected a value'],
  ['help nonsense', 'USAGE_UNKNOWN_COMMAND', 'see coldseal --help'],
];

test('misuse is an error with a code, exit 2 and a hint', async () => {
  const commands = [sample, commandOf(async () => undefined)];
  for (const [line, code, says] of MISUSED) {
    const argv = line.split(' ').filter((word) => word !== '');
    const text = await run(argv, commands);
    assert.is(text.code, 2, line);
    assert.is(text.stdout, '', line);
    assert.ok(text.stderr.includes(code) && text.stderr.includes(says), `${line}: ${text.stderr}`);
    const json = await run([...argv, '--json'], commands);
    assert.is(json.code, 2, line);
    const document = JSON.parse(json.stdout) as {
      schema: number;
      ok: boolean;
      error: { code: string };
    };
    assert.equal([document.schema, document.ok, document.error.code], [1, false, code], line);
  }
});

test('an empty argument is told by its name', async () => {
  for (const [argv, name] of [
    [['image', 'sample', ''], '<source>'],
    [['image', 'sample', 'x', 'y', ''], '[rest...]'],
  ] as const) {
    const { code, stderr } = await run(argv);
    assert.is(code, 2);
    assert.ok(stderr.includes(`${name} is "", expected a value`), stderr);
  }
});

test('help comes from the definition, on stdout, with exit 0', async () => {
  const lines = [
    'image sample --help',
    'image sample -h',
    'help image sample',
    'image sample x y --help',
  ];
  for (const line of lines) {
    const { code, stdout, stderr } = await run(line.split(' '));
    assert.equal([code, stderr], [0, ''], line);
    assert.match(stdout, /^Usage: coldseal image sample \[options\] <source> \[rest\.\.\.\]\n/);
    assert.match(stdout, /First paragraph\.\n\nSecond paragraph\./);
    assert.match(stdout, /-t, --threads <n> +how many \(1 to 256\)/);
    assert.match(stdout, /Examples:\n {2}coldseal image sample x/);
    assert.match(stdout, /3 {2}something is missing/);
  }
  assert.match((await run(['--help'])).stdout, /image sample +Show what was given/);
  assert.match((await run(['image', '--help'])).stdout, /Usage: coldseal image <verb>/);
  assert.is((await run(['--version'])).stdout, '1.2.3\n');
});

test('a result that cannot be written is a failure, however the command ended', async () => {
  for (const code of [0, 3]) {
    const body: Command['run'] = async (_args, _options, output) => {
      output.line('the result');
      return code;
    };
    for (const argv of [['act'], ['act', '--json']]) {
      const result = await run(argv, [commandOf(body)], { isFull: true });
      assert.is(result.code, 6);
      assert.match(result.stderr, /Cannot write to stdout: no space left.*\n.*HOST_NO_SPACE/);
    }
  }
});

const ENDINGS: readonly [body: Command['run'], code: number, error: string | undefined][] = [
  [async () => undefined, 0, undefined],
  [async () => 3, 3, undefined],
  [
    async () => {
      throw new ColdsealError('VERIFY_SAMPLE', 'No');
    },
    3,
    'VERIFY_SAMPLE',
  ],
  [
    async () => {
      throw new ColdsealError('FORMAT_SAMPLE', 'No');
    },
    4,
    'FORMAT_SAMPLE',
  ],
  [
    async () => {
      throw new ColdsealError('BUDGET_SAMPLE', 'No');
    },
    5,
    'BUDGET_SAMPLE',
  ],
  [
    async () => {
      throw new ColdsealError('HOST_SAMPLE', 'No', { hint: 'try this' });
    },
    6,
    'HOST_SAMPLE',
  ],
  [
    async () => {
      throw new TypeError('a bug');
    },
    1,
    'INTERNAL_UNEXPECTED',
  ],
  [
    async () => {
      // oxlint-disable-next-line only-throw-error -- a library might
      throw 'text';
    },
    1,
    'INTERNAL_UNEXPECTED',
  ],
];

test('each ending has its exit code, with and without --json', async () => {
  for (const [body, code, error] of ENDINGS) {
    const text = await run(['act'], [commandOf(body)]);
    const json = await run(['act', '--json'], [commandOf(body)]);
    assert.equal([text.code, json.code], [code, code], error);
    assert.is(text.stdout, '');
    if (error !== undefined) assert.ok(text.stderr.includes(error), text.stderr);
    const document = JSON.parse(json.stdout) as { ok: boolean; error?: { code: string } };
    assert.is(document.error?.code, error);
  }
});

test('a clean-up that fails after an interruption is told', async () => {
  const interruption = new AbortController();
  const body: Command['run'] = async () => {
    interruption.abort();
    throw new ColdsealError('HOST_SAMPLE', 'Cannot unmount x');
  };
  const result = await run(['act'], [commandOf(body)], { interruption });
  assert.is(result.code, 130);
  assert.match(result.stderr, /Cannot unmount x[\s\S]*INTERRUPTED/);
});

test('the JSON document is alone on stdout', async () => {
  const body: Command['run'] = async (_args, _options, output) => {
    output.line('text');
    output.note('a note');
    output.warn('careful');
    output.result({ missing: 2 }, { ok: false });
    return 3;
  };
  const json = await run(['act', '--json'], [commandOf(body)]);
  assert.equal(JSON.parse(json.stdout), { schema: 1, ok: false, result: { missing: 2 } });
  assert.is(json.stderr, 'a note\ncoldseal: warning: careful\n');
  const quiet = await run(['act', '--quiet'], [commandOf(body)]);
  assert.equal(quiet, { code: 3, stdout: 'text\n', stderr: 'coldseal: warning: careful\n' });
});

test('bytes go to a pipe, never to a terminal or beside JSON', async () => {
  const body: Command['run'] = async (_args, _options, output) => {
    output.text('head ');
    await output.raw(Uint8Array.of(0x00, 0xff));
    output.line('tail');
  };
  assert.is((await run(['act'], [commandOf(body)])).stdout, 'head \u0000\u00fftail\n');
  const terminal = await run(['act'], [commandOf(body)], { isTTY: true });
  assert.is(terminal.code, 2);
  assert.match(terminal.stderr, /USAGE_BYTES_TO_TERMINAL/);
  assert.match((await run(['act', '--json'], [commandOf(body)])).stdout, /USAGE_BYTES_WITH_JSON/);
});

test('a terminal never receives control characters of a name', async () => {
  const body: Command['run'] = async (_args, _options, output) =>
    output.line('a\u001b[2Jb\u0007c\u001b[1md');
  const terminal = await run(['act'], [commandOf(body)], { isTTY: true });
  assert.is(terminal.stdout, 'a\\x1b[2Jb\\x07c\u001b[1md\n');
  assert.is((await run(['act'], [commandOf(body)])).stdout, 'a\u001b[2Jb\u0007c\u001b[1md\n');
});

test('a reader that goes away is not an error', async () => {
  const body: Command['run'] = async (_args, _options, output) => {
    for (let i = 0; i < 10_000; i++) output.line('a line of some length');
    await output.raw(new Uint8Array(100_000));
  };
  assert.equal(await run(['act'], [commandOf(body)], { isClosed: true }), {
    code: 0,
    stdout: '',
    stderr: '',
  });
});

test('an interruption exits 130 after the clean-up, also when it ends in an error', async () => {
  for (const throws of [false, true]) {
    const interruption = new AbortController();
    const body: Command['run'] = async (_args, _options, output) => {
      interruption.abort();
      if (throws) output.interrupted.throwIfAborted();
    };
    const result = await run(['act', '--json'], [commandOf(body)], { interruption });
    assert.is(result.code, 130);
    assert.match(result.stdout, /"code": "INTERRUPTED"/);
  }
});

const COLORS: readonly [
  mode: ColorMode,
  env: Record<string, string>,
  isTerminal: boolean,
  on: boolean,
][] = [
  ['auto', {}, true, true],
  ['auto', {}, false, false],
  ['auto', { NO_COLOR: '1' }, true, false],
  ['auto', { NO_COLOR: '0' }, true, false],
  ['auto', { NO_COLOR: '' }, true, true],
  ['auto', { TERM: 'dumb' }, true, false],
  ['auto', { TERM: 'xterm' }, true, true],
  ['auto', { FORCE_COLOR: '1' }, false, true],
  ['auto', { FORCE_COLOR: '' }, false, false],
  ['auto', { NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  ['auto', { TERM: 'dumb', FORCE_COLOR: '1' }, false, false],
  ['always', { NO_COLOR: '1', TERM: 'dumb' }, false, true],
  ['never', { FORCE_COLOR: '1' }, true, false],
];

test('colour follows its five rules', () => {
  for (const [mode, env, isTerminal, on] of COLORS) {
    assert.is(decideColor(mode, env, isTerminal), on, JSON.stringify([mode, env, isTerminal]));
  }
});

test('the colour rules reach the printed text', async () => {
  const body: Command['run'] = async (_args, _options, output) =>
    output.line(output.style.red('x'));
  for (const [mode, env, isTTY, on] of COLORS) {
    const { stdout } = await run(['act', `--color=${mode}`], [commandOf(body)], { env, isTTY });
    assert.is(stdout.includes('\u001b[31m'), on, JSON.stringify([mode, env, isTTY]));
  }
});

test('a step that counts nothing shows its time alone', () => {
  const written: string[] = [];
  let now = 0;
  const sink = (mode: 'bar' | 'lines'): Parameters<typeof startProgress>[2] => ({
    mode,
    write: (text) => written.push(text),
    nowMs: () => now,
    columns: () => 10,
  });
  for (const mode of ['bar', 'lines'] as const) {
    const progress = startProgress('linking it', { unit: 'step' }, sink(mode));
    now += 1500;
    progress.update(0);
    progress.done();
  }
  assert.equal(written, [
    '\r\u001b[Klinking i',
    '\r\u001b[K',
    'linking it: 1.5 s\n',
    'linking it: 1.5 s\n',
  ]);
});

test('progress is a bar on a terminal and a line elsewhere, after a second', async () => {
  let nowMs = 0;
  const body =
    (lengthMs: number): Command['run'] =>
    async (_args, _options, output) => {
      const progress = output.progress('Hashing', { unit: 'bytes', total: 4 << 20 });
      for (let i = 1; i <= 4; i++) {
        nowMs += lengthMs / 4;
        progress.update(i << 20);
      }
      progress.done();
    };
  const cases: readonly [argv: string[], isTTY: boolean, lengthMs: number, expected: RegExp][] = [
    [
      ['act'],
      true,
      4000,
      /\r\u001b\[KHashing \[#+\.+\] 50% 2\.0 MiB\/4\.0 MiB 1\.0 MiB\/s ETA 2\.0 s/,
    ],
    [['act'], true, 800, /^$/],
    [['act'], false, 4000, /^Hashing: 4\.0 MiB in 4\.0 s, 1\.0 MiB\/s\n$/],
    [['act'], false, 800, /^$/],
    [['act', '--quiet'], true, 4000, /^$/],
    [['act', '--json'], true, 4000, /^$/],
  ];
  for (const [argv, isTTY, lengthMs, expected] of cases) {
    const { stderr } = await run(argv, [commandOf(body(lengthMs))], { isTTY, nowMs: () => nowMs });
    assert.match(stderr, expected);
  }
});

test('a bar never wraps', () => {
  for (let columns = 1; columns < 120; columns++) {
    for (const total of [undefined, 0, 10_000_000]) {
      assert.ok(
        formatBar('Hashing objects', 'entries', 5_000_000, total, 1234, columns).length < columns,
      );
    }
  }
});

test('the time spent before the first update counts, and done twice prints once', () => {
  let printed = '';
  let nowMs = 0;
  const write = (text: string): void => void (printed += text);
  const sink = { mode: 'lines' as const, write, nowMs: () => nowMs, columns: () => 80 };
  const progress = startProgress('Reading', { unit: 'entries' }, sink);
  nowMs = 125_000;
  progress.update(250);
  progress.done();
  progress.done();
  assert.is(printed, 'Reading: 250 in 2 min 05 s, 2/s\n');

  printed = '';
  const slow = startProgress('Booting', { unit: 'entries' }, sink);
  nowMs += 21_000;
  slow.update(2);
  slow.done();
  assert.is(printed, 'Booting: 2 in 21.0 s, 10.5 s each\n');
});

test('amounts and durations for people', () => {
  assert.equal([0, 1023, 1024, 1536 * 1024].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
  ]);
  assert.equal([0, 999, 1000, 59_940, 59_960, 61_000].map(formatDuration), [
    '0 ms',
    '999 ms',
    '1.0 s',
    '59.9 s',
    '1 min 00 s',
    '1 min 01 s',
  ]);
});

test('a flag text is read strictly', () => {
  assert.equal(parseFlag('-o, --output <dir>'), { short: 'o', long: 'output', value: 'dir' });
  assert.equal(parseFlag('--json'), { long: 'json' });
  for (const bad of ['-o', '--Output', '--a <b', 'a', '--a [b]'])
    assert.throws(() => parseFlag(bad));
});

test.run();
