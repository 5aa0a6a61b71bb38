/** Canonical CBOR: RFC 8949 appendix A as far as the profile goes, and everything it refuses. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as fc from 'fast-check';
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import {
  type CborValue,
  decodeCanonical,
  encodeCanonical,
  withoutEntry,
} from '../../runtime/format/cbor.ts';
import { decodeUtf8, encodeUtf8 } from '../../runtime/format/utf8.ts';
import { agreeWithSecondReader } from '../../toolchain/sign/second-reader.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';

const test = suite('cbor');
const LIMITS = { maxBytes: 4096, maxDepth: 6, maxItems: 200 };
const decode = (hex: string): CborValue => decodeCanonical(fromHex(hex)!, LIMITS);

const VECTORS: readonly [hex: string, value: CborValue][] = [
  ['00', 0],
  ['01', 1],
  ['0a', 10],
  ['17', 23],
  ['1818', 24],
  ['1819', 25],
  ['1864', 100],
  ['18ff', 255],
  ['190100', 256],
  ['1903e8', 1000],
  ['19ffff', 65535],
  ['1a00010000', 65536],
  ['1a000f4240', 1_000_000],
  ['1affffffff', 2 ** 32 - 1],
  ['1b0000000100000000', 2 ** 32],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['1b001fffffffffffff', Number.MAX_SAFE_INTEGER],
  ['1b0020000000000000', 2n ** 53n],
  ['1bffffffffffffffff', 18446744073709551615n],
  ['20', -1],
  ['29', -10],
  ['37', -24],
  ['3818', -25],
  ['3863', -100],
  ['38ff', -256],
  ['390100', -257],
  ['3903e7', -1000],
  ['3bffffffffffffffff', -18446744073709551616n],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['40', new Uint8Array()],
  ['4401020304', Uint8Array.of(1, 2, 3, 4)],
  ['60', ''],
  ['6161', 'a'],
  ['6449455446', 'IETF'],
  ['62225c', '"\\'],
  ['62c3bc', 'ü'],
  ['63e6b0b4', '水'],
  ['64f0908591', '𐅑'],
  ['80', []],
  ['83010203', [1, 2, 3]],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['a0', new Map()],
  [
    'a201020304',
    new Map([
      [1, 2],
      [3, 4],
    ]),
  ],
  [
    'a26161016162820203',
    new Map<string, CborValue>([
      ['a', 1],
      ['b', [2, 3]],
    ]),
  ],
  ['826161a161626163', ['a', new Map([['b', 'c']])]],
  // Sorted by bytes, not by length first: 24 (1818) before -1 (20) before "a" (6161).
  [
    'a318180120026161 03'.replace(' ', ''),
    new Map<number | string, number>([
      ['a', 3],
      [-1, 2],
      [24, 1],
    ]),
  ],
  ['a1695f5f70726f746f5f5f01', new Map([['__proto__', 1]])],
];

const anyValue: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.string({ maxLength: 8 }),
    fc.uint8Array({ maxLength: 8 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(
        fc.tuple(fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 4 })), tie('value')),
        {
          maxLength: 4,
          selector: ([key]) => key,
        },
      )
      .map((pairs) => new Map(pairs)),
  ),
})).value;

test('agrees with RFC 8949 appendix A in both directions', () => {
  for (const [hex, value] of VECTORS) {
    assert.is(toHex(encodeCanonical(value)), hex, `encoding of ${hex}`);
    assert.equal(decode(hex), value, `decoding of ${hex}`);
  }
});

const REFUSED: readonly [what: string, hex: string, code: string][] = [
  ['nothing', '', 'FORMAT_CBOR_STRUCTURE'],
  ['a second value', '0000', 'FORMAT_CBOR_STRUCTURE'],
  ['an integer cut off', '1903', 'FORMAT_CBOR_STRUCTURE'],
  ['a byte string cut off', '420a', 'FORMAT_CBOR_STRUCTURE'],
  ['an array cut off', '8201', 'FORMAT_CBOR_STRUCTURE'],
  ['a map cut off', 'a101', 'FORMAT_CBOR_STRUCTURE'],
  ['a length of 2^32 - 1', '5affffffff00', 'FORMAT_CBOR_STRUCTURE'],
  ['a length of 2^64 - 1', '5bffffffffffffffff00', 'FORMAT_CBOR_STRUCTURE'],
  ['an array of 2^32 - 1', '9affffffff00', 'FORMAT_CBOR_STRUCTURE'],
  ['a map of 2^63', 'bb800000000000000000', 'FORMAT_CBOR_STRUCTURE'],
  ['a tag', 'c000', 'FORMAT_CBOR_TYPE'],
  ['a bignum', 'c249010000000000000000', 'FORMAT_CBOR_TYPE'],
  ['an Error object (tag 27)', 'd81b8261650161', 'FORMAT_CBOR_TYPE'],
  ['a record definition (tag 57343)', 'd9dfff8301020304', 'FORMAT_CBOR_TYPE'],
  ['a half float', 'f90000', 'FORMAT_CBOR_TYPE'],
  ['a float for an integer', 'fa47c35000', 'FORMAT_CBOR_TYPE'],
  ['a double', 'fb3ff199999999999a', 'FORMAT_CBOR_TYPE'],
  ['undefined', 'f7', 'FORMAT_CBOR_TYPE'],
  ['simple(255)', 'f8ff', 'FORMAT_CBOR_TYPE'],
  ['a break', 'ff', 'FORMAT_CBOR_TYPE'],
  ['an indefinite array', '9f01ff', 'FORMAT_CBOR_TYPE'],
  ['an indefinite map', 'bf0102ff', 'FORMAT_CBOR_TYPE'],
  ['an indefinite byte string', '5f4101ff', 'FORMAT_CBOR_TYPE'],
  ['an indefinite text', '7f6161ff', 'FORMAT_CBOR_TYPE'],
  ['a reserved form', '1c', 'FORMAT_CBOR_TYPE'],
  ['a byte string as key', 'a1410100', 'FORMAT_CBOR_TYPE'],
  ['an array as key', 'a18000', 'FORMAT_CBOR_TYPE'],
  ['invalid UTF-8', '61ff', 'FORMAT_CBOR_UTF8'],
  ['an over-long form', '62c080', 'FORMAT_CBOR_UTF8'],
  ['a surrogate', '63eda080', 'FORMAT_CBOR_UTF8'],
  ['text cut inside a character', '62e6b0', 'FORMAT_CBOR_UTF8'],
  ['seven levels', '8181818181818100', 'FORMAT_CBOR_DEPTH'],
  ['a thousand levels', `${'81'.repeat(1000)}00`, 'FORMAT_CBOR_DEPTH'],
  ['one item too many', `98c8${'00'.repeat(200)}`, 'FORMAT_CBOR_TOO_LARGE'],
  ['too many items', `98ff${'00'.repeat(255)}`, 'FORMAT_CBOR_TOO_LARGE'],
  ['one byte too many', `590ffe${'00'.repeat(4094)}`, 'FORMAT_CBOR_TOO_LARGE'],
  ['too many bytes', `591000${'00'.repeat(4096)}`, 'FORMAT_CBOR_TOO_LARGE'],
  ['23 in two bytes', '1817', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['255 in three bytes', '1900ff', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['0 in nine bytes', '1b0000000000000000', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['-1 in nine bytes', '3b0000000000000000', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['a length in two bytes', '580100', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['an array length in two bytes', '980100', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['a map length in three bytes', 'b900010102', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['unsorted keys', 'a203040102', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['a key twice', 'a201020103', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['a key twice, once long', 'a20102180103', 'FORMAT_CBOR_NOT_CANONICAL'],
  ['length-first order', 'a320021818016161 03'.replace(' ', ''), 'FORMAT_CBOR_NOT_CANONICAL'],
];

test('refuses everything else, by code', () => {
  for (const [what, hex, code] of REFUSED) expectCode(() => decode(hex), code, what);
});

test('the limits themselves are within them', () => {
  assert.is((decode(`98c7${'00'.repeat(199)}`) as readonly CborValue[]).length, 199);
  assert.is((decode(`590ffd${'00'.repeat(4093)}`) as Uint8Array).length, 4093);
  assert.is(toHex(encodeCanonical(decode('81818181818100'))), '81818181818100');
});

test('never shares memory with its input', () => {
  for (const input of [fromHex('4401020304')!, Buffer.from('4401020304', 'hex')]) {
    const value = decodeCanonical(input, LIMITS) as Uint8Array;
    input[1] = 9;
    assert.equal(value, Uint8Array.of(1, 2, 3, 4));
  }
});

test('an entry is taken out of a map without reading what follows', () => {
  const map = new Map<number, CborValue>([
    [1, 'a'],
    [7, new Uint8Array(16)],
    [8, [1, 2]],
  ]);
  const others = new Map([...map].filter(([key]) => key !== 7));
  const bytes = withoutEntry(encodeCanonical(map), 7, LIMITS);
  assert.is(toHex(bytes), toHex(encodeCanonical(others)));
});

test('changed bytes of a value are refused, or are the one encoding of another value', () => {
  let accepted = 0;
  fc.assert(
    fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, change) => {
      const bytes = encodeCanonical(value);
      bytes[at % bytes.length]! ^= change;
      codeOf(() => {
        const back = encodeCanonical(decodeCanonical(bytes, { ...LIMITS, maxDepth: 8 }));
        assert.is(toHex(back), toHex(bytes));
        accepted++;
      });
    }),
    { seed: 5, numRuns: 5000 },
  );
  assert.ok(accepted > 500, `${accepted}`);
});

test('the encoder refuses what has no encoding', () => {
  for (const value of [
    1.5,
    Number.NaN,
    2 ** 53,
    2n ** 64n,
    '\ud800',
    new Map<number | bigint, number>([
      [1, 1],
      [1n, 2],
    ]),
  ]) {
    assert.throws(() => encodeCanonical(value), RangeError);
  }
});

test('UTF-8 agrees with the platform', () => {
  for (const text of ['', 'aé水𐅑\u{10ffff}\u0000', '\ud7ff\ue000']) {
    assert.equal(encodeUtf8(text), new Uint8Array(Buffer.from(text)));
    assert.is(decodeUtf8(encodeUtf8(text)), text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
      const text = Buffer.from(bytes).toString('utf8');
      const isWellFormed = Buffer.compare(Buffer.from(text), bytes) === 0;
      return decodeUtf8(bytes) === (isWellFormed ? text : undefined);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('decode after encode is the same value, and the same bytes again', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeCanonical(value);
      const back = decodeCanonical(bytes, { maxBytes: 65536, maxDepth: 8, maxItems: 5000 });
      assert.is(toHex(encodeCanonical(back)), toHex(bytes));
    }),
    { seed: 2, numRuns: 500 },
  );
});

test('cbor-x, the second reader, agrees on every value and on the RFC', () => {
  for (const [hex] of VECTORS) agreeWithSecondReader(fromHex(hex)!, hex);
  fc.assert(
    fc.property(anyValue, (value) => agreeWithSecondReader(encodeCanonical(value), 'a value')),
    { seed: 4, numRuns: 500 },
  );
});

test('the second reader refuses what only one of the two reads', () => {
  for (const hex of ['', 'a20102180103', 'c249010000000000000000', 'd9dfff8301020304', '1817']) {
    expectCode(() => agreeWithSecondReader(fromHex(hex)!, hex), 'VERIFY_SECOND_READER', hex);
  }
});

test('any bytes give a value that encodes to them, or a ColdsealError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
      codeOf(() => assert.is(toHex(encodeCanonical(decodeCanonical(bytes, LIMITS))), toHex(bytes)));
    }),
    { seed: 3, numRuns: 5000 },
  );
});

test.run();
