/**
 * Calibration: simulated boards whose terms are known, noise, an outlier, images that cannot tell; and what a file of
 * it predicts and refuses.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import {
  type CalibrationImage,
  fitImages,
  IMAGES_MIN,
  type Load,
  predictMs,
  type Term,
  type Terms,
} from '../../toolchain/budget/calibrate.ts';
import {
  type Calibration,
  makeCalibration,
  parseCalibration,
  predict,
} from '../../toolchain/budget/calibration.ts';
import { type CountedBoot, matchImages } from '../../toolchain/budget/calibration-images.ts';
import { calibrationLines, predictionLines } from '../../toolchain/budget/calibration-table.ts';
import { fromBootRecord } from '../../toolchain/budget/from-boot-record.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { countedBoot, readCounted } from '../../toolchain/budget/read-counted.ts';
import type { OutputStream } from '../../toolchain/cli/output.ts';
import { runMain } from '../../toolchain/cli/main-run.ts';
import { qaCalibrate } from '../../toolchain/commands/qa-calibrate.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('calibrate');

const MS = 1e6;
const ns = (ms: number): number => Math.round(ms * MS);

// --- simulated boards ---

/** ms, a factor, us per read, ns per byte. */
const TRUE_TERMS: Readonly<Record<Term, number>> = {
  fixed: 310,
  cpu: 1.7,
  latency: 140,
  transfer: 6.25,
};

/** Eight and more images that somebody made different on purpose: of each another mix. */
const LOADS: readonly Load[] = [
  { virtualNs: 420 * MS, reads: 90, readBytes: 4e6 },
  { virtualNs: 560 * MS, reads: 150, readBytes: 32e6 },
  { virtualNs: 480 * MS, reads: 900, readBytes: 9e6 },
  { virtualNs: 900 * MS, reads: 300, readBytes: 14e6 },
  { virtualNs: 640 * MS, reads: 200, readBytes: 64e6 },
  { virtualNs: 1200 * MS, reads: 1500, readBytes: 40e6 },
  { virtualNs: 700 * MS, reads: 120, readBytes: 20e6 },
  { virtualNs: 520 * MS, reads: 2000, readBytes: 26e6 },
  { virtualNs: 1500 * MS, reads: 400, readBytes: 8e6 },
  { virtualNs: 800 * MS, reads: 700, readBytes: 90e6 },
];

/** The images of a board with these terms; `disturb` changes a measured time. */
function imagesOf(
  loads: readonly Load[],
  terms: Terms = TRUE_TERMS,
  disturb: (ms: number, index: number) => number = (ms) => ms,
): CalibrationImage[] {
  return loads.map((load, i) => ({
    release: `r${i}`,
    version: `1.${i}`,
    realNs: disturb(predictMs(terms, load), i) * MS,
    realBoots: 1,
    load,
    stages: [],
  }));
}

const near = (value: number, expected: number, part: number): boolean =>
  Math.abs(value - expected) <= part * Math.abs(expected);

test('the terms never see what is held out, and eight images are enough', () => {
  const loads = LOADS.slice(0, IMAGES_MIN);
  const { heldOut } = fitImages(imagesOf(loads)).total;
  const held = new Set(heldOut.map(({ release }) => release));
  assert.is(held.size, IMAGES_MIN / 4);
  const { total } = fitImages(
    imagesOf(loads, TRUE_TERMS, (ms, i) => (held.has(`r${i}`) ? ms * 1.5 : ms)),
  );
  for (const [term, value] of Object.entries(TRUE_TERMS)) {
    assert.ok(
      near(total.terms[term as Term]!, value, 1e-6),
      `${term} ${total.terms[term as Term]}`,
    );
  }
  assert.ok(total.residual.relative > 0.3, String(total.residual.relative));
  assert.is(
    codeOf(() => fitImages(imagesOf(loads.slice(1)))),
    'USAGE_CALIBRATION_FEW',
  );
});

test('an image that is left out is predicted by the others alone', () => {
  const { leftOut } = fitImages(
    imagesOf(LOADS, TRUE_TERMS, (ms, i) => (i === 2 ? ms + 500 : ms)),
  ).total;
  const { measuredMs, predictedMs } = leftOut[2]!;
  assert.ok(near(measuredMs - predictedMs, 500, 1e-6), `${measuredMs - predictedMs}`);
});

test('for any noise: the residual is the worst of both kinds of unseen images', () => {
  const noise = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 10, maxLength: 10 });
  fc.assert(
    fc.property(noise, (ms) => {
      const { residual, heldOut, leftOut } = fitImages(
        imagesOf(LOADS, TRUE_TERMS, (exact, i) => exact + ms[i]!),
      ).total;
      const all = [...heldOut, ...leftOut];
      const errors = all.map((each) => Math.abs(each.predictedMs - each.measuredMs));
      assert.is(residual.ms, Math.max(...errors));
      const parts = errors.map((error, i) => error / all[i]!.measuredMs);
      assert.is(residual.relative, Math.max(...parts));
    }),
    { numRuns: 50 },
  );
});

test('which images are held out follows from the images, not from their order', () => {
  // Sorted by bytes, the fourth and the eighth: of a pair the one with more virtual time, then by release.
  const mix: readonly [bytes: number, ms: number, reads: number][] = [
    [4e6, 420, 90],
    [4e6, 560, 150],
    [9e6, 900, 900],
    [9e6, 480, 300],
    [32e6, 640, 200],
    [32e6, 1200, 1500],
    [64e6, 700, 120],
    [64e6, 700, 2000],
  ];
  const images = imagesOf(
    mix.map(([readBytes, ms, reads]) => ({ virtualNs: ms * MS, reads, readBytes })),
  );
  for (const all of [images, images.toReversed()]) {
    const held = fitImages(all).total.heldOut.map(({ release }) => release);
    assert.equal(held.sort(), ['r2', 'r7']);
  }
});

test('a stage that one image does not have is no stage of the fit', () => {
  const images = imagesOf(LOADS).map((image, i) => {
    const stage = { realNs: image.realNs / 2, load: image.load };
    const names = i === 4 ? ['kernel'] : ['kernel', 'verify'];
    return { ...image, stages: names.map((name) => ({ name, ...stage })) };
  });
  assert.equal(
    fitImages(images).stages.map(({ name }) => name),
    ['kernel'],
  );
  const broken = images.map((image, i) => {
    return i === 5 ? { ...image, stages: [{ ...image.stages[0]!, realNs: Number.NaN }] } : image;
  });
  expectCode(() => fitImages(broken), 'USAGE_CALIBRATION_VALUE');
});

test('a prediction is the sum of its terms, each in its unit', () => {
  const load = { virtualNs: 100 * MS, reads: 50, readBytes: 2e6 };
  assert.is(predictMs(TRUE_TERMS, load), 310 + 170 + 7 + 12.5);
  assert.is(predictMs({ cpu: 2 }, load), 200);
  assert.is(predictMs({}, load), 0);
});

test('without noise the true terms come back, and nothing is left over', () => {
  for (const terms of [
    TRUE_TERMS,
    { fixed: 0, cpu: 1, latency: 0, transfer: 20 },
    { fixed: 50, cpu: 0.4, latency: 2000, transfer: 0 },
  ]) {
    const { total } = fitImages(imagesOf(LOADS, terms));
    for (const [name, value] of Object.entries(terms)) {
      const found = total.terms[name as Term]!;
      assert.ok(Math.abs(found - value) <= 1e-6 * Math.max(1, value), `${name}: ${found}`);
    }
    assert.ok(total.residual.relative < 1e-9 && total.residual.ms < 1e-6);
    assert.is(total.leftOut.length, LOADS.length);
    // Sorted by bytes the fourth and the eighth; the terms have never seen them.
    assert.equal(
      total.heldOut.map(({ release }) => release),
      ['r3', 'r5'],
    );
  }
});

test('for any board: the true terms come back, in any order of the images', () => {
  const value = (max: number) => fc.double({ min: 0, max, noNaN: true });
  fc.assert(
    fc.property(
      fc.record({ fixed: value(3000), cpu: value(20), latency: value(5000), transfer: value(100) }),
      fc.shuffledSubarray([...LOADS], { minLength: LOADS.length }),
      (terms, loads) => {
        const { total } = fitImages(imagesOf(loads, terms));
        const scale = Math.max(...loads.map((load) => predictMs(terms, load)));
        assert.ok(total.residual.ms <= 1e-9 * scale + 1e-9, String(total.residual.ms));
        const sorted = (all: readonly { predictedMs: number }[]): number[] =>
          all.map(({ predictedMs }) => predictedMs).sort((a, b) => a - b);
        const again = fitImages(imagesOf(LOADS, terms)).total;
        sorted(total.heldOut).forEach((ms, i) =>
          assert.ok(Math.abs(ms - sorted(again.heldOut)[i]!) <= 1e-9 * scale + 1e-9),
        );
      },
    ),
    { numRuns: 60 },
  );
});

/** Numbers that look random and are the same every time (Park and Miller's generator), from -1 to 1. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  };
}

test('with noise of 2 % the terms are near, and the residual admits it', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const random = noise(seed);
    const { total } = fitImages(imagesOf(LOADS, TRUE_TERMS, (ms) => ms * (1 + 0.02 * random())));
    assert.ok(near(total.terms.cpu!, TRUE_TERMS.cpu, 0.25), `cpu ${total.terms.cpu}`);
    assert.ok(total.residual.relative > 0.003, `${seed}: too good to be true`);
    assert.ok(total.residual.relative < 0.25, `${seed}: ${total.residual.relative}`);
    // What is published is the worst of all that the terms had not seen.
    for (const { measuredMs, predictedMs } of [...total.heldOut, ...total.leftOut]) {
      const error = Math.abs(predictedMs - measuredMs);
      assert.ok(error <= total.residual.ms && error / measuredMs <= total.residual.relative);
    }
  }
});

test('the residual is honest: new images of the same board are hardly ever further off', () => {
  let further = 0;
  let all = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const random = noise(seed);
    const disturbed = (ms: number): number => ms * (1 + 0.02 * random());
    const { total } = fitImages(imagesOf(LOADS, TRUE_TERMS, disturbed));
    for (const load of [
      { virtualNs: 600 * MS, reads: 500, readBytes: 30e6 },
      { virtualNs: 1000 * MS, reads: 1000, readBytes: 50e6 },
      { virtualNs: 750 * MS, reads: 250, readBytes: 12e6 },
    ]) {
      all++;
      const error = Math.abs(predictMs(total.terms, load) - predictMs(TRUE_TERMS, load));
      if (error > total.residual.ms) further++;
    }
  }
  assert.ok(further / all < 0.05, `${further} of ${all}`);
});

test('what the model does not have shows in the residual: a board whose cost is not linear', () => {
  const bent = imagesOf(LOADS, TRUE_TERMS).map((image) => ({
    ...image,
    realNs: image.realNs + 300 * MS * (image.load.virtualNs / (1000 * MS)) ** 3,
  }));
  const { total } = fitImages(bent);
  assert.ok(total.residual.ms > 40, String(total.residual.ms));
});

test('one image that was disturbed makes the residual as large as it was', () => {
  const outlier = (at: number) => (ms: number, i: number) => (i === at ? ms * 1.5 : ms);
  for (const at of LOADS.keys()) {
    const { total } = fitImages(imagesOf(LOADS, TRUE_TERMS, outlier(at)));
    assert.ok(total.residual.relative > 0.15, `${at}: ${total.residual.relative}`);
  }
});

test('too few images, images that are alike, terms that go together, figures that are none', () => {
  const alike = (change: (load: Load, i: number) => Partial<Load>): CalibrationImage[] =>
    imagesOf(LOADS.map((load, i) => ({ ...load, ...change(load, i) })));
  for (const [images, code, pattern] of [
    [
      imagesOf(LOADS.slice(0, IMAGES_MIN - 1)),
      'USAGE_CALIBRATION_FEW',
      /expected 8 images .* found 7$/,
    ],
    [imagesOf([]), 'USAGE_CALIBRATION_FEW', /found 0$/],
    [alike(() => ({ reads: 5 })), 'USAGE_CALIBRATION_ALIKE', /: the number of reads hardly differ/],
    [alike(() => ({ reads: 0 })), 'USAGE_CALIBRATION_ALIKE', /the number of reads hardly differ/],
    [
      alike(() => ({ virtualNs: 600 * MS, readBytes: 1e6 })),
      'USAGE_CALIBRATION_ALIKE',
      /the virtual time and the bytes read hardly differ/,
    ],
    [
      alike((_, i) => ({ virtualNs: 600 * MS + i * 1000 })),
      'USAGE_CALIBRATION_ALIKE',
      /the virtual time hardly differ/,
    ],
    // Every read has 128 KiB.
    [
      alike(({ reads }) => ({ readBytes: reads * 131_072 })),
      'USAGE_CALIBRATION_ALIKE',
      /: the number of reads and the bytes read always change together/,
    ],
    [
      alike(({ reads, readBytes }) => ({ virtualNs: 300 * MS + reads * 1e5 + readBytes * 3 })),
      'USAGE_CALIBRATION_ALIKE',
      /the virtual time and the number of reads and the bytes read always/,
    ],
    [alike((_, i) => (i === 3 ? { reads: Number.NaN } : {})), 'USAGE_CALIBRATION_VALUE', /r3/],
    [alike((_, i) => (i === 3 ? { readBytes: -1 } : {})), 'USAGE_CALIBRATION_VALUE', /r3/],
    [
      imagesOf(LOADS, TRUE_TERMS, (ms, i) => (i === 2 ? Infinity : ms)),
      'USAGE_CALIBRATION_VALUE',
      /r2/,
    ],
  ] as [CalibrationImage[], string, RegExp][]) {
    const { message } = expectCode(() => fitImages(images), code, String(pattern));
    assert.match(message, pattern);
  }
});

test('stages are fitted by themselves, and say what their images could not tell', () => {
  const stageTerms = { fixed: 4, cpu: 2, latency: 100, transfer: 5 };
  const images = imagesOf(LOADS).map((image, i) => {
    const own = (reads: number, readBytes: number) => {
      const load = { virtualNs: (10 + i * (i % 3)) * MS, reads, readBytes };
      return { load, realNs: predictMs(stageTerms, load) * MS };
    };
    return {
      ...image,
      stages: [
        { name: 'verify', ...own(3, 16_384) },
        { name: 'containers', ...own(LOADS[i]!.reads, LOADS[i]!.readBytes) },
        { name: 'mount', ...own(LOADS[i]!.reads, LOADS[i]!.reads * 4096) },
        ...(i === 0 ? [] : [{ name: 'modules', ...own(1, 1) }]),
      ],
    };
  });
  const { stages } = fitImages(images);
  assert.equal(
    stages.map(({ name, unknown }) => [name, unknown]),
    [
      ['verify', ['latency', 'transfer']],
      ['containers', []],
      ['mount', ['latency']],
    ],
  );
  const [verify, containers, mount] = stages;
  assert.ok(near(verify!.terms.cpu!, 2, 1e-6) && verify!.terms.latency === undefined);
  assert.ok(near(containers!.terms.latency!, 100, 1e-6));
  // 100 us and 4096 bytes together.
  assert.ok(near(mount!.terms.transfer!, 5 + 100_000 / 4096, 1e-6));
  assert.ok(stages.every(({ residual }) => residual.ms < 1e-6));
});

// --- records of both boards ---

interface Recorded {
  readonly release: string;
  /** From the kernel to the container. */
  readonly ms: number;
  readonly beforeMs: number | null;
  readonly reads?: number;
  readonly readBytes?: number;
}

function recordOf({ release, ms, beforeMs }: Recorded): BootRecord {
  const [app] = testRecord().containers;
  return testRecord({
    clock: {
      name: 'CLOCK_BOOTTIME',
      beforeKernelNs: beforeMs === null ? null : beforeMs * MS,
      counter: beforeMs === null ? null : 'CNTVCT_EL0',
    },
    stages: [
      { name: 'setup', startNs: ns(0.5 * ms), endNs: ns(0.6 * ms) },
      { name: 'handover', startNs: ns(0.6 * ms), endNs: ns(0.9 * ms) },
    ],
    release: { ...testRecord().release!, id: release, version: `of ${release}` },
    containers: [
      { ...app!, startNs: ns(0.8 * ms), startedNs: ns(0.9 * ms), firstOutputNs: ns(ms) },
    ],
  });
}

const EMULATOR = {
  name: 'qemu-system-aarch64',
  version: '7.2.22',
  machine: 'virt',
  cpu: 'cortex-a53',
  icount: 'shift=0',
};
const BOOT_BYTES = 30e6;

/** A line of boot-records.jsonl, as far as it is looked at. */
function virtualLine(recorded: Recorded, change: object = {}): object {
  const { reads = 0, readBytes = 0 } = recorded;
  return {
    kind: 'coldseal-virtual-boot',
    schema: 1,
    evidence: 'virtual',
    board: 'qemu-aarch64',
    release: { id: recorded.release, version: '1' },
    emulator: { ...EMULATOR, memoryMiB: 1024 },
    storage: {
      stages: [
        { name: 'setup', reads: 0, readBytes: 0, writes: 0, writeBytes: 0 },
        { name: 'first-output', reads, readBytes, writes: 2, writeBytes: 8192 },
      ],
      bootBytes: BOOT_BYTES,
      modelled: [],
    },
    record: recordOf(recorded),
    ...change,
  };
}

const counted = (recorded: Recorded, change: object = {}): CountedBoot =>
  countedBoot(virtualLine(recorded, change) as never);
const real = (recorded: Recorded, change: Partial<MeasuredBoot> = {}): MeasuredBoot => ({
  ...fromBootRecord(recordOf(recorded), {
    evidence: 'board-selfclock',
    start: null,
    specimen: null,
    conditions: {},
    measuredAt: null,
    uncertaintyNs: 1000,
    source: { format: 'boot-record', file: 'a', sha256: '' },
  }),
  board: 'bench',
  ...change,
});

test('an image is a release on both sides, timed alike, with the median of its boots', () => {
  const virtual = [
    counted({ release: 'a', ms: 500, beforeMs: 100, reads: 20, readBytes: 1e6 }),
    counted({ release: 'b', ms: 700, beforeMs: 100, reads: 30, readBytes: 2e6 }),
    counted({ release: 'only here', ms: 1, beforeMs: 100 }),
  ];
  const boots = [
    real({ release: 'a', ms: 900, beforeMs: 300 }),
    real({ release: 'a', ms: 5000, beforeMs: 300 }),
    real({ release: 'a', ms: 910, beforeMs: 310 }),
    real({ release: 'b', ms: 1000, beforeMs: 300 }),
    real({ release: 'only there', ms: 1000, beforeMs: 300 }),
    real({ release: 'b', ms: 1, beforeMs: 300 }, { outcome: 'failed', events: [] }),
  ];
  const matched = matchImages(virtual, boots);
  assert.equal(
    [matched.from, matched.board, matched.virtualBoard, matched.evidence, matched.kernels],
    ['reset', 'bench', 'qemu-aarch64', 'board-selfclock', ['6.12']],
  );
  assert.equal(matched.leftOut, { failed: 1, unmatched: 1 });
  const [a, b] = matched.images;
  assert.equal([matched.images.length, a!.release, a!.realBoots], [2, 'a', 3]);
  assert.equal([a!.realNs, b!.realNs], [1220 * MS, 1300 * MS]);
  // What the bootloader reads lies before the kernel, and the time has it.
  assert.equal(a!.load, { virtualNs: 600 * MS, reads: 20, readBytes: 1e6 + BOOT_BYTES });
  assert.equal(
    a!.stages.map(({ name, realNs, load }) => [
      name,
      Math.round(realNs / 1e5) / 10,
      Math.round(load.virtualNs / 1e5) / 10,
      load.readBytes,
    ]),
    [
      ['before-kernel', 300, 100, BOOT_BYTES],
      ['kernel', 455, 250, 0],
      ['setup', 91, 50, 0],
      ['handover', 273, 150, 0],
      ['first-output', 91, 50, 1e6],
    ],
  );

  // A board whose counter says nothing is timed from the kernel, and so is the virtual one.
  const late = boots.map((boot) => ({
    ...boot,
    events: boot.events.filter(({ name }) => name !== 'reset'),
  }));
  const fromKernel = matchImages(virtual, late);
  assert.is(fromKernel.from, 'kernel');
  assert.equal(fromKernel.images[0]!.realNs, 910 * MS);
  assert.equal(fromKernel.images[0]!.load, { virtualNs: 500 * MS, reads: 20, readBytes: 1e6 });
  assert.is(
    fromKernel.images[0]!.stages.some(({ name }) => name === 'before-kernel'),
    false,
  );
});

test('records that cannot stand side by side are refused', () => {
  const a = { release: 'a', ms: 500, beforeMs: 100, reads: 20, readBytes: 1e6 };
  const io = { storage: { bootBytes: 1 } };
  for (const [name, virtual, boots, code, pattern] of [
    [
      'two boards',
      [counted(a)],
      [real(a), real(a, { board: 'other' })],
      'USAGE_CALIBRATION_MIXED',
      /2 boards: bench, other/,
    ],
    [
      'two clocks',
      [counted(a)],
      [real(a), real(a, { evidence: 'board-gpio' })],
      'USAGE_CALIBRATION_MIXED',
      /kinds of evidence: board-gpio, board-selfclock/,
    ],
    [
      'cold and warm',
      [counted(a)],
      [real(a), real(a, { start: 'cold' }), real(a, { start: 'warm' })],
      'USAGE_CALIBRATION_MIXED',
      /kinds of start: cold, warm/,
    ],
    [
      'two virtual boards',
      [counted(a), counted(a, { board: 'qemu-x86_64' })],
      [real(a)],
      'USAGE_CALIBRATION_MIXED',
      /virtual boards/,
    ],
    [
      'two QEMUs',
      [counted(a), counted(a, { emulator: { ...EMULATOR, version: '8.0' } })],
      [real(a)],
      'USAGE_CALIBRATION_MIXED',
      /2 emulators/,
    ],
    [
      'nobody counted',
      [counted(a, io)],
      [real(a)],
      'USAGE_CALIBRATION_IO',
      /of a .*has no counted reads/,
    ],
    [
      'time of the host',
      [counted(a, { evidence: 'virtual-wallclock' })],
      [real(a)],
      'USAGE_CALIBRATION_IO',
      /class virtual-wallclock/,
    ],
    [
      'a virtual boot that failed',
      [counted(a, { record: { ...recordOf(a), outcome: 'halt' } })],
      [real(a)],
      'USAGE_CALIBRATION_IO',
      /did not boot/,
    ],
    ['no real board', [counted(a)], [], 'USAGE_CALIBRATION_FEW', /expected boots of a real board/],
    [
      'no end',
      [counted(a)],
      [real(a, { events: [] })],
      'USAGE_CALIBRATION_FEW',
      /the event containers/,
    ],
  ] as [string, CountedBoot[], MeasuredBoot[], string, RegExp][]) {
    const { message } = expectCode(() => matchImages(virtual, boots), code, name);
    assert.match(message, pattern);
  }
});

// --- the file ---

/** Both boards, by terms that are known; the real one is timed from reset. */
function bothBoards(): { virtual: Recorded[]; boots: Recorded[] } {
  const virtual = LOADS.map(({ virtualNs, reads, readBytes }, i) => ({
    release: `${i}`.repeat(32),
    ms: virtualNs / MS,
    beforeMs: 100,
    reads,
    readBytes,
  }));
  const boots = virtual.map(({ release, ms, reads, readBytes }) => {
    const load = { virtualNs: (ms + 100) * MS, reads, readBytes: readBytes + BOOT_BYTES };
    return { release, ms: Math.round(predictMs(TRUE_TERMS, load)) - 200, beforeMs: 200 };
  });
  return { virtual, boots };
}

function calibrationOf(): Calibration {
  const { virtual, boots } = bothBoards();
  const matched = matchImages(
    virtual.map((each) => counted(each)),
    boots.map((each) => real(each)),
  );
  const inputs = [{ side: 'virtual' as const, file: 'v', sha256: 'ab' }];
  return makeCalibration(matched, fitImages(matched.images), inputs);
}

test('a calibration keeps what it is from, and reads back as it was written', () => {
  const calibration = calibrationOf();
  const text = JSON.stringify(calibration);
  assert.equal(parseCalibration(text, 'c.json'), JSON.parse(text));
  assert.is(JSON.stringify(calibrationOf()), text, 'the same records give the same file');
  const { terms, residual } = calibration.total;
  assert.ok(near(terms.cpu!, TRUE_TERMS.cpu, 0.01) && near(terms.transfer!, 6.25, 0.02));
  assert.ok(residual.ms < 5 && residual.relative < 0.01);
  assert.equal(calibration.range.reads, [90, 2000]);
  const lines = calibrationLines(calibration).join('\n');
  assert.match(
    lines,
    /^bench \(board-selfclock\) from qemu-aarch64 .*reset to containers: 10 images, 10 boots$/m,
  );
  assert.match(lines, /^residual +±0\.\d %, at most \d\.\d ms$/m);
  assert.match(lines, /^expires with another QEMU than 7\.2\.22, or another kernel than 6\.12$/m);
  assert.not.match(lines, /left out: /);
});

test('a boot is predicted with the residual, and says when it lies outside', () => {
  const calibration = calibrationOf();
  const boot = { release: 'new', ms: 650, beforeMs: 100, reads: 333, readBytes: 21e6 };
  const found = predict(calibration, counted(boot));
  const load = { virtualNs: 750 * MS, reads: 333, readBytes: 51e6 };
  assert.ok(Math.abs(found.ms - predictMs(TRUE_TERMS, load)) < 3, String(found.ms));
  assert.equal([found.board, found.from, found.outside], ['bench', 'reset', []]);
  const { residual } = calibration.total;
  assert.is(found.plusMinusMs, Math.max(residual.ms, residual.relative * found.ms));
  const [line] = predictionLines(found);
  assert.match(
    line!,
    /^predicted for the real board: \d+\.\d ms ± \d+\.\d \(modelled\), bench from reset/,
  );
  const far = predict(calibration, counted({ ...boot, reads: 9000, readBytes: 900e6 }));
  assert.equal(far.outside, ['number of reads', 'bytes read']);
  assert.match(
    predictionLines(far)[1]!,
    /outside what was calibrated: number of reads, bytes read/,
  );
});

test('another board, emulator or kernel, and a boot without counts, are not predicted', () => {
  const calibration = calibrationOf();
  const boot = { release: 'new', ms: 650, beforeMs: 100, reads: 333, readBytes: 21e6 };
  for (const [change, code, pattern] of [
    [
      { board: 'qemu-x86_64' },
      'USAGE_CALIBRATION_EXPIRED',
      /for qemu-aarch64, and this boot of qemu-x86_64/,
    ],
    [
      { emulator: { ...EMULATOR, version: '8.0.1' } },
      'USAGE_CALIBRATION_EXPIRED',
      /version 7\.2\.22, .* of 8\.0\.1/,
    ],
    [{ emulator: { ...EMULATOR, cpu: 'max' } }, 'USAGE_CALIBRATION_EXPIRED', /cpu cortex-a53/],
    [
      { record: { ...recordOf(boot), kernel: '6.18.1' } },
      'USAGE_CALIBRATION_EXPIRED',
      /kernel 6\.12, .* of 6\.18/,
    ],
    [{ storage: { bootBytes: 1 } }, 'USAGE_CALIBRATION_IO', /were not counted/],
    [
      { record: { ...recordOf(boot), outcome: 'halt' } },
      'USAGE_CALIBRATION_IO',
      /never got to its end/,
    ],
  ] as [object, string, RegExp][]) {
    assert.match(
      expectCode(() => predict(calibration, counted(boot, change)), code).message,
      pattern,
    );
  }
});

test('a file that is no calibration is refused', () => {
  const good = calibrationOf();
  for (const [name, text] of [
    ['nothing', ''],
    ['no JSON', '{'],
    ['a list', '[]'],
    ['another version', JSON.stringify({ ...good, schema: 2 })],
    [
      'a term below zero',
      JSON.stringify({ ...good, total: { ...good.total, terms: { cpu: -1 } } }),
    ],
    ['a term that is none', JSON.stringify(good).replace(/"cpu":[\d.]+/, '"cpu":null')],
    ['a field more', JSON.stringify({ ...good, extra: 1 })],
    ['cut off', JSON.stringify(good).slice(0, -9)],
  ] as [string, string][]) {
    assert.is(
      codeOf(() => parseCalibration(text, 'c.json')),
      'FORMAT_CALIBRATION',
      name,
    );
  }
});

// --- the command ---

async function run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const text = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr'): OutputStream => ({
    isTTY: false,
    on: () => undefined,
    write(chunk, done) {
      text[name] += chunk.toString();
      done();
      return true;
    },
  });
  const code = await runMain(
    {
      argv: ['qa', 'calibrate', ...argv],
      version: '0',
      env: {},
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      nowMs: () => 0,
      interrupted: () => new AbortController().signal,
      wasInterrupted: () => false,
    },
    [qaCalibrate],
  );
  return { code, ...text };
}

const linesOf = (values: readonly unknown[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join('');

test('the command reads both sides, writes the file once, and says what is wrong', async () => {
  using dir = tempDir();
  const at = (name: string): string => join(dir.path, name);
  const { virtual, boots } = bothBoards();
  writeFileSync(at('v.jsonl'), linesOf(virtual.map((each) => virtualLine(each))));
  const measured = boots.map(recordOf);
  writeFileSync(at('1.jsonl'), linesOf(measured.slice(0, 5)));
  writeFileSync(at('2.jsonl'), linesOf(measured.slice(5)));
  const output = at('calibration.json');
  const sides = ['--virtual', at('v.jsonl'), '--real', at('1.jsonl')];
  const few = await run(...sides, '-o', output);
  assert.equal([few.code, few.stderr.includes('USAGE_CALIBRATION_FEW')], [2, true], few.stderr);
  const done = await run(...sides, '--real', at('2.jsonl'), '-o', output);
  assert.is(done.code, 0, done.stderr);
  const written = parseCalibration(readFileSync(output, 'utf8'), output);
  assert.equal(
    written.inputs.map(({ side, file, sha256 }) => [side, file, sha256.length]),
    [
      ['virtual', 'v.jsonl', 64],
      ['real', '1.jsonl', 64],
      ['real', '2.jsonl', 64],
    ],
  );
  assert.match(done.stdout, /^residual +±\d\.\d %, at most \d\.\d ms$/m);
  const again = await run(...sides, '--real', at('2.jsonl'), '-o', output);
  assert.equal([again.code, again.stderr.includes('USAGE_OUTPUT_EXISTS')], [2, true]);
  const json = await run(...sides, '--real', at('2.jsonl'), '-o', output, '--force', '--json');
  const { result } = JSON.parse(json.stdout) as { result: { calibration: Calibration } };
  assert.equal(result.calibration, written);
  const swapped = await run('--virtual', at('v.jsonl'), '--real', at('v.jsonl'), '-o', at('x'));
  assert.equal([swapped.code, swapped.stderr.includes('USAGE_CALIBRATION_MIXED')], [2, true]);
  const none = await run('--virtual', at('v.jsonl'), '-o', at('x'));
  assert.equal([none.code, none.stderr.includes('USAGE_MISSING_OPTION')], [2, true]);
  assert.is(
    codeOf(() => readCounted(at('1.jsonl'))),
    'FORMAT_BOOT_RECORDS',
  );
  const { storage: _, ...old } = virtualLine(virtual[0]!) as { storage: object };
  writeFileSync(at('old.jsonl'), linesOf([old]));
  const { message } = expectCode(() => readCounted(at('old.jsonl')), 'FORMAT_BOOT_RECORDS');
  assert.match(message, /line 1 is no virtual boot of this version: expected storage/);
});

test.run();
