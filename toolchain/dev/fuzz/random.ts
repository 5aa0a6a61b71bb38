/** A small generator of numbers with a fixed sequence for each seed: xorshift32, seeded through a mixer. */

export class Random {
  #state: number;

  constructor(seed: number, run: number) {
    // Neighbouring seeds must not give neighbouring sequences (the finalizer of MurmurHash3).
    let mixed = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(run + 1, 0x85ebca77)) | 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    this.#state = (mixed ^ (mixed >>> 16)) | 1;
  }

  /** 32 bits, unsigned. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return this.next() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
