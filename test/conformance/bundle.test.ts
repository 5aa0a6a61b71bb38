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
import { main as sourceMain } from '../../runtime/main.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  imagePath,
  makeBoard,
  OBJECT_PATH,
  putManifest,
  setPolicy,
  setState,
  signed,
  slotManifest,
} from '../support/board-lab.ts';
import { Ended, type FakeBoard, type FakeRun } from '../support/fake-board.ts';
import { FakeDevice } from '../support/fake-device.ts';

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

/** Everything that can be seen of a boot and of the commands after it. */
function observe(
  main: Main,
  board: FakeBoard,
  run: FakeRun,
  after?: (board: FakeBoard) => void,
  commands: readonly string[] = COMMANDS,
  device = new FakeDevice(board, run),
): unknown {
  const said: string[] = [];
  const engine = {
    ...device.engine(),
    print: (line: string): void => void said.push(line),
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
  const { calls } = device;
  const booted = { result, end, record, log: [...log], calls: [...calls], state: [...board.state] };
  after?.(board);
  device.end = undefined;
  device.pid = () => 42;
  const codes = commands.map((command) =>
    main(
      engine,
      command.split(' ').filter((word) => word !== ''),
    ),
  );
  return { booted, said, codes, state: [...board.state] };
}

const COMMANDS = [
  'status',
  'status --json',
  'verify',
  'mark-good',
  'mark-good --json',
  'mark-good',
  'run-containers',
  'run-containers --json',
  'reasons VERIFY_SIGNATURE',
  'reasons NONE',
  'reasons --json',
  '--help',
  'nonsense',
  '',
];

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const index = at % bytes.length;
  return bytes.with(index, bytes[index]! ^ 0x10);
}

type Row = readonly [
  name: string,
  prepare: (board: FakeBoard) => void,
  run?: FakeRun,
  after?: (board: FakeBoard) => void,
];

const both = ['a', 'b'] as const;

const ROWS: readonly Row[] = [
  ['as it should be', () => undefined],
  ['no counter', () => undefined, { counter: false }],
  ['writes fail', () => undefined, { failWrites: true }],
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
    {},
    (board) => putManifest(board, 'a', signed(slotManifest('a', { version: '2.0' }))),
  ],
  [
    'an image changed after the boot',
    () => undefined,
    {},
    (board) => {
      const file = board.store.get(imagePath('a', 1))!;
      file.bytes = flip(file.bytes, 9);
    },
  ],
  ...[SEALED_POLICY, SEALED_TRUST].flatMap((path) =>
    [0, 1, 5, 20, 60].map((at): Row => [
      `${path} byte ${at}`,
      (board) => board.initramfs.set(path, flip(board.initramfs.get(path)!, at)),
    ]),
  ),
];

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
  ]);
  for (const recovery of [false, true]) {
    for (const [name, prepare, run = {}, after] of recovery ? ROWS : [...ROWS, ...flips]) {
      const [expected, actual] = [sourceMain, bundleMain].map((main) => {
        const board = makeBoard({ recovery });
        prepare(board);
        return JSON.stringify(observe(main, board, run, after), undefined, 1);
      });
      if (actual !== expected) assert.is(firstDifference(actual!, expected!), '', name);
    }
  }
});

test('every call of a boot fails once', async () => {
  const bundleMain = await loadBundle();
  const calls = new FakeDevice(makeBoard());
  observe(sourceMain, calls.board, {}, undefined, [], calls);
  for (let failAt = 1; failAt <= calls.callCount; failAt++) {
    const [expected, actual] = [sourceMain, bundleMain].map((main) =>
      JSON.stringify(observe(main, makeBoard(), { failAt }, undefined, []), undefined, 1),
    );
    if (actual !== expected) assert.is(firstDifference(actual!, expected!), '', `call ${failAt}`);
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
