/**
 * fs-verity for real: the built CLI on Debian 13's kernel in QEMU, with an ext4 that has the feature.
 *
 * The kernel of a build machine rarely has fs-verity, so the same code meets fakes elsewhere. Here one boot runs the
 * steps of verity-steps.sh, and each test judges some of them.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { initDevKeys } from '../../toolchain/sign/dev-keys.ts';
import { tempDir } from '../support/temp-dir.ts';
import { bootGuest, type Guest, type Step } from '../support/vm-lab.ts';

const test = suite('fs-verity in a virtual board');

const DATE_SECONDS = Date.UTC(2026, 0, 1) / 1000;

/** Files of three blocks whose objects get hurt, each in its own way. */
const VICTIMS = ['copy', 'other', 'sealed', 'missing', 'disk'] as const;
const victimContent = (name: string): string => `${name} `.repeat(12_000).slice(0, 12_000);
/** A name in the middle of a directory of several blocks. */
const MARKED_NAME = `marked-${'n'.repeat(190)}`;
const FILES: Readonly<Record<string, string>> = {
  big: 'big '.repeat(75_000),
  odd: 'o'.repeat(4097),
  small: 's'.repeat(100),
  inline: 'short',
  empty: '',
  ...Object.fromEntries(VICTIMS.map((name) => [`victims/${name}`, victimContent(name)])),
};
/** Files that become objects: those above 64 bytes, equal contents once. */
const OBJECTS = Object.values(FILES).filter((content) => content.length > 64);

const digestOf = (content: string, algorithm: 'sha256' | 'sha512'): string =>
  toHex(fsVerityDigest(Buffer.from(content), algorithm, hashFunction(algorithm)));

const BOOTSET = `product: demo
version: '1.0'
board: qemu-x86_64
epochs: { 1: 7 }
keys: keys/dev
images:
  - { name: root, role: system, source: { directory: rootfs } }
`;

function addInputs(guest: string): void {
  const write = (path: string, content: string): void => {
    const target = join(guest, path);
    mkdirSync(join(target, '..'), { recursive: true });
    writeFileSync(target, content);
  };
  for (const [path, content] of Object.entries(FILES)) write(`tree/${path}`, content);
  for (let i = 0; i < 100; i++) write(`tree/wide/${i < 50 ? 'a' : 'z'}${i}-${'n'.repeat(190)}`, '');
  write(`tree/wide/${MARKED_NAME}`, '');
  write('other', 'x'.repeat(12_000));
  const paths = VICTIMS.map((name) => {
    const path = objectPath(digestOf(victimContent(name), 'sha256'));
    return `${name.toUpperCase()}=${path}\n`;
  });
  write('victims', `${paths.join('')}NAME=${MARKED_NAME}\n`);
  write('bootset/BOOTSET.yaml', BOOTSET);
  write('bootset/rootfs/usr/data', FILES['big']!);
  for (const path of ['usr/data', 'usr', '']) {
    utimesSync(join(guest, 'bootset/rootfs', path), DATE_SECONDS, DATE_SECONDS);
  }
  initDevKeys(join(guest, 'bootset/keys/dev'), {
    notBefore: DATE_SECONDS - 1000,
    leafDays: 365,
    organization: 'test',
    force: false,
  });
  cpSync(join(ROOT, 'test/vm/verity-steps.sh'), join(guest, 'verity-steps.sh'));
}

const GUEST: Guest = {
  init: join(ROOT, 'test/vm/verity-init.sh'),
  modules: ['virtio_blk', 'erofs', 'overlay', 'loop'],
  programs: { fsverity: 'fsverity', debugfs: 'e2fsprogs', mke2fs: 'e2fsprogs' },
  applets: (
    'basename cat cmp cp dd diff dmesg find grep head ls mkdir mount mv od poweroff printf rm sed ' +
    'sh sha256sum sleep stat strings sync tail true truncate umount unshare'
  ).split(' '),
  addInputs,
};

let steps: ReadonlyMap<string, Step>;

test.before(async () => {
  using dir = tempDir();
  steps = await bootGuest(dir.path, GUEST);
});

/** What a step printed; it must have ended with this exit code. */
function step(name: string, code = 0): Step {
  const found = steps.get(name);
  if (found === undefined) throw new Error(`the guest did not run the step ${name}`);
  if (found.code === code) return found;
  throw new Error(`${name} exited ${found.code}, expected ${code}\n${found.stdout}${found.stderr}`);
}

/** The result in the JSON document that a step printed. */
function result<T>(name: string, code = 0): T {
  return (JSON.parse(step(name, code).stdout) as { result: T }).result;
}

/** What `fsverity measure` printed: the kernel's digest and the path of each file. */
function measured(name: string): { digest: string; path: string }[] {
  const lines = step(name).stdout.trim().split('\n');
  return lines.map((line) => {
    const [, digest, path] = /^sha(?:256|512):([0-9a-f]+) (.*)$/.exec(line)!;
    return { digest: digest!, path: path! };
  });
}

/** Every object of a store is what the kernel measures, and has the digest computed here. */
function assertObjects(name: string, algorithm: 'sha256' | 'sha512'): void {
  const found = measured(name);
  for (const { digest, path } of found) assert.ok(path.endsWith(objectPath(digest)), path);
  const expected = OBJECTS.map((content) => digestOf(content, algorithm)).sort();
  assert.equal(found.map(({ digest }) => digest).sort(), expected);
}

interface Built {
  readonly digest: string;
  readonly store: { verity: string; copied: number; present: number };
}

interface Mounted {
  readonly imageDigest: string;
  readonly fileVerity: string;
  readonly image: string;
}

const MOUNTED = { imageDigest: 'kernel-measured', fileVerity: 'required', image: 'file' };

function assertMounted(name: string): void {
  const { imageDigest, fileVerity, image } = result<Mounted>(name);
  assert.equal({ imageDigest, fileVerity, image }, MOUNTED);
}

test('doctor finds fs-verity, and EROFS from a file in the directory given', () => {
  const { features } = result<{ features: { name: string; status: string }[] }>('doctor');
  const found = Object.fromEntries(features.map(({ name, status }) => [name, status]));
  const names = ['verity', 'erofs-file', 'overlay-verity', 'verity-intact', 'idmap'];
  assert.equal(
    names.map((name) => [name, found[name]]),
    names.map((name) => [name, 'yes']),
  );
});

test('doctor tells that blocks of 1024 bytes are too small for fs-verity', () => {
  const { features } = result<{ features: Record<string, string>[] }>('doctor-small');
  const { status, detail } = features.find(({ name }) => name === 'verity')!;
  assert.is(status, 'no');
  assert.match(detail!, /blocks have 1024 bytes: expected 4096/);
});

for (const [name, measure, algorithm] of [
  ['build', 'measure', 'sha256'],
  ['build-512', 'measure-512', 'sha512'],
] as const) {
  test(`a build enables fs-verity on every object: ${algorithm}`, () => {
    const { store } = result<Built>(name);
    assert.is(store.verity, 'enabled');
    assert.is(store.copied, OBJECTS.length);
    assert.match(step(name).stderr, /; fs-verity enabled$/m);
    assertObjects(measure, algorithm);
  });
}

test("image digest is the kernel's where there is one", () => {
  const { files } = result<{ files: { file: string; digest: string; by: string }[] }>('digest');
  assert.is(files.length, OBJECTS.length + 1);
  for (const { file, digest, by } of files) {
    assert.is(by, 'kernel', file);
    if (file === '/store/a.cfs') assert.is(digest, result<Built>('build').digest);
    else assert.ok(file.endsWith(objectPath(digest)), file);
  }
  step('seal');
  step('seal-512');
  assert.equal(measured('measure-image'), [
    { digest: result<Built>('build').digest, path: '/store/a.cfs' },
    { digest: result<Built>('build-512').digest, path: '/store/b.cfs' },
  ]);
});

test('an image without fs-verity, or with another digest, is not mounted', () => {
  assert.match(step('mount-unsealed', 3).stderr, /VERIFY_IMAGE_NO_VERITY/);
  assert.match(step('mount-wrong', 3).stderr, /VERIFY_IMAGE_DIGEST/);
});

test('a sealed image is mounted with verity required, and its contents are right', () => {
  assertMounted('mount');
  assert.is(step('contents').stdout.trim(), '');
});

test('the same with SHA-512', () => {
  assertMounted('mount-512');
  assert.is(step('contents-512').stdout.trim(), '');
  step('unmount');
});

test('nobody can write to an object', () => {
  assert.match(step('write-object', 1).stderr, /Operation not permitted/);
});

test('storing an object that lacks fs-verity turns it on', () => {
  assert.match(step('measure-copies', 1).stderr, /No data available/);
  const { store } = result<Built>('store-copies');
  assert.equal([store.verity, store.copied, store.present], ['enabled', 0, OBJECTS.length]);
  assertObjects('measure-again', 'sha256');
});

test('a release is sealed, verified and mounted', () => {
  step('release');
  const { verified, images } = result<{ verified: boolean; images: { digest: string }[] }>(
    'verify',
  );
  assert.is(verified, true);
  assert.equal(
    measured('measure-images').map(({ digest }) => digest),
    images.map(({ digest }) => digest),
  );
  const mounted = step('mount-release').stdout;
  assert.match(mounted, /^image digest {2}kernel-measured$/m);
  assert.match(mounted, /^file verity {3}required$/m);
  const sha256 = createHash('sha256').update(FILES['big']!).digest('hex');
  assert.is(step('list-release').stdout.trim(), `${sha256}  /tmp/r/usr/data`);
});

test('an object replaced by a file without fs-verity or with other content cannot be opened', () => {
  step('remount');
  step('seal-other');
  for (const name of ['copy', 'other', 'sealed']) {
    const { stdout, stderr } = step(`read-${name}`, 1);
    assert.is(stdout.trim(), '0 of 12000 bytes', name);
    assert.match(stderr, /can't open .*: Input\/output error/, name);
  }
  assert.match(step('read-missing', 1).stderr, /No such file or directory/);
});

test('bytes of an object changed on the disk under the mount are never read', () => {
  step('change-object');
  const { stdout, stderr } = step('read-disk', 1);
  assert.match(stderr, /read error: Input\/output error/);
  // The block before the changed one is right; `read_prefix` would say "wrong bytes".
  assert.is(stdout.trim(), '4096 of 12000 bytes');
  assert.is(step('read-whole').stdout.trim(), '300000 of 300000 bytes');
  assert.match(step('messages').stdout, /fs-verity \(vdb, inode \d+\): FILE CORRUPTED/);
});

test('bytes of the image changed on the disk under the mount are never read', () => {
  step('change-image');
  assert.match(step('list-damaged', 1).stderr, /Input\/output error/);
  assert.not.match(step('list-damaged', 1).stdout, /marked/);
  assert.is(step('list-whole').stdout.trim().split('\n').length, VICTIMS.length);
});

test('store verify repairs objects that fs-verity does not let read', () => {
  interface Report {
    readonly damaged: readonly { path: string; problem: string; repairedFrom?: string }[];
  }
  const { damaged } = result<Report>('store-repair');
  const pathOf = (name: string): string => objectPath(digestOf(victimContent(name), 'sha256'));
  assert.equal(
    damaged.map(({ path }) => path),
    ['disk', 'other', 'sealed'].map(pathOf).sort(),
  );
  assert.ok(damaged.every(({ repairedFrom }) => repairedFrom === '/store/again'));
  assert.match(
    damaged.find(({ path }) => path === pathOf('disk'))!.problem,
    /Cannot read .*input\/output error/,
  );
});

test('verify reads the objects, though the kernel still has their digests', () => {
  step('change-release');
  assert.match(step('verify-damaged', 3).stdout, /VERIFY_OBJECT_DIGEST/);
});

test.run();
