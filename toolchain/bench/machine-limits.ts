/** A measure beside what the machine itself needs for the same bytes: hashing them, and reading them. */
import type { MachineRates } from './machine.ts';
import { formatValue } from './table.ts';

/** What has to be read and hashed, whoever does it. */
export interface WorkBytes {
  readonly bytes: number;
  readonly hashedBytes: number;
}

/** One note: hashing on all cores, reading on one, and the wall time as a multiple of each. */
export function machineNotes(work: WorkBytes, wallMs: number, rates: MachineRates): string[] {
  const hashing = (work.hashedBytes / rates.allCores) * 1000;
  const reading = (work.bytes / rates.pageCache) * 1000;
  return [
    part('hashing alone', work.hashedBytes, rates.allCores, 'on all cores', hashing, wallMs),
    part('reading alone', work.bytes, rates.pageCache, 'on one core', reading, wallMs),
  ];
}

function part(
  what: string,
  bytes: number,
  rate: number,
  where: string,
  ms: number,
  wallMs: number,
): string {
  return (
    `${what}, ${formatValue(bytes, 'bytes')} at ${formatValue(rate, 'bytes/s')} ${where}: ` +
    `${formatValue(ms, 'ms')}; the least wall time is ${(wallMs / ms).toFixed(2)} times that`
  );
}
