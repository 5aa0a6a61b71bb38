/** Records: the layout proof, decoding, encoding, and what both refuse. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  always16,
  always32,
  always8,
  byteArray,
  fieldsOf,
  i64,
  magic,
  struct,
  u16,
  u32,
  u64,
  u8,
  zeros,
} from '../../runtime/format/struct.ts';
import { RECORDS } from '../../toolchain/dev/format-docs.ts';
import { assertBytes } from '../support/assert-bytes.ts';

const test = suite('struct');

const Sample = struct('sample', 40, 'sample.h, struct sample', {
  magic: [0x00, magic(0xd078629a, 'what it is')],
  version: [0x04, always8(1, 'the only version')],
  tiny: [0x05, u8('eight bits')],
  flags: [0x06, always16(0x8000, 'the only flags')],
  small: [0x08, u16('sixteen bits')],
  reserved: [0x0a, zeros(2)],
  kind: [0x0c, always32(7, 'the only kind')],

  size: [0x10, u64('sixty-four bits')],
  time: [0x18, i64('signed')],

  count: [0x20, u32('thirty-two bits')],
  tag: [0x24, byteArray(4, 'four bytes')],
});

const VALUE = {
  tiny: 0xff,
  small: 0xfffe,
  size: 0xffff_ffff_ffff_ffffn,
  time: -1n,
  count: 0xffff_fffd,
  tag: Uint8Array.of(1, 2, 3, 4),
};

const BYTES = Uint8Array.from(
  Buffer.from(
    '9a6278d001ff0080feff000007000000fffffffffffffffffffffffffffffffffdffffff01020304',
    'hex',
  ),
);

/** The code and message of what a call throws. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    const { message, code = '' } = error as Error & { code?: string };
    return `${code} ${message}`;
  }
  return 'nothing thrown';
}

test('a value becomes its bytes and back', () => {
  assertBytes(Sample.encode(VALUE), BYTES);
  assert.equal(Sample.decode(BYTES), VALUE);
});

test('records are read and written at an offset, and nothing around them changes', () => {
  const buffer = new Uint8Array(50).fill(0xee);
  Sample.encode(VALUE, buffer, 5);
  assertBytes(buffer.subarray(5, 45), BYTES);
  assert.ok([...buffer.subarray(0, 5), ...buffer.subarray(45)].every((byte) => byte === 0xee));
  assert.equal(Sample.decode(buffer, 5), VALUE);
  assert.is(Sample.at.count, 0x20);
});

test('a layout with a gap, an overlap or a wrong total is refused on definition', () => {
  const one = u8('one');
  const cases: readonly [table: Parameters<typeof struct>[3], says: RegExp][] = [
    [{ a: [0, one], b: [2, one], c: [3, one] }, /x\.b: at 2, expected 1/],
    [{ a: [0, u16('two')], b: [1, one], c: [3, one] }, /x\.b: at 1, expected 2/],
    [{ a: [1, one] }, /x\.a: at 1, expected 0/],
    [{ a: [0, one], b: [1, one] }, /x: fields cover 2 bytes, expected 4/],
  ];
  for (const [table, says] of cases) assert.throws(() => struct('x', 4, 'x.h', table), says);
});

test('a record that reaches past the end is FORMAT_RECORD_TRUNCATED', () => {
  for (let length = 0; length < Sample.size; length++) {
    assert.match(
      refusal(() => Sample.decode(BYTES.subarray(0, length))),
      /^FORMAT_RECORD_TRUNCATED /,
    );
  }
  for (const offset of [-1, 1, 40, 2 ** 40]) {
    assert.match(
      refusal(() => Sample.decode(BYTES, offset)),
      /^FORMAT_RECORD_TRUNCATED /,
    );
  }
});

test('every bit of a constant or reserved field is FORMAT_RECORD_FIELD and names the field', () => {
  for (const name of ['magic', 'version', 'flags', 'reserved', 'kind'] as const) {
    const { offset, size } = fieldsOf(Sample).find((field) => field.name === name)!;
    for (let bit = 0; bit < size * 8; bit++) {
      const changed = BYTES.slice();
      changed[offset + (bit >> 3)]! ^= 1 << (bit & 7);
      const says = refusal(() => Sample.decode(changed));
      assert.match(says, /^FORMAT_RECORD_FIELD Cannot read sample at offset 0: field /);
      assert.ok(says.includes(`field ${name} (byte ${offset})`), says);
    }
  }
});

test('values outside their field are refused on encoding', () => {
  const cases: readonly [change: Partial<typeof VALUE>, says: RegExp][] = [
    [{ tiny: 256 }, /sample\.tiny: expected an integer from 0 to 255, got 256/],
    [{ tiny: -1 }, /sample\.tiny/],
    [{ small: 1.5 }, /sample\.small/],
    [{ count: 2 ** 32 }, /sample\.count/],
    [{ count: Number.NaN }, /sample\.count/],
    [{ size: 1n << 64n }, /sample\.size: expected 64 unsigned bits/],
    [{ size: -1n }, /sample\.size/],
    [{ time: 1n << 63n }, /sample\.time: expected 64 signed bits/],
    [{ tag: new Uint8Array(3) }, /sample\.tag: expected 4 bytes, got 3/],
  ];
  for (const [change, says] of cases) {
    assert.throws(() => Sample.encode({ ...VALUE, ...change }), says);
  }
  assert.throws(() => Sample.encode(VALUE, new Uint8Array(39)), /does not fit/);
});

test('every record of the formats covers its bytes and says where its layout is from', () => {
  for (const { name, size, source, table } of RECORDS) {
    const fields = fieldsOf({ table });
    const covered = fields.reduce((sum, field) => sum + field.size, 0);
    assert.is(covered, size, name);
    assert.ok(source.length > 0 && fields.every(({ doc }) => doc.length > 0), name);
  }
});

test.run();
