/** The object store on real file systems: killed writers, full disks, reflinks, damage, and garbage. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { takeInventory } from '../../toolchain/objects/inventory.ts';
import { ObjectStore } from '../../toolchain/objects/store.ts';
import { measureFile } from '../../toolchain/objects/verity.ts';
import { makeFileSystem, runTool } from '../support/file-systems.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('object store on disk');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
});
test.after.each(() => {
  if (existsSync(at('mnt'))) spawnSync('umount', ['--lazy', at('mnt')], { stdio: 'ignore' });
  dir.remove();
});

/** Every object of a store has the content that its name says. */
function assertWhole(store: string): number {
  const { objects, strays } = takeInventory(store);
  assert.equal(strays, []);
  for (const { path, digest } of objects) {
    assert.is(measureFile(join(store, path), 'sha256').digest, digest);
  }
  return objects.length;
}

async function bundleWriter(): Promise<string> {
  const outfile = join(ROOT, 'out', `store-writer-${process.pid}.mjs`);
  process.once('exit', () => rmSync(outfile, { force: true }));
  await build({
    entryPoints: [join(ROOT, 'test/support/store-writer.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  });
  return outfile;
}

test('a writer killed at any moment leaves only whole objects', async () => {
  const script = await bundleWriter();
  const store = at('objects');
  let random = 12345;
  let finished = 0;
  for (let round = 0; round < 30; round++) {
    random = (random * 1103515245 + 12345) % 2 ** 31;
    const child = spawn(process.execPath, [script, store, '120', String(round % 3)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TMPDIR: dir.path },
    });
    const exited = once(child, 'exit');
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(child.stdout, 'data');
    await new Promise((resolve) => setTimeout(resolve, random % 120));
    child.kill('SIGKILL');
    await exited;
    if (said.includes('finished')) finished++;
    assertWhole(store);
  }
  const whole = spawnSync(process.execPath, [script, store, '120', '0'], { encoding: 'utf8' });
  assert.match(whole.stdout, /finished/);
  assert.ok(assertWhole(store) >= 120);
  assert.ok(finished < 30, 'some were killed before the end');
});

test('two processes that write the same objects lose nothing', async () => {
  const script = await bundleWriter();
  const store = at('objects');
  const run = (): Promise<unknown> =>
    once(spawn(process.execPath, [script, store, '150', '7'], { stdio: 'ignore' }), 'exit');
  const exits = await Promise.all([run(), run(), run()]);
  assert.equal(exits, [
    [0, null],
    [0, null],
    [0, null],
  ]);
  assert.is(assertWhole(store), 150);
  assert.equal(takeInventory(store).leftovers, []);
});

test('a full file system is HOST_NO_SPACE, and nothing half-written stays', () => {
  using ext4 = makeFileSystem('ext4', dir.path, 4);
  const store = join(ext4.path, 'objects');
  const writer = new ObjectStore(store);
  let code = 'no error';
  try {
    for (let i = 0; i < 100; i++) {
      const path = at('source');
      writeFileSync(path, Buffer.alloc(200_000, `${i} `));
      writer.put({ path }, measureFile(path, 'sha256').digest, 200_000);
      if (i === 3) writer.flush();
    }
    writer.finish();
  } catch (error) {
    code = error instanceof ColdsealError ? error.code : String(error);
  }
  writer[Symbol.dispose]();
  assert.is(code, 'HOST_NO_SPACE');
  assert.is(assertWhole(store), 4, 'what was flushed before is there');
  assert.equal(takeInventory(store).leftovers, []);
});

for (const type of ['btrfs', 'xfs'] as const) {
  test(`objects on ${type} share their blocks with the source`, () => {
    using fileSystem = makeFileSystem(type, dir.path);
    const path = join(fileSystem.path, 'source');
    const store = join(fileSystem.path, 'objects');
    writeFileSync(path, Buffer.alloc(3_000_001, 'content '));
    const { digest } = measureFile(path, 'sha256');
    const writer = new ObjectStore(store);
    writer.put({ path }, digest, 3_000_001);
    const summary = writer.finish();
    assert.equal([summary.copied, summary.reflinked], [1, 1]);
    assert.is(assertWhole(store), 1);
  });
}

interface Answer {
  readonly schema: number;
  readonly ok: boolean;
  readonly result: Record<string, unknown>;
}

async function storeJson(
  ...args: string[]
): Promise<{ code: number; result: Record<string, unknown> }> {
  const { code, stdout } = await runCli(['store', ...args, '--json']);
  const { schema, ok, result } = JSON.parse(stdout) as Answer;
  assert.equal([schema, ok], [1, code === 0]);
  return { code, result };
}

async function buildTree(name: string, files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(at(name, path, '..'), { recursive: true });
    writeFileSync(at(name, path), content);
  }
  const args = [`--digest-store=${at('objects')}`, at(name), at(`${name}.cfs`)];
  const { code, stderr } = await runCli(['image', 'build', ...args]);
  assert.is(code, 0, stderr);
}

const LONG = { one: 'one '.repeat(100), two: 'two '.repeat(5000), three: 'three '.repeat(200) };

test('store verify finds every kind of damage and repairs from another store', async () => {
  await buildTree('tree', { ...LONG, 'sub/four': 'four '.repeat(300) });
  cpSync(at('objects'), at('copy'), { recursive: true });
  assert.is((await storeJson('verify', at('objects'))).code, 0);
  const paths = takeInventory(at('objects')).objects.map(({ path }) => path);
  const [changed = '', cut = '', swapped = '', other = ''] = paths;
  const bytes = readFileSync(at('objects', changed));
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(at('objects', changed), bytes);
  truncateSync(at('objects', cut), 5);
  writeFileSync(at('objects', swapped), readFileSync(at('objects', other)));
  writeFileSync(at('objects', 'README'), '');
  writeFileSync(at('objects', changed.slice(0, 2), 'not-a-digest'), '');
  mkdirSync(at('objects', '.staging-x1y2z3'));
  writeFileSync(at('objects', '.staging-x1y2z3', '0'), 'half');
  const { code, result } = await storeJson('verify', at('objects'));
  assert.is(code, 3);
  const damaged = result['damaged'] as { path: string; problem: string }[];
  assert.equal(
    damaged.map(({ path }) => path),
    [changed, cut, swapped].sort(),
  );
  assert.ok(damaged.every(({ problem }) => problem.includes('its content has the digest')));
  assert.is((result['strays'] as unknown[]).length, 2);
  assert.equal(result['leftovers'], ['.staging-x1y2z3']);
  const text = await runCli(['store', 'verify', at('objects')]);
  assert.is(text.code, 3);
  assert.ok(text.stdout.includes(`damaged   ${changed}`));

  // One good copy is missing in the first store and damaged in the second.
  cpSync(at('copy'), at('second'), { recursive: true });
  unlinkSync(at('copy', cut));
  writeFileSync(at('second', changed), 'bad');
  const stores = [`--repair-from=${at('copy')}`, `--repair-from=${at('second')}`];
  const repaired = await storeJson('verify', at('objects'), ...stores);
  assert.is(repaired.code, 0, JSON.stringify(repaired.result));
  const from = (repaired.result['damaged'] as { path: string; repairedFrom: string }[]).map(
    ({ path, repairedFrom }) => [path, repairedFrom],
  );
  assert.equal(Object.fromEntries(from), {
    [changed]: at('copy'),
    [cut]: at('second'),
    [swapped]: at('copy'),
  });
  assert.is((await storeJson('verify', at('objects'))).code, 0);
});

test('damage that cannot be repaired is still damage', async () => {
  await buildTree('tree', LONG);
  const { path } = takeInventory(at('objects')).objects[0]!;
  truncateSync(at('objects', path), 1);
  mkdirSync(at('empty'));
  assert.is((await storeJson('verify', at('objects'), `--repair-from=${at('empty')}`)).code, 3);
  assert.is((await runCli(['store', 'verify', at('nowhere')])).code, 6);
});

test('what stands in the place of an object is damage, and can be repaired', async () => {
  await buildTree('tree', LONG);
  cpSync(at('objects'), at('copy'), { recursive: true });
  const [linked = '', directory = ''] = takeInventory(at('objects')).objects.map(
    ({ path }) => path,
  );
  unlinkSync(at('objects', linked));
  symlinkSync(at('copy', linked), at('objects', linked));
  unlinkSync(at('objects', directory));
  mkdirSync(at('objects', directory));
  const { code, result } = await storeJson('verify', at('objects'));
  assert.is(code, 3);
  const damaged = result['damaged'] as { path: string; problem: string }[];
  assert.equal(
    damaged.map(({ path, problem }) => [path, problem]),
    [linked, directory].sort().map((path) => [path, 'expected a regular file']),
  );
  const repaired = await storeJson('verify', at('objects'), `--repair-from=${at('copy')}`);
  assert.is(repaired.code, 0, JSON.stringify(repaired.result));
  writeFileSync(at('objects', 'ff'), '');
  assert.is((await storeJson('verify', at('objects'))).code, 3, 'a file for a directory');
});

test('a directory that is no store has no good answer', async () => {
  await buildTree('tree', LONG);
  for (const args of [
    ['verify', at('')],
    ['verify', at('tree')],
    ['verify', at('objects'), `--repair-from=${at('tree')}`],
    ['stats', at('tree')],
    ['gc', at('tree'), at('image')],
  ]) {
    const { code, stderr } = await runCli(['store', ...args]);
    assert.is(code, 2, args.join(' '));
    assert.match(stderr, /USAGE_NOT_A_STORE/);
  }
  assert.match((await runCli(['store', 'verify', at('')])).stderr, /did you mean .*objects\?/);
  const absent = ['verify', at('objects'), `--repair-from=${at('nowhere')}`];
  assert.is((await runCli(['store', ...absent])).code, 6);
  mkdirSync(at('fresh'));
  mkdirSync(at('fresh', 'lost+found'));
  assert.is((await storeJson('verify', at('fresh'))).code, 0);
});

test('a collection names the image that it cannot read', async () => {
  await buildTree('tree', LONG);
  writeFileSync(at('bad.cfs'), 'bad');
  const { code, stderr } = await runCli(['store', 'gc', at('objects'), at('bad.cfs')]);
  assert.is(code, 4);
  assert.match(stderr, /Cannot use image .*bad\.cfs: /);
});

test('store stats counts', async () => {
  await buildTree('tree', LONG);
  const { result } = await storeJson('stats', at('objects'));
  const bytes = Object.values(LONG).reduce((sum, text) => sum + text.length, 0);
  assert.equal([result['objects'], result['bytes'], result['strays']], [3, bytes, 0]);
  const text = await runCli(['store', 'stats', at('objects')]);
  assert.match(text.stdout, /^objects +3$/m);
  assert.match(text.stdout, /^ {2}up to 16 MiB: .*\n {2}larger: 0 objects, 0 bytes$/m);
});

test('store gc keeps what the named images need, and --dry-run deletes nothing', async () => {
  await buildTree('tree', LONG);
  await buildTree('newer', { one: LONG.one, other: 'other '.repeat(100) });
  const count = (): number => takeInventory(at('objects')).objects.length;
  assert.is(count(), 4);
  mkdirSync(at('objects', '.staging-old'));
  writeFileSync(at('objects', 'keep-me'), 'not an object');
  const dry = await storeJson('gc', at('objects'), at('newer.cfs'), '--dry-run');
  assert.equal([dry.code, count()], [0, 4]);
  const done = await storeJson('gc', at('objects'), at('newer.cfs'));
  assert.equal(done.result['deleted'], dry.result['deleted']);
  assert.equal([count(), done.result['kept'], done.result['leftovers']], [2, 2, 1]);
  assert.is(readFileSync(at('objects', 'keep-me'), 'utf8'), 'not an object');
  assert.is(existsSync(at('objects', '.staging-old')), false);
  const missing = await runCli(['image', 'missing', at('newer.cfs'), `--basedir=${at('objects')}`]);
  assert.is(missing.code, 0);
});

test('store gc deletes nothing when an image cannot be read or a writer is there', async () => {
  await buildTree('tree', LONG);
  writeFileSync(at('junk'), 'junk');
  const refused = await runCli(['store', 'gc', at('objects'), at('tree.cfs'), at('junk')]);
  assert.is(refused.code, 4, refused.stderr);
  assert.is((await runCli(['store', 'gc', at('objects'), at('nowhere')])).code, 6);
  {
    using writer = new ObjectStore(at('objects'));
    assert.ok(writer);
    const busy = await runCli(['store', 'gc', at('objects'), at('tree.cfs')]);
    assert.is(busy.code, 6);
    assert.match(busy.stderr, /HOST_STORE_BUSY/);
  }
  assert.is(takeInventory(at('objects')).objects.length, 3);
});

/** Ways in which an image that nobody names may be mounted, and how a collection reads them. */
const MOUNTED: readonly [name: string, how: string, mount: () => Promise<void>][] = [
  ['by coldseal', 'image', () => mountTree('image')],
  [
    'by coldseal, from a path that is another image now',
    'content',
    async () => {
      await mountTree('image');
      renameSync(at('tree.cfs'), at('moved.cfs'));
      cpSync(at('newer.cfs'), at('tree.cfs'));
    },
  ],
  [
    'by coldseal, from a file that is deleted',
    'content',
    async () => {
      await mountTree('image');
      unlinkSync(at('tree.cfs'));
    },
  ],
  [
    'by mount.composefs',
    'content',
    async () => {
      const options = `basedir=${at('objects')}`;
      const args = ['mount.composefs', '-o', options, at('tree.cfs'), at('mnt')];
      assert.is((await runCli(args)).code, 0);
    },
  ],
  [
    'as plain EROFS',
    'layer',
    () => {
      runTool(requireTool('mount', 'mount'), [
        '-t',
        'erofs',
        '-o',
        'ro,loop',
        at('tree.cfs'),
        at('mnt'),
      ]);
      return Promise.resolve();
    },
  ],
];

async function mountTree(_how: string): Promise<void> {
  const options = [`--basedir=${at('objects')}`, '--verity=off'];
  assert.is((await runCli(['mount', at('tree.cfs'), at('mnt'), ...options])).code, 0);
}

for (const [name, how, mount] of MOUNTED) {
  test(`store gc keeps the objects of an image mounted ${name}`, async () => {
    requireRoot();
    await buildTree('tree', LONG);
    await buildTree('newer', { other: 'other '.repeat(100), gone: 'gone '.repeat(100) });
    await buildTree('third', { other: 'other '.repeat(100) });
    mkdirSync(at('mnt'));
    await mount();
    const { code, result } = await storeJson('gc', at('objects'), at('third.cfs'));
    assert.is(code, 0);
    assert.equal([result['kept'], (result['deleted'] as unknown[]).length], [4, 1]);
    assert.equal(result['mounts'], [{ mountPoint: at('mnt'), how }]);
    if (how !== 'layer') {
      for (const [file, text] of Object.entries(LONG)) {
        assert.is(readFileSync(at('mnt', file), 'utf8'), text);
      }
    }
  });
}

test('store gc sees mounts of other mount namespaces', async () => {
  requireRoot();
  await buildTree('tree', LONG);
  await buildTree('newer', { gone: 'gone '.repeat(100) });
  await buildTree('third', { other: 'other '.repeat(100) });
  mkdirSync(at('mnt'));
  const script = [
    `mount -t tmpfs none '${at('mnt')}'`,
    `mkdir '${at('mnt')}/m'`,
    `node '${CLI_PATH}' mount '${at('tree.cfs')}' '${at('mnt')}/m' --basedir='${at('objects')}' --verity=off`,
    'echo ready',
    'exec sleep 60',
  ].join(' && ');
  const holder = spawn('unshare', ['--mount', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let said = '';
    for await (const chunk of holder.stdout as AsyncIterable<Buffer>) {
      said += chunk.toString();
      if (said.includes('ready')) break;
    }
    const { result } = await storeJson('gc', at('objects'), at('third.cfs'));
    assert.equal(result['mounts'], [{ mountPoint: at('mnt/m'), how: 'image' }]);
    assert.is(result['kept'], 4);
  } finally {
    holder.kill('SIGKILL');
    if (holder.exitCode === null && holder.signalCode === null) await once(holder, 'exit');
  }
});

test('store gc refuses when a mount cannot be read', async () => {
  requireRoot();
  await buildTree('tree', LONG);
  await buildTree('newer', { other: 'other '.repeat(100) });
  for (const name of ['mnt', 'upper', 'work']) mkdirSync(at(name));
  const upper = [`--upperdir=${at('upper')}`, `--workdir=${at('work')}`];
  const options = [`--basedir=${at('objects')}`, '--verity=off', ...upper];
  assert.is((await runCli(['mount', at('tree.cfs'), at('mnt'), ...options])).code, 0);
  unlinkSync(at('tree.cfs'));
  const refused = await runCli(['store', 'gc', at('objects'), at('newer.cfs')]);
  assert.is(refused.code, 6);
  assert.match(refused.stderr, /HOST_MOUNT_UNREADABLE/);
  assert.ok(refused.stderr.includes(at('mnt')));
  assert.is(takeInventory(at('objects')).objects.length, 4);
});

test('store gc ignores composefs mounts of other stores', async () => {
  requireRoot();
  await buildTree('tree', LONG);
  await buildTree('newer', { other: 'other '.repeat(100) });
  cpSync(at('objects'), at('elsewhere'), { recursive: true });
  mkdirSync(at('mnt'));
  const options = [`--basedir=${at('elsewhere')}`, '--verity=off'];
  assert.is((await runCli(['mount', at('tree.cfs'), at('mnt'), ...options])).code, 0);
  symlinkSync('objects', at('by-another-name'));
  const { result } = await storeJson('gc', at('by-another-name'), at('newer.cfs'));
  assert.equal([result['mounts'], result['kept']], [[], 1]);
  assert.is(readdirSync(at('objects')).length > 0, true);
});

test.run();
