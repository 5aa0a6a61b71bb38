/** Escapes and numbers of dump fields. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import {
  escapeField,
  parseLikeStrtoull,
  parseUnsigned,
  unescapeField,
} from '../../toolchain/image/dump-text.ts';

const test = suite('dump-text');

const EVERY_BYTE = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('');

test('a field is escaped and unescaped', () => {
  for (const [value, field, fieldInXattr = field] of [
    ['abc', 'abc'],
    ['', ''],
    ['-', '\\x2d'],
    ['--', '--'],
    ['a b', 'a\\x20b'],
    ['a=b', 'a=b', 'a\\x3db'],
    ['\\', '\\\\'],
    ['\n\r\t', '\\n\\r\\t'],
    ['\0', '\\x00'],
    ['\x7f\x80\xff', '\\x7f\\x80\\xff'],
    ['~!', '~!'],
  ] as const) {
    assert.is(escapeField(value as string as ByteString), field);
    assert.is(escapeField(value as string as ByteString, true), fieldInXattr);
    assert.is(unescapeField(field), value);
    assert.is(unescapeField(fieldInXattr), value);
  }
});

test('every byte comes back, alone and among others', () => {
  for (const value of [EVERY_BYTE, ...EVERY_BYTE.split('')]) {
    for (const escapeEquals of [false, true]) {
      const field = escapeField(value as ByteString, escapeEquals);
      assert.match(field, escapeEquals ? /^[!-<>-~]*$/ : /^[!-~]*$/);
      assert.is(unescapeField(field), value);
    }
  }
});

test('hexadecimal digits of an escape may be of either case', () => {
  assert.is(unescapeField('\\xAb\\xfF'), '\xab\xff');
});

test('an escape that is none is found where it stands', () => {
  for (const [field, at] of [
    ['\\', 0],
    ['ab\\', 2],
    ['\\q', 0],
    ['\\\\\\q', 2],
    ['\\x', 0],
    ['\\x4', 0],
    ['a\\x4g', 1],
    ['\\x 1', 0],
    ['\\X41', 0],
    ['\\N', 0],
    ['\\0', 0],
  ] as const) {
    const result = unescapeField(field);
    assert.is(typeof result === 'string' ? result : result.at, at, field);
  }
});

test('unsigned numbers', () => {
  for (const [text, base, value] of [
    ['0', 10, 0],
    ['007', 10, 7],
    ['123456789012345', 10, 123456789012345],
    ['9007199254740991', 10, 9007199254740991],
    ['9007199254740992', 10, 9007199254740992n],
    ['18446744073709551616', 10, 18446744073709551616n],
    ['0'.repeat(500) + '5', 10, 5],
    ['644', 8, 0o644],
    ['0644', 8, 0o644],
    ['177777', 8, 0o177777],
    ['7777777777777777', 8, 2 ** 48 - 1],
    ['777777777777777777777777', 8, 2n ** 72n - 1n],
    ['', 10, undefined],
    ['8', 8, undefined],
    ['-1', 10, undefined],
    ['+1', 10, undefined],
    [' 1', 10, undefined],
    ['1 ', 10, undefined],
    ['1e3', 10, undefined],
    ['0x1', 10, undefined],
    ['1234567890123456x', 10, undefined],
    ['\u0661', 10, undefined],
  ] as const) {
    assert.equal(parseUnsigned(text, 0, text.length, base), value, text);
  }
  assert.is(parseUnsigned('a 12 b', 2, 4, 10), 12);
  assert.ok(parseUnsigned('9'.repeat(100_000), 0, 100_000, 10)! > 2n ** 64n);
});

test('numbers as strtoull reads them', () => {
  const max = 2n ** 64n - 1n;
  for (const [text, value] of [
    ['5', 5],
    ['+5', 5],
    ['\t\n\v\f\r 5', 5],
    ['-0', 0],
    ['-1', max],
    ['-18446744073709551615', 1],
    ['18446744073709551615', max],
    ['18446744073709551616', max],
    ['-18446744073709551616', max],
    ['9'.repeat(1000), max],
    ['', undefined],
    ['-', undefined],
    ['+-5', undefined],
    ['- 5', undefined],
    ['5 ', undefined],
    ['5x', undefined],
    ['\xa05', undefined],
  ] as const) {
    assert.equal(parseLikeStrtoull(text, 10), value, JSON.stringify(text));
  }
  assert.is(parseLikeStrtoull('-1', 8), max);
  assert.is(parseLikeStrtoull('9', 8), undefined);
});

test.run();
