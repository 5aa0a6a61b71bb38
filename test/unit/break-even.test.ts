/** Which compression of the initramfs is fastest: by hand for a few boards, by trying out for many speeds. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Board } from '../../toolchain/board/schema.ts';
import { breakEven, breakEvenText, type CompressedSize } from '../../toolchain/disk/break-even.ts';

const test = suite('break-even of compression');

const ARCHIVE = 3_000_000;
const SIZES: readonly CompressedSize[] = [
  { compression: 'zstd', bytes: 1_000_000 },
  { compression: 'none', bytes: ARCHIVE },
  { compression: 'lz4', bytes: 1_500_000 },
];

type Figures = Pick<Board, 'storage' | 'decompress_mb_s'>;

const fact = (value: number): object => ({ value, source: 'a test', evidence: 'configured' });

function board(storage: number | undefined, lz4?: number, zstd?: number): Figures {
  return {
    storage: storage === undefined ? [] : [{ kind: 'emmc', measured_mb_s: fact(storage) as never }],
    decompress_mb_s: {
      ...(lz4 === undefined ? {} : { lz4: fact(lz4) as never }),
      ...(zstd === undefined ? {} : { zstd: fact(zstd) as never }),
    },
  };
}

test('the times and the ranges are those that paper and pencil give', () => {
  const { costs, fastest, best, storageMbS } = breakEven(board(50, 600, 100), ARCHIVE, SIZES);
  assert.is(storageMbS, 50);
  // Read: 60, 30, 20 ms. Unpacked at 600 and 100 MB/s: 5 and 30 ms.
  assert.equal(
    costs.map(({ compression, unpackMs, totalMs }) => [compression, unpackMs, totalMs]),
    [
      ['none', 0, 60],
      ['lz4', 5, 35],
      ['zstd', 30, 50],
    ],
  );
  // zstd and lz4 meet at 500,000 bytes per 25 ms, lz4 and none at 1,500,000 bytes per 5 ms.
  assert.equal(fastest, [
    { fromMbS: 0, compression: 'zstd' },
    { fromMbS: 20, compression: 'lz4' },
    { fromMbS: 300, compression: 'none' },
  ]);
  assert.is(best, 'lz4');
});

test('at every speed the range names the one that takes least', () => {
  const shapes: readonly [lz4: number, zstd: number][] = [
    [600, 100],
    [100, 100],
    [40, 900],
    [2000, 1900],
    [1, 1],
  ];
  for (const [lz4, zstd] of shapes) {
    for (let speed = 1; speed < 3000; speed = speed * 1.37) {
      const { best, costs } = breakEven(board(speed, lz4, zstd), ARCHIVE, SIZES);
      const least = Math.min(...costs.map(({ totalMs }) => totalMs!));
      const chosen = costs.find(({ compression }) => compression === best)!.totalMs!;
      assert.ok(chosen - least < 1e-6, `${lz4} ${zstd} at ${speed}: ${best}`);
    }
  }
});

test('what does not compress is never read compressed', () => {
  const same = SIZES.map(({ compression }) => ({ compression, bytes: ARCHIVE }));
  const { fastest } = breakEven(board(50, 600, 100), ARCHIVE, same);
  assert.equal(fastest, [{ fromMbS: 0, compression: 'none' }]);
});

test('without a figure it says which one is missing, and promises nothing', () => {
  for (const [figures, missing] of [
    [board(50, undefined, 100), 'decompress_mb_s.lz4'],
    [board(50), 'decompress_mb_s.lz4, decompress_mb_s.zstd'],
  ] as const) {
    const result = breakEven(figures, ARCHIVE, SIZES);
    assert.is(result.best, undefined);
    const text = breakEvenText(result).join('\n');
    assert.ok(text.includes(`the board file has no ${missing}`), text);
  }
});

test('without the speed of the storage it says what is fastest from which speed on', () => {
  const result = breakEven(board(undefined, 600, 100), ARCHIVE, SIZES);
  assert.is(result.best, undefined);
  assert.equal(breakEvenText(result), [
    'none 3000000 bytes, unpacked in 0.0 ms; lz4 1500000 bytes, unpacked in 5.0 ms; ' +
      'zstd 1000000 bytes, unpacked in 30.0 ms',
    'fastest by storage speed: zstd, lz4 from 20 MB/s on, none from 300 MB/s on; ' +
      'the board file has no storage[0].measured_mb_s',
  ]);
});

test('the vendor figure stands in where nothing was measured', () => {
  const figures: Figures = {
    ...board(50, 600, 100),
    storage: [{ kind: 'emmc', ceiling_mb_s: fact(400) as never }],
  };
  const result = breakEven(figures, ARCHIVE, SIZES);
  assert.is(result.best, 'none');
  assert.equal(breakEvenText(result), [
    'none 3000000 bytes, 7.5 ms; lz4 1500000 bytes, 8.8 ms; zstd 1000000 bytes, 32.5 ms at 400 MB/s',
    'fastest here: none; by storage speed: zstd, lz4 from 20 MB/s on, none from 300 MB/s on',
  ]);
});

test('one compression alone is compared with nothing', () => {
  const { fastest, best } = breakEven(board(50), ARCHIVE, SIZES.slice(1, 2));
  assert.equal(fastest, [{ fromMbS: 0, compression: 'none' }]);
  assert.is(best, 'none');
});

test.run();
