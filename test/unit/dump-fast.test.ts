/**
 * Ordinary lines of dumps: the quick reading and the careful one give the same for every text, and most lines are
 * quick.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { syntheticDump } from '../../toolchain/bench/synthetic-dump.ts';
import { Random } from '../../toolchain/dev/fuzz/random.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { DumpReader, parseDump } from '../../toolchain/image/dumpfile.ts';
import { edgeDump } from '../support/edge-dump.ts';
import { SMALL_DUMPS } from '../support/small-dumps.ts';
import { vectorDump } from '../support/vector-dump.ts';

const RUNS = Number(process.env['COLDSEAL_PROPERTY_RUNS'] ?? 150);
const DIGEST = 'ab'.repeat(32);
const OBJECT = `ab/${'ab'.repeat(31)}`;
const ROOT = '/ 0 40755 2 0 0 0 0.0 - - -\n';

const test = suite('dump-fast');

/** The tree of a text as text, with the lines of its entries, or the refusal. */
function reading(bytes: Buffer, lenient: boolean, everyLineIsOdd: boolean): string {
  try {
    return [...printDump(parseDump(bytes, { lenient, everyLineIsOdd }))].join('');
  } catch (error) {
    return String(error);
  }
}

function assertSameReadings(text: Buffer | string, label: string): void {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  for (const lenient of [false, true]) {
    const careful = reading(bytes, lenient, true);
    if (reading(bytes, lenient, false) !== careful) {
      assert.is(reading(bytes, lenient, false), careful, `${label}, lenient ${lenient}`);
    }
  }
}

test('dumps of every kind are read the same both ways', () => {
  assertSameReadings([...syntheticDump(3000)].join(''), 'synthetic');
  for (let seed = 1; seed <= 2; seed++) {
    assertSameReadings(vectorDump(seed), `vector ${seed}`);
    assertSameReadings(edgeDump(seed), `edge ${seed}`);
  }
  for (const [i, small] of SMALL_DUMPS.entries()) assertSameReadings(small.text, `small ${i}`);
});

/** Lines at the borders of what is ordinary; each stands after the root and a directory. */
const BORDERS = [
  '/d/a 0 100644 1 0 0 0 0.0 - - -',
  '/d/a 5 100644 1 0 0 0 0.0 - - -\n- - -',
  '/d/a 5 100644 1 0 0 0 0.0 -\n- - -',
  '/d/a 0 20644 1 0 0 0 0.0 - -\n-',
  '/d/a 5 100644 1 0 0 0 0.0 - hello -',
  '/d/a 6 100644 1 0 0 0 0.0 - hello -',
  '/d/a 5 100644 1 0 0 0 0.0 - h\\x00\\n\\\\\\r -',
  '/d/a 5 100644 1 0 0 0 0.0 - hell\\y -',
  '/d/a 5 100644 1 0 0 0 0.0 - hell\\x4 -',
  '/d/a 0 100644 1 0 0 0 0.0 -  -',
  `/d/a 5000 100644 1 0 0 0 0.0 - ${'c'.repeat(5000)} -`,
  `/d/a 5001 100644 1 0 0 0 0.0 - ${'c'.repeat(5001)} -`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} - ${DIGEST}`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} - ${DIGEST.toUpperCase()}`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} - ${'ac'.repeat(32)}`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} - ${DIGEST}a`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} - ${DIGEST.slice(1)}`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT}${'ab'.repeat(32)} - ${DIGEST.repeat(2)}`,
  `/d/a 99 100644 1 0 0 0 0.0 ${OBJECT} x ${DIGEST}`,
  '/d/a 5 120777 1 0 0 0 0.0 there - -',
  '/d/a 0 120777 1 0 0 0 0.0 there - -',
  '/d/a 4 120777 1 0 0 0 0.0 there - -',
  '/d/a 0 120777 1 0 0 0 0.0 - - -',
  `/d/a 0 120777 1 0 0 0 0.0 ${'t'.repeat(4095)} - -`,
  `/d/a 0 120777 1 0 0 0 0.0 ${'t'.repeat(4096)} - -`,
  '/d/a 7 20644 1 0 0 1280 0.0 - - -',
  '/d/a 7 10644 1 0 0 1280 0.0 - - -',
  '/d/a 7 10644 1 0 0 0 0.0 - - -',
  '/d/a 0 40755 1 0 0 0 0.0 - - -',
  '/d 0 40755 1 0 0 0 0.0 - - -',
  '/d/. 0 40755 1 0 0 0 0.0 - - -',
  '/d/.. 0 40755 1 0 0 0 0.0 - - -',
  '/d/... 0 40755 1 0 0 0 0.0 - - -',
  '/d//a 0 100644 1 0 0 0 0.0 - - -',
  '//d/a 0 100644 1 0 0 0 0.0 - - -',
  '/d/ 0 40755 1 0 0 0 0.0 - - -',
  '/dd 0 40755 1 0 0 0 0.0 - - -',
  '/e/a 0 100644 1 0 0 0 0.0 - - -',
  'd/a 0 100644 1 0 0 0 0.0 - - -',
  `/d/${'n'.repeat(255)} 0 100644 1 0 0 0 0.0 - - -`,
  `/d/${'n'.repeat(256)} 0 100644 1 0 0 0 0.0 - - -`,
  '/d/\xff\x01 0 100644 1 0 0 0 0.0 - - -',
  '/d/a 0 0100644 1 0 0 0 0.0 - - -',
  '/d/a 0 300644 1 0 0 0 0.0 - - -',
  '/d/a 0 644 1 0 0 0 0.0 - - -',
  '/d/a 0 @100644 1 0 0 0 0.0 /d - -',
  '/d/a 999999999999999 100644 4294967295 4294967295 4294967295 0 999999999999999.999999999 - - -',
  '/d/a 9007199254740992 100644 1 0 0 0 9223372036854775807.0 - - -',
  '/d/a 0 100644 4294967296 0 0 0 0.0 - - -',
  '/d/a 0 100644 1 0 0 0 -1.5 - - -',
  '/d/a 0 100644 1 0 0 0 0.1000000000 - - -',
  '/d/a 0 100644 1 0 0 0 0 - - -',
  '/d/a 0 100644 1 0 0 0 .0 - - -',
  '/d/a 0 100644 1 0 0 0 0. - - -',
  '/d/a 0 100644 1 0 0 +0 0.0 - - -',
  '/d/a 0 100644 1 0 0 0 0.0 - - - ',
  '/d/a 0 100644 1 0 0 0 0.0 - - -  user.a=1',
  '/d/a 0 100644 1 0 0 0 0.0 - - - user.a=1',
  '/d/a 0 100644 1 0 0 0 0.0 - - - user.a=12',
  '/d/a 0 100644 1 0 0 0 0.0 - - - user.a=1 user.b=2',
  '/d/a 0 100644 1 0 0 0 0.0 - - - user.a=1 ',
  '/d/a 0 100644 1 0 0 0 0.0 - - - user.a',
];

test('lines at the borders of what is ordinary', () => {
  const before = `${ROOT}/d 0 40755 2 0 0 0 0.0 - - - user.a=1\n/d/0 0 100644 1 0 0 0 0.0 - - - user.a=1\n`;
  for (const line of BORDERS) {
    assertSameReadings(`${before}${line}\n`, line);
    assertSameReadings(`${before}${line}\n${line.replace('/d/', '/d/b')}\n/z\n`, `twice ${line}`);
    assertSameReadings(`${before}${line}`, `without a newline ${line}`);
  }
});

test('damaged dumps are refused or read the same both ways', () => {
  const base = Buffer.from([...syntheticDump(120)].join(''), 'latin1');
  const bytes = [...Buffer.from(' \n/\\-.0189@xaf\0\t\xff')];
  for (let run = 0; run < RUNS; run++) {
    const random = new Random(3, run);
    const text = Buffer.from(base);
    for (let i = random.below(3); i >= 0; i--) {
      const at = random.below(text.length);
      const kind = random.below(3);
      if (kind === 0) text[at] = random.pick(bytes);
      else if (kind === 1) text.copyWithin(at, at + 1);
      else text.copyWithin(at + 1, at);
    }
    assertSameReadings(text, `run ${run}`);
  }
});

test('pieces of any size give the same, and nearly every line is an ordinary one', () => {
  const text = Buffer.from([...syntheticDump(5000)].join(''), 'latin1');
  const expected = reading(text, false, false);
  for (const size of [300, 4096, 65_537, text.length]) {
    const reader = new DumpReader();
    let rest = Buffer.alloc(0);
    for (let at = 0; at < text.length; at += size) {
      const piece = Buffer.concat([rest, text.subarray(at, at + size)]);
      rest = piece.subarray(reader.read(piece, at + size >= text.length));
    }
    assert.is(rest.length, 0);
    const { count } = reader.finish();
    assert.ok(count > 5000);
    // Hardlinks, the root, and lines whose attributes no line before had. More of them would be slow and nothing else.
    assert.is(reader.oddLines, 69, `pieces of ${size} bytes`);
  }
  assert.is(reading(text, false, true), expected);
});

test.run();
