/** Bootsets: what is refused, with the path of every problem, and what the defaults come to. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { MOUNT_FLAG } from '../../runtime/format/manifest-image.ts';
import { editDistance, nearestWord } from '../../toolchain/config/nearest.ts';
import { loadBootset } from '../../toolchain/release/bootset.ts';
import { parseTime } from '../../toolchain/config/utc-time.ts';
import { bootsetLab, LAB_BOOTSET } from '../support/bootset-lab.ts';

const test = suite('bootset');

/** The code and the problem lines of a bootset, with `line:column` cut off. */
function problemsOf(text: string): { code: string; problems: string[] } {
  using lab = bootsetLab(text);
  lab.write('empty.dump', '/ 0 40755 2 0 0 0 0.0 - - -\n');
  try {
    loadBootset(`${lab.path}/BOOTSET.yaml`);
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    const lines = error.message.split('\n').slice(1);
    const problems = lines.map((line) =>
      line
        .trim()
        .replace(/^\d+:\d+ /, '')
        .replaceAll(lab.path, 'LAB'),
    );
    return { code: error.code, problems };
  }
  return { code: 'none', problems: [] };
}

const HEAD = `product: demo
version: '1'
board: qemu-x86_64
epochs: { 1: 1 }
`;
const IMAGE = '{ name: root, role: system, source: { directory: rootfs } }';

type Case = readonly [name: string, text: string, problems: readonly string[]];

const REFUSED: readonly Case[] = [
  ['nothing', '', ['bootset is empty, expected settings']],
  ['a list', '- 1\n', ['bootset is a list, expected settings']],
  [
    'everything missing',
    '{}',
    [
      'product is missing, expected text',
      'version is missing, expected text',
      'epochs is missing, expected settings',
      'images is missing, expected a list',
    ],
  ],
  [
    'a mistyped setting',
    `${HEAD.replace('product', 'prodcut')}images: [${IMAGE}]\n`,
    ['product is missing, expected text', 'prodcut is not a known setting, did you mean product?'],
  ],
  [
    'an unknown setting that is like none',
    `${HEAD}images: [{ name: root, role: system, source: { directory: rootfs, zzzzzz: 1 } }]\n`,
    [
      'images[0].source.zzzzzz is not a known setting, expected directory, tar, cpio, oci, docker, ref, dump, objects',
    ],
  ],
  [
    'a number for a version',
    `${HEAD.replace("'1'", '1.5')}images: [${IMAGE}]\n`,
    ['version is 1.5, expected text (put it in quotes)'],
  ],
  [
    'a domain that is no number',
    `${HEAD.replace('1: 1', 'system: 1')}images: [${IMAGE}]\n`,
    ['epochs.system has a name that is not allowed, expected the number of a rollback domain'],
  ],
  [
    'an epoch that would be rounded',
    `${HEAD.replace('1: 1', '1: 18446744073709551615')}images: [${IMAGE}]\n`,
    [
      'epochs.1 is 18446744073709552000, expected at most 9007199254740991',
      'epochs.1 is 18446744073709552000, expected at most 4294967295',
    ],
  ],
  [
    'no epoch',
    `${HEAD.replace('1: 1', '')}images: [${IMAGE}]\n`,
    ['epochs has no entry or too many, expected 1 to 16'],
  ],
  [
    'a role with a typing error',
    `${HEAD}role: devlopment\nimages: [${IMAGE}]\n`,
    ['role is "devlopment", did you mean development?'],
  ],
  [
    'both sources and none',
    `${HEAD}images:
  - { name: a, role: config, source: { directory: rootfs, dump: empty.dump } }
  - { name: b, role: config, source: {} }
`,
    [
      'images[0].source has 2 of directory, tar, cpio, oci, docker and dump, expected one of them',
      'images[1].source has 0 of directory, tar, cpio, oci, docker and dump, expected one of them',
    ],
  ],
  [
    'a source that is not there',
    `${HEAD}images:
  - { name: a, role: config, source: { directory: nowhere } }
  - { name: b, role: config, source: { dump: rootfs } }
  - { name: c, role: config, source: { dump: empty.dump, objects: [nowhere] } }
`,
    [
      'images[0].source.directory is LAB/nowhere, which does not exist',
      'images[1].source.dump is LAB/rootfs, expected a file',
      'images[2].source.objects[0] is LAB/nowhere, which does not exist',
    ],
  ],
  [
    'an OCI source that is not there',
    `${HEAD}images:
  - { name: a, role: config, source: { oci: nowhere } }
`,
    ['images[0].source.oci is LAB/nowhere, which does not exist'],
  ],
  [
    'an OCI image for boards of two kinds',
    `${HEAD.replace('board: qemu-x86_64', 'board: [qemu-x86_64, qemu-aarch64]')}images:
  - { name: a, role: config, source: { directory: rootfs } }
  - { name: b, role: config, source: { oci: rootfs } }
`,
    ['images[1].source.oci is for one kind of machine, and the boards are x86_64 and aarch64'],
  ],
  [
    'settings without effect',
    `${HEAD}images:
  - { name: a, role: config, source: { dump: empty.dump }, recipe: { mtime: epoch, hardlinks: keep } }
  - { name: b, role: config, source: { directory: rootfs, objects: [rootfs] } }
  - { name: c, role: config, source: { tar: empty.dump, ref: latest } }
`,
    [
      'images[0].recipe.mtime has no effect on a dump, which already says what is in the image',
      'images[0].recipe.hardlinks has no effect on a dump, which already says what is in the image',
      'images[1].source.objects has no effect here, expected it beside dump only',
      'images[2].source.ref has no effect here, expected it beside oci or docker only',
    ],
  ],
  [
    'an image name that is no file name',
    `${HEAD}images: [{ name: ../x, role: config, source: { directory: rootfs } }]\n`,
    ['images[0].name is "../x", expected lower-case letters, digits, dots, dashes, underscores'],
  ],
  [
    'a name twice',
    `${HEAD}images: [${IMAGE}, { name: root, role: config, source: { directory: bundle } }]\n`,
    ['images[1].name is root again, expected another name'],
  ],
  [
    'two roots',
    `${HEAD}images: [${IMAGE}, { name: other, role: system, source: { directory: bundle } }]\n`,
    ['images[1].mount is root again, expected one image to be the root'],
  ],
  [
    'mounts and starts of the wrong role',
    `${HEAD}images:
  - { name: a, role: container, mount: root, source: { directory: rootfs } }
  - { name: b, role: config, start: early, source: { directory: rootfs } }
`,
    [
      'images[0].mount is root, expected that for role system only',
      'images[1].start is early, expected it for role container only',
    ],
  ],
  [
    'recipe values out of bounds',
    `${HEAD}images:
  - { name: a, role: config, source: { directory: rootfs }, recipe: { inline_max: 5001, hash: md5, mtime: now } }
  - { name: b, role: config, source: { directory: rootfs }, recipe: { min_version: 1, max_version: 0 } }
`,
    [
      'images[0].recipe.inline_max is 5001, expected at most 5000',
      'images[0].recipe.hash is "md5", expected one of sha256, sha512',
      'images[0].recipe.mtime is "now", expected one of keep, epoch, clamp, seconds',
      'images[1].recipe.max_version is 0, expected at least min_version, 1',
    ],
  ],
  [
    'times that are none',
    `${HEAD}valid: { not_before: 2026-02-31T00:00:00Z, not_after: tomorrow }\nimages: [${IMAGE}]\n`,
    [
      'valid.not_before is not a time in UTC, expected one such as 2026-01-31T00:00:00Z',
      'valid.not_after is not a time in UTC, expected one such as 2026-01-31T00:00:00Z',
    ],
  ],
  [
    'an end before its beginning',
    `${HEAD}valid: { not_before: 2026-02-01T00:00:00Z, not_after: 2026-01-01T00:00:00Z }\nimages: [${IMAGE}]\n`,
    ['valid.not_after is 2026-01-01T00:00:00Z, expected a time after not_before'],
  ],
  [
    'no board',
    `${HEAD.replace('board: qemu-x86_64\n', '')}images: [${IMAGE}]\n`,
    ['board is missing, expected a board here or with --board'],
  ],
  [
    'a board twice',
    `${HEAD.replace('qemu-x86_64', '[qemu-x86_64, qemu-aarch64, qemu-x86_64]')}images: [${IMAGE}]\n`,
    ['board[2] is qemu-x86_64 again, expected each board once'],
  ],
];

for (const [name, text, problems] of REFUSED) {
  test(`refused with its path: ${name}`, () => {
    assert.equal(problemsOf(text), { code: 'CONFIG_BOOTSET', problems: [...problems] });
  });
}

test('what is not one plain YAML document is refused', () => {
  const cases: readonly [string, string][] = [
    ['a: [1\n', 'Flow sequence'],
    ['product: a\nproduct: b\n', 'Map keys must be unique'],
    ['product: !secret a\n', 'Unresolved tag'],
    ['product: a\n---\nproduct: b\n', 'multiple documents'],
    ['\tproduct: a\n', ''],
  ];
  for (const [text, part] of cases) {
    const { code, problems } = problemsOf(text);
    assert.is(code, 'CONFIG_YAML', text);
    assert.ok(problems.join('\n').includes(part), `${text}: ${problems.join('\n')}`);
  }
  using lab = bootsetLab(`product: ${'x'.repeat(1024 * 1024)}\n`);
  assert.throws(
    () => loadBootset(`${lab.path}/BOOTSET.yaml`),
    (error: unknown) => error instanceof ColdsealError && error.code === 'CONFIG_YAML',
  );
});

test('an alias bomb is refused, not expanded', () => {
  const levels = Array.from({ length: 12 }, (_, i) =>
    i === 0
      ? 'a0: &a0 [x, x, x, x]'
      : `a${i}: &a${i} [${Array(9)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
  );
  assert.is(problemsOf(`${levels.join('\n')}\n`).code, 'CONFIG_YAML');
});

test('problems name line and column', () => {
  using lab = bootsetLab(`${HEAD}images:\n  - { name: root, role: system }\n`);
  try {
    loadBootset(`${lab.path}/BOOTSET.yaml`);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /\n {2}6:5 images\[0\]\.source is missing/);
  }
});

test('the defaults are those of mkcomposefs and of the role', () => {
  using lab = bootsetLab(LAB_BOOTSET);
  const { images, role, epochs, minDenyVersion, valid, notes } = loadBootset(
    `${lab.path}/BOOTSET.yaml`,
  );
  assert.equal(
    [role, [...epochs], minDenyVersion, valid, notes],
    [2, [[1, 7]], 0, undefined, undefined],
  );
  const { READ_ONLY, NODEV, NOSUID } = MOUNT_FLAG;
  const facts = images.map(({ role, mount, start, flags, algorithm, versions, recipe }) => {
    return { role, mount, start, flags, algorithm, versions, recipe };
  });
  const recipe = {
    mtime: 'keep',
    xattrs: 'all',
    hardlinks: 'split',
    devices: 'keep',
    inlineMax: 64,
    rootMetadata: 'source',
    selinux: undefined,
  };
  const common = { algorithm: 'sha256', versions: { min: 0, max: 1 }, recipe };
  assert.equal(facts, [
    { role: 1, mount: 1, start: 3, flags: READ_ONLY | NODEV, ...common },
    { role: 2, mount: 2, start: 1, flags: READ_ONLY | NOSUID | NODEV, ...common },
  ]);
});

test('every setting arrives', () => {
  using lab = bootsetLab(`${HEAD}role: production
valid: { not_before: 2026-01-01T00:00:00Z }
min_deny_version: 4
x: { rxswin: example }
images:
  - name: root
    role: system
    source: { directory: rootfs }
    flags: [noexec]
    recipe: { mtime: epoch, xattrs: user, hardlinks: keep, devices: skip, inline_max: 0, min_version: 1, hash: sha512,
      root_metadata: usr, selinux: image }
`);
  const set = loadBootset(`${lab.path}/BOOTSET.yaml`);
  assert.equal([set.role, set.minDenyVersion, [...set.notes!]], [1, 4, [['rxswin', 'example']]]);
  assert.equal(set.valid, { notBefore: 1_767_225_600, notAfter: null });
  const [image] = set.images;
  assert.equal(image!.recipe, {
    mtime: 'epoch',
    xattrs: 'user',
    hardlinks: 'keep',
    devices: 'skip',
    inlineMax: 0,
    rootMetadata: 'usr',
    selinux: undefined,
  });
  assert.is(image!.selinux, 'image');
  assert.equal(
    [image!.versions, image!.algorithm, image!.flags],
    [{ min: 1, max: 1 }, 'sha512', 9],
  );
});

test('the nearest word is near', () => {
  const cases: readonly [string, string | undefined][] = [
    ['prodcut', 'product'],
    ['Product', 'product'],
    ['imges', 'images'],
    ['zzz', undefined],
    ['x', undefined],
  ];
  for (const [word, expected] of cases) {
    assert.is(nearestWord(word, ['product', 'images', 'board']), expected, word);
  }
  assert.equal(
    [editDistance('', 'abc'), editDistance('ab', 'ba'), editDistance('a', 'a')],
    [3, 1, 0],
  );
});

test('times are UTC and real', () => {
  assert.is(parseTime('1970-01-01T00:00:01Z'), 1);
  for (const text of [
    '2026-01-01',
    '2026-01-01T00:00:00+01:00',
    '2026-13-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
  ]) {
    assert.is(parseTime(text), undefined, text);
  }
});

test.run();
