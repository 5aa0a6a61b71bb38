/** The digest cache on real file systems and under the command: what the kernel promises, and what befalls a build. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { identifySource } from '../../toolchain/objects/digest-cache-trust.ts';
import { type FileSystemType, makeFileSystem, runTool } from '../support/file-systems.ts';
import { setXattr } from '../support/native.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('digest cache');

const FILES = 600;

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);
const digests = (): string => at('cache/coldseal/digests');

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('tree'));
  for (let i = 0; i < FILES; i++) writeFileSync(at('tree', `f${i}`), Buffer.alloc(1000 + i, i));
});
test.after.each(() => dir.remove());

interface Built {
  readonly digest: string;
  readonly cache: { hits: number; misses: number; added: number; problem?: string } | null;
}

async function build(...args: string[]): Promise<Built> {
  const given = ['image', 'build', '--json', '--print-digest-only', ...args, at('tree')];
  const { code, stdout, stderr } = await runCli(given, { env: { XDG_CACHE_HOME: at('cache') } });
  assert.is(code, 0, stderr);
  return (JSON.parse(stdout) as { result: Built }).result;
}

/** Where the tests' directory is on a file system that is not trusted, its reason; builds must say the same. */
function reason(): string | undefined {
  const identity = identifySource(byteStringOfText(at('tree')), lstatFast(at('tree')));
  return typeof identity === 'string' ? identity : undefined;
}

/** Waits until what was just written counts as written before. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 150));

test('a second build reads nothing, a third what has changed; --no-cache reads everything', async () => {
  await settle();
  const first = await build();
  assert.is(first.cache!.misses, FILES);
  const second = await build();
  assert.is(second.digest, first.digest);
  if (reason() !== undefined) {
    assert.is(second.cache!.problem, reason());
    assert.is(second.cache!.hits, 0);
    assert.not(existsSync(digests()));
  } else {
    assert.equal(second.cache, { hits: FILES, misses: 0, added: 0 });
    assert.is(statSync(digests()).mode & 0o777, 0o700);
    assert.is(statSync(join(digests(), readdirSync(digests())[0]!)).mode & 0o777, 0o600);
  }
  writeFileSync(
    at('tree/f7'),
    'other content of more than sixty-four bytes, so that it is an object',
  );
  const third = await build();
  assert.not(third.digest === first.digest);
  const all = await build('--no-cache');
  assert.is(all.cache, null);
  assert.is(all.digest, third.digest);
  if (reason() === undefined) assert.is(third.cache!.hits, FILES - 1);
});

test('with an object store, a store that lost objects gets them again', async () => {
  await settle();
  const store = at('objects');
  const first = await build(`--digest-store=${store}`);
  rmSync(store, { recursive: true });
  assert.is((await build(`--digest-store=${store}`)).digest, first.digest);
  const count = (): number =>
    readdirSync(store, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
      .length;
  // A byte repeated: contents differ by length and by byte.
  assert.is(count(), FILES);
  const third = await build(`--digest-store=${store}`);
  if (reason() === undefined) assert.is(third.cache!.hits, FILES);
  assert.is((await build(`--digest-store=${store}`, '--verify-existing')).cache!.hits, 0);
});

test('a build killed at any moment leaves a cache that misleads nobody', async () => {
  await settle();
  const truth = (await build('--no-cache')).digest;
  const argv = [CLI_PATH, 'image', 'build', '--print-digest-only', at('tree')];
  for (let i = 0; i < 6; i++) {
    rmSync(digests(), { recursive: true, force: true });
    const env = { ...process.env, XDG_CACHE_HOME: at('cache') };
    const child = spawn(process.execPath, argv, { env, stdio: 'ignore' });
    const ended = once(child, 'exit');
    setTimeout(() => child.kill('SIGKILL'), 60 + 40 * i);
    await ended;
    assert.is((await build()).digest, truth, `killed after ${60 + 40 * i} ms`);
    assert.is((await build()).digest, truth);
  }
});

test('builds at the same time give the same digest and leave one whole cache', async () => {
  await settle();
  const results = await Promise.all(Array.from({ length: 4 }, () => build()));
  assert.is(new Set(results.map(({ digest }) => digest)).size, 1);
  if (reason() !== undefined) return;
  assert.is(readdirSync(digests()).length, 1);
  assert.is((await build()).cache!.hits, FILES);
});

test('a full disk is told and stops nothing', async () => {
  requireRoot();
  mkdirSync(at('cache'));
  runTool('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', at('cache')]);
  try {
    await settle();
    const { digest, cache } = await build();
    assert.is(digest, (await build('--no-cache')).digest);
    assert.is(cache!.problem, reason() ?? 'it cannot be written (ENOSPC)');
    assert.equal(existsSync(digests()) ? readdirSync(digests()) : [], []);
  } finally {
    runTool('umount', [at('cache')]);
  }
});

/** What changes a file's content or description, each of which the change time has to show. */
const CHANGES: [name: string, change: (path: string) => void][] = [
  ['written in place', (path) => writeFileSync(path, Buffer.alloc(5000, 'new'), { flag: 'r+' })],
  [
    'written in place and its time put back',
    (path) => {
      const { mtimeMs } = statSync(path);
      writeFileSync(path, Buffer.alloc(5000, 'new'), { flag: 'r+' });
      utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
    },
  ],
  [
    'cut and made long again',
    (path) => {
      truncateSync(path, 10);
      truncateSync(path, 5000);
    },
  ],
  [
    'written through a mapping',
    (path) => {
      const code = [
        'import mmap',
        `with open(${JSON.stringify(path)}, "r+b") as f:`,
        ' mmap.mmap(f.fileno(), 0)[0:3] = b"abc"',
      ].join('\n');
      runTool(requireTool('python3', 'python3'), ['-c', code]);
    },
  ],
  [
    'a hole punched into it',
    (path) => {
      const args = ['--punch-hole', '--offset', '0', '--length', '4096', path];
      runTool(requireTool('fallocate', 'util-linux'), args);
    },
  ],
  ['another mode', (path) => chmodSync(path, 0o600)],
  ['another name of it', (path) => linkSync(path, `${path}.link`)],
  ['an attribute', (path) => setXattr(path, 'user.a', 'b')],
  [
    'replaced by a rename',
    (path) => {
      writeFileSync(`${path}.new`, Buffer.alloc(5000, 'new'));
      renameSync(`${path}.new`, path);
    },
  ],
];

for (const type of ['ext4', 'xfs', 'btrfs'] satisfies FileSystemType[]) {
  test(`${type}: every change moves the change time or the inode`, async () => {
    using system = makeFileSystem(type, dir.path);
    const identity = identifySource(byteStringOfText(system.path), lstatFast(system.path));
    assert.is(identity, 'its file system is on a loop device', 'trusted but for the device');
    for (const [i, [name, change]] of CHANGES.entries()) {
      const path = join(system.path, `f${i}`);
      writeFileSync(path, Buffer.alloc(5000, 'old'));
      runTool('sync', ['-f', path]);
      const before = lstatFast(path);
      await new Promise((resolve) => setTimeout(resolve, 30));
      change(path);
      const after = lstatFast(path);
      const key = ({ ino, ctimeSec, ctimeNsec }: typeof before): string =>
        `${ino} ${ctimeSec}.${ctimeNsec}`;
      assert.not(key(after) === key(before), name);
    }
  });
}

test.run();
