/**
 * The drop-in personalities composefs-info and composefs-dump, and the image commands, as processes.
 *
 * The expected texts and exit statuses were recorded from the C tools 1.0.8. Where those are wrong, the row says
 * so; docs/composefs-differences.md tells the user.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkImage } from '../../toolchain/image/check-image.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { ImageLab, imageOf } from '../support/image-lab.ts';
import { runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';

const DIGEST = '4f1d2c3b00000000000000000000000000000000000000000000000000000abc';
const USAGE =
  'usage: composefs-info [--basedir=path] [ls|objects|dump|missing-objects|measure-file] IMAGES...\n';

const dir = tempDir();
const at = (name: string): string => join(dir.path, name);
writeFileSync(at('object.cfs'), imageOf(0, [`/a 100000 100644 1 0 0 0 0.0 ab/cd - ${DIGEST}`]));
writeFileSync(
  at('two.cfs'),
  imageOf(0, ['/x 9 100644 1 0 0 0 0.0 aa/bb - -', '/y 1 100644 1 0 0 0 0.0 - i -']),
);
writeFileSync(
  at('whiteout.cfs'),
  imageOf(1, [
    '/a 0 100644 1 0 0 0 0.0 - - - user.a=1 user.b=2',
    '/b 0 100644 1 0 0 0 0.0 - - - user.a=1',
    '/w 0 20644 1 0 0 0 0.0 - - -',
  ]),
);
const broken = new ImageLab(imageOf(0, []));
broken.superblock('packed_nid', 1);
writeFileSync(at('broken.cfs'), broken.bytes);
writeFileSync(at('text'), 'hello world\n');
mkdirSync(at('objects/ab'), { recursive: true });
writeFileSync(at('objects/ab/cd'), 'short');

interface Row {
  readonly args: readonly string[];
  readonly code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

const INFO: readonly Row[] = [
  { args: [], code: 1, stderr: `No command specified\n${USAGE}` },
  { args: ['foo'], code: 1, stderr: "composefs-info: Unknown command 'foo'\n\n" },
  { args: ['ls'], code: 1, stderr: `No image path specified\n${USAGE}` },
  {
    args: ['ls', 'absent'],
    code: 1,
    stderr: "composefs-info: Failed to open 'absent': No such file or directory\n",
  },
  {
    args: ['ls', 'text'],
    code: 1,
    stderr: "composefs-info: Failed to load 'text': Invalid argument\n",
  },
  {
    args: ['--bogus', 'ls', 'x'],
    code: 1,
    stdout: 'Def\n',
    stderr: `composefs-info: unrecognized option '--bogus'\n${USAGE}`,
  },
  {
    args: ['--help'],
    code: 1,
    stdout: 'Def\n',
    stderr: `composefs-info: unrecognized option '--help'\n${USAGE}`,
  },
  {
    args: ['-x'],
    code: 1,
    stdout: 'Def\n',
    stderr: `composefs-info: invalid option -- 'x'\n${USAGE}`,
  },
  {
    args: ['--basedir'],
    code: 1,
    stdout: 'Def\n',
    stderr: `composefs-info: option '--basedir' requires an argument\n${USAGE}`,
  },
  {
    args: ['--filter=a/b', 'ls', 'two.cfs'],
    code: 1,
    stderr: 'composefs-info: Filter must be a single name: a/b: Success\n',
  },
  {
    args: ['--basedir=absent', 'missing-objects', 'two.cfs'],
    code: 1,
    stderr: "composefs-info: Can't open basedir `absent`\n: No such file or directory\n",
  },
  { args: ['measure-file'], code: 1, stderr: `No files specified\n${USAGE}` },
  {
    args: ['measure-file', 'absent'],
    code: 1,
    stderr: "composefs-info: Failed to open 'absent': No such file or directory\n",
  },
  {
    args: ['measure-file', 'objects'],
    code: 1,
    stderr: "failed to measure 'objects': No data available",
  },
  {
    args: ['measure-file', 'text'],
    stdout: '37061ef2ac4c21bec68489b56138c5780306a4ad7fe6676236ecdf2c9027cd92\n',
  },
  { args: ['ls', 'object.cfs', 'two.cfs'], stdout: '/a\t@ ab/cd\n/x\t@ aa/bb\n/y\n' },
  { args: ['ls', 'two.cfs', '--fil', 'y', '--filter=z'], stdout: '/y\n' },
  { args: ['objects', 'object.cfs', 'two.cfs', 'object.cfs'], stdout: 'aa/bb\nab/cd\n' },
  { args: ['missing-objects', 'object.cfs'], stdout: 'ab/cd\n' },
  // Existence is all that is asked, and the exit status does not tell; `image missing` does.
  { args: ['--basedir=objects', 'missing-objects', 'two.cfs', 'object.cfs'], stdout: 'aa/bb\n' },
  {
    args: ['dump', 'whiteout.cfs'],
    stdout: `/ 4096 40755 2 0 0 0 0.0 - - - trusted.overlay.opaque=x user.overlay.opaque=x
/a 0 100644 1 0 0 0 0.0 - - - user.b=2 user.a=1
/b 0 100644 1 0 0 0 0.0 - - - user.a=1
/w 0 20644 1 0 0 0 0.0 - - -
`,
  },
  // An image that breaks a rule can still be looked at.
  { args: ['ls', 'broken.cfs'] },
];

const IMAGE: readonly Row[] = [
  { args: ['image', 'ls', 'object.cfs'], stdout: '/a\t@ ab/cd\n' },
  {
    args: ['image', 'dump', '--filter=a', 'whiteout.cfs'],
    stdout: '/ 4096 40755 2 0 0 0 0.0 - - -\n/a 0 100644 1 0 0 0 0.0 - - - user.a=1 user.b=2\n',
  },
  { args: ['image', 'objects', 'object.cfs', 'two.cfs'], stdout: 'aa/bb\nab/cd\n' },
  {
    args: ['image', 'digest', 'text'],
    stdout: '37061ef2ac4c21bec68489b56138c5780306a4ad7fe6676236ecdf2c9027cd92\n',
  },
  {
    args: ['image', 'check', 'object.cfs'],
    stdout: 'object.cfs: ok, version 0, 258 inodes, as mkcomposefs writes it\n',
  },
  {
    args: ['image', 'missing', '--basedir=objects', 'object.cfs', 'two.cfs'],
    code: 3,
    stdout: 'aa/bb\nab/cd\twrong-size: 5 bytes\n',
  },
];

const test = suite('composefs-info');

for (const { args, code = 0, stdout = '', stderr = '' } of INFO) {
  test(`composefs-info ${args.join(' ')}`, async () => {
    const result = await runCli(['composefs-info', ...args], { cwd: dir.path });
    assert.equal([result.code, result.stdout, result.stderr], [code, stdout, stderr]);
  });
}

for (const { args, code = 0, stdout = '' } of IMAGE) {
  test(args.join(' '), async () => {
    const result = await runCli(args, { cwd: dir.path });
    assert.equal([result.code, result.stdout], [code, stdout]);
  });
}

const REFUSED: readonly (readonly [args: readonly string[], exit: number, code: string])[] = [
  [['image', 'ls', 'broken.cfs'], 4, 'FORMAT_SUPER_PACKED_NID'],
  [['image', 'dump', 'text'], 4, 'FORMAT_IMAGE_TRUNCATED'],
  [['image', 'objects', 'absent'], 6, 'HOST_NOT_FOUND'],
  [['image', 'missing', 'object.cfs'], 2, 'USAGE_MISSING_BASEDIR'],
  [['image', 'missing', '--basedir=absent', 'object.cfs'], 6, 'HOST_NOT_FOUND'],
  [['image', 'missing', '--basedir=text', 'object.cfs'], 2, 'USAGE_NOT_A_DIRECTORY'],
  [['image', 'ls', '--filter=a/b', 'object.cfs'], 2, 'USAGE_FILTER'],
  [['image', 'digest', 'absent'], 6, 'HOST_NOT_FOUND'],
];

for (const [args, exit, code] of REFUSED) {
  test(`${args.join(' ')} is refused: ${code}`, async () => {
    const result = await runCli([...args, '--json'], { cwd: dir.path });
    const document = JSON.parse(result.stdout) as { ok: boolean; error: { code: string } };
    assert.equal([result.code, document.ok, document.error.code], [exit, false, code]);
  });
}

test('image check tells every broken rule and exits 4, --json too', async () => {
  const plain = await runCli(['image', 'check', 'broken.cfs', 'object.cfs'], { cwd: dir.path });
  assert.is(plain.code, 4);
  assert.match(
    plain.stdout,
    /^broken\.cfs: malformed\n {2}FORMAT_SUPER_PACKED_NID: .*\nobject\.cfs: ok/,
  );
  const json = await runCli(['image', 'check', '--json', 'broken.cfs'], { cwd: dir.path });
  const document = JSON.parse(json.stdout) as {
    ok: boolean;
    result: { images: { broken: { code: string }[] }[] };
  };
  assert.equal([json.code, document.ok], [4, false]);
  assert.equal(
    document.result.images[0]!.broken.map(({ code }) => code),
    ['FORMAT_SUPER_PACKED_NID'],
  );
});

test('- is stdin', async () => {
  const input = readFileSync(at('object.cfs'));
  const ls = await runCli(['image', 'ls', '-'], { input });
  assert.equal([ls.code, ls.stdout], [0, '/a\t@ ab/cd\n']);
  const digest = await runCli(['image', 'digest', '-'], { input });
  const file = await runCli(['image', 'digest', 'object.cfs'], { cwd: dir.path });
  assert.is(digest.stdout, file.stdout);
});

test('objects whose names are not text are printed as their bytes', async () => {
  const input = imageOf(0, ['/a 9 100644 1 0 0 0 0.0 a\\xff\\nb - -']);
  const { stdoutBytes } = await runCli(['image', 'objects', '-'], { input });
  assertBytes(stdoutBytes, Buffer.from('a\xff\nb\n', 'latin1'));
});

test('composefs-dump writes the same image again, in its version', async () => {
  for (const name of ['object.cfs', 'whiteout.cfs']) {
    const result = await runCli(['composefs-dump', name, 'again.cfs'], { cwd: dir.path });
    assert.equal([result.code, result.stdout, result.stderr], [0, '', '']);
    assertBytes(readFileSync(at('again.cfs')), readFileSync(at(name)));
  }
});

const DUMP_USAGE = 'usage: composefs-dump SRC DEST\n';
const DUMP: readonly (readonly [args: readonly string[], stderr: string])[] = [
  [[], `No source path specified\n${DUMP_USAGE}`],
  [['a'], `No destination path specified\n${DUMP_USAGE}`],
  [['absent', 'b'], "composefs-dump: Failed to open 'absent': No such file or directory\n"],
  [['text', 'b'], "composefs-dump: Failed to load 'text': Invalid argument\n"],
  [
    ['object.cfs', 'absent/b'],
    "composefs-dump: failed to open 'absent/b': No such file or directory\n",
  ],
];

for (const [args, stderr] of DUMP) {
  test(`composefs-dump ${args.join(' ')}`, async () => {
    const result = await runCli(['composefs-dump', ...args], { cwd: dir.path });
    assert.equal([result.code, result.stderr], [1, stderr]);
  });
}

test('the dump of an image with hardlinks makes the same image', async () => {
  // The C tool takes the first name depth-first for the original, and mkcomposefs makes another image of that.
  const lines = [
    '/a 4096 40755 2 0 0 0 0.0 - - -',
    '/a/x 0 @120000 - - - - 0.0 /b - -',
    '/b 7 100644 2 0 0 0 0.0 x - -',
    '/c 0 100644 1 0 0 0 0.0 - - -',
  ];
  const image = imageOf(0, lines);
  writeFileSync(at('links.cfs'), image);
  const { stdoutBytes } = await runCli(['composefs-info', 'dump', 'links.cfs'], { cwd: dir.path });
  writeFileSync(at('links.dump'), stdoutBytes);
  const built = await runCli(
    ['image', 'build', '--from-file', 'links.dump', 'again.cfs', '--max-version=0', '--force'],
    { cwd: dir.path },
  );
  assert.is(built.code, 0, built.stderr);
  assertBytes(readFileSync(at('again.cfs')), image);
  assert.is(checkImage(image).canonical, true);
});

test.run();
