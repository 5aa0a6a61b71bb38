/** The strict DER reader: one spelling for everything, and times by the calendar. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as fc from 'fast-check';
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import * as der from '../../runtime/format/der.ts';
import { COLDSEAL_ARC } from '../../runtime/format/oids.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';

const test = suite('der');
const bytes = (hex: string): Uint8Array => fromHex(hex)!;

test('reads nested elements and ends where they end', () => {
  const reader = der.openDer(bytes('3009020101300404020506'), der.DER_TAG.SEQUENCE, 'x');
  assert.is(der.readSmallInteger(reader.element(2).content, 'x'), 1);
  const inner = reader.open(0x30, 'x');
  assert.is(toHex(inner.element(4).whole), '04020506');
  inner.finish();
  assert.ok(reader.done);
  reader.finish();
});

const REFUSED: readonly [what: string, hex: string][] = [
  ['nothing', ''],
  ['a tag alone', '30'],
  ['an indefinite length', '30800000'],
  ['a long form for 1', '30810102'],
  // What follows these is whole, so that only the spelling of the length can be refused.
  ['a long form with a leading zero', `3082007f047d${'00'.repeat(125)}`],
  ['two bytes for a length of 128', `30820080047e${'00'.repeat(126)}`],
  ['two bytes for a length of 255', `308200ff0481fc${'00'.repeat(252)}`],
  ['a three-byte length', `30830100000482fffc${'00'.repeat(65532)}`],
  ['a length past the end', '3005020101'],
  ['bytes after the end', '300302010100'],
  ['a multi-byte tag', '3f8101020101'],
  ['another tag', '3103020101'],
];

test('refuses other spellings of lengths and tags', () => {
  for (const [what, hex] of REFUSED) {
    const read = (): void => {
      const reader = der.openDer(bytes(hex), der.DER_TAG.SEQUENCE, 'x');
      reader.any();
      reader.finish();
    };
    expectCode(read, 'FORMAT_DER', what);
  }
});

test('refuses other spellings of values', () => {
  const cases: readonly [string, () => unknown][] = [
    ['true as 01', () => der.readBoolean(bytes('01'), 'x')],
    ['an empty boolean', () => der.readBoolean(bytes(''), 'x')],
    ['an empty integer', () => der.checkInteger(bytes(''), 'x')],
    ['a needless zero', () => der.checkInteger(bytes('0001'), 'x')],
    ['a needless ff', () => der.checkInteger(bytes('ff80'), 'x')],
    ['a negative length', () => der.readSmallInteger(bytes('ff'), 'x')],
    ['a large length', () => der.readSmallInteger(bytes('0100000000'), 'x')],
    ['zero as a modulus', () => der.readPositiveInteger(bytes('00'), 'x')],
    ['unused bits in a signature', () => der.readWholeBits(bytes('0180'), 'x')],
    ['an empty bit string', () => der.readWholeBits(bytes(''), 'x')],
    ['eight unused bits', () => der.readNamedBits(bytes('0880'), 'x')],
    ['unused bits of nothing', () => der.readNamedBits(bytes('01'), 'x')],
    ['a trailing zero bit', () => der.readNamedBits(bytes('0680'), 'x')],
    ['padding that is set', () => der.readNamedBits(bytes('0781'), 'x')],
    ['an empty OID', () => der.readOid(bytes(''))],
    ['an unfinished OID', () => der.readOid(bytes('2a86'))],
    ['a padded arc', () => der.readOid(bytes('2a8001'))],
    ['a long OID', () => der.readOid(new Uint8Array(65).fill(1))],
  ];
  for (const [what, run] of cases) expectCode(run, 'FORMAT_DER', what);
  assert.equal([...der.readNamedBits(bytes('0780'), 'x')], [0]);
  assert.equal([...der.readNamedBits(bytes('0106'), 'x')], [5, 6]);
});

const time = (tag: number, text: string): number =>
  der.readTime({ tag, content: Buffer.from(text), whole: new Uint8Array() }, 'x');

test('times agree with the calendar', () => {
  fc.assert(
    fc.property(fc.integer({ min: -631_152_000, max: 200_000_000_000 }), (seconds) => {
      const text = new Date(seconds * 1000).toISOString().replace(/[-:T]|\.000/g, '');
      const isUtc = Number(text.slice(0, 4)) < 2050;
      assert.is(time(isUtc ? 0x17 : 0x18, isUtc ? text.slice(2) : text), seconds);
    }),
    { seed: 4, numRuns: 2000 },
  );
  const wrong: readonly [number, string][] = [
    [0x17, '260230000000Z'],
    [0x17, '261301000000Z'],
    [0x17, '260100000000Z'],
    [0x17, '260101240000Z'],
    [0x17, '260101006000Z'],
    [0x17, '260101000060Z'],
    [0x17, '2601010000Z'],
    [0x17, '260101000000+0000'],
    [0x18, '20260101000000Z'],
    [0x18, '20491231235959Z'],
    [0x18, '20510229000000Z'],
    [0x18, '20500101000000.0Z'],
    [0x04, '260101000000Z'],
  ];
  for (const [tag, text] of wrong) expectCode(() => time(tag, text), 'FORMAT_DER', text);
});

test('our arc is the UUID it says', () => {
  let value = BigInt('0x1c8c575bc0c24d9196ad0739b85d4cbd');
  assert.is(String(value), '37947077281226846605240376724067011773');
  const digits = [Number(value & 127n)];
  for (value >>= 7n; value > 0n; value >>= 7n) digits.unshift(Number(value & 127n) | 128);
  assert.is(toHex(Uint8Array.of(2 * 40 + 25, ...digits)), COLDSEAL_ARC);
});

test('any bytes give an element or a ColdsealError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
      codeOf(() => {
        const reader = der.openDer(input, 0x30, 'x');
        while (!reader.done) reader.any();
      });
    }),
    { seed: 5, numRuns: 3000 },
  );
});

test.run();
