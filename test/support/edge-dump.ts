/**
 * The dump texts behind test/vectors/edges.tsv: small random trees whose every number lies on or beside a limit of
 * the layout (block and half-block ends, 16 and 32 bits, chunk sizes, 128 shared xattrs, names around `.`).
 *
 * Found one real difference when they were first compared: a whiteout whose SIZE column is above 32 bits. The order of
 * the calls to the generator is part of the vectors.
 */
import { VectorRng } from './vector-rng.ts';

const MTIMES = ['0.0', '5.5', '-3.7', '9999999999.1', '0.999999999', '100.0'];
const IDS = [0, 1, 65535, 65536, 4294967295];
const NAMES = ['!', '.a', '..a', '-', 'a', 'z', 'ab', 'ff', '00'];
const NAME_LENGTHS = [0, 1, 10, 100, 240];
const SMALL_SIZES = [0, 1, 4096, 4097, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 43, 2 ** 43 + 1];
const SIZES = SMALL_SIZES.concat([2 ** 45, 2 ** 50, 2 ** 53, 2 ** 53 - 1, 2 ** 52 + 7]);
const CONTENT_LENGTHS = [1, 64, 2047, 2048, 2049, 4095, 4096, 4097, 5000];
const TARGET_LENGTHS = [1, 60, 2048, 3900, 4000, 4031, 4032, 4033, 4063, 4064, 4065, 4095];
const ACL_NAMES = ['system.posix_acl_access', 'system.posix_acl_default'];
const XATTR_NAMES = ['user.', 'trusted.', 'security.', 'trusted.overlay.'].concat(ACL_NAMES, [
  'lustre.',
  'other',
  'user.overlay.',
  'trusted.overlay.overlay.',
]);
const VALUE_LENGTHS = [0, 1, 3, 4, 20, 200, 1000, 3900, 8000];
const DEVICE_MODES = ['20644', '60644', '10644', '140644', '20000'];
const OBJECT = `ab/${'c'.repeat(62)}`;
const DIGEST = `ab${'c'.repeat(62)}`;

/** The dump of a seed. */
export function edgeDump(seed: number): string {
  return new EdgeDump(seed).text();
}

class EdgeDump {
  readonly #rng: VectorRng;
  readonly #lines: string[] = [];
  readonly #directories = [''];
  readonly #files: string[] = [];

  constructor(seed: number) {
    this.#rng = new VectorRng(seed);
  }

  text(): string {
    this.#emit('/', 0, '40755', 2, '- - -');
    const count = this.#rng.pick([3, 20, 100, 400]);
    for (let i = 0; i < count; i++) this.#entry(i);
    return `${this.#lines.join('\n')}\n`;
  }

  /** One line; `ids` is false for entries whose owner is root. */
  #emit(path: string, size: number, mode: string, nlink: number, data: string, ids = true): void {
    const rng = this.#rng;
    const uid = ids ? rng.pick(IDS) : 0;
    const gid = ids ? rng.pick(IDS) : 0;
    const mtime = rng.pick(MTIMES);
    const line = `${path} ${size} ${mode} ${nlink} ${uid} ${gid} 0 ${mtime} ${data}`;
    this.#lines.push(line + this.#xattrs());
  }

  #entry(index: number): void {
    const rng = this.#rng;
    const directory = rng.pick(this.#directories);
    const start = rng.pick(NAMES);
    const path = `${directory}/${start}${'n'.repeat(rng.pick(NAME_LENGTHS))}${index}`;
    if (path.length > 3000) return;
    const kind = rng.below(12);
    if (kind < 3) {
      this.#directories.push(path);
      this.#emit(path, 0, '40755', 2, '- - -');
    } else if (kind < 7) this.#external(path);
    else if (kind < 8) {
      const length = rng.pick(CONTENT_LENGTHS);
      this.#files.push(path);
      this.#emit(path, length, '100644', 1, `- ${'c'.repeat(length)} -`, false);
    } else if (kind < 10) {
      const length = rng.pick(TARGET_LENGTHS);
      this.#emit(path, length, '120777', 1, `${'t'.repeat(length)} - -`, false);
    } else if (kind < 11 && this.#files.length > 0) {
      this.#lines.push(`${path} 0 @120000 - - - - 0.0 ${rng.pick(this.#files)} - -`);
    } else {
      const size = rng.pick([0, 0, 2 ** 33]);
      this.#emit(path, size, rng.pick(DEVICE_MODES), 1, '- - -', false);
    }
  }

  #external(path: string): void {
    const rng = this.#rng;
    const size = rng.pick(SIZES);
    const nlink = rng.pick([1, 65535, 65536]);
    const payload = rng.pick(['-', 'x', '/lead', OBJECT]);
    const digest = rng.pick(['-', DIGEST]);
    this.#files.push(path);
    this.#emit(path, size, '100644', nlink, `${payload} - ${digest}`);
  }

  #xattrs(): string {
    const rng = this.#rng;
    const count = rng.pick([0, 0, 1, 2, 5, 140]);
    const isMany = count > 100;
    const seen = new Set<string>();
    let text = '';
    let total = 0;
    for (let i = 0; i < count; i++) {
      const prefix = rng.pick(XATTR_NAMES) + 'k'.repeat(rng.below(4));
      const name = prefix + (isMany ? i : rng.below(4));
      const length = isMany ? 0 : rng.pick(VALUE_LENGTHS);
      total += name.length + length + 7;
      if (seen.has(name) || total > 32000) continue;
      seen.add(name);
      text += ` ${name}=${'v'.repeat(length)}`;
    }
    return text;
  }
}
