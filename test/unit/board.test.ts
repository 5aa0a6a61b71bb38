/** Board files: the shipped ones are good, bad ones are refused with the path, and are found by name or path. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { boardIds, loadBoard, shippedBoards } from '../../toolchain/board/load.ts';
import { isOlder } from '../../toolchain/board/kernel-version.ts';
import { expectCode } from '../support/expect-code.ts';
import { bootsetLab } from '../support/bootset-lab.ts';

const test = suite('board');

test('every shipped board loads, and names the schema for editors', () => {
  assert.equal(boardIds(), ['qemu-aarch64', 'qemu-x86_64', 'ti-am62x-sk']);
  for (const id of boardIds()) {
    const { value } = loadBoard(id, '/');
    assert.is(value.id, id);
    const text = readFileSync(join(shippedBoards(), `${id}.yaml`), 'utf8');
    assert.ok(text.startsWith('# yaml-language-server: $schema=schema.json\n'), id);
  }
  const production = boardIds().filter((id) => loadBoard(id, '/').value.production);
  assert.equal(production, ['ti-am62x-sk']);
});

test('an unknown board is refused and the nearest one named', () => {
  expectCode(() => loadBoard('nothing-like-it', '/'), 'CONFIG_BOARD_UNKNOWN');
  try {
    loadBoard('qemu-x8664', '/');
    assert.unreachable();
  } catch (error) {
    assert.is((error as ColdsealError).hint, 'did you mean qemu-x86_64?');
  }
});

const GOOD = `id: bench
name: Bench
arch: aarch64
compatible: ['vendor,bench']
production: false
signing: { roles: [development] }
epochs: [{ domain: 1, name: system }]
kernel: { min_version: '6.12', source: test }
erofs: { formats: [0, 1], source: test }
verity: {}
`;

test('a board is found beside the bootset before the shipped ones, and by path', () => {
  using lab = bootsetLab();
  lab.write('board-configs/bench.yaml', GOOD);
  lab.write('elsewhere/bench.yaml', GOOD.replace('Bench', 'Other'));
  assert.is(loadBoard('bench', lab.path).value.name, 'Bench');
  assert.is(loadBoard('elsewhere/bench.yaml', lab.path).value.name, 'Other');
  assert.equal(loadBoard('bench', lab.path).value.verity, {
    mode: 'require',
    algorithms: ['sha256'],
  });
  expectCode(() => loadBoard('./missing.yaml', lab.path), 'HOST_NOT_FOUND');
});

const REFUSED: readonly [name: string, change: (text: string) => string, problem: string][] = [
  [
    'another name than its file',
    (text) => text.replace('id: bench', 'id: other'),
    'id is other, expected bench',
  ],
  [
    'development keys in production',
    (text) => text.replace('production: false', 'production: true'),
    'signing.roles[0] is development, expected another role',
  ],
  [
    'production without verity',
    (text) =>
      text
        .replace('production: false', 'production: true')
        .replace('[development]', '[production]')
        .replace('verity: {}', 'verity: { mode: if-supported }'),
    'verity.mode is if-supported, expected require',
  ],
  [
    'a kernel that cannot enforce verity',
    (text) => text.replace("'6.12'", "'6.5'"),
    'kernel.min_version is 6.5, expected at least 6.6',
  ],
  [
    'a kernel version that YAML takes for a number',
    (text) => text.replace("'6.12'", '6.12'),
    'kernel.min_version is 6.12, expected text (put it in quotes)',
  ],
  [
    'no name for the hardware',
    (text) => text.replace("compatible: ['vendor,bench']\n", ''),
    'compatible is missing, expected it or smbios',
  ],
  [
    'a domain twice',
    (text) => text.replace('name: system }', 'name: system }, { domain: 1, name: again }'),
    'epochs[1].domain is 1 again',
  ],
  [
    'a figure without a source',
    (text) => `${text}ram_mb: { value: 1, evidence: measured }\n`,
    'ram_mb.source is missing',
  ],
  ['a bare figure', (text) => `${text}ram_mb: 2048\n`, 'ram_mb is 2048, expected settings'],
];

for (const [name, change, problem] of REFUSED) {
  test(`refused: ${name}`, () => {
    using lab = bootsetLab();
    const path = lab.write('bench.yaml', change(GOOD));
    try {
      loadBoard(path, '/');
      assert.unreachable();
    } catch (error) {
      assert.instance(error, ColdsealError);
      assert.is((error as ColdsealError).code, 'CONFIG_BOARD');
      assert.ok((error as ColdsealError).message.includes(` ${problem}`), (error as Error).message);
    }
  });
}

test('kernel versions compare by number', () => {
  const cases: readonly [string, string, boolean][] = [
    ['6.6', '6.12', true],
    ['6.12', '6.6', false],
    ['5.99', '6.0', true],
    ['6.6', '6.6', false],
  ];
  for (const [version, than, expected] of cases) assert.is(isOlder(version, than), expected);
});

test.run();
