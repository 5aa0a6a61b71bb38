/**
 * dist/runtime.js does what its sources do. The build shortens names, presses the code and takes the texts out; each
 * row is a board that both of them boot, call by call, and commands that both of them answer.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEALED_POLICY, SEALED_TRUST } from '../../runtime/device-paths.ts';
import type { Engine } from '../../runtime/engine.ts';
import type { DevicePolicy } from '../../runtime/format/device-policy.ts';
import { SLOT_STATE_SPACING, SlotStateRecord } from '../../runtime/format/slot-state.ts';
import { main as sourceMain } from '../../runtime/main.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import type { DeviceSys } from '../../runtime/sys.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  imagePath,
  makeBoard,
  OBJECT_PATH,
  putManifest,
  setPolicy,
  setState,
  sha256,
  signed,
  slotManifest,
} from '../support/board-lab.ts';
import { Ended, type FakeBoard, type FakeRun } from '../support/fake-board.ts';
import { REFUSALS } from '../support/refused-boards.ts';
import { type Variation, VariedDevice } from '../support/varied-device.ts';

const test = suite('bundle');

type Main = typeof sourceMain;

interface Bundle {
  readonly main: Main;
}

const dist = (name: string): string => join(ROOT, 'dist', name);

async function loadBundle(): Promise<Main> {
  globalThis.coldsealTexts = () =>
    JSON.parse(readFileSync(dist('runtime-texts.json'), 'utf8')) as string[];
  const bundle = (await import(pathToFileURL(dist('runtime.js')).href)) as Bundle;
  return bundle.main;
}

/** What a row does besides preparing its board. */
interface Course extends Variation {
  readonly run?: FakeRun;
  /** Between the boot and the commands. */
  readonly after?: (board: FakeBoard) => void;
  readonly commands?: readonly string[];
}

/** Each call that is made on a device with all that is handed over: a shortened name of an option would show. */
function recorded(device: VariedDevice, calls: string[]): DeviceSys {
  const shown = (_key: string, value: unknown): unknown =>
    value instanceof Uint8Array
      ? Buffer.from(value.slice(0, SHOWN_BYTES_MAX)).toString('latin1')
      : value;
  return new Proxy(device, {
    get: (target, name: keyof DeviceSys) => {
      const method = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]): unknown => {
        calls.push(`${name} ${JSON.stringify(args, shown)}`);
        return method.apply(target, args);
      };
    },
  });
}

/** Only the build knows it. */
const VERSION = /0\.\d+\.\d+(-unbuilt)?(?=[,"])/;

/** Buffers that are read into are longer, and empty. */
const SHOWN_BYTES_MAX = 2048;

/** Everything that can be seen of a boot and of the commands after it. */
function observe(main: Main, board: FakeBoard, course: Course = {}): Observation {
  const device = new VariedDevice(board, course.run ?? {}, course);
  const calls: string[] = [];
  const said: string[] = [];
  const engine: Engine = {
    ...device.engine(),
    sys: recorded(device, calls),
    print: (line: string): void => void said.push(line.replace(VERSION, 'VERSION')),
    printError: (line: string): void => void said.push(`! ${line}`),
    reasons: () => RUNTIME_REASONS,
  };
  let result: unknown;
  try {
    result = main(engine, []);
  } catch (error) {
    result = error instanceof Ended ? error.how : String(error);
  }
  const { end, record, log } = device;
  const booted = { result, end, record, log: [...log], calls: [...calls], state: [...board.state] };
  course.after?.(board);
  device.end = undefined;
  device.pid = () => 42;
  const codes = (course.commands ?? COMMANDS).map((command) =>
    main(
      engine,
      command.split(' ').filter((word) => word !== ''),
    ),
  );
  const { callCount } = device;
  return { callCount, seen: { booted, said, codes, calls, state: [...board.state] } };
}

interface Observation {
  readonly callCount: number;
  readonly seen: unknown;
}

const COMMANDS = [
  'status',
  'status --json',
  'verify',
  'verify --json',
  'mark-good',
  'mark-good --json',
  'mark-good',
  'run-containers',
  'run-containers --json',
  'reasons VERIFY_SIGNATURE',
  'reasons HOST_NOT_FOUND --json',
  'reasons NONE',
  'reasons --json',
  '--help',
  '--help --json',
  '--version',
  '--version --json',
  'status -x',
  'nonsense --json',
  'nonsense',
  '',
];

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const index = at % bytes.length;
  return bytes.with(index, bytes[index]! ^ 0x10);
}

type Row = readonly [name: string, prepare: (board: FakeBoard) => void, course?: Course];

const both = ['a', 'b'] as const;

const ENGINES: readonly (readonly [name: string, course: Course])[] = [
  ['started', { engines: { output: 'hello\nworld' } }],
  ['refused by the engine', { engines: { code: 1, output: 'cannot\nno such thing\n' } }],
  ['late', { engines: { never: true } }],
  ['no engine', { engines: {}, failures: [[/^spawn/, 'ENOENT']] }],
  ['reported', { engines: { output: 'hello\n' }, fork: 0 }],
  ['no copy', { engines: {}, failures: [[/^fork/, 'ENOSYS']] }],
];

const ENDS: readonly (readonly [name: string, actions: DevicePolicy['onFailure']])[] = [
  ['halt', [{ action: 'halt' }]],
  ['power-off', [{ action: 'power-off' }]],
  ['restart', [{ action: 'restart', delayS: 1, max: 1 }, { action: 'halt' }]],
  ['recovery, which is not there', [{ action: 'recovery' }, { action: 'power-off' }]],
];

/** Kernels that lack something, by what they answer. */
const KERNELS: readonly (readonly [name: string, course: Course])[] = [
  ['that does everything', { run: { detachedLayers: true } }],
  ['without descriptors for layers', { failures: [[/^configure overlay fd/, 'EINVAL']] }],
  ['without single layers', { failures: [[/^configure overlay \S+ lowerdir\+/, 'EINVAL']] }],
  ['without verity of overlays', { failures: [[/^configure overlay string verity/, 'EINVAL']] }],
  [
    'without options of overlays',
    { failures: [[/^configure overlay|^configure-probe/, 'EINVAL']] },
  ],
  ['without EROFS from files', { failures: [[/^mount-source erofs \/proc/, 'ENOTBLK']] }],
  ['without EROFS', { failures: [[/^fsopen erofs/, 'ENODEV']] }],
  ['without overlays', { failures: [[/^fsopen overlay/, 'ENODEV']] }],
  ['without fsopen', { failures: [[/^fsopen/, 'ENOSYS']] }],
  ['that refuses to mount', { failures: [[/^moveMount/, 'EPERM']] }],
  ['that finds the image damaged', { failures: [[/^mount-source/, 'EUCLEAN']] }],
  ['without verity', { run: { measure: () => ({ verity: 'unsupported' }) } }],
  ['without verity on images', { run: { measure: () => ({ verity: 'not-enabled' }) } }],
  ['without modules', { failures: [[/^loadModule/, 'ENOEXEC']] }],
];

/** Changes a byte of both copies and makes their hashes right again. */
function changeState(board: FakeBoard, at: number, value: number): void {
  for (const start of [0, SLOT_STATE_SPACING]) {
    const copy = board.state.subarray(start, start + SlotStateRecord.size);
    copy[at] = value;
    const end = SlotStateRecord.at.sha256;
    copy.set(sha256(copy.subarray(0, end)), end);
  }
}

const ROWS: readonly Row[] = [
  ['as it should be', () => undefined],
  ['no counter', () => undefined, { run: { counter: false } }],
  ['writes fail', () => undefined, { run: { failWrites: true } }],
  [
    'no manifest',
    (board) => both.forEach((slot) => board.store.delete(`slots/${slot}/manifest.cose`)),
  ],
  ['another board', (board) => (board.compatible = 'other,board')],
  ['no store', (board) => (board.partitions = board.partitions.slice(0, 1))],
  ['no state partition', (board) => (board.partitions = board.partitions.slice(0, 2))],
  ['a damaged state', (board) => board.state.fill(0xff)],
  ['one copy damaged', (board) => board.state.fill(0xff, 0, 512)],
  ['no tries left', (board) => setState(board, { triesA: 0, triesB: 0, latch: 1 })],
  ['higher floors', (board) => setState(board, { epochs: new Map([[1, 99]]) })],
  ['a deny list is asked for', (board) => setPolicy(board, { minDenyVersion: 3 })],
  ['another product', (board) => setPolicy(board, { product: 'other' })],
  ['no such role', (board) => setPolicy(board, { roles: [2] })],
  ['another suite', (board) => setPolicy(board, { algorithms: [-7] })],
  [
    'a shell',
    (board) => {
      setPolicy(board, { onFailure: [{ action: 'shell' }] });
      for (const slot of both) board.store.delete(`slots/${slot}/manifest.cose`);
    },
  ],
  ['a command line that asks', (board) => (board.commandLine = 'coldseal.slot=b x="a b"\n')],
  ['a command line that is refused', (board) => (board.commandLine = 'coldseal.open=1\n')],
  ['no init', (board) => (board.systemPaths = ['/dev', '/proc', '/sys', '/run'])],
  ['an object is gone', (board) => board.store.delete(OBJECT_PATH)],
  ['an image is gone', (board) => board.store.delete(imagePath('a', 1))],
  [
    'an image is another',
    (board) => {
      board.store.set(imagePath('a'), board.store.get(imagePath('b'))!);
    },
  ],
  ['an image is not sealed', (board) => delete board.store.get(imagePath('a'))!.sealed],
  ['verity as far as there is any', (board) => setPolicy(board, { verity: 'if-supported' })],
  [
    'a lower epoch',
    (board) => putManifest(board, 'a', signed(slotManifest('a', { epochs: new Map([[1, 1]]) }))),
  ],
  [
    'another board in the manifest',
    (board) => putManifest(board, 'a', signed(slotManifest('a', { boards: ['x'] }))),
  ],
  [
    'two roots',
    (board) => {
      const { images } = slotManifest('a');
      const [root] = images;
      putManifest(
        board,
        'a',
        signed(
          slotManifest('a', { images: [root!, { ...root!, name: 'zz' }, ...images.slice(1)] }),
        ),
      );
    },
  ],
  [
    'changed after the boot',
    () => undefined,
    { after: (board) => putManifest(board, 'a', signed(slotManifest('a', { version: '2.0' }))) },
  ],
  [
    'an image changed after the boot',
    () => undefined,
    {
      after: (board) => {
        const file = board.store.get(imagePath('a', 1))!;
        file.bytes = flip(file.bytes, 9);
      },
    },
  ],
  [
    'sealed files of another release after the boot',
    () => undefined,
    { after: (board) => board.initramfs.set(SEALED_TRUST, new Uint8Array(3)) },
  ],
  ['a state of another layout', (board) => changeState(board, 4, 2)],
  ['a state whose reserved bytes are used', (board) => changeState(board, 22, 1)],
  ['a state that begins otherwise', (board) => changeState(board, 0, 0)],
  ['a state with an unknown slot', (board) => changeState(board, 6, 9)],
  ['a state with epochs out of order', (board) => changeState(board, 136, 1)],
  ['a board without a device tree', (board) => (board.smbios = { vendor: 'QEMU', product: 'q35' })],
  [
    'a board that SMBIOS names',
    (board) => {
      board.smbios = { vendor: 'QEMU', product: 'q35' };
      setPolicy(board, { identity: { kind: 'smbios', vendor: 'QEMU', product: 'q35' } });
    },
  ],
  ['one slot', (board) => setPolicy(board, { slotCount: 1 })],
  [
    'a production board',
    (board) => {
      setPolicy(board, { isProduction: true });
      board.commandLine = 'coldseal.report=results\n';
    },
  ],
  ...(['file', 'console'] as const).flatMap((containerOutput) =>
    ENGINES.map(([name, course]): Row => [
      `containers that print to the ${containerOutput}: ${name}`,
      (board) => {
        setPolicy(board, { containerOutput });
        if (course.fork === 0) board.commandLine = 'coldseal.report=results\n';
      },
      course,
    ]),
  ),
  ...ENDS.map(([name, onFailure]): Row => [
    `nothing boots: ${name}`,
    (board) => {
      setPolicy(board, { onFailure });
      for (const path of board.store.keys())
        if (path.startsWith('slots/')) board.store.delete(path);
    },
  ]),
  ...KERNELS.map(([name, course]): Row => [
    `a kernel ${name}`,
    (board) => setPolicy(board, { verity: 'if-supported' }),
    course,
  ]),
  ...[SEALED_POLICY, SEALED_TRUST].flatMap((path) =>
    [0, 1, 5, 20, 60].map((at): Row => [
      `${path} byte ${at}`,
      (board) => board.initramfs.set(path, flip(board.initramfs.get(path)!, at)),
    ]),
  ),
];

const REFUSED = REFUSALS.map(([name, change]): Row => [
  name,
  (board) => change(board),
  { commands: ['status', 'verify --json'] },
]);

/** Every part of an envelope is hit by some of these. */
const FLIPS = 96;

test('a boot and its commands, for boards as they should be and not', async () => {
  const bundleMain = await loadBundle();
  const flips = Array.from({ length: FLIPS }, (_, index): Row => [
    `manifest, part ${index} of ${FLIPS}`,
    (board) => {
      const { bytes } = board.store.get('slots/a/manifest.cose')!;
      putManifest(board, 'a', flip(bytes, Math.floor((index * bytes.length) / FLIPS)));
    },
    { commands: ['status --json'] },
  ]);
  for (const recovery of [false, true]) {
    for (const [name, prepare, course] of recovery ? ROWS : [...ROWS, ...REFUSED, ...flips]) {
      const [expected, actual] = [sourceMain, bundleMain].map((main) => {
        const board = makeBoard({ recovery });
        prepare(board);
        return JSON.stringify(observe(main, board, course).seen, undefined, 1);
      });
      if (actual !== expected)
        assert.unreachable(`${name}: ${firstDifference(actual!, expected!)}`);
    }
  }
});

test('every call of a boot fails once', async () => {
  const bundleMain = await loadBundle();
  const { callCount } = observe(sourceMain, makeBoard(), { commands: [] });
  for (let failAt = 1; failAt <= callCount; failAt++) {
    const [expected, actual] = [sourceMain, bundleMain].map((main) => {
      const { seen } = observe(main, makeBoard(), { run: { failAt }, commands: [] });
      return JSON.stringify(seen, undefined, 1);
    });
    if (actual !== expected)
      assert.unreachable(`call ${failAt}: ${firstDifference(actual!, expected!)}`);
  }
});

/** Two lines say more than two documents. */
function firstDifference(actual: string, expected: string): string {
  const lines = actual.split('\n');
  const others = expected.split('\n');
  const at = lines.findIndex((line, index) => line !== others[index]);
  return `${lines[at - 1]} / ${lines[at]}, expected ${others[at]}`;
}

test.run();
