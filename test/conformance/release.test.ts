/** `coldseal release` as a user runs it: killed, out of space, tampered with, and judged by the other commands. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootsetLab, type BootsetLab } from '../support/bootset-lab.ts';
import { runTool } from '../support/file-systems.ts';
import { CLI_PATH, runCli, type CliResult } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('release command');

const keys = tempDir();

test.before(async () => {
  const { code, stderr } = await runCli(['keys', 'init', join(keys.path, 'dev')]);
  assert.is(code, 0, stderr);
});

test.after(() => keys.remove());

/** A lab with enough to copy that a run can be caught in the middle. */
function makeLab(files = 0): BootsetLab {
  const lab = bootsetLab();
  for (let i = 0; i < files; i++) lab.write(`rootfs/usr/lib/${i}`, `${i} `.repeat(20_000));
  return lab;
}

function release(lab: BootsetLab, ...args: string[]): Promise<CliResult> {
  const words = ['release', 'BOOTSET.yaml', '--no-disk', '--keys', join(keys.path, 'dev'), ...args];
  return runCli(words, { cwd: lab.path });
}

function verify(lab: BootsetLab): Promise<CliResult> {
  const trust = join(keys.path, 'dev/root.cert.pem');
  return runCli(['verify', 'out', '--trust', trust, '--json'], { cwd: lab.path });
}

function below(directory: string, prefix = ''): string[] {
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = join(prefix, entry.name);
    return entry.isDirectory() ? below(directory, path) : [path];
  });
}

test('--output must be given', async () => {
  using lab = makeLab();
  const { code, stderr } = await release(lab);
  assert.is(code, 2);
  assert.match(stderr, /USAGE_MISSING_OPTION/);
});

test('two runs differ in the signature and the timings only, and both verify', async () => {
  using lab = makeLab();
  for (const name of ['out', 'again']) {
    const { code, stderr } = await release(lab, '-o', name);
    assert.is(code, 0, stderr);
  }
  const files = below(join(lab.path, 'out')).sort();
  assert.equal(below(join(lab.path, 'again')).sort(), files);
  const different = files.filter((path) => {
    const [a, b] = ['out', 'again'].map((name) => readFileSync(join(lab.path, name, path)));
    return !a!.equals(b!);
  });
  assert.equal(different, ['manifest.cose', 'timings.json']);
  assert.is((await verify(lab)).code, 0);
});

test('the record names each tree by what image dump prints', async () => {
  using lab = makeLab();
  await release(lab, '-o', 'out');
  const record = JSON.parse(readFileSync(join(lab.path, 'out/release.json'), 'utf8')) as {
    inputs: { images: { treeSha256: string }[] };
    images: { file: string; fsVerityDigest: string }[];
  };
  for (const [index, { file, fsVerityDigest }] of record.images.entries()) {
    const path = join(lab.path, 'out', file);
    const { stdoutBytes } = await runCli(['image', 'dump', path]);
    const sha256 = createHash('sha256').update(stdoutBytes).digest('hex');
    assert.is(sha256, record.inputs.images[index]!.treeSha256);
    const { stdout } = await runCli(['image', 'digest', path]);
    assert.is(stdout, `${fsVerityDigest}\n`);
  }
});

test('an image of a release is the one that image build makes', async () => {
  using lab = makeLab();
  const { stdout } = await release(lab, '-o', 'out', '--json');
  const { result } = JSON.parse(stdout) as {
    result: { images: { name: string; fsVerityDigest: string }[] };
  };
  const words = ['image', 'build', '--print-digest-only', 'rootfs'];
  const built = await runCli(words, { cwd: lab.path });
  assert.is(built.stdout, `${result.images[0]!.fsVerityDigest}\n`);
});

test('a production board takes no development key', async () => {
  using lab = makeLab();
  const { code, stderr } = await release(lab, '-o', 'out', '--board', 'ti-am62x-sk');
  assert.is(code, 2);
  assert.match(stderr, /CONFIG_KEY_DEVELOPMENT/);
  assert.not(existsSync(join(lab.path, 'out')));
});

test('every kind of change to a release is refused with its code', async () => {
  const object = (dir: string): string =>
    join(
      dir,
      below(dir).find((path) => path.startsWith('objects/'))!,
    );
  const image = (dir: string): string =>
    join(
      dir,
      below(dir).find((path) => path.startsWith('images/'))!,
    );
  const cases: readonly [name: string, change: (dir: string) => void, code: string][] = [
    ['object byte', (dir) => flip(object(dir), 100), 'VERIFY_OBJECT_DIGEST'],
    [
      'longer object',
      (dir) => replace(object(dir), (bytes) => [bytes, Buffer.from('x')]),
      'VERIFY_OBJECT_SIZE',
    ],
    ['missing object', (dir) => rmSync(object(dir)), 'VERIFY_OBJECT_MISSING'],
    ['image byte', (dir) => flip(image(dir), 1100), 'VERIFY_IMAGE_DIGEST'],
    ['missing image', (dir) => rmSync(image(dir)), 'VERIFY_IMAGE_MISSING'],
    ['signature byte', (dir) => flip(join(dir, 'manifest.cose'), -1), 'VERIFY_SIGNATURE'],
    ['missing manifest', (dir) => rmSync(join(dir, 'manifest.cose')), 'VERIFY_MANIFEST_MISSING'],
    ['a file more', (dir) => writeFileSync(join(dir, 'objects/extra'), ''), 'VERIFY_EXTRA_FILE'],
  ];
  for (const [name, change, reason] of cases) {
    using lab = makeLab();
    await release(lab, '-o', 'out');
    change(join(lab.path, 'out'));
    const { code, stdout } = await verify(lab);
    assert.is(code, 3, name);
    assert.ok(stdout.includes(reason), `${name}: ${stdout}`);
  }
});

function flip(path: string, offset: number): void {
  replace(path, (bytes) => {
    bytes[offset < 0 ? bytes.length + offset : offset]! ^= 1;
    return [bytes];
  });
}

/** A new file in the place of the old one: a sealed file cannot be written. */
function replace(path: string, change: (bytes: Buffer) => Buffer[]): void {
  const bytes = change(readFileSync(path));
  rmSync(path);
  for (const part of bytes) appendFileSync(path, part);
}

test('killed at any moment, nothing is under the name, and the next run cleans up', async () => {
  using lab = makeLab(300);
  const args = [
    'release',
    'BOOTSET.yaml',
    '--no-disk',
    '-o',
    'out',
    '--keys',
    join(keys.path, 'dev'),
  ];
  let caught = 0;
  for (let delayMs = 150; delayMs < 1400; delayMs += 125) {
    const child = spawn(process.execPath, [CLI_PATH, ...args], { cwd: lab.path, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    child.kill('SIGKILL');
    await ended;
    if (existsSync(join(lab.path, 'out'))) {
      // It was quicker than the signal: then everything is there.
      assert.is((await verify(lab)).code, 0);
      rmSync(join(lab.path, 'out'), { recursive: true });
    } else if (readdirSync(lab.path).some((name) => name.startsWith('.out.'))) caught++;
  }
  assert.ok(caught > 0, 'no run was caught in the middle');
  const { code, stderr } = await release(lab, '-o', 'out');
  assert.is(code, 0, stderr);
  assert.equal(
    readdirSync(lab.path).filter((name) => name.startsWith('.')),
    [],
  );
});

test('without space, the exit code is 6 and nothing is left', async () => {
  requireRoot();
  const mount = requireTool('mount', 'mount');
  using lab = makeLab(100);
  const small = join(lab.path, 'small');
  mkdirSync(small);
  runTool(mount, ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]);
  try {
    const { code, stderr } = await release(lab, '-o', 'small/out');
    assert.is(code, 6, stderr);
    assert.match(stderr, /HOST_NO_SPACE/);
    assert.equal(readdirSync(small), []);
  } finally {
    runTool('umount', [small]);
  }
});

test.run();
