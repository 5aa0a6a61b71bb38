/**
 * The random numbers behind the conformance vectors: xorshift64* from a seed, the same on every machine.
 *
 * The vectors' expected digests were made with exactly these numbers, so nothing here may change. 64-bit words are
 * held as two halves, because with BigInt making the trees takes longer than judging them.
 */

const MULTIPLIER_HIGH = 0x2545f491;
const MULTIPLIER_LOW = 0x4f6cdd1d;
const MULTIPLIER_LOW0 = MULTIPLIER_LOW & 0xffff;
const MULTIPLIER_LOW1 = MULTIPLIER_LOW >>> 16;

export class VectorRng {
  #high = 0;
  #low = 0;

  constructor(seed: number) {
    const start = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 0x1234567n) || 1n;
    this.#high = Number(start >> 32n);
    this.#low = Number(start & 0xffffffffn);
  }

  /** A number from 0 to n - 1, from bits 16 and up of the next word. */
  below(n: number): number {
    let high = this.#high;
    let low = this.#low;
    // x ^= x << 13; x ^= x >> 7; x ^= x << 17
    high ^= (high << 13) | (low >>> 19);
    low ^= low << 13;
    low ^= (low >>> 7) | (high << 25);
    high ^= high >>> 7;
    high ^= (high << 17) | (low >>> 15);
    low ^= low << 17;
    this.#high = high >>> 0;
    this.#low = low >>> 0;
    return this.#scrambled() % n;
  }

  /** Bits 16 to 63 of the state times a constant, modulo 2^64. */
  #scrambled(): number {
    const low0 = this.#low & 0xffff;
    const low1 = this.#low >>> 16;
    const first = low0 * MULTIPLIER_LOW0;
    const middle = low0 * MULTIPLIER_LOW1 + low1 * MULTIPLIER_LOW0 + Math.floor(first / 2 ** 16);
    const carried = low1 * MULTIPLIER_LOW1 + Math.floor(middle / 2 ** 16);
    const high =
      carried +
      (Math.imul(this.#low, MULTIPLIER_HIGH) >>> 0) +
      (Math.imul(this.#high, MULTIPLIER_LOW) >>> 0);
    return (high % 2 ** 32) * 2 ** 16 + (middle % 2 ** 16);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** One character of a string, as a byte. */
  pickByte(from: string): number {
    return from.charCodeAt(this.below(from.length));
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  bytes(count: number): Buffer {
    const result = Buffer.alloc(count);
    for (let i = 0; i < count; i++) result[i] = this.below(256);
    return result;
  }

  /** `count` bytes, each picked from a string. */
  text(from: string, count: number): string {
    let result = '';
    for (let i = 0; i < count; i++) result += String.fromCharCode(this.pickByte(from));
    return result;
  }
}

/** A file name not in `used` yet, as a byte string; adds it. */
export function vectorName(rng: VectorRng, used: Set<string>): string {
  for (;;) {
    const kind = rng.below(20);
    let name: string;
    if (kind < 12) {
      name = rng.text('abcdefghijklmnopqrstuvwxyz0123456789_-.', 1 + rng.below(18));
    } else if (kind < 17) name = rng.text('ABCxyz 019', 1 + rng.below(40));
    else if (kind < 19) {
      const count = 1 + rng.below(60);
      name = '';
      for (let i = 0; i < count; i++) name += String.fromCharCode(1 + rng.below(255));
    } else name = rng.text('abcdefgh', 200 + rng.below(56));
    if (name.includes('/') || name === '.' || name === '..' || used.has(name)) continue;
    used.add(name);
    return name;
  }
}
