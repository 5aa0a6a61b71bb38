/**
 * The dump texts behind test/vectors/dumps.tsv: random but the same on every machine.
 *
 * They cover what a writer gets wrong first: deep and wide directories, names that need escapes, hardlinks,
 * devices, fifos, sockets, whiteouts, symlinks up to 4095 bytes, inline content from 1 byte to 5000, sizes across every
 * chunk size, nanosecond mtimes, uids past 16 bits, shared, long, ACL and overlay.* xattrs. The order of the calls
 * to the generator is part of the vectors.
 */
import { VectorRng, vectorName } from './vector-rng.ts';

type Pair = readonly [name: string, value: string];

const SHARED_XATTRS: readonly Pair[] = [
  ['security.selinux', 'system_u:object_r:usr_t:s0\0'],
  ['security.selinux', 'system_u:object_r:bin_t:s0\0'],
  ['security.capability', latin1('0100000200040000000000000000000000000000')],
  ['user.origin', 'factory'],
];
const ACL = latin1('0200000001000600ffffffff04000400ffffffff20000400ffffffff');

function latin1(hex: string): string {
  return Buffer.from(hex, 'hex').toString('latin1');
}

function escape(raw: string, equals = false): string {
  if (raw === '-') return '\\x2d';
  let text = '';
  for (let i = 0; i < raw.length; i++) {
    const byte = raw.charCodeAt(i);
    if (byte === 0x5c) text += '\\\\';
    else if (byte === 0x0a) text += '\\n';
    else if (byte === 0x0d) text += '\\r';
    else if (byte === 0x09) text += '\\t';
    else if (byte > 0x20 && byte < 0x7f && !(equals && byte === 0x3d)) text += raw[i];
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}

/** The dump of a seed, as bytes. */
export function vectorDump(seed: number): Buffer {
  return new DumpVector(seed).text();
}

class DumpVector {
  readonly #rng: VectorRng;
  readonly #whiteouts: boolean;
  readonly #overlay: boolean;
  readonly #tiny: boolean;
  readonly #lines: string[] = [];
  readonly #files: string[] = [];
  readonly #base: number;
  readonly #commonMtime: readonly [number, number];
  #budget = 0;

  constructor(seed: number) {
    this.#rng = new VectorRng(seed);
    this.#whiteouts = seed % 3 !== 0;
    this.#overlay = seed % 2 === 0;
    this.#tiny = seed % 5 === 0;
    this.#base = 1600000000 + this.#rng.below(10 ** 8);
    this.#commonMtime = [this.#base, this.#rng.below(10 ** 9)];
  }

  text(): Buffer {
    this.#budget = this.#tiny ? 40 : 400 + this.#rng.below(4000);
    this.#directory('/', 0);
    return Buffer.from(`${this.#lines.join('\n')}\n`, 'latin1');
  }

  #mtime(): string {
    const rng = this.#rng;
    if (rng.chance(60)) return this.#commonMtime.join('.');
    if (rng.chance(50)) return `${this.#base + rng.below(10 ** 7)}.0`;
    const seconds = this.#base + rng.below(10 ** 7);
    return `${seconds}.${rng.below(10 ** 9)}`;
  }

  #ids(): readonly [number, number] {
    const last = 4294967294 - this.#rng.below(9);
    return this.#rng.pick([
      [0, 0],
      [0, 0],
      [1000, 1000],
      [65534, 65534],
      [100000, 70000],
      [5, last],
    ] as const);
  }

  #xattrs(): Map<string, string> {
    const rng = this.#rng;
    const found = new Map<string, string>();
    if (rng.chance(55)) {
      const count = 1 + rng.below(3);
      for (let i = 0; i < count; i++) found.set(...(rng.pick(SHARED_XATTRS) as [string, string]));
    }
    if (rng.chance(12)) {
      const count = 1 + rng.below(4);
      for (let i = 0; i < count; i++) {
        const prefix = rng.pick(['user.', 'trusted.', 'security.']);
        const name = prefix + rng.text('abcdef=_.', 1 + rng.below(12));
        found.set(name, rng.bytes(rng.below(80)).toString('latin1'));
      }
    }
    if (rng.chance(3)) found.set('system.posix_acl_access', ACL);
    if (this.#overlay && rng.chance(5)) {
      // The value is drawn before the name.
      const value = rng.pick(['y', '/x/y', '']);
      const suffix = rng.pick(['opaque', 'redirect', 'nested.metacopy', 'origin']);
      found.set(`trusted.overlay.${suffix}`, value);
    }
    if (this.#overlay && rng.chance(3)) {
      found.set(`user.overlay.${rng.pick(['opaque', 'redirect'])}`, 'y');
    }
    if (rng.chance(1)) found.set('user.big', rng.bytes(500 + rng.below(3000)).toString('latin1'));
    return found;
  }

  #emit(
    path: string,
    size: number,
    mode: string,
    data: { rdev?: number; payload?: string; content?: string; digest?: string },
    xattrs: ReadonlyMap<string, string>,
  ): void {
    const [uid, gid] = this.#ids();
    const { rdev = 0, payload = '-', content = '-', digest = '-' } = data;
    const nlink = mode.startsWith('4') ? 2 : 1;
    const columns = [escape(path), size, mode, nlink, uid, gid, rdev, this.#mtime()];
    const pairs = [...xattrs].map(([key, value]) => `${escape(key, true)}=${escape(value)}`);
    this.#lines.push([...columns, payload, content, digest, ...pairs].join(' '));
  }

  #directory(path: string, depth: number): void {
    const rng = this.#rng;
    const mode = rng.pick(['40755', '40755', '40700', '41777', '42775']);
    this.#emit(path, 0, mode, {}, this.#xattrs());
    const used = new Set<string>();
    const isWide = rng.chance(6);
    const count = isWide && !this.#tiny ? rng.below(900) : rng.below(30);
    const prefix = path === '/' ? '' : path;
    for (let left = Math.min(count, this.#budget); left > 0; left--) {
      this.#budget--;
      const entry = `${prefix}/${vectorName(rng, used)}`;
      if (entry.length <= 3500) this.#entry(entry, depth);
    }
  }

  #entry(path: string, depth: number): void {
    const rng = this.#rng;
    const kind = rng.below(100);
    const xattrs = this.#xattrs();
    if (kind < 50) this.#file(path, xattrs);
    else if (kind < 68) {
      const length = [1, 2, 7, 20, 60, 61, 300, 1 + rng.below(4095)];
      const target = rng.text('abc/../usr lib-.', rng.pick(length));
      this.#emit(path, target.length, '120777', { payload: escape(target) }, xattrs);
    } else if (kind < 72) {
      const mode = rng.pick(['20666', '60660']);
      const rdev = rng.pick([259, 1281, 1 + rng.below(1 << 20)]);
      this.#emit(path, 0, mode, { rdev }, xattrs);
    } else if (kind < 75) this.#emit(path, 0, '10644', {}, xattrs);
    else if (kind < 77) this.#emit(path, 0, '140755', {}, xattrs);
    else if (kind < 80 && this.#whiteouts) {
      this.#emit(path, 0, rng.pick(['20000', '20644']), {}, xattrs);
    } else if (kind < 85 && this.#files.length > 0) {
      const target = escape(rng.pick(this.#files));
      this.#lines.push(`${escape(path)} 0 @100644 1 0 0 0 0.0 ${target} - -`);
    } else if (depth < 9) this.#directory(path, depth + 1);
  }

  #file(path: string, xattrs: ReadonlyMap<string, string>): void {
    const rng = this.#rng;
    const kind = rng.below(6);
    if (kind === 0) this.#emit(path, 0, '100644', {}, xattrs);
    else if (kind === 1) {
      const length = [1, 2, 15, 63, 64, 65, 100, 500, 1 + rng.below(5000)];
      const content = rng.bytes(rng.pick(length)).toString('latin1');
      this.#emit(path, content.length, '100644', { content: escape(content) }, xattrs);
    } else {
      const sizes = [65, 100, 4095, 4096, 4097, 2 ** 20, 2 ** 22 + 1];
      sizes.push(1 + rng.below(2 ** 31), 2 ** 33 + rng.below(2 ** 30), 2 ** 42 + 5);
      const size = rng.pick(sizes);
      const digest = rng.bytes(32).toString('hex');
      const object = rng.chance(90)
        ? `${digest.slice(0, 2)}/${digest.slice(2)}`
        : `other/store/${digest}`;
      const mode = rng.pick(['100644', '100755', '104755', '100600']);
      const known = rng.chance(92) ? digest : '-';
      this.#emit(path, size, mode, { payload: escape(object), digest: known }, xattrs);
    }
    this.#files.push(path);
  }
}
