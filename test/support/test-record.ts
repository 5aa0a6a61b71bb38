/** A boot record as a good boot leaves it, for tests that read or print one. */
import type { BootRecord } from '../../runtime/format/boot-record.ts';

const MS = 1e6;

/** A record with some fields changed. */
export function testRecord(change: Partial<BootRecord> = {}): BootRecord {
  return {
    kind: 'coldseal-boot-record',
    schema: 1,
    outcome: 'booted',
    product: 'demo',
    board: 'linux,dummy-virt',
    isProduction: false,
    engine: 'quickjs',
    kernel: '6.12.48',
    clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: 12.5 * MS, counter: 'CNTVCT_EL0' },
    stages: [
      { name: 'setup', startNs: 780 * MS, endNs: 782.3 * MS },
      { name: 'verify a', startNs: 800 * MS, endNs: 820 * MS },
      { name: 'handover', startNs: 990 * MS, endNs: 1000 * MS },
    ],
    slot: 'a',
    attempts: [{ slot: 'a', reason: null }],
    release: {
      id: '0f'.repeat(16),
      version: '1.0',
      role: 'production',
      manifestSha256: 'ab'.repeat(32),
      builtAt: 1_760_000_000,
      epochs: { 1: 7 },
    },
    images: [
      {
        name: 'system',
        role: 'system',
        digest: `sha256:${'cd'.repeat(32)}`,
        size: 4096,
        measured: 'kernel-measured',
        fileVerity: 'required',
        mountedAt: '/',
      },
    ],
    containers: [
      {
        name: 'app',
        start: 'early',
        startNs: 900 * MS,
        startedNs: 943.1 * MS,
        firstOutputNs: 951 * MS,
        reason: null,
      },
    ],
    notes: [],
    ...change,
  };
}
