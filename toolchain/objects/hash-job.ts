/**
 * What is to be hashed: files of a source tree as the scan saw them, one by one and packed for a message.
 */
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import type { ByteString } from '../image/byte-string.ts';

/** A regular file as the scan saw it. */
export interface HashJob {
  readonly path: ByteString;
  readonly size: number;
  readonly ino: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly hasVerity: boolean;
}

/**
 * Jobs packed into one string and one array: every object would cost microseconds in a message between threads,
 * and most of a scan's memory besides.
 */
export interface PackedJobs {
  /** The paths, each followed by a NUL byte. */
  readonly paths: string;
  /** `NUMBERS_PER_JOB` numbers a job, the size first. */
  readonly numbers: Float64Array;
}

export const NUMBERS_PER_JOB = 7;

/** Collects jobs for a message. */
export class JobPacker {
  readonly #paths: ByteString[] = [];
  readonly #numbers: Float64Array;
  bytes = 0;

  /** Room for `capacity` jobs. */
  constructor(capacity: number) {
    this.#numbers = new Float64Array(NUMBERS_PER_JOB * capacity);
  }

  get count(): number {
    return this.#paths.length;
  }

  add(path: ByteString, stat: Omit<HashJob, 'path'>): void {
    let at = NUMBERS_PER_JOB * this.#paths.length;
    this.#paths.push(path);
    const numbers = this.#numbers;
    numbers[at++] = stat.size;
    numbers[at++] = stat.ino;
    numbers[at++] = stat.ctimeSec;
    numbers[at++] = stat.ctimeNsec;
    numbers[at++] = stat.mtimeSec;
    numbers[at++] = stat.mtimeNsec;
    numbers[at] = stat.hasVerity ? 1 : 0;
    this.bytes += stat.size;
  }

  pack(): PackedJobs {
    const numbers = this.#numbers.slice(0, NUMBERS_PER_JOB * this.#paths.length);
    return { paths: `${this.#paths.join('\0')}\0`, numbers };
  }
}

/** The jobs of a message. */
export function unpackJobs({ paths, numbers }: PackedJobs): HashJob[] {
  return (paths.split('\0') as ByteString[]).slice(0, -1).map((path, i) => {
    const at = NUMBERS_PER_JOB * i;
    return {
      path,
      size: numbers[at]!,
      ino: numbers[at + 1]!,
      ctimeSec: numbers[at + 2]!,
      ctimeNsec: numbers[at + 3]!,
      mtimeSec: numbers[at + 4]!,
      mtimeNsec: numbers[at + 5]!,
      hasVerity: numbers[at + 6] === 1,
    };
  });
}

export interface HashSettings {
  readonly algorithm: VerityAlgorithm;
  /** Files up to this size come back whole. */
  readonly inlineMax: number;
}
