/**
 * The bytes of an uncompressed archive, taken block by block or poured on, never held.
 *
 * Every byte counts against the limits before it is used: a small file that grows without end when it is unpacked is
 * noticed while it grows.
 */
import { type ArchiveFormat, failTar, type TarPlace } from './tar-error.ts';
import { TAR_BLOCK_SIZE } from './tar-header.ts';
import type { TarLimits } from './tar-limits.ts';

/** Pieces of any size, none of them changed after they were given. */
export type ByteSource = AsyncIterable<Uint8Array>;

export class TarStream {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #limits: TarLimits;
  readonly #inputBytes: () => number;
  readonly #format: ArchiveFormat;
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Bytes that came from the source. */
  #received = 0;
  /** Zeros that sparse files have besides. */
  #holes = 0;

  /** `inputBytes` says how many bytes of the archive file were read so far. */
  constructor(
    source: ByteSource,
    limits: TarLimits,
    inputBytes: () => number,
    format: ArchiveFormat = 'tar',
  ) {
    this.#pieces = source[Symbol.asyncIterator]();
    this.#limits = limits;
    this.#inputBytes = inputBytes;
    this.#format = format;
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#received - (this.#piece.length - this.#at);
  }

  /** The next block if it is here already; valid until more is taken. */
  blockAtHand(): Uint8Array | undefined {
    if (this.#piece.length - this.#at < TAR_BLOCK_SIZE) return undefined;
    this.#at += TAR_BLOCK_SIZE;
    return this.#piece.subarray(this.#at - TAR_BLOCK_SIZE, this.#at);
  }

  /** The next block, or undefined at the end of the source. Throws FORMAT_TAR_TRUNCATED inside of a block. */
  async block(): Promise<Uint8Array | undefined> {
    const atHand = this.blockAtHand();
    if (atHand !== undefined) return atHand;
    if (this.#at === this.#piece.length && !(await this.#fetch())) return undefined;
    return this.blockAtHand() ?? this.read(TAR_BLOCK_SIZE);
  }

  /** A copy of the next bytes; the caller has bounded their number. */
  async read(size: number): Promise<Uint8Array> {
    const result = new Uint8Array(size);
    let done = 0;
    await this.pour(size, (bytes) => {
      result.set(bytes, done);
      done += bytes.length;
    });
    return result;
  }

  /** Hands the next bytes on in pieces, each valid during its call. Throws FORMAT_TAR_TRUNCATED. */
  async pour(size: number, consume: (bytes: Uint8Array) => void): Promise<void> {
    for (let left = size; left > 0;) {
      if (this.#at === this.#piece.length && !(await this.#fetch())) this.#failTruncated(left);
      const end = Math.min(this.#at + left, this.#piece.length);
      const bytes = this.#piece.subarray(this.#at, end);
      this.#at = end;
      left -= bytes.length;
      consume(bytes);
    }
  }

  /** Whether there is another byte. */
  async hasMore(): Promise<boolean> {
    return this.#at < this.#piece.length || (await this.#fetch());
  }

  async skip(size: number): Promise<void> {
    await this.pour(size, () => undefined);
  }

  /** Takes all that is left; the position of the first byte that is not zero, if there is one. */
  async findNonZero(): Promise<number | undefined> {
    do {
      for (; this.#at < this.#piece.length; this.#at++) {
        if (this.#piece[this.#at] !== 0) return this.position;
      }
    } while (await this.#fetch());
    return undefined;
  }

  /** Counts zeros that are made here and not in the archive. */
  addHole(size: number): void {
    this.#holes += size;
    this.#requireLimits();
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #fetch(): Promise<boolean> {
    for (;;) {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      if (next.value.length === 0) continue;
      this.#piece = next.value;
      this.#at = 0;
      this.#received += this.#piece.length;
      this.#requireLimits();
      return true;
    }
  }

  #requireLimits(): void {
    const { totalBytes, ratio, ratioFromBytes } = this.#limits;
    const produced = this.#received + this.#holes;
    if (produced > totalBytes) {
      failTar(
        'FORMAT_TAR_TOTAL',
        this.#here,
        `it has more than ${totalBytes} bytes, with holes of sparse files`,
      );
    }
    if (produced <= ratioFromBytes || produced <= ratio * this.#inputBytes()) return;
    failTar(
      'FORMAT_TAR_RATIO',
      this.#here,
      `${this.#inputBytes()} bytes became ${produced}, expected at most ${ratio} times as many`,
      'if this is meant, unpack the archive and build from the directory',
    );
  }

  get #here(): TarPlace {
    return { at: this.position, format: this.#format };
  }

  #failTruncated(missing: number): never {
    return failTar(
      'FORMAT_TAR_TRUNCATED',
      this.#here,
      `the archive ends here, ${missing} bytes too early`,
      'it was cut off; copy it again',
    );
  }
}
