/** Board files: the shipped ones are good, bad ones are refused with the path, and are found by name or path. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { failureAction, type FailureStep } from '../../toolchain/board/boot-settings.ts';
import { boardIds, loadBoard, shippedBoards } from '../../toolchain/board/load.ts';
import { isOlder } from '../../toolchain/board/kernel-version.ts';
import { expectCode } from '../support/expect-code.ts';
import { bootsetLab } from '../support/bootset-lab.ts';

const test = suite('board');

test('every shipped board loads, and names the schema for editors', () => {
  assert.equal(boardIds(), [
    'intel-elkhart-lake-crb',
    'nxp-imx8mp-evk',
    'nxp-s32g3-rdb3',
    'qemu-aarch64',
    'qemu-microvm-x86_64',
    'qemu-x86_64',
    'qualcomm-sa8775p-ride',
    'radxa-rock-5b',
    'raspberrypi-4b',
    'raspberrypi-5',
    'renesas-spider',
    'ti-am62p-sk',
    'ti-am62x-sk',
    'ti-j784s4-evm',
  ]);
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
  [
    'a kernel from two places',
    kernel('package: { suite: trixie, name: linux-image-cloud-arm64 }, image: Image'),
    'kernel.image stands beside package, expected one of the two',
  ],
  [
    'a kernel for another architecture',
    kernel('package: { suite: trixie, name: linux-image-cloud-amd64 }'),
    'kernel.package.name is linux-image-cloud-amd64, expected one for arm64',
  ],
  [
    'modules of no kernel',
    kernel('modules: lib/modules/6.12.30'),
    'kernel.modules has no effect without image',
  ],
  [
    'a module that is a path',
    kernel('load: [../evil]'),
    'kernel.load[0] is "../evil", expected the name of a module',
  ],
  [
    'a module twice, spelled in two ways',
    kernel('load: [virtio_blk, virtio-blk]'),
    'kernel.load[1] is virtio-blk again, expected each module once',
  ],
  [
    'another first program',
    kernel('command_line: quiet rdinit=/bin/sh'),
    'kernel.command_line has rdinit=/bin/sh, expected the runtime to stay the first program',
  ],
  [
    'a command line of two lines',
    kernel('command_line: "quiet\\nrdinit=/bin/sh"'),
    'kernel.command_line is "quiet\\nrdinit=/bin/sh", expected one line of printable ASCII',
  ],
  [
    'a slot that a board with one slot does not have',
    (text) => `${kernel('command_line: coldseal.slot=b')(text)}slots: { count: 1 }\n`,
    'kernel.command_line is refused by the runtime: Cannot use "coldseal.slot=b"',
  ],
  [
    'a shell in production',
    (text) => production(`${text}on_failure: [{ shell: true }, { halt: true }]\n`),
    'on_failure[0].shell is there, expected no shell on a production board',
  ],
  [
    'a report over virtio in production',
    (text) => production(kernel('command_line: coldseal.report=port0')(text)),
    'kernel.command_line is refused by the runtime: Cannot use "coldseal.report=port0"',
  ],
  [
    'a last resort that can fail',
    (text) => `${text}on_failure: [{ recovery: true }, { restart: {} }]\n`,
    'on_failure[1] is restart, which can fail, expected halt or power_off as the last action',
  ],
  [
    'actions that are never reached',
    (text) => `${text}on_failure: [{ halt: true }, { power_off: true }]\n`,
    'on_failure[0] is halt, expected it last: nothing after it is ever done',
  ],
  [
    'an action twice',
    (text) => `${text}on_failure: [{ restart: {} }, { restart: { max: 2 } }, { halt: true }]\n`,
    'on_failure[1] is restart again, expected each action once',
  ],
  [
    'two actions in one step',
    (text) => `${text}on_failure: [{ recovery: true, halt: true }]\n`,
    'on_failure[0] has 2 actions, expected one of recovery, restart, halt, power_off or shell',
  ],
  [
    'an action that does not happen',
    (text) => `${text}on_failure: [{ halt: false }]\n`,
    'on_failure[0].halt is false, expected true',
  ],
  [
    'endless restarts',
    (text) => `${text}on_failure: [{ restart: { max: 1000 } }, { halt: true }]\n`,
    'on_failure[0].restart.max is 1000, expected at most 15',
  ],
  [
    'a virtual machine of another architecture',
    (text) => `${text}virtual: { machine: q35, cpu: max, memory_mb: 512 }\n`,
    'virtual.machine is q35, expected virt for aarch64',
  ],
  [
    'a processor with options for QEMU',
    (text) => `${text}virtual: { machine: virt, cpu: 'max,sve=off', memory_mb: 512 }\n`,
    'virtual.cpu is "max,sve=off", expected a processor of QEMU',
  ],
  [
    'a kernel that does not unpack itself',
    (text) => `${text}virtual: { machine: virt, cpu: max, memory_mb: 512, unpack_kernel: true }\n`,
    'virtual.unpack_kernel is true, expected false for aarch64',
  ],
  [
    'three slots',
    (text) => `${text}slots: { count: 3 }\n`,
    'slots.count is 3, expected one of 1, 2',
  ],
  [
    'more tries than are counted',
    (text) => `${text}slots: { tries: 16 }\n`,
    'slots.tries is 16, expected at most 15',
  ],
  [
    'a path to climb out',
    (text) => `${text}system: { init: /sbin/../init }\n`,
    'system.init is "/sbin/../init", expected an absolute path',
  ],
  [
    'a budget for no stage',
    (text) => `${text}budget: { stages: { verfy: 10 } }\n`,
    'budget.stages.verfy is not a known setting, did you mean verify?',
  ],
  [
    'a reserve of everything',
    (text) => `${text}budget: { total_ms: 500, reserve_ms: 500 }\n`,
    'budget.reserve_ms is 500, expected less than total_ms',
  ],
  [
    'a budget that ends where it begins',
    (text) => `${text}budget: { start: kernel, stop: kernel }\n`,
    'budget.stop is kernel, expected another event than start',
  ],
  [
    'an event that no log can have',
    (text) => `${text}budget: { stop: '-x' }\n`,
    'budget.stop is "-x", expected the name of an event',
  ],
  [
    'a stretch with the name of a stage',
    (text) => `${text}budget: { stretches: [{ name: verify, from: a, to: b, ms: 1 }] }\n`,
    'budget.stretches[0].name is verify again, expected a name of its own',
  ],
  [
    'two constants before one event',
    (text) =>
      `${text}budget: { constants: [${constantOf('power-on', 'kernel')}, ${constantOf('reset', 'kernel')}] }\n`,
    'budget.constants[1].to is in constants[0] too, expected one constant at each event',
  ],
  [
    'a constant without a source',
    (text) =>
      `${text}budget: { constants: [{ name: ROM, from: a, to: b, ms: { value: 1 }, uncertainty_ms: 0 }] }\n`,
    'budget.constants[0].ms.source is missing',
  ],
];

function constantOf(from: string, to: string): string {
  const ms = '{ value: 30, source: data sheet, evidence: vendor }';
  return `{ name: ROM, from: ${from}, to: ${to}, ms: ${ms}, uncertainty_ms: 5 }`;
}

/** Adds settings to the kernel. */
function kernel(settings: string): (text: string) => string {
  return (text) => text.replace('source: test }', `source: test, ${settings} }`);
}

function production(text: string): string {
  return text
    .replace('production: false', 'production: true')
    .replace('[development]', '[production]');
}

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

test('one reading tells every problem, those between settings too', () => {
  using lab = bootsetLab();
  const bad =
    GOOD.replace('production: false', 'production: true').replace("'6.12'", "'6.5'") +
    'on_failure: [{ shell: true }]\nslots: { count: 3 }\nnoets: []\n';
  const path = lab.write('bench.yaml', bad);
  try {
    loadBoard(path, '/');
    assert.unreachable();
  } catch (error) {
    const lines = (error as Error).message.split('\n').slice(1);
    assert.equal(
      lines.map((line) => line.trim().split(' ')[1]),
      [
        'signing.roles[0]',
        'kernel.min_version',
        'on_failure[0]',
        'on_failure[0].shell',
        'slots.count',
        'noets',
      ],
    );
  }
});

test('a file that says nothing about booting has defaults that boot', () => {
  using lab = bootsetLab();
  const { value } = loadBoard(lab.write('bench.yaml', GOOD), '/');
  assert.equal(value.slots, { count: 2, tries: 3 });
  assert.equal(value.store, { deadline_ms: 2000, spare_percent: 50 });
  assert.equal(value.system, { init: '/sbin/init', container_engine: '/usr/bin/crun' });
  assert.equal(value.containers, { output: 'file', deadline_ms: 2000 });
  assert.equal(value.boot_image, { container: 'none', compression: 'none' });
  assert.equal(value.budget, {
    total_ms: 2000,
    start: 'power-on',
    stop: 'containers',
    reserve_ms: 0,
    plan: '95/95',
    stages: {},
    stretches: [],
    constants: [],
    tolerance: { ms: 0.1, percent: 0.5, stages: {} },
  });
  assert.equal([value.engine, value.rollback.backend], ['quickjs', 'state-partition']);
  assert.equal(value.on_failure.map(failureAction), [
    { action: 'restart', delayS: 5, max: 3 },
    { action: 'halt' },
  ]);
});

test('every action of a failure policy has its word on the device', () => {
  assert.equal(
    [{ recovery: true }, { power_off: true }, { shell: true }].map((step) =>
      failureAction(step as FailureStep),
    ),
    [{ action: 'recovery' }, { action: 'power-off' }, { action: 'shell' }],
  );
});

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
