/** Settings that describe the hardware: processors, storage, what runs before the runtime, and how QEMU plays it. */
import { z } from 'zod';
import { fact } from './figures.ts';

/** Names of QEMU's machines and processors; a comma would add options of its own. */
const QEMU_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const cpu = z.strictObject({
  core: z.string().min(1).describe('core, such as cortex-a53'),
  count: z.int().min(1).max(1024).describe('cores of this kind'),
  mhz: fact(z.number().positive(), 'clock in MHz').optional(),
  sha256: fact(z.boolean(), 'whether it has instructions for SHA-256').optional(),
});

export const storage = z.strictObject({
  kind: z.string().min(1).describe('device, such as emmc, ospi-nor or virtio-blk'),
  ceiling_mb_s: fact(z.number().positive(), 'what the bus allows, MB/s').optional(),
  measured_mb_s: fact(z.number().positive(), 'sequential read, MB/s').optional(),
  read_latency_us: fact(
    z.number().positive(),
    'how long one small read takes before its bytes come, microseconds; absent: not modelled',
  ).optional(),
});

export const bootStage = z.strictObject({
  stage: z.string().min(1).describe('stage before the runtime'),
  verifies: z.string().optional().describe('what it checks of the next stage'),
  ms: fact(z.number().nonnegative(), 'duration in milliseconds').optional(),
});

export const decompress = z
  .strictObject({
    lz4: fact(z.number().positive(), "the kernel's LZ4, MB of output per second").optional(),
    zstd: fact(z.number().positive(), "the kernel's Zstandard, MB of output per second").optional(),
  })
  .describe(
    'how fast the kernel decompresses its initramfs, beyond what copying it takes; says whether ' +
      'compression pays',
  );

/** QEMU's machines, and the architecture each one has. */
export const MACHINE_ARCH = { virt: 'aarch64', q35: 'x86_64', microvm: 'x86_64' } as const;

export const virtual = z
  .strictObject({
    machine: z.enum(['virt', 'q35', 'microvm']).describe('machine of QEMU'),
    cpu: z.string().regex(QEMU_NAME, 'expected a processor of QEMU').describe('processor of QEMU'),
    memory_mb: z.int().min(64).max(65_536).describe('memory in MiB'),
    unpack_kernel: z
      .boolean()
      .default(false)
      .describe(
        'the kernel of an x86 image is unpacked beforehand, as by a bootloader that could do it in no time; ' +
          'otherwise it unpacks itself, as it does from UEFI',
      ),
  })
  .describe('how QEMU plays the board; `coldseal boot` needs it');
