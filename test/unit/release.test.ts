/** Releases: the same bytes twice, everything refused that must be, and nothing left behind by a failure. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { decodeEnvelope } from '../../runtime/format/envelope.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { decodeManifest } from '../../runtime/format/manifest.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { readTree } from '../../toolchain/image/read-tree.ts';
import { describeRecipe, recipesOf } from '../../toolchain/image/recipe.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { imageFileName } from '../../toolchain/sign/check-release.ts';
import { sharedObjects, textReport } from '../../toolchain/release/report.ts';
import {
  bootsetLab,
  LAB_BOOTSET,
  LAB_CONTENT,
  LAB_NOW,
  type BootsetLab,
} from '../support/bootset-lab.ts';
import { tarOf } from '../support/tar-writer.ts';
import { codeOfRejection } from '../support/expect-code.ts';

const test = suite('release');

/** Relative path to content of everything below a directory. */
function contents(directory: string, prefix = ''): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(join(directory, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (entry.isDirectory()) for (const pair of contents(directory, path)) files.set(...pair);
    else files.set(path, readFileSync(join(directory, path), 'latin1'));
  }
  return files;
}

/** What the lab has besides its inputs. */
function outputs(lab: BootsetLab): string[] {
  const names = 'BOOTSET.yaml rootfs bundle store tree.dump board.yaml whiteout.tar';
  const inputs = new Set(names.split(' '));
  return readdirSync(lab.path).filter((name) => !inputs.has(name));
}

test('a release has the files it promises and shares objects between images', async () => {
  using lab = bootsetLab();
  const built = await lab.release();
  const files = [...contents(join(lab.path, 'out')).keys()].sort();
  const digest = toHex(fsVerityDigest(Buffer.from(LAB_CONTENT), 'sha256', hashFunction('sha256')));
  const images = built.images.map(({ entry }) => `images/${toHex(entry.digest.value)}.cfs`).sort();
  assert.equal(files, [
    ...images,
    'manifest.cose',
    `objects/${objectPath(digest)}`,
    'release.json',
    'timings.json',
  ]);
  assert.equal(built.objects, { count: 1, bytes: LAB_CONTENT.length });
  assert.equal(sharedObjects(built), { count: 1, bytes: LAB_CONTENT.length });
  assert.equal(outputs(lab), ['out']);
  const text = textReport(built, 'out').join('\n');
  for (const part of ['demo 1.0', 'qemu-x86_64', '1 shared between images', 'domain 1: 7']) {
    assert.ok(text.includes(part), part);
  }
});

test('the same inputs give the same bytes, the signature and the timings aside', async () => {
  using lab = bootsetLab();
  await lab.release();
  await lab.release({ output: join(lab.path, 'again'), threads: 2 });
  const [first, second] = ['out', 'again'].map((name) => contents(join(lab.path, name)));
  assert.equal([...first!.keys()].sort(), [...second!.keys()].sort());
  for (const [path, text] of first!) {
    if (path === 'timings.json') continue;
    if (path !== 'manifest.cose') assert.ok(second!.get(path) === text, path);
  }
  const payloads = [first!, second!].map((files) =>
    toHex(decodeEnvelope(Buffer.from(files.get('manifest.cose')!, 'latin1')).payload),
  );
  assert.is(payloads[0], payloads[1]);
});

test('another place and another order of directory entries change nothing', async () => {
  using lab = bootsetLab();
  using other = bootsetLab();
  const moved = join(other.path, 'rootfs/usr/data');
  rmSync(moved);
  rmSync(join(other.path, 'rootfs/etc/hostname'));
  other.write('rootfs/etc/hostname', 'board\n');
  other.write('rootfs/usr/data', LAB_CONTENT);
  for (const { path } of [lab, other]) setAllTimes(path);
  const digests = [await lab.release(), await other.release()].map((built) => built.manifestSha256);
  assert.is(digests[0], digests[1]);
});

function setAllTimes(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) setAllTimes(join(directory, entry.name));
    else utimesSync(join(directory, entry.name), 1_700_000_000, 1_700_000_000);
  }
  utimesSync(directory, 1_700_000_000, 1_700_000_000);
}

test('the build time is SOURCE_DATE_EPOCH, or the newest time inside the images', async () => {
  using lab = bootsetLab();
  setAllTimes(lab.path);
  const newest = await lab.release();
  assert.is(newest.manifest.builtAt, 1_700_000_000);
  const given = await lab.release({ force: true, sourceDateEpoch: '1600000000' });
  assert.is(given.manifest.builtAt, 1_600_000_000);
  for (const text of ['', 'now', '-1', '1.5', '9'.repeat(16)]) {
    const code = await codeOfRejection(() => lab.release({ force: true, sourceDateEpoch: text }));
    assert.is(code, 'CONFIG_SOURCE_DATE_EPOCH', text);
  }
});

test('mtime: epoch gives build time 0', async () => {
  using lab = bootsetLab(
    LAB_BOOTSET.replaceAll(' }\n', ', recipe: { mtime: epoch } }\n').replace(
      '{ 1: 7, recipe: { mtime: epoch } }',
      '{ 1: 7 }',
    ),
  );
  assert.is((await lab.release()).manifest.builtAt, 0);
});

test('the whole recipe is signed, and told by record and verification', async () => {
  const recipe = '{ mtime: clamp, xattrs: capability, root_metadata: usr, selinux: file_contexts }';
  using lab = bootsetLab(
    LAB_BOOTSET.replace('directory: rootfs }', `directory: rootfs }, recipe: ${recipe}`),
  );
  lab.write('file_contexts', '/usr(/.*)? u:r:usr\n');
  const built = await lab.release({ sourceDateEpoch: '1600000000' });
  const { manifest } = built;
  assert.is(manifest.minRuntime, 3);
  const sum = (text: string): string => createHash('sha256').update(text).digest('hex');
  const expected = {
    mtime: 'clamp',
    xattrs: 'capability',
    hardlinks: 'split',
    devices: 'keep',
    inlineMax: 64,
    rootMetadata: 'usr',
    selinux: sum(`${sum('/usr(/.*)? u:r:usr\n')}  file_contexts\n`),
  };
  const index = manifest.images.findIndex(({ name }) => name === 'root');
  assert.equal(describeRecipe(recipesOf(manifest)[index]!), expected);
  const record = JSON.parse(readFileSync(join(lab.path, 'out/release.json'), 'utf8')) as {
    options: { images: Record<string, object> };
  };
  assert.equal(record.options.images['root'], {
    hash: 'sha256',
    minVersion: 0,
    maxVersion: 1,
    ...expected,
  });
  const dump = readTree(
    openImage(readFileSync(join(lab.path, 'out/images', imageFileName(manifest.images[index]!)))),
  );
  assert.is(Number(dump.mtimeSec), 1_600_000_000);
  const usr = dump.children!.find(({ name }) => name === 'usr')!;
  assert.equal(usr.xattrs, [{ name: 'security.selinux', value: 'u:r:usr\0' }]);
});

test('the record says what went in, with nothing of this machine', async () => {
  using lab = bootsetLab();
  const built = await lab.release();
  const text = readFileSync(join(lab.path, 'out/release.json'), 'utf8');
  const record = JSON.parse(text) as {
    manifestSha256: string;
    timings: string;
    inputs: { images: { name: string; directory: string; entries: number; treeSha256: string }[] };
    options: { images: Record<string, object> };
  };
  assert.is(record.manifestSha256, built.manifestSha256);
  assert.is(record.timings, 'timings.json');
  assert.not(text.includes(lab.path));
  assert.equal(
    record.inputs.images.map(({ name, directory, entries }) => [name, directory, entries]),
    [
      ['root', 'rootfs', 5],
      ['app', 'bundle', 3],
    ],
  );
  const options = {
    hash: 'sha256',
    minVersion: 0,
    maxVersion: 1,
    mtime: 'keep',
    xattrs: 'all',
    hardlinks: 'split',
    devices: 'keep',
    inlineMax: 64,
  };
  assert.equal(record.options.images, { root: options, app: options });
});

// --- refused before the work ----------------------------------------------------------------------------

const BOARD = `id: board
name: Board
arch: x86_64
compatible: ['test,board']
production: false
signing: { roles: [development] }
epochs: [{ domain: 1, name: system }]
kernel: { min_version: '6.12', source: test }
erofs: { formats: [0], source: test }
verity: {}
`;

type Refusal = readonly [
  name: string,
  code: string,
  bootset: (text: string) => string,
  board: (text: string) => string,
];

const same = (text: string): string => text;
const REFUSALS: readonly Refusal[] = [
  [
    'a development key for a production board',
    'CONFIG_KEY_DEVELOPMENT',
    same,
    (text) =>
      text
        .replace('production: false', 'production: true')
        .replace('[development]', '[production]'),
  ],
  [
    'a role the key is not for',
    'CONFIG_KEY_ROLE',
    (text) => `${text}role: production\n`,
    (text) => text.replace('[development]', '[production, development]'),
  ],
  [
    'a role the board does not take',
    'CONFIG_BOARD_MISMATCH',
    same,
    (text) => text.replace('[development]', '[factory]'),
  ],
  [
    'a signature algorithm the board does not take',
    'CONFIG_BOARD_MISMATCH',
    same,
    (text) => text.replace('roles:', 'algorithms: [ES256], roles:'),
  ],
  [
    'a missing rollback domain',
    'CONFIG_BOARD_MISMATCH',
    same,
    (text) => text.replace('name: system }', 'name: system }, { domain: 2, name: chain }'),
  ],
  [
    'an algorithm the kernel does not have',
    'CONFIG_BOARD_MISMATCH',
    (text) => text.replace('directory: rootfs }', 'directory: rootfs }, recipe: { hash: sha512 }'),
    same,
  ],
  [
    'a format the kernel does not mount',
    'CONFIG_BOARD_MISMATCH',
    (text) =>
      text.replace('directory: rootfs }', 'directory: rootfs }, recipe: { min_version: 1 }'),
    same,
  ],
  [
    'a kernel that does not see the whiteouts of an image',
    'CONFIG_BOARD_MISMATCH',
    (text) =>
      text.replace('directory: rootfs }', 'tar: whiteout.tar }, recipe: { max_version: 0 }'),
    same,
  ],
  [
    'times to clamp without SOURCE_DATE_EPOCH',
    'CONFIG_RECIPE_CLAMP',
    (text) => text.replace('directory: rootfs }', 'directory: rootfs }, recipe: { mtime: clamp }'),
    same,
  ],
  [
    'a root like a /usr that is not there',
    'CONFIG_RECIPE_ROOT',
    (text) =>
      text.replace('directory: bundle }', 'directory: bundle }, recipe: { root_metadata: usr }'),
    same,
  ],
  [
    'a policy that the image does not have',
    'CONFIG_SELINUX_MISSING',
    (text) =>
      text.replace('directory: rootfs }', 'directory: rootfs }, recipe: { selinux: image }'),
    same,
  ],
  [
    'a policy that is nowhere',
    'CONFIG_BOOTSET',
    (text) => text.replace('directory: rootfs }', 'directory: rootfs }, recipe: { selinux: none }'),
    same,
  ],
  [
    'a board that is not there',
    'CONFIG_BOARD_UNKNOWN',
    (text) => text.replace('./board.yaml', 'nil'),
    same,
  ],
  ['an expired key', 'CONFIG_KEY_EXPIRED', same, same],
];

for (const [name, code, bootset, board] of REFUSALS) {
  test(`refused, and nothing written: ${name}`, async () => {
    using lab = bootsetLab(bootset(LAB_BOOTSET.replace('qemu-x86_64', './board.yaml')));
    lab.write('board.yaml', board(BOARD));
    writeFileSync(join(lab.path, 'whiteout.tar'), tarOf({ name: 'w', type: '3' }));
    const now = code === 'CONFIG_KEY_EXPIRED' ? LAB_NOW + 400 * 86_400 : LAB_NOW;
    assert.is(await codeOfRejection(() => lab.release({ now })), code);
    assert.equal(outputs(lab), []);
  });
}

test('the board on the command line replaces that of the bootset', async () => {
  using lab = bootsetLab();
  const built = await lab.release({ board: 'qemu-aarch64' });
  assert.equal(built.manifest.boards, ['qemu-aarch64']);
});

// --- the directory --------------------------------------------------------------------------------------

test('what is there is replaced only with --force, and only a release', async () => {
  using lab = bootsetLab();
  await lab.release();
  assert.is(await codeOfRejection(() => lab.release()), 'USAGE_OUTPUT_EXISTS');
  await lab.release({ force: true });
  lab.write('precious/thesis.txt', 'years of work');
  const output = join(lab.path, 'precious');
  assert.is(
    await codeOfRejection(() => lab.release({ output, force: true })),
    'USAGE_NOT_A_RELEASE',
  );
  assert.ok(existsSync(join(output, 'thesis.txt')));
  mkdirSync(join(lab.path, 'empty'));
  await lab.release({ output: join(lab.path, 'empty'), force: true });
  assert.ok(existsSync(join(lab.path, 'empty/manifest.cose')));
  assert.equal(outputs(lab).sort(), ['empty', 'out', 'precious']);
});

test('a release and a source never lie inside each other', async () => {
  using lab = bootsetLab();
  for (const name of ['rootfs/out', 'rootfs', '.']) {
    const output = join(lab.path, name);
    const code = await codeOfRejection(() => lab.release({ output, force: true }));
    assert.is(code, 'USAGE_STORE_IN_SOURCE', name);
  }
});

test('damage between writing and reading back is found, and nothing is published', async () => {
  const cases: readonly [part: string, code: string][] = [
    ['objects', 'VERIFY_OBJECT_DIGEST'],
    ['images', 'VERIFY_IMAGE_DIGEST'],
    ['manifest.cose', 'VERIFY_SIGNATURE'],
  ];
  for (const [part, code] of cases) {
    using lab = bootsetLab();
    const startProgress = (label: string): { update(): void; done(): void } => {
      if (label === 'reading back') damage(lab.path, part);
      return { update: () => undefined, done: () => undefined };
    };
    assert.is(await codeOfRejection(() => lab.release({ startProgress })), code, part);
    assert.equal(outputs(lab), []);
  }
});

/** Changes the last byte of the first file of the unfinished release below `part`. */
function damage(directory: string, part: string): void {
  const unfinished = readdirSync(directory).find((name) => name.startsWith('.out.unfinished-'))!;
  const files = contents(join(directory, unfinished));
  const path = [...files.keys()].find((name) => name.startsWith(part))!;
  const bytes = Buffer.from(files.get(path)!, 'latin1');
  bytes[bytes.length - 1]! ^= 1;
  rmSync(join(directory, unfinished, path));
  writeFileSync(join(directory, unfinished, path), bytes);
}

test('an interruption leaves nothing', async () => {
  using lab = bootsetLab();
  const signal = AbortSignal.abort();
  await lab.release({ signal }).then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as Error).name, 'AbortError'),
  );
  assert.equal(outputs(lab), []);
});

test('what a killed run left is removed by the next one', async () => {
  using lab = bootsetLab();
  lab.write('.out.unfinished-abcdef/objects/ab/cd', 'half');
  lab.write('.other.unfinished-abcdef/x', 'not ours');
  await lab.release();
  assert.equal(outputs(lab).sort(), ['.other.unfinished-abcdef', 'out']);
});

// --- dumps ----------------------------------------------------------------------------------------------

const DIGEST = toHex(fsVerityDigest(Buffer.from(LAB_CONTENT), 'sha256', hashFunction('sha256')));
const DUMP_ROOT = '/ 0 40755 2 0 0 0 0.0 - - -\n';

/** A dump of one file called `data`. */
function dump(payload: string, digest: string, size = LAB_CONTENT.length): string {
  return `${DUMP_ROOT}/data ${size} 100644 1 0 0 0 0.0 ${payload} - ${digest}\n`;
}

function dumpLab(text: string, recipe = ''): BootsetLab {
  const source = `{ dump: tree.dump, objects: [store] }${recipe}`;
  const lab = bootsetLab(
    `${LAB_BOOTSET.slice(0, LAB_BOOTSET.indexOf('images:'))}images:
  - { name: data, role: config, source: ${source} }
`,
  );
  lab.write('tree.dump', text);
  lab.write(`store/${objectPath(DIGEST)}`, LAB_CONTENT);
  return lab;
}

test('a dump with digests is released from its objects, as the directory would be', async () => {
  using lab = dumpLab(dump(objectPath(DIGEST), DIGEST));
  const built = await lab.release();
  assert.equal(built.objects, { count: 1, bytes: LAB_CONTENT.length });
  assert.is(built.images[0]!.entry.recipe, undefined);
  assert.is(readFileSync(join(lab.path, 'out/objects', objectPath(DIGEST)), 'utf8'), LAB_CONTENT);
});

test('an empty file and a file in the image need no digest', async () => {
  using lab = dumpLab(
    `${DUMP_ROOT}/empty 0 100644 1 0 0 0 0.0 - - -\n/in 3 100644 1 0 0 0 0.0 - abc -\n`,
  );
  assert.equal((await lab.release()).objects, { count: 0, bytes: 0 });
});

const DUMPS: readonly [name: string, text: string, code: string][] = [
  ['no digest', dump(objectPath(DIGEST), '-'), 'CONFIG_OBJECT_UNDIGESTED'],
  ['neither payload nor digest', dump('-', '-'), 'CONFIG_OBJECT_UNDIGESTED'],
  ['another payload', dump(`00/${'0'.repeat(62)}`, DIGEST), 'CONFIG_OBJECT_PATH'],
  [
    'another algorithm',
    dump(objectPath('ab'.repeat(64)), 'ab'.repeat(64)),
    'CONFIG_OBJECT_ALGORITHM',
  ],
  [
    'an object that is nowhere',
    dump(objectPath('ab'.repeat(32)), 'ab'.repeat(32)),
    'CONFIG_OBJECT_MISSING',
  ],
  ['an object of another size', dump(objectPath(DIGEST), DIGEST, 5000), 'VERIFY_OBJECT_SIZE'],
];

for (const [name, text, code] of DUMPS) {
  test(`a dump is refused: ${name}`, async () => {
    using lab = dumpLab(text);
    const failure = await lab.release().then(
      () => undefined,
      (error: unknown) => error as Error & { code: string },
    );
    assert.is(failure?.code, code);
    if (code.startsWith('CONFIG_')) assert.match(failure!.message, / \/data/);
    assert.equal(outputs(lab), []);
  });
}

test('a damaged object is refused, unless a later store has it whole', async () => {
  using lab = dumpLab(dump(objectPath(DIGEST), DIGEST));
  const path = join(lab.path, 'store', objectPath(DIGEST));
  const whole = `${path}-whole`;
  renameSync(path, whole);
  writeFileSync(path, LAB_CONTENT.replace('shared', 'SHARED'));
  assert.is(await codeOfRejection(() => lab.release()), 'VERIFY_OBJECT_DIGEST');
  lab.write(
    'BOOTSET.yaml',
    readFileSync(join(lab.path, 'BOOTSET.yaml'), 'utf8').replace('[store]', '[store, second]'),
  );
  lab.write(`second/${objectPath(DIGEST)}`, LAB_CONTENT);
  rmSync(whole);
  await lab.release();
});

test('the manifest carries what the bootset says', async () => {
  using lab =
    bootsetLab(`${LAB_BOOTSET}valid: { not_before: 2026-01-01T00:00:00Z, not_after: 2030-01-01T00:00:00Z }
x: { note: text }
`);
  await lab.release();
  const bytes = readFileSync(join(lab.path, 'out/manifest.cose'));
  const manifest = decodeManifest(decodeEnvelope(bytes).payload);
  assert.equal(
    [manifest.product, manifest.version, manifest.boards, [...manifest.epochs], manifest.role],
    ['demo', '1.0', ['qemu-x86_64'], [[1, 7]], 2],
  );
  assert.equal(manifest.valid, { notBefore: 1_767_225_600, notAfter: 1_893_456_000 });
  assert.equal([...manifest.notes!], [['note', 'text']]);
  assert.equal(
    manifest.images.map(({ name, role, mount, start }) => [name, role, mount, start]),
    [
      ['root', 1, 1, 3],
      ['app', 2, 2, 1],
    ],
  );
});

test.run();
