/** File systems in files, mounted for the time of a test, and a look at what a test left on the machine. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireRoot, requireTool } from './tools.ts';

export type FileSystemType = 'ext4' | 'xfs' | 'btrfs';

const MAKERS: Readonly<
  Record<FileSystemType, { tool: string; debianPackage: string; args: string[]; minMiB: number }>
> = {
  ext4: { tool: 'mkfs.ext4', debianPackage: 'e2fsprogs', args: ['-q', '-F'], minMiB: 4 },
  xfs: { tool: 'mkfs.xfs', debianPackage: 'xfsprogs', args: ['-q'], minMiB: 320 },
  btrfs: { tool: 'mkfs.btrfs', debianPackage: 'btrfs-progs', args: ['-q'], minMiB: 120 },
};

/** A mounted file system; disposing unmounts it. */
export interface FileSystem extends Disposable {
  readonly path: string;
}

/** Makes a file system of a type in a sparse file below `dir` and mounts it beside. Needs root. */
export function makeFileSystem(type: FileSystemType, dir: string, sizeMiB = 0): FileSystem {
  requireRoot();
  const { tool, debianPackage, args, minMiB } = MAKERS[type];
  const file = join(dir, `${type}.img`);
  const path = join(dir, type);
  writeFileSync(file, '');
  truncateSync(file, Math.max(sizeMiB, minMiB) * 1024 * 1024);
  runTool(requireTool(tool, debianPackage), [...args, file]);
  mkdirSync(path);
  runTool(requireTool('mount', 'mount'), ['-o', 'loop', file, path]);
  const unmount = (): void => {
    spawnSync('umount', ['--recursive', path]);
  };
  process.once('exit', unmount);
  return {
    path,
    [Symbol.dispose]() {
      process.off('exit', unmount);
      unmount();
    },
  };
}

/** No tool of the tests prints more. */
const OUTPUT_MAX = 256 * 1024 * 1024;

/** Runs a tool that must succeed; returns its stdout. */
export function runTool(
  program: string,
  args: readonly string[],
  encoding: 'utf8' | 'latin1' = 'utf8',
): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding,
    maxBuffer: OUTPUT_MAX,
  });
  if (status !== 0) {
    throw new Error(
      `${program} ${args.join(' ')} exited ${status}: ${stderr}${String(error ?? '')}`,
    );
  }
  return stdout;
}

/** Mounts, loop devices with a file, and temporary mount directories: equal before and after, nothing was left. */
export function machineState(): { mounts: string[]; loops: string[]; temporary: string[] } {
  return {
    mounts: readFileSync('/proc/self/mounts', 'latin1').split('\n'),
    loops: readdirSync('/sys/block').filter((name) => {
      if (!name.startsWith('loop')) return false;
      return readdirSync(`/sys/block/${name}`).includes('loop');
    }),
    temporary: readdirSync(tmpdir()).filter((name) => name.startsWith('.coldseal-')),
  };
}
