/** A lab whose releases boot, as far as can be told without a kernel: a board of files, a system, an OCI bundle. */
import { bootsetLab, type BootsetLab } from './bootset-lab.ts';
import { KERNEL_BOARD, writeKernelBoard } from './fake-kernel.ts';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export const BOOT_BOOTSET = `product: demo
version: '1.0'
board: ./test-board.yaml
epochs: { 1: 7 }
images:
  - { name: root, role: system, source: { directory: rootfs } }
  - { name: app, role: container, start: early, source: { directory: bundle } }
`;

export const BUNDLE_CONFIG = {
  ociVersion: '1.0.2',
  process: { args: ['/bin/app'], cwd: '/' },
  root: { path: 'rootfs', readonly: true },
};

/** Small, and different from any other. */
export const LAB_INIT = Buffer.from('\x7fELF the runtime of a lab', 'latin1');

/** A lab for releases with a disk: `release()` makes one. */
export function bootLab(bootset: string = BOOT_BOOTSET, board: string = KERNEL_BOARD): BootsetLab {
  const lab = bootsetLab(bootset);
  writeKernelBoard(lab.path, board);
  for (const name of ['dev', 'proc', 'run', 'sys']) {
    mkdirSync(join(lab.path, 'rootfs', name), { recursive: true });
  }
  for (const name of ['usr/sbin/init', 'usr/bin/crun']) {
    chmodSync(lab.write(`rootfs/${name}`, `#!${name}\n`.repeat(100)), 0o755);
  }
  lab.write('rootfs/sbin/init', '');
  chmodSync(join(lab.path, 'rootfs/sbin/init'), 0o755);
  lab.write('bundle/config.json', JSON.stringify(BUNDLE_CONFIG));
  lab.write('bundle/rootfs/bin/app', 'app '.repeat(500));
  const release: BootsetLab['release'] = (change) =>
    lab.release({ noDisk: false, init: LAB_INIT, ...change });
  return { ...lab, [Symbol.dispose]: lab[Symbol.dispose], release };
}
