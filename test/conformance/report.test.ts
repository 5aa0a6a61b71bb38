/** `coldseal report` as a user runs it: its outputs, its exit codes, and every kind of wrong input. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { initDevKeys } from '../../toolchain/sign/dev-keys.ts';
import { type BootChange, measuredBoots, OTHER_STAGE_MS } from '../support/measured-boots.ts';
import { type CliResult, runCli } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';

const test = suite('report command');

const OUTPUTS = ['html', 'junit', 'json', 'csv', 'perfetto', 'openmetrics', 'summary'] as const;

interface Lab extends Disposable {
  readonly dir: TempDir;
  /** A file of boots. */
  records(name: string, count: number, change?: (index: number) => BootChange): string;
  report(...words: readonly string[]): Promise<CliResult>;
  readonly path: (name: string) => string;
}

function makeLab(): Lab {
  const dir = tempDir();
  const path = (name: string): string => join(dir.path, name);
  return {
    dir,
    path,
    records(name, count, change = () => ({ evidence: 'virtual' })) {
      const whole = (index: number): BootChange => {
        const { stageMs, ...others } = change(index);
        return { ...others, stageMs: { ...OTHER_STAGE_MS, ...stageMs } };
      };
      const lines = measuredBoots(count, whole).map((boot) => `${JSON.stringify(boot)}\n`);
      writeFileSync(path(name), lines.join(''));
      return path(name);
    },
    report: (...words) => runCli(['report', ...words], { cwd: dir.path }),
    [Symbol.dispose]: () => dir.remove(),
  };
}

const allOutputs = (prefix: string): string[] =>
  OUTPUTS.flatMap((name) => [`--${name}`, `${prefix}.${name}`]);

let keys: TempDir | undefined;
function evidenceKeys(): string {
  if (keys === undefined) {
    keys = tempDir();
    const notBefore = Math.floor(Date.now() / 1000) - 60;
    initDevKeys(join(keys.path, 'dev'), {
      notBefore,
      leafDays: 60,
      organization: 'test',
      force: false,
    });
  }
  return join(keys.path, 'dev');
}

test('the same evidence gives the same bytes in every output, in any directory', async () => {
  using lab = makeLab();
  lab.records('a.jsonl', 3);
  lab.records('b.jsonl', 3, (i) => ({ evidence: 'virtual', stageMs: { kernel: 350 + i / 1000 } }));
  mkdirSync(lab.path('deep'));
  symlinkSync(lab.path('a.jsonl'), lab.path('deep/a.jsonl'));
  symlinkSync(lab.path('b.jsonl'), lab.path('deep/b.jsonl'));
  const first = await lab.report('a.jsonl', '--baseline', 'b.jsonl', ...allOutputs('one'));
  assert.is(first.code, 0, first.stderr);
  const again = await runCli(
    ['report', 'a.jsonl', '--baseline', 'b.jsonl', ...allOutputs('../two')],
    {
      cwd: lab.path('deep'),
      env: { TZ: 'Asia/Kathmandu', LC_ALL: 'de_DE.UTF-8' },
    },
  );
  assert.is(again.code, 0, again.stderr);
  assert.is(again.stdout, first.stdout);
  for (const name of OUTPUTS) {
    const [one, two] = ['one', 'two'].map((each) => readFileSync(lab.path(`${each}.${name}`)));
    assert.ok(one!.equals(two!), name);
  }
  const third = await lab.report('one.json', ...allOutputs('three'));
  assert.is(third.stdout, first.stdout);
  for (const name of OUTPUTS) {
    const [one, three] = ['one', 'three'].map((each) => readFileSync(lab.path(`${each}.${name}`)));
    assert.ok(one!.equals(three!), `${name}, from the evidence`);
  }
});

test('signed evidence verifies, and gives back the evidence', async () => {
  using lab = makeLab();
  lab.records('a.jsonl', 2);
  const signed = await lab.report('a.jsonl', '--json', 'e.json', '--sign', evidenceKeys());
  assert.is(signed.code, 0, signed.stderr);
  const trust = join(evidenceKeys(), 'root.cert.pem');
  const words = ['verify', lab.path('e.json.cose'), '--trust', trust, '-o', lab.path('back.json')];
  const verified = await runCli(words);
  assert.is(verified.code, 0, verified.stderr);
  assert.ok(readFileSync(lab.path('back.json')).equals(readFileSync(lab.path('e.json'))));
});

test('the answer is the exit code, and --json - is the document for programs', async () => {
  using lab = makeLab();
  lab.records('good.jsonl', 2);
  lab.records('slow.jsonl', 2, () => ({ evidence: 'virtual', stageMs: { kernel: 3000 } }));
  lab.records('few.jsonl', 2, () => ({}));
  for (const [file, code, reason] of [
    ['good.jsonl', 0, null],
    ['slow.jsonl', 5, 'BUDGET_OVER'],
    ['few.jsonl', 5, 'BUDGET_INCONCLUSIVE'],
  ] as const) {
    for (const words of [
      ['report', file, '--json', '-'],
      ['report', file, '--json=-'],
      ['--json', 'report', file],
    ]) {
      const { code: got, stdout } = await runCli(words, { cwd: lab.dir.path });
      assert.is(got, code, file);
      const document = JSON.parse(stdout) as { ok: boolean; result: Pick<Evidence, 'outcome'> };
      assert.equal([document.ok, document.result.outcome.code], [code === 0, reason]);
    }
  }
});

test('marks for a workflow go to stderr, and a pass has none', async () => {
  using lab = makeLab();
  lab.records('good.jsonl', 2);
  lab.records('slow.jsonl', 2, () => ({ evidence: 'virtual', stageMs: { kernel: 3000 } }));
  const slow = await lab.report('slow.jsonl', '--annotations');
  assert.match(slow.stderr, /^::error title=.*3\d{3}\.\d ms/m);
  assert.is(slow.stdout.includes('::error'), false);
  const good = await lab.report('good.jsonl', '--annotations');
  assert.equal([good.code, good.stderr], [0, '']);
});

test('records come from stdin, and from several files in their order', async () => {
  using lab = makeLab();
  const a = lab.records('a.jsonl', 2);
  const piped = await runCli(['report', '-', a], {
    cwd: lab.dir.path,
    input: readFileSync(a),
  });
  assert.is(piped.code, 0, piped.stderr);
  assert.match(piped.stdout, 'median of 4 boots');
});

test('a history gives the trend, and boots that it has already are not counted twice', async () => {
  using lab = makeLab();
  for (let build = 1; build <= 12; build++) {
    const release = { id: null, version: `1.${build}`, builtAt: 1_760_000_000 + build };
    const kernel = build < 7 ? 350 : 390;
    lab.records(`b${build}.jsonl`, 3, (i) => ({
      evidence: 'virtual',
      release,
      stageMs: { kernel: kernel + i },
    }));
    const added = await runCli(['history', 'add', `b${build}.jsonl`, '--db', 'h.db'], {
      cwd: lab.dir.path,
    });
    assert.is(added.code, 0, added.stderr);
  }
  const { code, stderr } = await lab.report('b12.jsonl', '--history', 'h.db', '--json', 'e.json');
  assert.is(code, 0, stderr);
  const evidence = JSON.parse(readFileSync(lab.path('e.json'), 'utf8')) as Evidence;
  assert.equal(
    evidence.builds.map(({ version, boots }) => [version, boots]),
    Array.from({ length: 12 }, (_, i) => [`1.${i + 1}`, 3]),
  );
  assert.is(evidence.drift!.state, 'drift');
  const { from, to } = evidence.drift!.firstBad!;
  assert.ok(from <= 6 && 6 <= to, `${from} to ${to}`);
  // Drift is told and decides nothing.
  assert.is(evidence.checks.find(({ kind }) => kind === 'drift')!.state, 'noted');
});

type Wrong = readonly [
  name: string,
  words: (lab: Lab) => readonly string[],
  code: number,
  reason: string,
];

const WRONG: readonly Wrong[] = [
  ['no records', () => [], 2, 'USAGE_MISSING_ARGUMENT'],
  ['a missing file', () => ['no.jsonl'], 6, 'HOST_NOT_FOUND'],
  ['a directory', (lab) => [lab.dir.path], 2, 'USAGE_NOT_A_FILE'],
  [
    'a log',
    (lab) => {
      writeFileSync(lab.path('log'), '[    0.0] Booting\n');
      return ['log'];
    },
    4,
    'FORMAT_BOOT_RECORDS',
  ],
  [
    'a file that was cut off',
    (lab) => {
      const whole = readFileSync(lab.records('w.jsonl', 2));
      writeFileSync(lab.path('cut.jsonl'), whole.subarray(0, whole.length - 50));
      return ['cut.jsonl'];
    },
    4,
    'FORMAT_BOOT_RECORDS',
  ],
  [
    'evidence that was cut off',
    (lab) => {
      writeFileSync(lab.path('cut.json'), '{"kind":"coldseal-boot-evidence","schema":1,');
      return ['cut.json'];
    },
    4,
    'FORMAT_EVIDENCE',
  ],
  [
    'records of two boards',
    (lab) => {
      lab.records('a.jsonl', 1);
      lab.records('b.jsonl', 1, () => ({ board: 'qemu-x86_64' }));
      return ['a.jsonl', 'b.jsonl'];
    },
    2,
    'USAGE_RECORDS_BOARD',
  ],
  [
    'the budget of another board',
    (lab) => [lab.records('a.jsonl', 1), '--board', 'qemu-x86_64'],
    2,
    'USAGE_RECORDS_BOARD',
  ],
  [
    'a board that nobody knows',
    (lab) => [lab.records('a.jsonl', 1, () => ({ board: 'nobody' }))],
    2,
    'CONFIG_BOARD_UNKNOWN',
  ],
  ['a plan that is none', (lab) => [lab.records('a.jsonl', 1), '--plan', '95'], 2, 'USAGE_PLAN'],
  [
    'a baseline that is missing',
    (lab) => [lab.records('a.jsonl', 1), '--baseline', 'no.jsonl'],
    6,
    'HOST_NOT_FOUND',
  ],
  [
    'a history that is missing',
    (lab) => [lab.records('a.jsonl', 1), '--history', 'no.db'],
    6,
    'HOST_NOT_FOUND',
  ],
  [
    'a signature of nothing',
    (lab) => [lab.records('a.jsonl', 1), '--sign', 'keys'],
    2,
    'USAGE_OPTION_CONFLICT',
  ],
  [
    'a key that is missing',
    (lab) => [lab.records('a.jsonl', 1), '--json', 'e.json', '--sign', 'no-keys'],
    6,
    'HOST_NOT_FOUND',
  ],
  [
    'two outputs in one file',
    (lab) => [lab.records('a.jsonl', 1), '--html', 'x', '--junit', 'x'],
    2,
    'USAGE_OPTION_CONFLICT',
  ],
  [
    'an output to stdout',
    (lab) => [lab.records('a.jsonl', 1), '--html', '-'],
    2,
    'USAGE_OPTION_CONFLICT',
  ],
  [
    'a directory that is not there',
    (lab) => [lab.records('a.jsonl', 1), '--html', 'no/x.html'],
    6,
    'HOST_NOT_FOUND',
  ],
  [
    'an output that is there',
    (lab) => {
      writeFileSync(lab.path('x.html'), 'mine');
      return [lab.records('a.jsonl', 1), '--html', 'x.html'];
    },
    2,
    'USAGE_OUTPUT_EXISTS',
  ],
  [
    'a margin of words',
    (lab) => [lab.records('a.jsonl', 1), '--margin-ms', 'x'],
    2,
    'USAGE_BAD_VALUE',
  ],
  [
    'an option that is none',
    (lab) => [lab.records('a.jsonl', 1), '--htlm', 'x'],
    2,
    'USAGE_UNKNOWN_OPTION',
  ],
  [
    'an option for a file',
    (lab) => [lab.records('a.jsonl', 1), '--json', '--force', 'x'],
    2,
    'USAGE_BAD_VALUE',
  ],
  [
    '--json without a file',
    (lab) => [lab.records('a.jsonl', 1), '--json'],
    2,
    'USAGE_MISSING_VALUE',
  ],
];

for (const [name, words, code, reason] of WRONG) {
  test(`wrong: ${name}`, async () => {
    using lab = makeLab();
    const given = words(lab);
    const before = readdirSync(lab.dir.path);
    const result = await lab.report(...given);
    assert.equal([result.code, result.stdout], [code, ''], result.stderr);
    assert.ok(result.stderr.includes(reason), result.stderr);
    assert.equal(readdirSync(lab.dir.path), before, 'nothing is left behind');
  });
}

test('an evidence file takes no second opinion beside itself, and no change', async () => {
  using lab = makeLab();
  lab.records('a.jsonl', 2);
  await lab.report('a.jsonl', '--json', 'e.json');
  for (const words of [
    ['--plan', '90/90'],
    ['--baseline', 'a.jsonl'],
    ['--board', 'qemu-aarch64'],
    ['--seed', '2'],
    ['a.jsonl'],
  ]) {
    const { code, stderr } = await lab.report('e.json', ...words);
    assert.is(code, 2, words.join(' '));
    assert.match(stderr, 'USAGE_OPTION_CONFLICT');
  }
  const text = readFileSync(lab.path('e.json'), 'utf8');
  writeFileSync(lab.path('f.json'), text.replace('"state":"pass"', '"state":"fail"'));
  const forged = await lab.report('f.json');
  assert.equal([forged.code, forged.stdout], [4, '']);
  assert.match(forged.stderr, 'its answers do not follow from its samples');
});

test('nothing is half written where the disk is full or the directory read-only', async () => {
  requireRoot();
  using lab = makeLab();
  lab.records('a.jsonl', 2);
  mkdirSync(lab.path('full'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', lab.path('full')]);
  assert.is(mounted.status, 0, String(mounted.stderr));
  try {
    const { code, stderr } = await lab.report('a.jsonl', '--html', 'full/x.html');
    assert.is(code, 6);
    assert.match(stderr, 'HOST_NO_SPACE');
    assert.equal(readdirSync(lab.path('full')), []);
  } finally {
    spawnSync('umount', [lab.path('full')]);
  }
  chmodSync(lab.dir.path, 0o755);
  mkdirSync(lab.path('locked'), { mode: 0o555 });
  const words = ['--reuid=65534', '--clear-groups', process.execPath];
  const cli = join(process.cwd(), 'dist/coldseal.mjs');
  const locked = spawnSync(
    'setpriv',
    [...words, cli, 'report', lab.path('a.jsonl'), '--html', lab.path('locked/x.html')],
    { encoding: 'utf8' },
  );
  assert.is(locked.status, 6, locked.stderr);
  assert.match(locked.stderr, 'HOST_PERMISSION');
  assert.not(existsSync(lab.path('locked/x.html')));
});

test.run();
