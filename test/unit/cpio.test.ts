/** The initramfs archive: its bytes, and what it refuses. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpioArchive, cpioDirectory, type CpioEntry, cpioFile } from '../../toolchain/disk/cpio.ts';
import { ascii, ENTRIES } from '../support/cpio-entries.ts';

const test = suite('cpio');

test('every field is where the kernel looks for it', () => {
  const archive = Buffer.from(cpioArchive([cpioFile('ab', ascii('hello'), 0o644)]));
  const number = (value: number): string => value.toString(16).padStart(8, '0');
  const header = (...fields: number[]): string => `070701${fields.map(number).join('')}`;
  const expected =
    `${header(1, 0o100644, 0, 0, 1, 0, 5, 0, 0, 0, 0, 3, 0)}ab\0\0\0\0hello\0\0\0` +
    `${header(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0)}TRAILER!!!\0\0\0\0`;
  assert.is(archive.toString('latin1'), expected);
});

test('header and data start at multiples of four for every length of name and data', () => {
  for (let name = 1; name <= 9; name++) {
    for (let size = 0; size <= 5; size++) {
      const data = ascii('d'.repeat(size));
      const archive = Buffer.from(cpioArchive([cpioFile('n'.repeat(name), data)]));
      assert.is(archive.length % 4, 0);
      const second = archive.indexOf('070701', 6);
      assert.is(second % 4, 0, `${name} ${size}`);
      const start = Math.ceil((110 + name + 1) / 4) * 4;
      assert.is(archive.toString('latin1', start, start + size), 'd'.repeat(size));
    }
  }
});

test('the order of the entries does not matter', () => {
  assert.equal(cpioArchive(ENTRIES), cpioArchive([...ENTRIES].reverse()));
});

test('what would be lost or misread is refused', () => {
  const file = (name: string): CpioEntry => cpioFile(name, ascii(''));
  for (const [entries, problem] of [
    [[file('/absolute')], /not a path/],
    [[file('')], /not a path/],
    [[file('a/../b')], /not a path/],
    [[file('TRAILER!!!')], /not a name/],
    [[file('a\0b')], /not a name/],
    [[file('a'), file('a')], /twice/],
    [[file('no/parent')], /its directory is not in the archive/],
    [[file('a'), file('a/b')], /its directory is not in the archive/],
    [[cpioDirectory('d'), file(`d/${'n'.repeat(4094)}`)], /too long/],
    [[{ ...file('a'), mode: 0o040755 }], /wrong data/],
    [[{ ...cpioDirectory('a'), mode: 0o060600 }], /wrong device/],
  ] as const) {
    assert.throws(() => cpioArchive(entries), problem);
  }
});

test.run();
