/**
 * Small fixed pieces of coldseal's daily work, for counting what they cost: the same input and the same steps on every
 * machine. Each is prepared first, and only what the returned function does is counted.
 *
 * One thread does everything: the trees are too small for workers to start.
 */
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openImage } from '../../../runtime/format/erofs-image.ts';
import { restrictToComposefs } from '../../../runtime/format/restrict.ts';
import { Random } from '../../../toolchain/dev/fuzz/random.ts';
import { syntheticDump } from '../../../toolchain/bench/synthetic-dump.ts';
import { buildImage, imageBytes } from '../../../toolchain/image/build.ts';
import { byteStringOfText } from '../../../toolchain/image/byte-string.ts';
import { printDump } from '../../../toolchain/image/describe.ts';
import { parseDump } from '../../../toolchain/image/dumpfile.ts';
import { readTree } from '../../../toolchain/image/read-tree.ts';
import { scanDirectory } from '../../../toolchain/image/scan.ts';
import { readTar } from '../../../toolchain/image/tar.ts';
import { nodeBlockHashers } from '../../../toolchain/objects/block-hasher.ts';
import { FileHasher } from '../../../toolchain/objects/file-hasher.ts';
import { lstatFast } from '../../../runtime/engines/node/xattr.ts';
import { tarOf } from '../tar-writer.ts';

export { libc } from '../../../runtime/engines/node/libc.ts';

/** Makes what is needed below `dir`, which is empty, and returns what is to be counted. */
export type Workload = (dir: string) => () => unknown;

const DUMP_LINES = 1000;
const DIRECTORIES = 15;
const FILES_PER_DIRECTORY = 30;
const LARGE_FILE = 2 << 20;
const SETTINGS = { algorithm: 'sha256', inlineMax: 64 } as const;
const MTIME = 1_700_000_000;

/** Sizes as in /usr: a few empty and inlined ones, most of some kilobytes. */
function sizeOf(random: Random): number {
  return [0, 40, 65, 700, 2500, 4096, 9000, 20_000][random.below(8)]!;
}

interface SmallFile {
  readonly directory: string;
  readonly name: string;
  readonly content: Buffer;
}

function smallFiles(): SmallFile[] {
  const random = new Random(1, 0);
  return Array.from({ length: DIRECTORIES * FILES_PER_DIRECTORY }, (_, i) => ({
    directory: `part-${Math.floor(i / FILES_PER_DIRECTORY)}`,
    name: `file-${random.below(1e6)}-${i}`,
    content: Buffer.alloc(sizeOf(random), i),
  }));
}

function writeTree(root: string): void {
  mkdirSync(root);
  for (const { directory, name, content } of smallFiles()) {
    mkdirSync(join(root, directory), { recursive: true });
    const path = join(root, directory, name);
    writeFileSync(path, content);
    utimesSync(path, MTIME, MTIME);
  }
  for (let i = 0; i < DIRECTORIES; i++) symlinkSync('../target', join(root, `part-${i}`, 'link'));
}

const build = async (root: string, cache?: string): Promise<void> => {
  // An hour later, so that files made just now may be cached; a file system that is not trusted may hold the test.
  const options =
    cache === undefined
      ? undefined
      : {
          directory: cache,
          now: () => Date.now() + 3_600_000,
          identify: () => ({
            fileSystemType: 0n,
            fileSystemId: 0n,
            device: 0n,
            rootIno: 0n,
            bootId: new Uint8Array(16),
          }),
        };
  const path = byteStringOfText(root);
  const scanned = await scanDirectory(path, { ...SETTINGS, threads: 1, cache: options });
  buildImage(scanned.root);
};

export const WORKLOADS: Readonly<Record<string, Workload>> = {
  /** What starting and preparing cost by themselves. */
  nothing: () => () => undefined,

  /** `image build --from-file`. */
  dump() {
    const text = Buffer.from([...syntheticDump(DUMP_LINES)].join(''), 'latin1');
    return () => buildImage(parseDump(text));
  },

  /** `image dump` and the reader behind `image check`. */
  read() {
    const text = Buffer.from([...syntheticDump(DUMP_LINES)].join(''), 'latin1');
    const bytes = imageBytes(parseDump(text));
    return () => {
      const image = openImage(bytes);
      restrictToComposefs(image);
      let length = 0;
      for (const piece of printDump(readTree(image))) length += piece.length;
      return length;
    };
  },

  /** `image build DIR`. */
  tree(dir) {
    writeTree(join(dir, 'tree'));
    return () => build(join(dir, 'tree'));
  },

  /** The same with the digests of an earlier build. */
  rebuild(dir) {
    writeTree(join(dir, 'tree'));
    let isFirst = true;
    return async () => {
      if (isFirst) await build(join(dir, 'tree'), join(dir, 'digests'));
      isFirst = false;
      await build(join(dir, 'tree'), join(dir, 'digests'));
    };
  },

  /** `image build --from-tar`. */
  tar(dir) {
    const members = smallFiles().map(({ directory, name, content }) => ({
      name: `${directory}/${name}`,
      content,
      mtime: MTIME,
    }));
    writeFileSync(join(dir, 'tree.tar'), tarOf(...members));
    return async () => {
      const { root } = await readTar(join(dir, 'tree.tar'), SETTINGS);
      buildImage(root);
    };
  },

  /** One large file through the hash. */
  hash(dir) {
    const path = join(dir, 'large');
    writeFileSync(path, Buffer.alloc(LARGE_FILE, 'coldseal'));
    const job = { ...lstatFast(path), path: byteStringOfText(path) };
    // The same work on every machine, whatever libraries it has.
    const hasher = new FileHasher(SETTINGS, { hashers: nodeBlockHashers('sha256') });
    return () => hasher.runOne(job);
  },
};
