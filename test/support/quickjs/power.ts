/**
 * power65537 of the C side against BigInt: moduli of every length in bytes, with few and with all bits set, bases at
 * both ends, and arguments that are no base and odd modulus. Prints its report as JSON.
 */
import type { Host } from '../../../runtime/engines/quickjs/host.ts';
import { toHex } from '../../../runtime/format/bytes.ts';
import { powerOverBigInt } from '../../../runtime/format/rsa.ts';
import { encodeUtf8 } from '../../../runtime/format/utf8.ts';
import type { Report } from './uvu.ts';

/** 8192 bits and more: format/rsa.ts accepts no longer key. */
const LENGTHS = [...Array.from({ length: 40 }, (_, i) => i + 1), 127, 128, 384, 385, 512, 1024];

/** Bytes that look like chance and are the same each time (a 32-bit linear congruence). */
function createNoise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
}

/** Called by host.c. */
export function start(host: Host): number {
  const report = { passed: [] as string[], failed: [] as string[], skipped: [] as string[] };
  const check = (name: string, isGood: boolean): void => {
    (isGood ? report.passed : report.failed).push(name);
  };
  for (const length of LENGTHS) check(`${length} bytes`, agrees(host, length));
  for (const [name, base, modulus] of REFUSED) {
    check(
      name,
      throwsRangeError(() => host.power65537(base, modulus)),
    );
  }
  host.write(1, encodeUtf8(JSON.stringify(report satisfies Report)));
  return 0;
}

function agrees(host: Host, length: number): boolean {
  const noise = createNoise(length);
  const make = (byte: () => number): Uint8Array => Uint8Array.from({ length }, byte);
  const moduli = [make(noise), make(() => 0xff), make(() => 0)];
  return moduli.every((modulus) => {
    // Odd, no leading zero, more than 1.
    modulus[0] = modulus[0]! | (length === 1 ? 3 : 1);
    modulus[length - 1] = modulus[length - 1]! | 1;
    const largest = modulus.slice();
    largest[length - 1] = largest[length - 1]! & 0xfe;
    const noisy = make(noise);
    noisy[0] = 0;
    return [make(() => 0), largest, noisy].every(
      (base) => toHex(host.power65537(base, modulus)) === toHex(powerOverBigInt(base, modulus)),
    );
  });
}

const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

const REFUSED: readonly (readonly [name: string, base: Uint8Array, modulus: Uint8Array])[] = [
  ['an even modulus', of(1, 2), of(1, 4)],
  ['a leading zero', of(0, 2), of(0, 3)],
  ['nothing', of(), of()],
  ['a modulus of one', of(0), of(1)],
  ['a base as large as the modulus', of(3, 5), of(3, 5)],
  ['a shorter base', of(5), of(3, 5)],
  ['a longer base', of(0, 0, 5), of(3, 5)],
  ['more than 8192 bits', new Uint8Array(1025), new Uint8Array(1025).fill(0xff)],
];

function throwsRangeError(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch (error) {
    return error instanceof RangeError;
  }
}
