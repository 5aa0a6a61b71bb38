/**
 * The erofs-utils of Debian 13, run from where they are unpacked, with the C library of their own release: those of
 * Debian 12 know neither archives nor blocks of 512 bytes.
 */
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fetchPackage } from '../../toolchain/host/debian-packages.ts';
import { runTool } from './file-systems.ts';
import { areToolsRequired, skipTest } from './tools.ts';

const LIBRARIES = [
  'libc6',
  'libdeflate0',
  'liblz4-1',
  'liblzma5',
  'libpcre2-8-0',
  'libselinux1',
  'libuuid1',
  'libxxhash0',
  'libzstd1',
  'zlib1g',
];

const MACHINES: Readonly<
  Record<string, readonly [debian: string, triplet: string, loader: string]>
> = {
  x64: ['amd64', 'x86_64-linux-gnu', 'ld-linux-x86-64.so.2'],
  arm64: ['arm64', 'aarch64-linux-gnu', 'ld-linux-aarch64.so.1'],
};

/** Runs one of the tools, which must succeed; returns its stdout. */
export type ErofsJudge = (
  tool: 'mkfs.erofs' | 'fsck.erofs' | 'dump.erofs',
  ...args: readonly string[]
) => string;

let fetched: Promise<ErofsJudge> | undefined;

/** The tools, fetched once in a process. */
export function requireErofsJudge(): Promise<ErofsJudge> {
  return (fetched ??= fetchJudge());
}

/** Fetches what the cache lacks; without a network the test is skipped, or fails where tools are required. */
async function fetchJudge(): Promise<ErofsJudge> {
  const [architecture, triplet, loader] = MACHINES[process.arch] ?? skipTest('no such machine');
  const source = { suite: 'trixie', architecture };
  try {
    const paths: string[] = [];
    for (const name of LIBRARIES) {
      const { directory } = await fetchPackage(source, name);
      paths.push(join(directory, 'usr/lib', triplet));
    }
    const { directory } = await fetchPackage(source, 'erofs-utils');
    const program = join(paths[0]!, loader);
    return (tool, ...args) =>
      runTool(program, [
        '--library-path',
        paths.join(':'),
        join(directory, 'usr/bin', tool),
        ...args,
      ]);
  } catch (error) {
    if (!(error instanceof ColdsealError) || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}
