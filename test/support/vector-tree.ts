/**
 * The directories behind test/vectors/trees.tsv: random but the same on every machine.
 *
 * Needs root for device nodes, trusted.* and security.* names and foreign owners. The order of the calls to the
 * generator is part of the vectors.
 */
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { makedev } from '../../runtime/format/device-number.ts';
import { makeNode, setMtime, setXattr } from './native.ts';
import { VectorRng, vectorName } from './vector-rng.ts';

const S_IFIFO = 0o010000;

/** Makes the tree of a seed in the directory `root`, which must not exist. */
export function makeVectorTree(seed: number, root: string, count: number): void {
  const umask = process.umask(0o022);
  try {
    const tree = new TreeVector(seed, root);
    for (let i = 0; i < count; i++) tree.add();
    setTimes(root, seed);
  } finally {
    process.umask(umask);
  }
}

class TreeVector {
  readonly #rng: VectorRng;
  readonly #root: string;
  readonly #files: string[] = [];
  readonly #directories: string[];
  readonly #contents: Buffer[] = [];
  readonly #used = new Map<string, Set<string>>();

  constructor(seed: number, root: string) {
    this.#rng = new VectorRng(seed * 7919 + 3);
    this.#root = root;
    this.#directories = [root];
    this.#used.set(root, new Set());
    mkdirSync(root, { recursive: true });
  }

  add(): void {
    const rng = this.#rng;
    const directory = rng.pick(this.#directories);
    const path = `${directory}/${vectorName(rng, this.#used.get(directory)!)}`;
    if (path.length - this.#root.length > 2000) return;
    const kind = rng.below(100);
    if (!this.#make(path, kind)) return;
    if (rng.chance(25)) {
      const { name, value } = this.#xattr(kind);
      setXattr(path, name, value);
    }
    if (rng.chance(8)) setXattr(path, 'security.selinux', 'system_u:object_r:usr_t:s0\0');
    if (rng.chance(20)) {
      const uid = rng.below(70000);
      lchownSync(bytes(path), uid, rng.below(70000));
    }
    if (kind < 70 && rng.chance(40)) {
      chmodSync(bytes(path), rng.pick([0o644, 0o755, 0o4755, 0o600]));
    }
  }

  #xattr(kind: number): { name: string; value: string } {
    const rng = this.#rng;
    const prefix = kind < 70 ? 'user.k' : 'trusted.k';
    const name = prefix + rng.below(5);
    return { name, value: rng.bytes(rng.below(40)).toString('latin1') };
  }

  /** Makes the entry; false when it gets no attributes of its own. */
  #make(path: string, kind: number): boolean {
    const rng = this.#rng;
    if (kind < 14) {
      mkdirSync(bytes(path));
      this.#directories.push(path);
      this.#used.set(path, new Set());
    } else if (kind < 70) {
      writeFileSync(bytes(path), this.#content());
      this.#files.push(path);
    } else if (kind < 84) {
      const length = 1 + rng.below(200);
      symlinkSync(Buffer.from(rng.text('ab/c.. x', length), 'latin1'), bytes(path));
    } else if (kind < 88) makeNode(path, S_IFIFO | 0o666);
    else if (kind < 91) {
      const major = 1 + rng.below(200);
      makeNode(path, 0o20644, makedev(major, rng.below(300)));
    } else if (kind < 93) makeNode(path, 0o20000, 0);
    else {
      if (this.#files.length > 0) linkSync(bytes(rng.pick(this.#files)), bytes(path));
      return false;
    }
    return true;
  }

  #content(): Buffer {
    const rng = this.#rng;
    if (this.#contents.length > 0 && rng.chance(15)) return rng.pick(this.#contents);
    const sizes = [0, 1, 63, 64, 65, 4095, 4096, 4097, 30000, rng.below(200000)];
    const content = rng.bytes(rng.pick(sizes));
    this.#contents.push(content);
    return content;
  }
}

function bytes(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

/** Sets every mtime from the path alone, children before their directories. */
function setTimes(root: string, seed: number): void {
  const every = [root];
  // Appending while iterating visits the new ones too.
  for (const path of every) {
    if (!lstatSync(bytes(path)).isDirectory()) continue;
    for (const name of readdirSync(bytes(path), 'latin1')) every.push(`${path}/${name}`);
  }
  const depth = (path: string): number => path.split('/').length;
  every.sort((a, b) => depth(b) - depth(a) || (a < b ? -1 : 1));
  for (const path of every) setTime(path, root, seed);
}

function setTime(path: string, root: string, seed: number): void {
  const relative = Buffer.from(path.slice(root.length), 'latin1');
  const sum = relative.reduce((total, byte) => total + byte, 0);
  const rng = new VectorRng(sum + relative.length + seed);
  let seconds = 1700000000 + rng.below(10 ** 6);
  let nanoseconds = rng.below(10 ** 9);
  const stat = lstatSync(bytes(path));
  if (stat.nlink > 1 && !stat.isDirectory()) {
    seconds = 1700000000;
    nanoseconds = 5;
  }
  setMtime(path, seconds, nanoseconds);
}
