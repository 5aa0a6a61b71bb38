/**
 * An archive file as it lies on the disk or comes from stdin, to the bytes of the uncompressed archive.
 *
 * What it is compressed with is seen by its first bytes. gzip is Node's own; zstd and xz are the programs of those
 * names, with a bound on their memory. On the way the file and what is inside are hashed: the first names the input of
 * a build, the second is what OCI calls the diffID.
 */
import { closeSync, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { createGunzip, type Gunzip } from 'node:zlib';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { streamTool } from '../host/stream-tool.ts';
import { ArchiveHasher } from './archive-hasher.ts';
import { type ArchiveFormat, archiveError } from './tar-error.ts';
import { hasTarChecksum, TAR_BLOCK_SIZE } from './tar-header.ts';

export type TarCompression = 'none' | 'gzip' | 'zstd' | 'xz';

/** What was read, once all of it was. */
export interface TarDigests {
  readonly compression: TarCompression;
  /** Bytes and SHA-256 of the file. */
  readonly bytes: number;
  readonly sha256: string;
  /** Bytes and SHA-256 of the uncompressed archive. */
  readonly tarBytes: number;
  readonly tarSha256: string;
}

/** Where an archive lies inside of a file. */
export interface FilePart {
  readonly offset: number;
  readonly size: number;
}

export interface TarInputOptions {
  /** The part of the file that is the archive. */
  readonly part?: FilePart;
  /** What is inside; without it, tar. */
  readonly format?: ArchiveFormat;
}

const PIECE_SIZE = 1 << 20;
const RETRY_MS = 5;

/** First bytes of compressed files; those without a reader are named to be refused. */
const MAGICS: readonly (readonly [name: string, hex: string])[] = [
  ['gzip', '1f8b'],
  ['zstd', '28b52ffd'],
  ['xz', 'fd377a585a00'],
  ['bzip2', '425a68'],
  ['lzip', '4c5a4950'],
  ['lz4', '04224d18'],
  ['compress', '1f9d'],
  ['zip', '504b0304'],
];

const readAsync = promisify(read);

/** An open archive; read `pieces` to their end, then ask for `digests`. */
export class TarInput implements Disposable {
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  readonly #format: ArchiveFormat;
  readonly #fd: number;
  readonly #fileHash: ArchiveHasher;
  #tarHash: ArchiveHasher | undefined;
  #compression: TarCompression = 'none';
  #tarBytes = 0;
  /** Bytes of the file read so far. */
  bytes = 0;
  /** Bytes of the file; undefined for a pipe. */
  readonly size: number | undefined;

  /** Where the next bytes are read; undefined for wherever the descriptor is. */
  #next: number | undefined;
  #end = Infinity;
  #reading: Promise<{ bytesRead: number }> | undefined;
  #isClosed = false;

  /** Opens a file, part of one, or stdin for `-`. Throws HOST_NOT_FOUND, USAGE_NOT_A_FILE and the like. */
  constructor(path: string, signal?: AbortSignal, { part, format }: TarInputOptions = {}) {
    this.#path = path === '-' ? 'stdin' : path;
    this.#signal = signal;
    this.#format = format ?? 'tar';
    try {
      this.#fd = path === '-' ? 0 : openSync(path, 'r');
    } catch (error) {
      throw explainSysError(error, `Cannot read ${this.#path}`);
    }
    const stat = fstatSync(this.#fd);
    this.size = part?.size ?? (stat.isFile() ? stat.size : undefined);
    this.#fileHash = new ArchiveHasher(this.size);
    if (part !== undefined) {
      this.#next = part.offset;
      this.#end = part.offset + part.size;
    }
    if (!stat.isDirectory()) return;
    this[Symbol.dispose]();
    throw new ColdsealError(
      'USAGE_NOT_A_FILE',
      `Cannot read ${this.#path}: it is a directory, expected an archive`,
    );
  }

  /** Who stopped early may have left a read under way; its descriptor must not become another file's before. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#fileHash[Symbol.dispose]();
    this.#tarHash?.[Symbol.dispose]();
    if (this.#fd <= 2) return;
    if (this.#reading === undefined) closeSync(this.#fd);
    else void this.#reading.catch(() => undefined).then(() => closeSync(this.#fd));
  }

  /** The uncompressed archive. Throws FORMAT_TAR_COMPRESSION, HOST_TOOL_MISSING. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const file = this.filePieces();
    const head = await this.#head(file);
    this.#compression = compressionOf(head, this.#format);
    const whole = chain(head, file);
    if (this.#compression === 'none') {
      yield* whole;
      return;
    }
    this.#tarHash = new ArchiveHasher();
    for await (const piece of this.#decompressed(whole)) {
      await this.#tarHash.update(piece);
      this.#tarBytes += piece.length;
      yield piece;
    }
  }

  async digests(): Promise<TarDigests> {
    const sha256 = await this.#fileHash.digest();
    return {
      compression: this.#compression,
      bytes: this.bytes,
      sha256,
      tarBytes: this.#tarHash === undefined ? this.bytes : this.#tarBytes,
      tarSha256: (await this.#tarHash?.digest()) ?? sha256,
    };
  }

  /** The first block, or all there is. */
  async #head(file: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
    let head: Uint8Array = new Uint8Array(0);
    while (head.length < TAR_BLOCK_SIZE) {
      const { value, done } = await file.next();
      if (done === true) break;
      head = head.length === 0 ? value : Buffer.concat([head, value]);
    }
    return head;
  }

  /** The file as it is. */
  async *filePieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.#signal?.throwIfAborted();
      if (this.#isClosed) return;
      const buffer = Buffer.allocUnsafeSlow(PIECE_SIZE);
      const count = await this.#read(buffer);
      if (count === 0) return;
      const piece = buffer.subarray(0, count);
      await this.#fileHash.update(piece);
      this.bytes += count;
      yield piece;
    }
  }

  /** Whoever shares stdin may have made it non-blocking, and then having nothing yet is an error. */
  async #read(buffer: Buffer): Promise<number> {
    for (;;) {
      try {
        const at = this.#next;
        const size = at === undefined ? PIECE_SIZE : Math.min(PIECE_SIZE, this.#end - at);
        this.#reading = readAsync(this.#fd, buffer, 0, size, at ?? null);
        const { bytesRead } = await this.#reading;
        this.#reading = undefined;
        if (at !== undefined) this.#next = at + bytesRead;
        return bytesRead;
      } catch (error) {
        this.#reading = undefined;
        if (errnoOf(error) !== 'EAGAIN') throw explainSysError(error, `Cannot read ${this.#path}`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #decompressed(file: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    if (this.#compression === 'gzip') return gunzipped(file, this.#format);
    const signal = this.#signal;
    const explain = (_code: number, said: string | undefined): Error =>
      damaged(this.#compression, this.#format, said);
    if (this.#compression === 'zstd') {
      return streamTool(['zstd', '-dcq', '--memory=128MB'], file, {
        debian: 'zstd',
        signal,
        explain,
      });
    }
    const argv = ['xz', '-dcq', '--memlimit=256MiB'] as const;
    return streamTool(argv, file, { debian: 'xz-utils', signal, explain });
  }
}

/** Bytes that can be the header of a member are one, whatever else they look like: a file may be named `BZh`. */
export function compressionOf(head: Uint8Array, format: ArchiveFormat): TarCompression {
  if (
    format === 'tar' &&
    head.length >= TAR_BLOCK_SIZE &&
    hasTarChecksum(head.subarray(0, TAR_BLOCK_SIZE))
  )
    return 'none';
  const hex = Buffer.from(head.subarray(0, 6)).toString('hex');
  const name = MAGICS.find(([, magic]) => hex.startsWith(magic))?.[0] ?? 'none';
  if (name === 'none' || name === 'gzip' || name === 'zstd' || name === 'xz') return name;
  throw archiveError(
    'FORMAT_TAR_COMPRESSION',
    format,
    ` at byte 0: it is compressed by ${name}, expected none, gzip, zstd or xz`,
    'unpack it first, and pipe the result to -',
  );
}

async function* chain(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* rest;
}

/** gzip, any number of members one after the other, and zeros after the last as on tapes. */
async function* gunzipped(
  file: AsyncIterable<Uint8Array>,
  format: ArchiveFormat,
): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: PIECE_SIZE });
  const fed = feedGunzip(gunzip, file);
  // Who waits for it comes later, or never when the reader stops early.
  fed.catch((error: Error) => gunzip.destroy(error));
  try {
    for await (const piece of gunzip) yield piece as Buffer;
    // What zlib did not take must be zeros.
    if ((await fed) > gunzip.bytesWritten)
      throw damaged('gzip', format, 'something follows its end');
  } catch (error) {
    const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
    if (typeof code === 'string' && code.startsWith('Z_')) {
      throw damaged('gzip', format, (error as Error).message);
    }
    throw error;
  } finally {
    gunzip.destroy();
  }
}

/** Feeds all of a file; returns the end of its last byte that is not zero. */
async function feedGunzip(gunzip: Gunzip, file: AsyncIterable<Uint8Array>): Promise<number> {
  let total = 0;
  let lastEnd = 0;
  let state: 'taking' | 'ended' | 'stopped' = 'taking';
  const over = new Promise<void>((resolve) => {
    const end = (next: 'ended' | 'stopped') => (): void => {
      if (state === 'taking') state = next;
      resolve();
    };
    gunzip.once('end', end('ended')).once('close', end('stopped'));
  });
  const mayWrite = (): boolean => state === 'taking';
  const isStopped = (): boolean => state === 'stopped';
  for await (const piece of file) {
    let end = piece.length;
    while (end > 0 && piece[end - 1] === 0) end--;
    if (end > 0) lastEnd = total + end;
    total += piece.length;
    if (mayWrite() && !gunzip.write(piece)) {
      // Once zlib has seen the end of its data, it never asks for more.
      await Promise.race([new Promise((resolve) => gunzip.once('drain', resolve)), over]);
    }
    if (isStopped()) break;
  }
  gunzip.end();
  return lastEnd;
}

function damaged(
  compression: TarCompression,
  format: ArchiveFormat,
  said: string | undefined,
): ColdsealError {
  const problem = `: its ${compression} data are damaged or cut off`;
  return archiveError('FORMAT_TAR_COMPRESSION', format, problem, said);
}
