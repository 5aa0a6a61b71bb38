/**
 * Runs one command and prints what it took, as one line of JSON: `node measure-child.mjs STDOUT STDERR COMMAND ARGS…`.
 *
 * A process of its own for every command, in plain JavaScript and small: the kernel's account of a process's children
 * (getrusage(2), RUSAGE_CHILDREN) then is of this command alone, threads and its own children included. It holds exact
 * processor times and the largest resident set; nothing is sampled. One thing the kernel adds: before it executes the
 * command, a child is a copy of its parent, so a peak below this process's own size cannot be seen. The bench measures
 * that floor with an empty command.
 */
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { createRequire } from 'node:module';

const [stdout, stderr, command, ...args] = process.argv.slice(2);
const stdio = ['ignore', openSync(stdout, 'w'), openSync(stderr, 'w')];

const start = performance.now();
const { status, signal, error } = spawnSync(command, args, { stdio });
const wallMs = performance.now() - start;

const usage = usageOfChildren();
// struct rusage where long has 64 bits: ru_utime, ru_stime (seconds, microseconds), ru_maxrss in KiB, …, ru_inblock.
const time = (at) =>
  Number(usage.readBigInt64LE(at)) * 1e3 + Number(usage.readBigInt64LE(at + 8)) / 1e3;
const result = {
  status,
  signal,
  error: error?.message,
  wallMs,
  userMs: time(0),
  sysMs: time(16),
  peakBytes: Number(usage.readBigInt64LE(32)) * 1024,
  diskBytes: Number(usage.readBigInt64LE(88)) * 512,
};
process.stdout.write(`${JSON.stringify(result)}\n`);

function usageOfChildren() {
  const koffi = createRequire(import.meta.url)('koffi');
  const getrusage = koffi.load(null).func('int getrusage(int who, void *usage)');
  const buffer = Buffer.alloc(144);
  const RUSAGE_CHILDREN = -1;
  if (getrusage(RUSAGE_CHILDREN, buffer) !== 0) throw new Error('getrusage failed');
  return buffer;
}
