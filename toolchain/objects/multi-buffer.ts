/**
 * SHA-256 of up to sixteen blocks at once, by the library libipsec-mb where the host has it.
 *
 * One SHA-256 is a chain in which each step waits for the last, so a processor that works on a single message is idle
 * most of the time. Measured on an EPYC of 2024, blocks of 4096 bytes, from Node: 0.85 µs each instead of 2.65 µs.
 * The library is optional and believed only after it has hashed test messages right in this thread
 * (docs/decisions/0061-batched-hashing.md).
 *
 * Offsets and numbers are those of intel-ipsec-mb.h; they are the same in all versions that are accepted. 1.3 hashes
 * plain messages only as jobs of its own ring; 2.x takes an array of ours.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import {
  type BlockHasher,
  type BlockHasherMaker,
  NodeBlockHasher,
  nodeBlockHashers,
} from './block-hasher.ts';

/** Debian 13 has libipsec-mb2 and Debian 12 libipsec-mb1. */
const LIBRARIES = ['libIPSec_MB.so.2', 'libIPSec_MB.so.1'];
/** `imb_get_version()` of those whose header was read: 2.0 up to 3.0, and 1.3. */
const isWithArrays = (version: number): boolean => version >= 0x20000 && version < 0x30000;
const isWithRing = (version: number): boolean => version >= 0x10300 && version < 0x10400;

/** struct IMB_MGR: an error number and functions. */
export const IMB_MGR = {
  imb_errno: 60,
  get_next_burst: 952,
  submit_burst: 960,
  flush_burst: 976,
  submit_hash_burst: 1000,
} as const;
const MGR_ALIGNMENT = 64n;

/** struct IMB_JOB: what a hash job fills in; `size` is that of 2.x. */
export const IMB_JOB = {
  src: 24,
  hash_start_src_offset_in_bytes: 56,
  msg_len_to_hash_in_bytes: 64,
  auth_tag_output: 88,
  auth_tag_output_len_in_bytes: 96,
  cipher_mode: 132,
  cipher_direction: 136,
  hash_alg: 140,
  chain_order: 144,
  size: 216,
} as const;

/** Enumerations, and the most jobs of one burst. */
export const IMB_NUMBERS = {
  IMB_CIPHER_NULL: 3,
  IMB_DIR_ENCRYPT: 1,
  IMB_AUTH_SHA_256: 15,
  IMB_ORDER_HASH_CIPHER: 2,
  IMB_MAX_BURST_SIZE: 128,
} as const;
const DIGEST_SIZE = 32;
const BURST_MAX = IMB_NUMBERS.IMB_MAX_BURST_SIZE;

/** The widest processors have this many lanes, and take as long for one message as for sixteen: as for four alone. */
const LANES = 16;
const LANES_MIN = 4;

type Burst = (manager: bigint, a: number | bigint, b: number | bigint, hash?: number) => number;

/** koffi unloads a library that nothing refers to, and a pointer to one of its functions is no reference. */
const kept: unknown[] = [];

let forSha256: BlockHasherMaker | undefined;

/** The fastest hashers that this host has. */
export function blockHashers(algorithm: VerityAlgorithm): BlockHasherMaker {
  if (algorithm !== 'sha256') return nodeBlockHashers(algorithm);
  forSha256 ??= multiBufferHashers() ?? nodeBlockHashers('sha256');
  return forSha256;
}

/** A hasher for each kind of message, or undefined where the library is missing, of another version, or wrong. */
export function multiBufferHashers(names = LIBRARIES): BlockHasherMaker | undefined {
  if (process.arch !== 'x64') return undefined;
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  for (const name of names) {
    let handle: ReturnType<typeof koffi.load>;
    try {
      handle = koffi.load(name);
    } catch {
      continue;
    }
    const make = useLibrary(koffi, handle);
    if (make !== undefined && isRight(make)) return make;
  }
  return undefined;
}

function useLibrary(
  koffi: typeof Koffi,
  handle: ReturnType<typeof Koffi.load>,
): BlockHasherMaker | undefined {
  let version: number;
  try {
    version = (handle.func('imb_get_version', 'uint', []) as () => number)();
  } catch {
    return undefined;
  }
  if (!isWithArrays(version) && !isWithRing(version)) return undefined;
  kept.push(handle);
  const manager = new Manager(koffi, handle);
  if (manager.errno !== 0) return undefined;
  return (messageSize, capacity) =>
    isWithArrays(version)
      ? new ArrayHasher(manager, messageSize, capacity)
      : new RingHasher(manager, messageSize, capacity);
}

/** The library's state of one thread, in memory of ours. */
class Manager {
  readonly koffi: typeof Koffi;
  readonly address: bigint;
  /** The same memory, jobs of the ring included. */
  readonly words: Uint32Array;
  readonly #view: DataView;

  constructor(koffi: typeof Koffi, handle: ReturnType<typeof Koffi.load>) {
    this.koffi = koffi;
    const size = (handle.func('imb_get_mb_mgr_size', 'size_t', []) as () => number)();
    const memory = Buffer.alloc(size + Number(MGR_ALIGNMENT));
    const padding = -koffi.address(memory) & (MGR_ALIGNMENT - 1n);
    this.address = koffi.address(memory) + padding;
    const start = memory.byteOffset + Number(padding);
    this.#view = new DataView(memory.buffer, start, size);
    this.words = new Uint32Array(memory.buffer, start, Math.floor(size / 4));
    const place = handle.func('imb_set_pointers_mb_mgr', 'void *', ['void *', 'uint64_t', 'uint']);
    place(this.address, 0, 1);
    handle.func('init_mb_mgr_auto', 'void', ['void *', 'void *'])(this.address, null);
  }

  get errno(): number {
    return this.#view.getInt32(IMB_MGR.imb_errno, true);
  }

  /** A function of the manager, which compiled callers reach through the same pointer. */
  bind(at: number, argumentTypes: string[]): Burst {
    const type = this.koffi.proto('uint', ['void *', ...argumentTypes]);
    return this.koffi.decode(this.#view.getBigUint64(at, true), type) as Burst;
  }

  failed(): Error {
    return new Error(`libipsec-mb refused to hash, with error ${this.errno}`);
  }
}

/** Buffers and addresses; what to do with a few messages that are not worth a burst. */
abstract class LibraryHasher implements BlockHasher {
  readonly messages: Buffer;
  readonly digests: Buffer;
  protected readonly manager: Manager;
  readonly #alone: NodeBlockHasher;
  readonly #messageSize: number;
  readonly #messagesAt: number;
  readonly #digestsAt: number;

  constructor(manager: Manager, messageSize: number, capacity: number) {
    this.manager = manager;
    this.#alone = new NodeBlockHasher('sha256', messageSize, capacity);
    this.messages = this.#alone.messages;
    this.digests = this.#alone.digests;
    this.#messageSize = messageSize;
    this.#messagesAt = Number(manager.koffi.address(this.messages));
    this.#digestsAt = Number(manager.koffi.address(this.digests));
  }

  run(count: number): void {
    const rest = count % LANES;
    const together = rest < LANES_MIN ? count - rest : count;
    for (let from = 0; from < together; from += BURST_MAX) {
      this.burst(from, Math.min(together - from, BURST_MAX));
    }
    this.#alone.runRange(together, count);
  }

  protected abstract burst(from: number, count: number): void;

  /** Fills in the job for message `index` at an offset of `jobs`. */
  protected describe(jobs: Uint32Array, at: number, index: number): void {
    put64(jobs, at + IMB_JOB.src, this.#messagesAt + this.#messageSize * index);
    put64(jobs, at + IMB_JOB.hash_start_src_offset_in_bytes, 0);
    put64(jobs, at + IMB_JOB.msg_len_to_hash_in_bytes, this.#messageSize);
    put64(jobs, at + IMB_JOB.auth_tag_output, this.#digestsAt + DIGEST_SIZE * index);
    put64(jobs, at + IMB_JOB.auth_tag_output_len_in_bytes, DIGEST_SIZE);
    jobs[(at + IMB_JOB.cipher_mode) >> 2] = IMB_NUMBERS.IMB_CIPHER_NULL;
    jobs[(at + IMB_JOB.cipher_direction) >> 2] = IMB_NUMBERS.IMB_DIR_ENCRYPT;
    jobs[(at + IMB_JOB.hash_alg) >> 2] = IMB_NUMBERS.IMB_AUTH_SHA_256;
    jobs[(at + IMB_JOB.chain_order) >> 2] = IMB_NUMBERS.IMB_ORDER_HASH_CIPHER;
  }
}

/** Numbers up to 2^53, as addresses are: BigInts here would cost a tenth of the hash. */
function put64(words: Uint32Array, at: number, value: number): void {
  words[at >> 2] = value >>> 0;
  words[(at >> 2) + 1] = Math.floor(value / 2 ** 32);
}

/** 2.x: an array of jobs, described once because messages and digests never move. */
class ArrayHasher extends LibraryHasher {
  readonly #jobs: Buffer;
  readonly #jobsAt: bigint;
  readonly #submit: Burst;

  constructor(manager: Manager, messageSize: number, capacity: number) {
    super(manager, messageSize, capacity);
    this.#jobs = Buffer.alloc(IMB_JOB.size * capacity);
    this.#jobsAt = manager.koffi.address(this.#jobs);
    const words = new Uint32Array(this.#jobs.buffer, this.#jobs.byteOffset, this.#jobs.length / 4);
    for (let i = 0; i < capacity; i++) this.describe(words, IMB_JOB.size * i, i);
    this.#submit = manager.bind(IMB_MGR.submit_hash_burst, ['void *', 'uint32_t', 'int']);
  }

  protected burst(from: number, count: number): void {
    const jobsAt = this.#jobsAt + BigInt(IMB_JOB.size * from);
    const done = this.#submit(this.manager.address, jobsAt, count, IMB_NUMBERS.IMB_AUTH_SHA_256);
    if (done !== count) throw this.manager.failed();
  }
}

/** 1.3: the library hands out jobs of its ring. */
class RingHasher extends LibraryHasher {
  /** Addresses of jobs, the low half first. */
  readonly #pointers = new Uint32Array(2 * BURST_MAX);
  readonly #ringAt: number;
  readonly #pointersAt: bigint;
  readonly #next: Burst;
  readonly #submit: Burst;
  readonly #flush: Burst;

  constructor(manager: Manager, messageSize: number, capacity: number) {
    super(manager, messageSize, capacity);
    this.#pointersAt = manager.koffi.address(this.#pointers);
    this.#ringAt = Number(manager.address);
    const types = ['uint32_t', 'void *'];
    this.#next = manager.bind(IMB_MGR.get_next_burst, types);
    this.#submit = manager.bind(IMB_MGR.submit_burst, types);
    this.#flush = manager.bind(IMB_MGR.flush_burst, types);
  }

  protected burst(from: number, count: number): void {
    const { address, words } = this.manager;
    const pointers = this.#pointers;
    if (this.#next(address, count, this.#pointersAt) !== count) throw this.manager.failed();
    for (let i = 0; i < count; i++) {
      const job = pointers[2 * i]! + pointers[2 * i + 1]! * 2 ** 32;
      this.describe(words, job - this.#ringAt, from + i);
    }
    // The array then receives the jobs that are done, which nobody looks at: each has its own place for its digest.
    let done = this.#submit(address, count, this.#pointersAt);
    while (done < count) {
      const more = this.#flush(address, count - done, this.#pointersAt);
      if (more === 0) throw this.manager.failed();
      done += more;
    }
  }
}

/** Whether messages of both lengths get the hashes that Node's crypto gives them, in full and in part-filled lanes. */
function isRight(make: BlockHasherMaker): boolean {
  return [4096, 256].every((size) => {
    const count = 2 * LANES + LANES_MIN + 1;
    const [ours, judge] = [make(size, count), nodeBlockHashers('sha256')(size, count)];
    for (let i = 0; i < ours.messages.length; i++) ours.messages[i] = (i * i + (i >> 8)) & 0xff;
    judge.messages.set(ours.messages);
    try {
      ours.run(count);
    } catch {
      return false;
    }
    judge.run(count);
    return ours.digests.equals(judge.digests);
  });
}
