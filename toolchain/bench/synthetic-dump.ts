/**
 * Dump text of a developer workstation that does not exist: the same for the same number of entries, on every machine.
 *
 * Packages of a few to two thousand entries lie under a few system and home directories, so that paths, depths and the
 * size of directories do not depend on how many entries there are: cost per entry can be compared between sizes. Every
 * entry has an SELinux label; about half are objects with a digest. Format: composefs-dump(5).
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Random } from '../dev/fuzz/random.ts';

/** Where packages go, with the SELinux type of what is in them and who owns it. */
const PLACES = [
  { path: '/usr/lib', type: 'lib_t', owner: 0 },
  { path: '/usr/share', type: 'usr_t', owner: 0 },
  { path: '/usr/include', type: 'usr_t', owner: 0 },
  { path: '/usr/src', type: 'src_t', owner: 0 },
  { path: '/opt', type: 'usr_t', owner: 0 },
  { path: '/var/lib', type: 'var_lib_t', owner: 0 },
  { path: '/home/dev/src', type: 'user_home_t', owner: 1000 },
  { path: '/home/dev/.cache', type: 'cache_home_t', owner: 1000 },
] as const;

const WORDS = (
  'core util test data main config index common server client ' +
  'render parse cache image font locale driver module plugin doc'
).split(' ');
const ENDINGS = ['.so', '.py', '.h', '.c', '.js', '.json', '.png', '.gz', '.mo', '', '.html', '.o'];

/** struct vfs_cap_data, version 2, effective. */
const CAP_NET_BIND_SERVICE = `\\x01\\x00\\x00\\x02\\x00\\x04${'\\x00'.repeat(14)}`;

const SEED = 1;
/** Packages of one place share directories of so many, as fan-out directories do. */
const GROUP = 64;
const DEPTH_MAX = 5;
const PIECE_SIZE = 1 << 20;

type Place = (typeof PLACES)[number];

/** Writes a dump with exactly so many entries; returns its size in bytes. */
export function writeSyntheticDump(file: string, entries: number): number {
  const fd = openSync(file, 'w');
  let size = 0;
  let piece = '';
  try {
    for (const line of syntheticDump(entries)) {
      piece += line;
      if (piece.length < PIECE_SIZE) continue;
      size += writeSync(fd, piece, null, 'latin1');
      piece = '';
    }
    size += writeSync(fd, piece, null, 'latin1');
  } finally {
    closeSync(fd);
  }
  return size;
}

/** The lines of a dump with exactly so many entries; at least the 16 that hold the packages. */
export function* syntheticDump(entries: number): Generator<string> {
  const maker = new DumpMaker(entries);
  yield* maker.skeleton();
  for (let number = 0; maker.left > 0; number++) yield* maker.package(number);
}

class DumpMaker {
  readonly #random = new Random(SEED, 0);
  readonly #digest = Buffer.alloc(32);
  /** The shared directory of each place that packages go to at the moment. */
  readonly #groups = new Map<Place, string>();
  /** Entries still to make. */
  left: number;

  constructor(entries: number) {
    this.left = entries;
  }

  /** The root and the places with their parents. */
  *skeleton(): Generator<string> {
    const seen = new Set<string>();
    for (const place of PLACES) {
      const names = place.path.split('/');
      for (let length = 1; length <= names.length; length++) {
        const path = names.slice(0, length).join('/') || '/';
        if (seen.has(path) || this.left === 0) continue;
        seen.add(path);
        yield this.#directoryLine(path, place);
      }
    }
  }

  *package(number: number): Generator<string> {
    const random = this.#random;
    const place = PLACES[number % PLACES.length]!;
    const nth = Math.floor(number / PLACES.length);
    let group = this.#groups.get(place);
    if (group === undefined || nth % GROUP === 0) {
      group = `${place.path}/${random.pick(WORDS)}-${Math.floor(nth / GROUP)}`;
      this.#groups.set(place, group);
      yield this.#directoryLine(group, place);
      if (this.left === 0) return;
    }
    const path = `${group}/${random.pick(WORDS)}-${nth}.${random.below(10)}`;
    const size = 4 + random.below(2 ** (4 + random.below(8)));
    yield* this.#directory(path, place, size, 0);
  }

  /** A directory with so many entries below it: some of its own, the others in subdirectories. */
  *#directory(path: string, place: Place, entries: number, depth: number): Generator<string> {
    const random = this.#random;
    if (this.left === 0) return;
    yield this.#directoryLine(path, place);
    const isLeaf = depth === DEPTH_MAX || entries < 8;
    const own = isLeaf ? entries : Math.ceil(entries / (2 + random.below(3)));
    let file = '';
    for (let i = 0; i < own && this.left > 0; i++) {
      const name = `${random.pick(WORDS)}${random.below(2) === 0 ? '' : `_${random.pick(WORDS)}`}`;
      const entry = `${path}/${name}${i}`;
      const kind = random.below(100);
      if (kind < 21) yield this.#symlinkLine(entry, place);
      else if (kind < 22 && file !== '') yield this.#hardlinkLine(`${entry}.ln`, file);
      else {
        file = `${entry}${random.pick(ENDINGS)}`;
        yield kind < 38 ? this.#smallFileLine(file, place) : this.#objectLine(file, place);
      }
    }
    let rest = entries - own;
    for (let i = 0; rest > 0 && this.left > 0; i++) {
      const part = Math.min(rest, 2 + random.below(2 ** (2 + random.below(5))));
      yield* this.#directory(`${path}/${random.pick(WORDS)}.${i}`, place, part - 1, depth + 1);
      rest -= part;
    }
  }

  #line(path: string, fields: string, xattrs: string): string {
    this.left--;
    return `${path} ${fields}${xattrs}\n`;
  }

  #directoryLine(path: string, place: Place): string {
    const fields = `4096 40755 ${2 + this.#random.below(8)} ${this.#owner(place)} 0 ${this.#mtime(place)} - - -`;
    return this.#line(path, fields, label(place));
  }

  #symlinkLine(path: string, place: Place): string {
    const random = this.#random;
    const target = `../${random.pick(WORDS)}/${random.pick(WORDS)}${random.pick(ENDINGS)}`;
    const fields = `${target.length} 120777 1 ${this.#owner(place)} 0 ${this.#mtime(place)} ${target} - -`;
    return this.#line(path, fields, label(place));
  }

  #hardlinkLine(path: string, target: string): string {
    return this.#line(path, `0 @100644 - - - - 0.0 ${target} - -`, '');
  }

  /** Empty, or with its content in the image. */
  #smallFileLine(path: string, place: Place): string {
    const size = this.#random.below(2) * this.#random.below(65);
    const content = size === 0 ? '-' : `${'x'.repeat(size - 1)}\\n`;
    const fields = `${size} 100644 1 ${this.#owner(place)} 0 ${this.#mtime(place)} - ${content} -`;
    return this.#line(path, fields, label(place));
  }

  #objectLine(path: string, place: Place): string {
    const random = this.#random;
    const size = 65 + random.below(2 ** (7 + random.below(13)));
    const mode = random.below(8) === 0 ? '100755' : '100644';
    for (let at = 0; at < this.#digest.length; at += 4)
      this.#digest.writeUInt32LE(random.next(), at);
    const digest = this.#digest.toString('hex');
    const object = `${digest.slice(0, 2)}/${digest.slice(2)}`;
    const fields = `${size} ${mode} 1 ${this.#owner(place)} 0 ${this.#mtime(place)} ${object} - ${digest}`;
    return this.#line(path, fields, this.#xattrs(place));
  }

  #owner(place: Place): string {
    return `${place.owner} ${place.owner}`;
  }

  /** Package managers set whole seconds; what people write has nanoseconds. */
  #mtime(place: Place): string {
    const random = this.#random;
    const sec = 1_650_000_000 + random.below(80_000_000);
    return `${sec}.${place.owner === 0 ? 0 : random.below(1_000_000_000)}`;
  }

  /** The label, and now and then what a browser or a capable program leaves. */
  #xattrs(place: Place): string {
    const random = this.#random;
    const kind = random.below(200);
    if (kind === 0) {
      return `${label(place)} security.capability=${CAP_NET_BIND_SERVICE}`;
    }
    if (kind > 2) return label(place);
    const url = `https://example.org/${random.pick(WORDS)}/${random.below(1000)}`;
    return `${label(place)} user.xdg.origin.url=${url}`;
  }
}

function label(place: Place): string {
  return ` security.selinux=system_u:object_r:${place.type}:s0\\x00`;
}
