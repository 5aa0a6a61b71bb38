/** Directories to trees: what is kept of a file system, and what is refused. */
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import { byteStringOfText, type ByteString } from '../../toolchain/image/byte-string.ts';
import { scanDirectory, type ScanOptions, type ScanResult } from '../../toolchain/image/scan.ts';
import { walkTree, type TreeNode } from '../../toolchain/image/tree.ts';
import { FileHasher } from '../../toolchain/objects/file-hasher.ts';
import type { HashJob } from '../../toolchain/objects/hash-job.ts';
import { HashPool } from '../../toolchain/objects/hash-pool.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { makeNode, setXattr } from '../support/native.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('scan');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('tree'));
});
test.after.each(() => dir.remove());

function scan(options: Partial<ScanOptions> = {}): Promise<ScanResult> {
  const settings: ScanOptions = { algorithm: 'sha256', inlineMax: 64, threads: 2, ...options };
  return scanDirectory(byteStringOfText(at('tree')), settings);
}

async function paths(options?: Partial<ScanOptions>): Promise<Map<string, TreeNode>> {
  const { root } = await scan(options);
  return new Map([...walkTree(root)].map(({ path, node }) => [path, node]));
}

test('content up to the limit is inlined, above it is a digest and an object path', async () => {
  const rows: [inlineMax: number, size: number, inlined: boolean][] = [
    [64, 0, false],
    [64, 1, true],
    [64, 64, true],
    [64, 65, false],
    [0, 1, false],
    [5000, 5000, true],
    [5000, 5001, false],
  ];
  for (const [inlineMax, size, inlined] of rows) {
    writeFileSync(at('tree/file'), Buffer.alloc(size, 7));
    const file = (await paths({ inlineMax })).get('/file')!;
    assert.is(file.size, size);
    assert.is(file.content?.length, inlined ? size : undefined, `${size} of ${inlineMax}`);
    const isExternal = size > 0 && !inlined;
    assert.is(file.digest?.length, isExternal ? 64 : undefined);
    assert.is(
      file.payload,
      isExternal ? `${file.digest!.slice(0, 2)}/${file.digest!.slice(2)}` : undefined,
    );
  }
});

test('SHA-512 gives digests of 128 digits and paths of 2 + 126', async () => {
  writeFileSync(at('tree/file'), Buffer.alloc(100));
  const file = (await paths({ algorithm: 'sha512' })).get('/file')!;
  assert.match(file.digest!, /^[0-9a-f]{128}$/);
  assert.match(file.payload!, /^[0-9a-f]{2}\/[0-9a-f]{126}$/);
});

test('names are bytes', async () => {
  const name = Buffer.from([0x61, 0xff, 0x62, 0x0a, 0x20]);
  writeFileSync(Buffer.concat([Buffer.from(`${at('tree')}/`), name]), Buffer.alloc(70));
  const found = await paths();
  assert.equal([...found.keys()], ['/', `/${name.toString('latin1')}`]);
  assert.is(found.get(`/${name.toString('latin1')}`)!.digest!.length, 64);
});

test('every type of entry, and a sparse file by its content', async () => {
  symlinkSync('target', at('tree/link'));
  makeNode(at('tree/fifo'), 0o010620);
  const server = createServer().listen(at('tree/socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  const fd = openSync(at('tree/sparse'), 'w');
  ftruncateSync(fd, 300_000);
  closeSync(fd);
  writeFileSync(at('tree/zeros'), Buffer.alloc(300_000));
  const found = await paths();
  server.close();
  assert.is(found.get('/link')!.payload, 'target');
  assert.is(found.get('/link')!.size, 6);
  assert.is((found.get('/fifo')!.mode & 0o170000).toString(8), '10000');
  assert.is((found.get('/socket')!.mode & 0o170000).toString(8), '140000');
  assert.is(found.get('/sparse')!.digest, found.get('/zeros')!.digest);
  const without = await paths({ skipDevices: true });
  assert.ok(without.has('/fifo'), 'skip-devices means character and block devices only');
});

test('hardlinks are lost by default and kept on request', async () => {
  writeFileSync(at('tree/b'), Buffer.alloc(100));
  mkdirSync(at('tree/a'));
  linkSync(at('tree/b'), at('tree/a/x'));
  linkSync(at('tree/b'), at('tree/c'));
  const lost = await paths();
  for (const path of ['/b', '/a/x', '/c']) {
    assert.is(lost.get(path)!.hardlink, undefined);
    assert.is(lost.get(path)!.nlink, 1);
  }
  const kept = await paths({ hardlinks: true });
  const owner = kept.get('/a/x')!;
  assert.is(owner.hardlink, undefined, 'the first name in depth-first order owns the inode');
  assert.is(owner.nlink, 3);
  assert.is(kept.get('/b')!.hardlink, owner);
  assert.is(kept.get('/c')!.hardlink, owner);
});

test('times and extended attributes follow the options', async () => {
  writeFileSync(at('tree/file'), 'x');
  utimesSync(at('tree/file'), 100, 200.5);
  setXattr(at('tree/file'), 'user.b', 'two\0');
  setXattr(at('tree/file'), 'user.a', 'one');
  const file = (await paths()).get('/file')!;
  assert.is(file.mtimeSec, 200);
  assert.is(file.mtimeNsec, 500_000_000);
  assert.equal(file.xattrs, [
    { name: 'user.a', value: 'one' },
    { name: 'user.b', value: 'two\0' },
  ]);
  const epoch = (await paths({ useEpoch: true, xattrs: 'none' })).get('/file')!;
  assert.is(epoch.mtimeSec, 0);
  assert.is(epoch.mtimeNsec, 0);
  assert.equal(epoch.xattrs, []);
  assert.is((await paths({ xattrs: 'user' })).get('/file')!.xattrs.length, 2);
});

test('workers and the main thread give the same tree', async () => {
  for (let i = 0; i < 1600; i++) writeFileSync(at('tree', `f${i}`), `${i} `.repeat(i % 60));
  const digests = async (threads: number): Promise<string[]> => {
    const found = await paths({ threads });
    return [...found].map(([path, { digest, content }]) => `${path} ${digest} ${content?.length}`);
  };
  const here = new Map<string, string>();
  const pool = new HashPool(
    { algorithm: 'sha256', inlineMax: 64, threads: 1, store: undefined, verifyExisting: false },
    (_, result) => here.set('last', Buffer.from(result).toString('hex')),
  );
  const { path, ...stat } = jobOf(at('tree/f1599'));
  pool.add(path, stat);
  await pool.finish();
  const two = await digests(2);
  assert.equal(two, await digests(1));
  assert.ok(two.includes(`/f1599 ${here.get('last')} undefined`));
});

function jobOf(path: string): HashJob {
  return { path: path as ByteString, ...lstatFast(path) };
}

test('a file that is not what was scanned is refused by name', () => {
  writeFileSync(at('tree/file'), Buffer.alloc(5000));
  const job = jobOf(at('tree/file'));
  const settings = { algorithm: 'sha256', inlineMax: 64 } as const;
  const changes: [string, Partial<HashJob>][] = [
    ['size', { size: 4999 }],
    ['grown', { size: 5001 }],
    ['inode', { ino: job.ino + 1 }],
    ['mtime', { mtimeNsec: job.mtimeNsec ^ 1 }],
    ['ctime', { ctimeNsec: job.ctimeNsec ^ 1 }],
  ];
  for (const [what, change] of changes) {
    for (const inlineMax of [64, 5000]) {
      const changed = { ...job, ...change };
      const run = (): unknown => new FileHasher({ ...settings, inlineMax }).runOne(changed);
      const error = expectCode(run, 'HOST_FILE_CHANGED', what);
      assert.ok(error.message.includes(at('tree/file')), what);
    }
  }
  assert.is(new FileHasher(settings).runOne(job).length, 32);
});

test('a file that vanished, or became a link or a pipe, is refused by name', () => {
  const settings = { algorithm: 'sha256', inlineMax: 64 } as const;
  writeFileSync(at('tree/file'), Buffer.alloc(5000));
  const job = jobOf(at('tree/file'));
  symlinkSync('file', at('tree/link'));
  makeNode(at('tree/fifo'), 0o010600);
  const rows: [name: string, code: string][] = [
    ['missing', 'HOST_NOT_FOUND'],
    ['link', 'HOST_FILE_CHANGED'],
    ['fifo', 'HOST_FILE_CHANGED'],
  ];
  for (const [name, code] of rows) {
    const path = at('tree', name) as ByteString;
    const error = expectCode(() => new FileHasher(settings).runOne({ ...job, path }), code);
    assert.ok(error.message.includes(path), name);
  }
});

test('what is no directory is refused', async () => {
  writeFileSync(at('file'), '');
  const settings: ScanOptions = { algorithm: 'sha256', inlineMax: 64, threads: 1 };
  for (const path of ['missing', 'file']) {
    const given = byteStringOfText(at(path));
    const error = await expectCodeAsync(() => scanDirectory(given, settings), 'HOST_NOT_FOUND');
    assert.ok(error.message.includes(at(path)));
  }
});

test('a worker that fails for no known reason says so', async () => {
  const fd = openSync(at('tree/large'), 'w');
  ftruncateSync(fd, 40 << 20);
  closeSync(fd);
  const algorithm = 'md5' as 'sha256';
  await expectCodeAsync(() => scan({ algorithm }), 'INTERNAL_WORKER');
});

test('an interruption ends the scan', async () => {
  for (let i = 0; i < 3000; i++) writeFileSync(at('tree', `f${i}`), 'x');
  let thrown: unknown;
  await scan({ interrupted: AbortSignal.abort() }).catch((error: unknown) => (thrown = error));
  assert.is((thrown as Error).name, 'AbortError');
});

test('the source is only read', async () => {
  writeFileSync(at('tree/file'), Buffer.alloc(100));
  const before = statSync(at('tree/file'), { bigint: true });
  await scan();
  const after = statSync(at('tree/file'), { bigint: true });
  assert.is(after.mtimeNs, before.mtimeNs);
  assert.is(after.ctimeNs, before.ctimeNs);
});

test.run();
