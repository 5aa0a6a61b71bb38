/** The object store as a writer sees it: whole objects, or none. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fsVerityDigest, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { SysVerity } from '../../runtime/sys.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { StoreLock } from '../../toolchain/objects/lock.ts';
import { ObjectStore } from '../../toolchain/objects/store.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { measureFile, readDigest } from '../../toolchain/objects/verity.ts';
import { codeOf } from '../support/expect-code.ts';

const test = suite<{ dir: string; store: string }>('object store');

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'coldseal-store-'));
  context.store = join(context.dir, 'objects');
});
test.after.each((context) => rmSync(context.dir, { recursive: true, force: true }));

function digestOf(text: string, algorithm: VerityAlgorithm = 'sha256'): string {
  return toHex(fsVerityDigest(Buffer.from(text), algorithm, hashFunction(algorithm)));
}

function source(dir: string, name: string, text: string): { path: string } {
  const path = join(dir, name);
  writeFileSync(path, text);
  return { path };
}

/** Everything below a directory, staging directories included. */
function listing(dir: string): string[] {
  return (readdirSync(dir, { recursive: true }) as string[]).sort();
}

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`an object is stored under its ${algorithm} digest with mode 0644`, ({ dir, store }) => {
    const digest = digestOf('content', algorithm);
    const writer = new ObjectStore(store);
    const file = source(dir, 'a', 'content');
    chmodSync(file.path, 0o4755);
    assert.is(writer.put(file, digest, 7), 'copied');
    assert.is(existsSync(join(store, objectPath(digest))), false, 'not visible before finish');
    assert.is(writer.put(file, digest, 7), 'present', 'the same content twice');
    const summary = writer.finish();
    assert.is(summary.copied, 1);
    assert.is(readFileSync(join(store, objectPath(digest)), 'utf8'), 'content');
    assert.is(statSync(join(store, objectPath(digest))).mode & 0o7777, 0o644);
    assert.equal(listing(store), [digest.slice(0, 2), objectPath(digest)].sort());
    assert.is(measureFile(join(store, objectPath(digest)), algorithm).digest, digest);
  });
}

test('a file on a descriptor is stored, and holes stay holes', ({ dir, store }) => {
  const path = join(dir, 'sparse');
  writeFileSync(path, 'start');
  truncateSync(path, 8 * 1024 * 1024);
  const { digest } = measureFile(path, 'sha256');
  const writer = new ObjectStore(store);
  writer.put({ path }, digest, 8 * 1024 * 1024);
  writer.finish();
  const object = join(store, objectPath(digest));
  assert.is(measureFile(object, 'sha256').digest, digest);
  assert.ok(statSync(object).blocks < 100, 'takes little space');
});

const DAMAGE: readonly [name: string, damage: (object: string) => void, found: boolean][] = [
  ['cut short', (object) => truncateSync(object, 3), true],
  ['empty', (object) => truncateSync(object, 0), true],
  ['a symbolic link', (object) => (rmSync(object), symlinkSync('/etc/passwd', object)), true],
  ['a directory', (object) => (rmSync(object), mkdirSync(object)), true],
  ['other content of the same size', (object) => writeFileSync(object, 'CONTENT'), false],
];

for (const [name, damage, foundBySize] of DAMAGE) {
  test(`an existing object that is ${name} is replaced`, ({ dir, store }) => {
    const digest = digestOf('content');
    const file = source(dir, 'a', 'content');
    const fill = (options = {}): string => {
      const writer = new ObjectStore(store, options);
      const result = writer.put(file, digest, 7);
      writer.finish();
      return result;
    };
    fill();
    damage(join(store, objectPath(digest)));
    if (!foundBySize) assert.is(fill(), 'present', 'the size alone does not tell');
    assert.is(fill({ verifyExisting: true }), 'replaced');
    assert.is(readFileSync(join(store, objectPath(digest)), 'utf8'), 'content');
    assert.is(fill({ verifyExisting: true }), 'present');
  });
}

test('a source that changed since it was measured is an error that names it', ({ dir, store }) => {
  const file = source(dir, 'changing', 'content');
  const stamp = lstatFast(Buffer.from(file.path));
  const digest = digestOf('content');
  utimesSync(file.path, 1, 1);
  const writer = new ObjectStore(store);
  assert.is(
    codeOf(() => writer.put({ ...file, stamp }, digest, 7)),
    'HOST_FILE_CHANGED',
  );
  assert.is(
    codeOf(() => writer.put(file, digest, 8)),
    'HOST_FILE_CHANGED',
    'another size',
  );
  assert.throws(() => writer.put(file, digest, 8), /changing/);
  writer.finish();
  assert.equal(listing(store), [], 'nothing stays');
});

test('a missing or unreadable source says so', ({ dir, store }) => {
  using writer = new ObjectStore(store);
  assert.is(
    codeOf(() => writer.put({ path: join(dir, 'no') }, digestOf('x'), 1)),
    'HOST_NOT_FOUND',
  );
  symlinkSync('/etc/hostname', join(dir, 'link'));
  assert.is(
    codeOf(() => writer.put({ path: join(dir, 'link') }, digestOf('x'), 1)),
    'HOST_SYSTEM_CALL',
  );
});

test('a store that cannot be made says so', ({ dir }) => {
  writeFileSync(join(dir, 'file'), '');
  for (const [path, code] of [
    [join(dir, 'file'), 'HOST_SYSTEM_CALL'],
    [join(dir, 'file/store'), 'HOST_NOT_FOUND'],
    ['/proc/absent/store', 'HOST_NOT_FOUND'],
  ] as const) {
    assert.is(
      codeOf(() => new ObjectStore(path)),
      code,
      path,
    );
  }
  new ObjectStore(join(dir, 'a/b/store')).finish();
  assert.equal(listing(join(dir, 'a/b/store')), []);
});

test('a writer that is dropped leaves nothing', ({ dir, store }) => {
  {
    using writer = new ObjectStore(store);
    writer.put(source(dir, 'a', 'content'), digestOf('content'), 7);
    assert.is(listing(store).length, 2, 'staging directory and file');
  }
  assert.equal(listing(store), []);
});

test('two writers at once lose nothing', ({ dir, store }) => {
  const first = new ObjectStore(store);
  const second = new ObjectStore(store);
  for (const text of ['one', 'two', 'both!']) {
    if (text !== 'two') first.put(source(dir, text, text), digestOf(text), text.length);
    if (text !== 'one') second.put(source(dir, text, text), digestOf(text), text.length);
  }
  second.finish();
  first.finish();
  for (const text of ['one', 'two', 'both!']) {
    assert.is(readFileSync(join(store, objectPath(digestOf(text))), 'utf8'), text);
  }
});

test('a collector and a writer exclude each other', ({ dir, store }) => {
  mkdirSync(store);
  {
    using collector = StoreLock.take(store, 'collector');
    assert.ok(collector.fd >= 0);
    assert.is(
      codeOf(() => StoreLock.take(store, 'writer', 0)),
      'HOST_STORE_BUSY',
    );
  }
  using writer = new ObjectStore(store);
  writer.put(source(dir, 'a', 'content'), digestOf('content'), 7);
  assert.is(
    codeOf(() => StoreLock.take(store, 'collector', 0)),
    'HOST_STORE_BUSY',
  );
});

/** A kernel with fs-verity that measures what `digest` says. */
function fakeVerity(digest: string, log: string[]): SysVerity {
  return {
    enableVerity: (fd, algorithm) => (log.push(`enable ${algorithm} ${fd > 0}`), true),
    measureVerity: () => ({ verity: 'measured', algorithm: 'sha256', digest }),
  };
}

test('where the kernel has fs-verity, its digest is compared', ({ dir, store }) => {
  const file = source(dir, 'a', 'content');
  const digest = digestOf('content');
  const log: string[] = [];
  const writer = new ObjectStore(store, { verity: fakeVerity(digest, log) });
  writer.put(file, digest, 7);
  assert.is(writer.finish().verity, 'enabled');
  assert.equal(log, ['enable sha256 true']);
  rmSync(store, { recursive: true });
  using wrong = new ObjectStore(store, { verity: fakeVerity(digestOf('other'), []) });
  assert.is(
    codeOf(() => wrong.put(file, digest, 7)),
    'HOST_FILE_CHANGED',
  );
});

test('a file system without fs-verity is asked once', ({ dir, store }) => {
  let asked = 0;
  const verity: SysVerity = {
    enableVerity: () => (asked++, false),
    measureVerity: () => ({ verity: 'unsupported' }),
  };
  const writer = new ObjectStore(store, { verity });
  for (const text of ['one', 'two', 'three']) {
    writer.put(source(dir, text, text), digestOf(text), text.length);
  }
  assert.is(writer.finish().verity, 'unsupported');
  assert.is(asked, 1);
});

test('an object that may not be changed does not keep the others from getting fs-verity', ({
  dir,
  store,
}) => {
  const log: string[] = [];
  const digests = [digestOf('one'), digestOf('two')];
  let measured = '';
  const verity: SysVerity = {
    enableVerity: (_fd, algorithm) => {
      measured = digests[log.length]!;
      log.push(algorithm);
      if (log.length === 1) throw new SysError('FS_IOC_ENABLE_VERITY', 'EACCES');
      return true;
    },
    measureVerity: () => ({ verity: 'measured', algorithm: 'sha256', digest: measured }),
  };
  const writer = new ObjectStore(store, { verity });
  ['one', 'two'].forEach((text, i) => writer.put(source(dir, text, text), digests[i]!, 3));
  assert.is(writer.finish().verity, 'enabled');
  assert.is(log.length, 2);
});

test('a file that cannot be read has no digest', () => {
  // Reading the first page of its own memory is an input/output error for every process.
  const fd = openSync('/proc/self/mem', 'r');
  assert.is(readDigest(fd, 'sha256'), undefined);
  closeSync(fd);
});

test('a full file system is HOST_NO_SPACE and leaves nothing half-written', ({ dir, store }) => {
  const verity: SysVerity = {
    enableVerity: () => {
      throw new SysError('FS_IOC_ENABLE_VERITY', 'ENOSPC');
    },
    measureVerity: () => ({ verity: 'unsupported' }),
  };
  const writer = new ObjectStore(store, { verity });
  const file = source(dir, 'a', 'content');
  assert.is(
    codeOf(() => writer.put(file, digestOf('content'), 7)),
    'HOST_NO_SPACE',
  );
  writer.finish();
  assert.equal(listing(store), []);
});

test.run();
