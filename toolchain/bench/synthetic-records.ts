/**
 * A file of boot records as `boot --out` keeps them, as many as asked for, the same every time.
 *
 * The record is that of the demo on the virtual ARM board, 20 stages and one early container; each boot has a little
 * noise of its own. Lines are written in pieces, so that the writer needs little memory.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { seededRandom } from '../budget/statistics/random.ts';

const MS = 1e6;

/** Rows of the demo's boot, in milliseconds. */
const STAGES: readonly (readonly [name: string, ms: number])[] = [
  ['setup', 2.6],
  ['policy', 3.1],
  ['modules sha256_arm64', 0.7],
  ['modules sha2_ce', 0.5],
  ['modules virtio_blk', 2.6],
  ['modules libcrc32c', 0.4],
  ['modules erofs', 5.2],
  ['modules overlay', 4.5],
  ['find-store', 1.6],
  ['slot-state', 2.5],
  ['mount-store', 0.8],
  ['verify a', 21.8],
  ['slot-state a', 0.9],
  ['mount', 0.4],
  ['mount debian', 2.3],
  ['mount hello', 2.2],
  ['mount later', 2.2],
  ['switch-root', 0.5],
  ['containers', 27.5],
  ['handover', 0.1],
];

const LINES_PER_WRITE = 500;

/** Writes `count` records of the board `qemu-aarch64`; every stage is `slower` times as long. */
export function writeSyntheticRecords(path: string, count: number, slower = 1): void {
  const random = seededRandom(count);
  const noise = (): number => random.below(2000) / 1000 - 1;
  const fd = openSync(path, 'w');
  try {
    for (let at = 0; at < count; at += LINES_PER_WRITE) {
      const lines = Array.from({ length: Math.min(LINES_PER_WRITE, count - at) }, (_, index) =>
        JSON.stringify(virtualBoot(at + index + 1, slower, noise)),
      );
      writeSync(fd, `${lines.join('\n')}\n`);
    }
  } finally {
    closeSync(fd);
  }
}

function virtualBoot(run: number, slower: number, noise: () => number): object {
  const record = bootRecord(slower, noise);
  return {
    kind: 'coldseal-virtual-boot',
    schema: 1,
    evidence: 'virtual-wallclock',
    board: 'qemu-aarch64',
    release: { id: record.release!.id, version: record.release!.version },
    run,
    record,
  };
}

function bootRecord(slower: number, noise: () => number): BootRecord {
  let at = (352 + noise()) * MS * slower;
  const stages = STAGES.map(([name, ms]) => {
    const startNs = Math.round(at);
    at += ms * MS * slower * (1 + noise() / 50);
    return { name, startNs, endNs: Math.round(at) };
  });
  const startNs = stages.at(-2)!.startNs;
  return {
    kind: 'coldseal-boot-record',
    schema: 1,
    outcome: 'booted',
    product: 'bench',
    board: 'qemu-aarch64',
    isProduction: false,
    engine: 'quickjs',
    kernel: '6.12.107+deb13-cloud-arm64',
    clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: 133 * MS, counter: 'CNTVCT_EL0' },
    stages,
    slot: 'a',
    attempts: [{ slot: 'a', reason: null }],
    release: {
      id: '5a'.repeat(32),
      version: '1.0',
      role: 'development',
      manifestSha256: 'a5'.repeat(32),
      builtAt: 1_760_000_000,
      epochs: { 1: 1 },
    },
    images: ['debian', 'hello', 'later'].map((name, index) => ({
      name,
      role: index === 0 ? 'system' : 'container',
      digest: `sha256:${'cd'.repeat(32)}`,
      size: 40_960,
      measured: 'kernel-measured',
      fileVerity: 'required',
      mountedAt: `/run/coldseal/images/${name}`,
    })),
    containers: [
      {
        name: 'hello',
        start: 'early',
        startNs,
        startedNs: Math.round(at),
        firstOutputNs: Math.round(at + (15 + noise()) * MS * slower),
        reason: null,
      },
    ],
    notes: [],
  };
}
