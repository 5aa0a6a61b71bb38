/**
 * An initramfs in every compression before the one judge that counts: Debian 13's kernel unpacks it and starts the
 * runtime, which reads its policy, finds no store and does what the policy says.
 */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import { compressArchive, COMPRESSIONS, initramfsName } from '../../toolchain/disk/initramfs.ts';
import { BOOT_BOOTSET, bootLab } from '../support/boot-lab.ts';
import { KERNEL_BOARD } from '../support/fake-kernel.ts';
import { requireTool } from '../support/tools.ts';
import { debianKernel } from '../support/vm-lab.ts';

const test = suite('initramfs in a virtual board');

/** A board as QEMU's q35 names itself, which gives up at once and switches off. */
function board(compression: string): string {
  return (
    KERNEL_BOARD.replace('product: Standard PC', "product: 'Standard PC (Q35 + ICH9, 2009)'")
      .replace(/^ {2}image:.*\n {2}modules:.*\n {2}load:.*\n/m, '')
      .replace(
        'command_line: console=ttyS0 quiet',
        'package: { suite: trixie, name: linux-image-cloud-amd64 }\n' +
          '  load: [erofs]\n  command_line: console=ttyS0 quiet panic=-1',
      ) +
    `boot_image: { compression: ${compression} }\n` +
    'store: { deadline_ms: 1 }\non_failure: [{ power_off: true }]\n'
  );
}

for (const compression of COMPRESSIONS) {
  test(`${compression}: the kernel unpacks it, and the runtime does as its policy says`, async () => {
    requireTool('qemu-system-x86_64', 'qemu-system-x86');
    requireTool('gcc', 'gcc');
    if (compression !== 'none') requireTool(compression, compression);
    await debianKernel();
    using lab = bootLab(BOOT_BOOTSET, board(compression));
    await lab.release({ init: undefined });
    const { console } = await bootMachine(
      {
        architecture: 'x86_64',
        kernel: join(lab.path, 'out/kernel'),
        initramfs: join(lab.path, 'out', initramfsName(compression)),
      },
      { timeoutMs: 45_000 },
    );
    assert.match(console, /coldseal-store/, console.slice(-2000));
    assert.match(console, /reboot: Power down/, console.slice(-2000));
  });
}

test('a compression that the kernel does not know would have been seen', async () => {
  // The comparison compresses in every way, so a change of a program's defaults shows here first.
  for (const compression of COMPRESSIONS) {
    if (compression !== 'none') requireTool(compression, compression);
    const bytes = await compressArchive(Buffer.alloc(10_000), compression);
    const magic = Buffer.from(bytes).toString('hex', 0, 4);
    assert.is(magic, { none: '00000000', lz4: '02214c18', zstd: '28b52ffd' }[compression]);
  }
});

test.run();
