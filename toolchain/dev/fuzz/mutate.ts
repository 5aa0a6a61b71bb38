/** Ways to damage an image or a dump text. Each takes the generator and returns new bytes. */
import type { SeedImage } from './corpus.ts';
import type { Random } from './random.ts';

const EDGES = [0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 31, 32, 0x7f, 0x80, 0xfe, 0xff];
const BLOCK = 4096;

/** A damaged copy of one of the images. */
export function mutateImage(random: Random, seeds: readonly SeedImage[]): Uint8Array {
  const seed = random.pick(seeds);
  let bytes = new Uint8Array(seed.bytes);
  const count = 1 + random.below(3);
  for (let i = 0; i < count; i++) bytes = damageImage(random, bytes, seed, seeds);
  return bytes;
}

function damageImage(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  seed: SeedImage,
  seeds: readonly SeedImage[],
): Uint8Array<ArrayBuffer> {
  const kind = random.below(100);
  if (kind < 20) flipBits(random, bytes);
  else if (kind < 25) bytes[random.below(bytes.length)] = random.pick(EDGES);
  else if (kind < 85) setField(random, bytes, seed);
  else if (kind < 90) return resize(random, bytes);
  else splice(random, bytes, random.pick(seeds).bytes);
  return bytes;
}

function flipBits(random: Random, bytes: Uint8Array): void {
  const count = 1 + random.below(4);
  for (let i = 0; i < count; i++) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
}

/** Gives a field a value at an edge, near its own, or that of another field. */
function setField(random: Random, bytes: Uint8Array, { fields }: SeedImage): void {
  const { field, offset } = random.pick(fields);
  if (offset + field.size > bytes.length) return;
  const at = offset;
  switch (random.below(5)) {
    case 0:
      bytes.fill(random.pick([0, 0xff, 0x7f, 0x80]), at, at + field.size);
      break;
    case 1:
      bytes[at + random.below(field.size)] = random.pick(EDGES);
      break;
    case 2:
      // One more or less, as a number of the field's first byte.
      bytes[at]! += random.below(2) === 0 ? 1 : 255;
      break;
    case 3:
      for (let i = 0; i < field.size; i++) bytes[at + i] = random.below(256);
      break;
    default: {
      const other = random.pick(fields);
      const size = Math.min(field.size, other.field.size);
      if (other.offset + size <= bytes.length)
        bytes.copyWithin(at, other.offset, other.offset + size);
    }
  }
}

function resize(random: Random, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (random.below(3) === 0) {
    const longer = new Uint8Array(bytes.length + 1 + random.below(2 * BLOCK));
    longer.set(bytes);
    return longer;
  }
  const length = random.below(bytes.length);
  return bytes.slice(0, random.below(2) === 0 ? length : length - (length % BLOCK));
}

function splice(random: Random, bytes: Uint8Array, from: Uint8Array): void {
  const size = 1 + random.below(random.below(4) === 0 ? BLOCK : 64);
  const source = random.below(from.length);
  // Records begin at multiples of 4, and inodes at multiples of 32.
  const step = random.pick([1, 4, 32]);
  const target = random.below(bytes.length);
  const piece = from.subarray(source - (source % step), source - (source % step) + size);
  const at = target - (target % step);
  bytes.set(piece.subarray(0, bytes.length - at), at);
}

const NUMBERS = [
  '0',
  '-1',
  '+1',
  '1 ',
  '00',
  '8',
  '99',
  '4095',
  '4096',
  '65536',
  '4294967295',
  '4294967296',
  '9007199254740992',
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '9'.repeat(400),
  '0x1',
  '',
];
const TEXTS = [
  '-',
  '\\x2d',
  '\\x00',
  '\\x',
  '\\',
  '\\q',
  '=',
  'a=b',
  ' ',
  '\n',
  '\t',
  '/',
  '//',
  '.',
  '..',
  '/.',
  '@',
  '@100644',
  '@120000',
  '40755',
  '120777',
  '20644',
  '100644',
  '1.1000000000',
  '-5.7',
  'user.k=v',
  '\xff',
  '\0',
];

/** A damaged copy of one of the texts. */
export function mutateText(random: Random, seeds: readonly string[]): string {
  let text = random.pick(seeds);
  const count = 1 + random.below(3);
  for (let i = 0; i < count; i++) text = damageText(random, text, seeds);
  return text;
}

function damageText(random: Random, text: string, seeds: readonly string[]): string {
  const at = random.below(text.length + 1);
  switch (random.below(8)) {
    case 0:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random.below(40));
    case 2:
      return text.slice(0, at) + random.pick(TEXTS) + text.slice(at);
    case 3:
      return text.slice(0, at);
    case 4:
      return repeatLine(random, text);
    case 5: {
      const other = random.pick(seeds);
      const from = random.below(other.length);
      return text.slice(0, at) + other.slice(from, from + 1 + random.below(200)) + text.slice(at);
    }
    default:
      return replaceField(random, text);
  }
}

/** Repeats a line, or moves it to the end. */
function repeatLine(random: Random, text: string): string {
  const lines = text.split('\n');
  const line = lines[random.below(lines.length)]!;
  if (random.below(2) === 0) return [...lines.slice(0, -1), line, ''].join('\n');
  return [...lines.filter((other) => other !== line), line].join('\n');
}

function replaceField(random: Random, text: string): string {
  const lines = text.split('\n');
  const i = random.below(lines.length);
  const fields = lines[i]!.split(' ');
  fields[random.below(fields.length)] = random.pick(random.below(2) === 0 ? NUMBERS : TEXTS);
  lines[i] = fields.join(' ');
  return lines.join('\n');
}
