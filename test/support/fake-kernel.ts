/** Kernels and modules that are none, but look like ones to the toolchain; and a board that boots with them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The header of a kernel image, with its release where real ones have it. */
export function fakeKernel(arch: 'x86_64' | 'aarch64', release: string): Buffer {
  const image = Buffer.alloc(8192);
  if (arch === 'x86_64') {
    image.write('HdrS', 0x202);
    image.writeUInt16LE(0x400, 0x20e);
    image.write(`${release} (builder@host) #1\0`, 0x600);
  } else {
    image.write('ARM\x64', 0x38);
    image.write(`Linux version ${release} (builder@host) #1\0`, 0x600);
  }
  return image;
}

/** A module that states its dependencies. */
export function fakeModule(depends: readonly string[]): Buffer {
  return Buffer.from(`\x7fELF\0depends=${depends.join(',')}\0`, 'latin1');
}

/** A board whose kernel is in files beside it. `ext4` is built in. */
export const KERNEL_BOARD = `id: test-board
name: test
arch: x86_64
smbios: { vendor: QEMU, product: Standard PC }
production: false
signing: { roles: [development] }
epochs: [{ domain: 1, name: system }]
kernel:
  min_version: '6.12'
  source: a test
  image: vmlinuz
  modules: modules/6.12.9-test
  load: [virtio-blk, erofs]
  command_line: console=ttyS0 quiet
erofs: { formats: [0, 1], source: a test }
verity: { mode: require }
`;

/** Writes board, kernel and modules into a directory; returns the path of the board file. */
export function writeKernelBoard(
  dir: string,
  board: string = KERNEL_BOARD,
  release = '6.12.9-test',
): string {
  const write = (path: string, content: string | Uint8Array): string => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
    return join(dir, path);
  };
  write('vmlinuz', fakeKernel('x86_64', release));
  write(`modules/${release}/modules.builtin`, 'kernel/fs/ext4/ext4.ko\n');
  write(`modules/${release}/kernel/virtio_blk.ko`, fakeModule([]));
  write(`modules/${release}/kernel/erofs.ko`, fakeModule(['libcrc32c', 'ext4']));
  write(`modules/${release}/kernel/libcrc32c.ko`, fakeModule([]));
  return write('test-board.yaml', board);
}
