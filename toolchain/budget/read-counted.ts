/**
 * Virtual boots with their counted reads: from `boot-records.jsonl`, or just booted.
 *
 * A measured boot says what every board can say. What only a virtual one knows, the emulator and the bytes that a
 * bootloader would read, is taken from its own record here and nowhere else.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { CountedBoot, Emulation } from './calibration-images.ts';
import { fromVirtualBoot, type VirtualBootFacts } from './from-virtual-boot.ts';
import type { MeasuredBoot } from './measured-boot.ts';
import { parseRecord, readLines } from './read-records.ts';

const text = z.string().min(1).max(512);
const facts = z.looseObject({
  kind: z.literal('coldseal-virtual-boot'),
  emulator: z.looseObject({ name: text, version: text, machine: text, cpu: text, icount: text }),
  storage: z.looseObject({ bootBytes: z.int().min(0) }),
  record: z.looseObject({ kernel: z.string() }),
});

interface CountedFacts {
  readonly emulator: Emulation;
  readonly storage: { readonly bootBytes: number };
  readonly record: { readonly kernel: string };
}

export interface CountedFile {
  readonly sha256: string;
  readonly boots: readonly CountedBoot[];
}

/** Reads a file of virtual boots. Throws FORMAT_BOOT_RECORDS. */
export function readCounted(path: string): CountedFile {
  const boots: CountedBoot[] = [];
  const sha256 = readLines(path, (line, number) => {
    if (line.trim() === '') return;
    const refuse = (problem: string, cause?: unknown): ColdsealError =>
      new ColdsealError(
        'FORMAT_BOOT_RECORDS',
        `Cannot read the virtual boots of ${path}: line ${number} ${problem}`,
        { hint: 'coldseal boot DIR --io --out RECORDS writes RECORDS/boot-records.jsonl', cause },
      );
    const boot = parseRecord(line, path, refuse);
    const own = facts.safeParse(JSON.parse(line));
    if (!own.success) {
      const at = own.error.issues[0]!.path.join('.');
      throw refuse(`is no virtual boot of this version: expected ${at}`, own.error);
    }
    boots.push(counted(boot, own.data));
  });
  return { sha256, boots };
}

/** The same of a boot that was just made. */
export function countedBoot(virtual: VirtualBootFacts & CountedFacts): CountedBoot {
  const source = { format: 'virtual-boot', file: 'this boot', sha256: '' };
  return counted(fromVirtualBoot(virtual, source), virtual);
}

function counted(boot: MeasuredBoot, { emulator, storage, record }: CountedFacts): CountedBoot {
  const { name, version, machine, cpu, icount } = emulator;
  return {
    boot,
    bootBytes: storage.bootBytes,
    emulator: { name, version, machine, cpu, icount },
    kernel: /^\d+\.\d+/.exec(record.kernel)?.[0] ?? record.kernel,
  };
}
