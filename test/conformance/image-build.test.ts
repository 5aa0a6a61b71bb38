/** `image build` as a user runs it: right inputs, wrong inputs of every kind, full disks and interruptions. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runTool } from '../support/file-systems.ts';
import { CLI_PATH, runCli, type CliSettings } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';

const test = suite('image build');

const EMPTY_ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -\n';
const EMPTY_ROOT_DIGEST = '8f589e8f57ecb88823736b0d857ddca1e1068a23e264fad164b28f7038eb3682';

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('tree'));
  writeFileSync(at('tree/file'), Buffer.alloc(5000, 'content '));
  writeFileSync(at('dump'), EMPTY_ROOT);
});
test.after.each(() => dir.remove());

/** Runs in the temporary directory, so that relative names in a table mean something. */
function build(args: readonly string[], settings: CliSettings = {}): ReturnType<typeof runCli> {
  return runCli(['image', 'build', ...args], { cwd: dir.path, ...settings });
}

test('stdin and stdout', async () => {
  const piped = await build(['--from-file', '-', '-'], { input: EMPTY_ROOT });
  assert.is(piped.code, 0, piped.stderr);
  assert.is(piped.stdoutBytes.length, 16384);
  const toFile = await build(['--from-file', '--print-digest', 'dump', 'image']);
  assert.is(toFile.stdout, `${EMPTY_ROOT_DIGEST}\n`);
  assert.is(Buffer.compare(readFileSync(at('image')), piped.stdoutBytes), 0);
});

test('an image of several pieces comes out of stdout as it is written to a file', async () => {
  // The writer hands over pieces of 1 MiB, in a buffer that it uses again.
  const line = (i: number): string =>
    `/${String(i).padStart(200, '0')} 0 100644 1 0 0 0 ${i}.0 - - -\n`;
  writeFileSync(
    at('dump'),
    EMPTY_ROOT + Array.from({ length: 10_000 }, (_, i) => line(i)).join(''),
  );
  const toFile = await build(['--from-file', 'dump', 'image']);
  assert.is(toFile.code, 0, toFile.stderr);
  const written = readFileSync(at('image'));
  assert.ok(written.length > 2 * 1024 * 1024);
  const piped = await build(['--from-file', 'dump', '-']);
  assert.ok(written.equals(piped.stdoutBytes));
  const likeTool = await runCli(['mkcomposefs', '--from-file', 'dump', '-'], { cwd: dir.path });
  assert.ok(written.equals(likeTool.stdoutBytes), likeTool.stderr);
});

test('--json says what was built', async () => {
  const { stdout, code } = await build(['--json', '--digest-store=objects', 'tree', 'image']);
  assert.is(code, 0);
  const { schema, ok, result } = JSON.parse(stdout) as {
    schema: number;
    ok: boolean;
    result: Record<string, unknown>;
  };
  assert.is(schema, 1);
  assert.is(ok, true);
  assert.is(result['image'], 'image');
  assert.match(result['digest'] as string, /^[0-9a-f]{64}$/);
  assert.is((result['store'] as { copied: number }).copied, 1);
});

test('SHA-512: the image is named by 128 digits and so are its objects', async () => {
  const args = ['--hash=sha512', '--print-digest', '--digest-store=objects', 'tree', 'image'];
  const { stdout, stderr } = await build(args);
  assert.match(stdout, /^[0-9a-f]{128}\n$/, stderr);
  const [fanOut] = readdirSync(at('objects'));
  const [name] = readdirSync(at('objects', fanOut!));
  assert.is(name!.length, 126);
  const image = readFileSync(at('image')).toString('latin1');
  assert.ok(image.includes(`/${fanOut}/${name}`), 'redirect');
  // overlay metacopy record: version 0, length 68, flags 0, algorithm 2, then the digest.
  const digest = Buffer.from(`${fanOut}${name}`, 'hex').toString('latin1');
  assert.ok(image.includes(`\x00\x44\x00\x02${digest}`), 'metacopy');
});

test('the recipe and what a target asks are told', async () => {
  const env = { ...process.env, SOURCE_DATE_EPOCH: '5' };
  writeFileSync(at('file_contexts'), '/.* u:r:t\n');
  const args = [
    '--mtime=clamp',
    '--xattrs=none',
    '--root-metadata=fixed',
    '--selinux=file_contexts',
  ];
  const { stdout, stderr, code } = await build(
    [...args, '--json', '--target-kernel=6.6', '--board=qemu-x86_64', 'tree', 'image'],
    { env },
  );
  assert.is(code, 0, stderr);
  const { result } = JSON.parse(stdout) as {
    result: { recipe: object; notes: { rule: string }[] };
  };
  const sum = createHash('sha256')
    .update(readFileSync(at('file_contexts')))
    .digest('hex');
  assert.equal(result.recipe, {
    mtime: 'clamp',
    xattrs: 'none',
    hardlinks: 'split',
    devices: 'keep',
    inlineMax: 64,
    rootMetadata: 'fixed',
    selinux: createHash('sha256').update(`${sum}  file_contexts\n`).digest('hex'),
  });
  assert.equal(
    result.notes.map(({ rule }) => rule),
    ['erofs-from-file', 'append-layers', 'security-xattrs', 'security-xattrs'],
  );
  assert.match(stderr, /for Linux 6\.6: the image is mounted over a loop device/);
  const dump = await runCli(['image', 'dump', at('image')]);
  const label = 'security.selinux=u:r:t\\x00\n';
  assert.match(dump.stdout, `/ 4096 40755 2 0 0 0 0.0 - - - ${label}`);
  assert.match(
    dump.stdout,
    /^\/file 5000 100644 1 \d+ \d+ 0 5\.0 .* security\.selinux=u:r:t\\x00$/m,
  );
});

test('a symlink to the source directory is followed; one inside is not', async () => {
  symlinkSync('tree', at('link'));
  symlinkSync('/etc/passwd', at('tree/outside'));
  const direct = await build(['--print-digest-only', 'tree']);
  assert.is((await build(['--print-digest-only', 'link'])).stdout, direct.stdout);
  assert.is((await build(['--print-digest-only', 'link/'])).stdout, direct.stdout);
});

/** Wrong inputs: arguments, exit code, error code. Nothing may be written by any of them. */
const REFUSALS: readonly (readonly [args: string, exit: number, code: string])[] = [
  ['tree', 2, 'USAGE_MISSING_ARGUMENT'],
  ['--print-digest-only tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--print-digest tree -', 2, 'USAGE_OPTION_CONFLICT'],
  ['--skip-xattrs --user-xattrs tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--verify-existing tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --digest-store=objects dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --use-epoch dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --skip-xattrs dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --hardlinks dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --inline-max=5 dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --mtime=seconds dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --xattrs=all dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --root-metadata=fixed dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--from-file --selinux=image dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--tar-index --selinux=image dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--tar-index --board=qemu-x86_64 dump image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--use-epoch --mtime=keep tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--skip-xattrs --xattrs=none tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--user-xattrs --xattrs=none tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['--mtime=clamp tree image', 2, 'CONFIG_RECIPE_CLAMP'],
  ['--root-metadata=usr tree image', 2, 'CONFIG_RECIPE_ROOT'],
  ['--selinux=image tree image', 2, 'CONFIG_SELINUX_MISSING'],
  ['--selinux=dump tree image', 2, 'CONFIG_SELINUX_POLICY'],
  ['--selinux=missing tree image', 6, 'HOST_NOT_FOUND'],
  ['--target-kernel=old tree image', 2, 'USAGE_BAD_VALUE'],
  ['--target-kernel=6.1 tree image', 2, 'CONFIG_TARGET_KERNEL'],
  ['--target-kernel=6.12 --target-kernel=7.0 tree image', 2, 'CONFIG_TARGET_KERNEL'],
  ['--target-kernel=7.0 tree -', 2, 'CONFIG_TARGET_KERNEL'],
  ['--board=nxp-imx8mp-evk --hash=sha512 tree image', 2, 'CONFIG_TARGET_KERNEL'],
  ['--board=none tree image', 2, 'CONFIG_BOARD_UNKNOWN'],
  ['--json tree -', 2, 'USAGE_BYTES_WITH_JSON'],
  ['--inline-max=5001 tree image', 2, 'USAGE_BAD_VALUE'],
  ['--hash=md5 tree image', 2, 'USAGE_BAD_VALUE'],
  ['--max-version=2 tree image', 2, 'USAGE_BAD_VALUE'],
  ['--threads=0 tree image', 2, 'USAGE_BAD_VALUE'],
  ['--digest-store=tree/objects tree image', 2, 'USAGE_STORE_IN_SOURCE'],
  ['--digest-store=tree tree image', 2, 'USAGE_STORE_IN_SOURCE'],
  ['tree dump', 2, 'USAGE_OUTPUT_EXISTS'],
  ['missing image', 6, 'HOST_NOT_FOUND'],
  ['dump image', 2, 'USAGE_NOT_A_DIRECTORY'],
  ['- image', 2, 'USAGE_NOT_A_DIRECTORY'],
  ['--min-version=1 --max-version=0 tree image', 2, 'USAGE_OPTION_CONFLICT'],
  ['tree missing/image', 6, 'HOST_NOT_FOUND'],
  ['--from-file missing image', 6, 'HOST_NOT_FOUND'],
  ['--from-file tree image', 2, 'USAGE_NOT_A_FILE'],
  ['--from-file sparse image', 4, 'FORMAT_INPUT_SIZE'],
  ['--from-file truncated image', 4, 'FORMAT_DUMP_NEWLINE'],
  ['--from-file text image', 4, 'FORMAT_DUMP_FIELDS'],
  ['--from-file empty image', 4, 'FORMAT_DUMP_NO_ROOT'],
];

test('wrong inputs are refused with their code and write nothing', async () => {
  writeFileSync(at('truncated'), EMPTY_ROOT.slice(0, -1));
  writeFileSync(at('empty'), '');
  writeFileSync(at('text'), 'hello\n');
  const fd = openSync(at('sparse'), 'w');
  ftruncateSync(fd, 2 ** 32);
  closeSync(fd);
  const before = readdirSync(dir.path);
  for (const [args, exit, code] of REFUSALS) {
    const { code: actual, stdout, stderr } = await build(args.split(' '));
    assert.is(actual, exit, `${args}: ${stderr}`);
    const shown = stdout.startsWith('{') ? stdout : stderr;
    assert.ok(shown.includes(code), `${args}: expected ${code} in ${shown}`);
    assert.equal(readdirSync(dir.path), before, args);
  }
  assert.is(readFileSync(at('dump'), 'utf8'), EMPTY_ROOT, 'the existing file is as it was');
});

test('--force replaces an image', async () => {
  writeFileSync(at('image'), 'old');
  assert.is((await build(['--force', 'tree', 'image'])).code, 0);
  assert.is(readFileSync(at('image')).length, 16384);
});

test('a file that may not be read is named', async () => {
  requireRoot();
  chmodSync(at('tree/file'), 0);
  const command = `setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all`;
  chmodSync(dir.path, 0o755);
  const child = spawn(
    'sh',
    [
      '-c',
      `${command} "$@"`,
      'sh',
      process.execPath,
      CLI_PATH,
      'image',
      'build',
      '--print-digest-only',
      at('tree'),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  assert.is(code, 6, stderr);
  assert.ok(stderr.includes('HOST_PERMISSION'), stderr);
  assert.ok(stderr.includes(at('tree/file')), stderr);
});

test('a full disk leaves no image, no object and no temporary file', async () => {
  requireRoot();
  mkdirSync(at('small'));
  runTool('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', at('small')]);
  try {
    writeFileSync(at('tree/large'), Buffer.alloc(200_000, 1));
    for (const args of [
      ['tree', 'small/image', '--inline-max=5000', '--digest-store=objects'],
      ['tree', 'image', '--digest-store=small/objects'],
    ]) {
      // The first needs an image above 64 KiB.
      for (let i = 0; i < 40; i++) writeFileSync(at('tree', `f${i}`), Buffer.alloc(4000, i));
      const { code, stderr } = await build(args);
      assert.is(code, 6, stderr);
      assert.ok(stderr.includes('HOST_NO_SPACE'), stderr);
      assert.ok(!existsSync(at('image')));
      const left = readdirSync(at('small'), { recursive: true }).map(String);
      assert.equal(
        left.filter((name) => name !== 'objects' && !/^objects\/[0-9a-f]{2}$/.test(name)),
        [],
      );
      runTool('sh', ['-c', `rm -rf ${at('small')}/* ${at('small')}/.[!.]*`]);
    }
  } finally {
    runTool('umount', [at('small')]);
  }
});

test('an interruption exits 130 and leaves nothing', async () => {
  for (let i = 0; i < 3000; i++) writeFileSync(at('tree', `f${i}`), Buffer.alloc(20_000, i));
  const child = spawn(
    process.execPath,
    [CLI_PATH, 'image', 'build', '--digest-store=objects', 'tree', 'image'],
    { cwd: dir.path, stdio: 'ignore' },
  );
  // As soon as the store exists, work is under way.
  while (!existsSync(at('objects')) && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number];
  assert.is(code, 130);
  assert.ok(!existsSync(at('image')));
  const left = [...readdirSync(dir.path), ...readdirSync(at('objects'))];
  assert.equal(
    left.filter((name) => name.endsWith('.tmp') || name.startsWith('.staging')),
    [],
  );
});

test.run();
