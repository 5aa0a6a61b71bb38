/** Attacks on a release directory: what is missing, changed, longer, shorter, swapped or added is a no. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkRelease, type ReleaseReport } from '../../toolchain/sign/check-release.ts';
import { initDevKeys, openDevSigner } from '../../toolchain/sign/dev-keys.ts';
import { loadTrust } from '../../toolchain/sign/trust-file.ts';
import { objectsOfImage } from '../../toolchain/image/objects.ts';
import { signManifest } from '../../toolchain/sign/sign-manifest.ts';
import { textReport } from '../../toolchain/sign/verify-report.ts';
import { createManifest } from '../../runtime/format/manifest.ts';
import { sha256, testManifest, testPolicy } from '../support/manifests.ts';
import { runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { BOOT_FILES, dumpOf, writeRelease } from '../support/test-release.ts';

const test = suite('tamper: release');
const base = tempDir();
const keys = join(base.path, 'keys');
const strangerKeys = join(base.path, 'stranger');
const NOW = Math.floor(Date.now() / 1000) - 60;
for (const dir of [keys, strangerKeys]) {
  initDevKeys(dir, { notBefore: NOW, leafDays: 90, organization: 'Example', force: false });
}
const signer = openDevSigner(keys);
const stranger = openDevSigner(strangerKeys);
const trust = join(keys, 'root.cert.pem');
const good = join(base.path, 'good');
const release = writeRelease(good, signer);

let count = 0;
function copyOf(dir: string): string {
  const copy = join(base.path, `copy${count++}`);
  cpSync(dir, copy, { recursive: true });
  return copy;
}

async function check(dir: string, trustFile = trust): Promise<ReleaseReport> {
  const policy = testPolicy({ anchors: loadTrust(trustFile), roles: [1, 2, 3, 4] });
  return checkRelease(dir, { policy, denyList: undefined, objectsOfImage });
}

/** Moves a file or directory away and leaves a link to it. */
function linkAway(path: string): void {
  const target = join(base.path, `away${count++}`);
  renameSync(path, target);
  symlinkSync(target, path);
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(path, bytes);
}

test('the good release is good', async () => {
  const { verdict, objects } = await check(good);
  assert.ok(verdict.ok, verdict.reason?.message);
  assert.is(verdict.integrity.status, 'pass');
  assert.equal(objects, { count: 2, bytes: 80_000 });
});

const [a, b] = release.objects as [string, string];
const ATTACKS: readonly [what: string, code: string, attack: (dir: string) => void][] = [
  ['no manifest', 'VERIFY_MANIFEST_MISSING', (dir) => rmSync(join(dir, 'manifest.cose'))],
  ['an empty manifest', 'FORMAT_ENVELOPE', (dir) => truncateSync(join(dir, 'manifest.cose'), 0)],
  [
    'a truncated manifest',
    'FORMAT_ENVELOPE',
    (dir) => truncateSync(join(dir, 'manifest.cose'), 4000),
  ],
  [
    'a longer manifest',
    'FORMAT_ENVELOPE',
    (dir) => appendFileSync(join(dir, 'manifest.cose'), '\0'),
  ],
  [
    'an endless manifest',
    'FORMAT_ENVELOPE_SIZE',
    (dir) => truncateSync(join(dir, 'manifest.cose'), 2 ** 34),
  ],
  [
    'a manifest that is a link',
    'VERIFY_MANIFEST_MISSING',
    (dir) => {
      renameSync(join(dir, 'manifest.cose'), join(dir, 'm'));
      symlinkSync('m', join(dir, 'manifest.cose'));
    },
  ],
  [
    'a manifest that is a pipe',
    'VERIFY_MANIFEST_MISSING',
    (dir) => {
      rmSync(join(dir, 'manifest.cose'));
      execFileSync('mkfifo', [join(dir, 'manifest.cose')]);
    },
  ],
  [
    'a manifest by a stranger',
    'VERIFY_ANCHOR_UNKNOWN',
    (dir) => writeFileSync(join(dir, 'manifest.cose'), signManifest(release.manifest, stranger)),
  ],
  [
    'a manifest of another release',
    'VERIFY_IMAGE_MISSING',
    (dir) =>
      writeFileSync(join(dir, 'manifest.cose'), signManifest(testManifest({ role: 2 }), signer)),
  ],
  ['no image', 'VERIFY_IMAGE_MISSING', (dir) => rmSync(join(dir, release.image))],
  ['no images', 'VERIFY_IMAGE_MISSING', (dir) => rmSync(join(dir, 'images'), { recursive: true })],
  ['a changed image', 'VERIFY_IMAGE_DIGEST', (dir) => flip(join(dir, release.image), 1500)],
  ['a longer image', 'VERIFY_IMAGE_SIZE', (dir) => appendFileSync(join(dir, release.image), '\0')],
  ['a truncated image', 'VERIFY_IMAGE_SIZE', (dir) => truncateSync(join(dir, release.image), 4096)],
  [
    'an image that is a directory',
    'VERIFY_IMAGE_MISSING',
    (dir) => {
      rmSync(join(dir, release.image));
      mkdirSync(join(dir, release.image));
    },
  ],
  ['no object', 'VERIFY_OBJECT_MISSING', (dir) => rmSync(join(dir, a))],
  [
    'no objects',
    'VERIFY_OBJECT_MISSING',
    (dir) => rmSync(join(dir, 'objects'), { recursive: true }),
  ],
  ['a changed object', 'VERIFY_OBJECT_DIGEST', (dir) => flip(join(dir, b), 69_999)],
  ['a longer object', 'VERIFY_OBJECT_SIZE', (dir) => appendFileSync(join(dir, b), 'b')],
  ['a truncated object', 'VERIFY_OBJECT_SIZE', (dir) => truncateSync(join(dir, a), 9_999)],
  [
    'an object in place of another',
    'VERIFY_OBJECT_SIZE',
    (dir) => cpSync(join(dir, a), join(dir, b)),
  ],
  [
    'an object that is a link',
    'VERIFY_OBJECT_MISSING',
    (dir) => {
      renameSync(join(dir, a), join(base.path, 'elsewhere'));
      symlinkSync(join(base.path, 'elsewhere'), join(dir, a));
    },
  ],
  [
    'an images directory that is a link',
    'VERIFY_FILE_KIND',
    (dir) => linkAway(join(dir, 'images')),
  ],
  ['an object store that is a link', 'VERIFY_FILE_KIND', (dir) => linkAway(join(dir, 'objects'))],
  [
    'a directory of the store that is a link',
    'VERIFY_FILE_KIND',
    (dir) => linkAway(dirname(join(dir, a))),
  ],
  [
    'a file in place of the object store',
    'VERIFY_FILE_KIND',
    (dir) => {
      rmSync(join(dir, 'objects'), { recursive: true });
      writeFileSync(join(dir, 'objects'), '');
    },
  ],
  [
    'a file in place of a directory of the store',
    'VERIFY_FILE_KIND',
    (dir) => {
      rmSync(dirname(join(dir, a)), { recursive: true });
      writeFileSync(dirname(join(dir, a)), '');
    },
  ],
  [
    'a record that is a link',
    'VERIFY_FILE_KIND',
    (dir) => symlinkSync('/dev/null', join(dir, 'sbom.json')),
  ],
  ...Object.values(BOOT_FILES).flatMap(([name, bytes]): (typeof ATTACKS)[number][] => [
    [`no ${name}`, 'VERIFY_BOOT_FILE_MISSING', (dir) => rmSync(join(dir, name))],
    [`a changed ${name}`, 'VERIFY_BOOT_FILE', (dir) => flip(join(dir, name), bytes.length - 1)],
    [`a longer ${name}`, 'VERIFY_BOOT_FILE', (dir) => appendFileSync(join(dir, name), '\0')],
    [`an empty ${name}`, 'VERIFY_BOOT_FILE', (dir) => truncateSync(join(dir, name), 0)],
    [
      `a ${name} that is a link`,
      'VERIFY_BOOT_FILE_MISSING',
      (dir) => {
        renameSync(join(dir, name), join(base.path, `elsewhere-${name}`));
        symlinkSync(join(base.path, `elsewhere-${name}`), join(dir, name));
      },
    ],
  ]),
  [
    'the command line in place of the kernel',
    'VERIFY_BOOT_FILE',
    (dir) => cpSync(join(dir, 'cmdline.txt'), join(dir, 'kernel')),
  ],
  [
    'an initramfs under another of its names, with another content',
    'VERIFY_BOOT_FILE',
    (dir) => writeFileSync(join(dir, 'initramfs.cpio'), 'other'),
  ],
  [
    'a second initramfs',
    'VERIFY_EXTRA_FILE',
    (dir) => writeFileSync(join(dir, 'initramfs.cpio.zst'), 'an initramfs'),
  ],
  [
    'a disk that is a link',
    'VERIFY_FILE_KIND',
    (dir) => symlinkSync('/dev/null', join(dir, 'disk.img')),
  ],
  ['a file beside the manifest', 'VERIFY_EXTRA_FILE', (dir) => writeFileSync(join(dir, 'x'), '')],
  ['a second image', 'VERIFY_EXTRA_FILE', (dir) => writeFileSync(join(dir, 'images/x.cfs'), '')],
  ['an object nobody needs', 'VERIFY_EXTRA_FILE', (dir) => writeFileSync(join(dir, `${a}0`), '')],
  [
    'a directory in the store',
    'VERIFY_EXTRA_FILE',
    (dir) => mkdirSync(join(dir, 'objects/.staging-1')),
  ],
];

test('boot files and a disk that no manifest binds are surplus', async () => {
  for (const name of ['kernel', 'disk.img', 'initramfs.cpio', 'cmdline.txt', 'dtb']) {
    const dir = copyOf(good);
    for (const [file] of Object.values(BOOT_FILES)) rmSync(join(dir, file));
    const unbound = createManifest({ ...release.manifest, bootBinding: undefined }, sha256);
    writeFileSync(join(dir, 'manifest.cose'), signManifest(unbound, signer));
    assert.ok((await check(dir)).verdict.ok, name);
    writeFileSync(join(dir, name), 'x');
    assert.is((await check(dir)).verdict.reason?.code, 'VERIFY_EXTRA_FILE', name);
  }
});

test('a disk is there to be flashed; verify says that it has not looked at it', async () => {
  const dir = copyOf(good);
  assert.is((await check(dir)).hasDisk, false);
  writeFileSync(join(dir, 'disk.img'), 'not a disk at all');
  const report = await check(dir);
  assert.ok(report.verdict.ok);
  assert.is(report.hasDisk, true);
  assert.equal(report.bootFiles, ['kernel', 'dtb', 'cmdline.txt', 'initramfs.cpio.lz4']);
  const text = textReport(report).join('\n');
  assert.match(text, /^disk {10}not looked at: coldseal disk check disk\.img$/m);
  assert.match(text, /^boot files {4}kernel, dtb, cmdline\.txt, initramfs\.cpio\.lz4: pass$/m);
});

test('each attack is refused by its own code', async () => {
  for (const [what, code, attack] of ATTACKS) {
    const dir = copyOf(good);
    attack(dir);
    // A file that cannot even be opened as an envelope is a no as well, before the verdict has a manifest.
    const got = await check(dir).then(
      ({ verdict }) => verdict.reason?.code ?? 'verified',
      (error: { code?: string }) => error.code,
    );
    assert.is(got, code, what);
    rmSync(dir, { recursive: true });
  }
});

test('images that name other objects than the manifest are refused', async () => {
  const digest = 'ab'.repeat(32);
  const path = `ab/${digest.slice(2)}`;
  const cases: readonly [string, string, { path: string; digest: string; size: number }[]][] = [
    ['other objects', 'VERIFY_OBJECT_LIST', [{ path, digest, size: 10 }]],
    ['no objects', 'VERIFY_OBJECT_LIST', []],
    ['an object without digest', 'VERIFY_OBJECT_UNDIGESTED', [{ path, digest: '-', size: 10 }]],
    ['an object elsewhere', 'VERIFY_OBJECT_PATH', [{ path: 'ab/cd', digest, size: 10 }]],
    [
      'one object of two sizes',
      'FORMAT_OBJECT_LIST',
      [
        { path, digest, size: 10 },
        { path, digest, size: 11 },
      ],
    ],
  ];
  for (const [what, code, files] of cases) {
    const dir = join(base.path, `list${count++}`);
    writeRelease(dir, signer, dumpOf(files));
    const { verdict } = await check(dir);
    assert.is(verdict.reason?.code, code, what);
    assert.is(verdict.integrity.status, 'fail', what);
  }
});

test('an image that is no image is refused after its digest was found good', async () => {
  const dir = copyOf(good);
  const options = {
    policy: testPolicy({ anchors: loadTrust(trust), roles: [2] }),
    denyList: undefined,
    objectsOfImage: () => objectsOfImage(new Uint8Array(8192)),
  };
  const { verdict } = await checkRelease(dir, options);
  assert.match(verdict.reason?.code ?? '', /^FORMAT_/);
});

// --- the command ---

const CHECKED = ['authenticity', 'role', 'integrity', 'board', 'epoch', 'time'];

test('the command says yes with 0 and no with 3, with and without --json', async () => {
  const yes = await runCli(['verify', good, '--trust', trust]);
  assert.is(yes.code, 0, yes.stderr);
  assert.match(yes.stdout, /^verified: 1 images, 2 objects/);
  const bad = copyOf(good);
  flip(join(bad, b), 5);
  for (const flags of [[], ['--json']]) {
    const no = await runCli(['verify', bad, '--trust', trust, ...flags]);
    assert.is(no.code, 3);
    assert.match(no.stdout, /VERIFY_OBJECT_DIGEST/);
  }
  const json = JSON.parse((await runCli(['verify', bad, '--trust', trust, '--json'])).stdout) as {
    ok: boolean;
    result: { checks: object; reason: { code: string } };
  };
  assert.is(json.ok, false);
  assert.equal(Object.keys(json.result.checks), CHECKED);
});

const REFUSALS: readonly [what: string, exit: number, code: string, args: () => string[]][] = [
  ['no trust', 2, 'USAGE_TRUST_REQUIRED', () => [good]],
  [
    'a wrong root',
    3,
    'VERIFY_ANCHOR_UNKNOWN',
    () => [good, '--trust', join(strangerKeys, 'root.cert.pem')],
  ],
  [
    'a leaf as trust',
    2,
    'CONFIG_TRUST_NOT_ROOT',
    () => [good, '--trust', join(keys, 'image.cert.pem')],
  ],
  ['no trust file', 6, 'HOST_NOT_FOUND', () => [good, '--trust', join(keys, 'absent')]],
  ['another board', 3, 'VERIFY_BOARD', () => [good, '--trust', trust, '--board', 'x']],
  [
    'a board whose file refuses development',
    3,
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => [good, '--trust', trust, '--board', 'ti-am62x-sk'],
  ],
  ['another product', 3, 'VERIFY_PRODUCT', () => [good, '--trust', trust, '--product', 'x']],
  ['a higher epoch', 3, 'VERIFY_EPOCH', () => [good, '--trust', trust, '--min-epoch', '1=8']],
  [
    'production only',
    3,
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => [good, '--trust', trust, '--accept', 'production'],
  ],
  ['a bad epoch', 2, 'USAGE_BAD_VALUE', () => [good, '--trust', trust, '--min-epoch', 'x']],
  [
    'an epoch that no manifest can have',
    2,
    'USAGE_BAD_VALUE',
    () => [good, '--trust', trust, '--min-epoch', '1=4294967296'],
  ],
  [
    'the highest epoch',
    3,
    'VERIFY_EPOCH',
    () => [good, '--trust', trust, '--min-epoch', '1=4294967295'],
  ],
  ['a bad deny list', 3, 'FORMAT_ENVELOPE', () => [good, '--trust', trust, '--deny', trust]],
  [
    'no directory',
    3,
    'VERIFY_MANIFEST_MISSING',
    () => [join(base.path, 'absent'), '--trust', trust],
  ],
  ['no manifest', 3, 'VERIFY_MANIFEST_MISSING', () => [keys, '--trust', trust]],
  [
    'a wrong root and a deny list',
    3,
    'VERIFY_ANCHOR_UNKNOWN',
    () => [
      good,
      '--trust',
      join(strangerKeys, 'root.cert.pem'),
      '--deny',
      join(good, 'manifest.cose'),
      '--mode',
      'install',
    ],
  ],
];

test('every flag says no in its own words', async () => {
  for (const [what, exit, code, args] of REFUSALS) {
    const { code: got, stdout } = await runCli(['verify', '--json', ...args()]);
    assert.is(got, exit, what);
    const document = JSON.parse(stdout) as {
      ok: boolean;
      error?: { code: string };
      result?: { reason: { code: string } };
    };
    assert.is(document.ok, false, what);
    assert.is(document.error?.code ?? document.result?.reason.code, code, what);
  }
  const asked = [
    '--board',
    'linux,dummy-virt',
    '--product',
    'demo',
    '--min-epoch',
    '1=7',
    '--mode',
    'install',
  ];
  const { code, stdout } = await runCli(['verify', good, '--trust', trust, '--json', ...asked]);
  const { result } = JSON.parse(stdout) as {
    result: { checks: Record<string, { status: string }> };
  };
  assert.equal(
    Object.values(result.checks).map(({ status }) => status),
    CHECKED.map(() => 'pass'),
  );
  assert.is(code, 0);
});

test.run();
