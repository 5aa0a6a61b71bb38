/** What this machine can do at best: hash on one core and on all, as OpenSSL says too, and read from the page cache. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../dev/root.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Processes that ran or waited to run during the last minute: beside others, times mean little. */
  readonly load: number;
}

export interface MachineRates {
  /** Bytes per second of SHA-256 over blocks of 4 KiB. */
  readonly oneCore: number;
  readonly allCores: number;
  readonly openssl: number | undefined;
  readonly pageCache: number;
}

const HASH_SECONDS = 1;
const READ_FILE_SIZE = 256 << 20;
const READ_STEP = 1 << 20;
const READ_ROUNDS = 4;

/** What the machine is. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown processor',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    load: loadavg()[0]!,
  };
}

/** Measures for some four seconds; a file of 256 MiB is made in `dir` and removed. */
export function measureMachine(dir: string): MachineRates {
  return {
    oneCore: hashRate(1),
    allCores: hashRate(availableParallelism()),
    openssl: opensslRate(),
    pageCache: readRate(join(dir, 'page-cache')),
  };
}

function hashRate(threads: number): number {
  const script = join(ROOT, 'toolchain/bench/hash-rate.mjs');
  const args = [script, String(threads), String(HASH_SECONDS)];
  const result = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`hash-rate.mjs: ${result.stderr}`);
  const rates = JSON.parse(result.stdout) as number[];
  return rates.reduce((sum, rate) => sum + rate, 0);
}

function opensslRate(): number | undefined {
  const args = [
    'speed',
    '-mr',
    '-seconds',
    String(HASH_SECONDS),
    '-bytes',
    '4096',
    '-evp',
    'sha256',
  ];
  const result = spawnSync('openssl', args, { encoding: 'utf8' });
  return result.status === 0 ? parseOpensslSpeed(result.stdout) : undefined;
}

/** Bytes per second out of the line `+F:25:sha256:1570758076.77` of `openssl speed -mr`. */
export function parseOpensslSpeed(text: string): number | undefined {
  const match = /^\+F:\d+:sha256:([\d.]+)$/im.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** The best of some readings of a file that was just written; one core. */
function readRate(file: string): number {
  const step = Buffer.alloc(READ_STEP, 1);
  const fd = openSync(file, 'wx+');
  try {
    for (let at = 0; at < READ_FILE_SIZE; at += READ_STEP) writeSync(fd, step, 0, READ_STEP, at);
    let best = 0;
    for (let round = 0; round < READ_ROUNDS; round++) {
      const start = performance.now();
      for (let at = 0; at < READ_FILE_SIZE; at += READ_STEP) readSync(fd, step, 0, READ_STEP, at);
      best = Math.max(best, (READ_FILE_SIZE / (performance.now() - start)) * 1000);
    }
    return best;
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

/** Memory that can be had without swapping. */
export function availableMemory(): number {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return match === null ? totalmem() : Number(match[1]) * 1024;
}
