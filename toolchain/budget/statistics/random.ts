/**
 * Chance that can be repeated: one seed, one sequence, on every machine. Verdicts print their seed, so that an auditor
 * gets the same interval and the same p value from the same samples.
 *
 * The generator is xoshiro128** 1.1 of Blackman and Vigna (prng.di.unimi.it/xoshiro128starstar.c, public domain). Its
 * state is filled by SplitMix64, as its authors advise, and text becomes a seed by 64-bit FNV-1a. Nothing secret may
 * depend on it.
 */

export interface Random {
  /** A whole number from 0 to 2^32 - 1. */
  next(): number;
  /** A whole number from 0 to n - 1, each equally likely; n is at most 2^32. */
  below(n: number): number;
}

export type Seed = number | string;

/** The generator for a whole number from 0 to 2^32 - 1, or for any text. */
export function seededRandom(seed: Seed): Random {
  const mix = splitMix64(typeof seed === 'string' ? fnv1a64(seed) : BigInt(checkedSeed(seed)));
  const words = [mix(), mix()].flatMap((word) => [word & 0xffff_ffffn, word >> 32n]);
  return xoshiro128(words.map(Number));
}

function checkedSeed(seed: number): number {
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) return seed;
  throw new RangeError(`expected a seed from 0 to 2^32 - 1, got ${seed}`);
}

/** The generator at a state of four 32-bit words that are not all zero. */
export function xoshiro128(state: readonly number[]): Random {
  if (state.length !== 4 || state.every((word) => word === 0)) {
    throw new RangeError('expected four words of state that are not all zero');
  }
  let [a, b, c, d] = state as [number, number, number, number];
  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  return { next, below: (n) => below(next, n) };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Draws again where the last, incomplete round of n would favour the small numbers. */
function below(next: () => number, n: number): number {
  if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
    throw new RangeError(`expected a bound from 1 to 2^32, got ${n}`);
  }
  const rounds = 2 ** 32 - (2 ** 32 % n);
  let word = next();
  while (word >= rounds) word = next();
  return word % n;
}

/** Puts the values from `start` to before `end` into random order, in place (Fisher and Yates). */
export function shuffle(
  random: Random,
  values: { [index: number]: number; readonly length: number },
  start = 0,
  end = values.length,
): void {
  for (let i = end - 1; i > start; i--) {
    const j = start + random.below(i - start + 1);
    const kept = values[i]!;
    values[i] = values[j]!;
    values[j] = kept;
  }
}

const MASK_64 = 2n ** 64n - 1n;

/** SplitMix64 (prng.di.unimi.it/splitmix64.c): good words from any seed, also from 0, 1, 2 and so on. */
export function splitMix64(seed: bigint): () => bigint {
  let state = seed & MASK_64;
  return () => {
    state = (state + 0x9e37_79b9_7f4a_7c15n) & MASK_64;
    let word = state;
    word = ((word ^ (word >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & MASK_64;
    word = ((word ^ (word >> 27n)) * 0x94d0_49bb_1331_11ebn) & MASK_64;
    return word ^ (word >> 31n);
  };
}

/** FNV-1a over the UTF-8 bytes (www.isthe.com/chongo/tech/comp/fnv). */
export function fnv1a64(text: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * 0x100_0000_01b3n) & MASK_64;
  }
  return hash;
}
