/** A directory to build releases in: a root file system, a bundle, a bootset, development keys. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initDevKeys } from '../../toolchain/sign/dev-keys.ts';
import { buildRelease, type ReleaseOptions } from '../../toolchain/release/build-release.ts';
import { tempDir, type TempDir } from './temp-dir.ts';

/** Within the validity of the lab's keys. */
export const LAB_NOW = 1_790_000_000;

export const LAB_BOOTSET = `product: demo
version: '1.0'
board: qemu-x86_64
epochs: { 1: 7 }
keys: keys/dev
images:
  - { name: root, role: system, source: { directory: rootfs } }
  - { name: app, role: container, start: early, source: { directory: bundle } }
`;

/** Larger than what is stored in the image. */
export const LAB_CONTENT = 'shared content\n'.repeat(1000);

export interface BootsetLab extends TempDir {
  /** Writes a file below the directory. */
  write(path: string, text: string): string;
  /** Builds `BOOTSET.yaml` into `out` unless told otherwise. */
  release(change?: Partial<ReleaseOptions>): ReturnType<typeof buildRelease>;
}

let keys: TempDir | undefined;

/** Making keys takes seconds, so all labs of a process share them. */
function labKeys(): string {
  if (keys === undefined) {
    keys = tempDir();
    initDevKeys(join(keys.path, 'dev'), {
      notBefore: LAB_NOW - 1000,
      leafDays: 365,
      organization: 'test',
      force: false,
    });
  }
  return join(keys.path, 'dev');
}

/** Makes a lab; `using lab = bootsetLab()` removes it. */
export function bootsetLab(bootset: string = LAB_BOOTSET, parent?: string): BootsetLab {
  const dir = tempDir(parent);
  const write = (path: string, text: string): string => {
    const target = join(dir.path, path);
    mkdirSync(join(target, '..'), { recursive: true });
    writeFileSync(target, text);
    return target;
  };
  write('BOOTSET.yaml', bootset);
  write('rootfs/etc/hostname', 'board\n');
  const content = write('rootfs/usr/data', LAB_CONTENT);
  write('bundle/data', LAB_CONTENT);
  write('bundle/config.json', '{}\n');
  for (const path of [content, ...['rootfs', 'bundle'].map((name) => join(dir.path, name))]) {
    utimesSync(path, 1_700_000_000, 1_700_000_000);
  }
  const release: BootsetLab['release'] = (change = {}) =>
    buildRelease({
      bootset: join(dir.path, 'BOOTSET.yaml'),
      output: join(dir.path, 'out'),
      force: false,
      threads: 1,
      keys: labKeys(),
      now: LAB_NOW,
      noDisk: true,
      startProgress: () => ({ update: () => undefined, done: () => undefined }),
      onWarning: () => undefined,
      ...change,
    });
  return { ...dir, [Symbol.dispose]: dir[Symbol.dispose], write, release };
}
