/**
 * Finds the partitions by their GPT names, which the kernel announces as PARTNAME.
 *
 * The socket for announcements is open before the first look, so nothing can appear unseen in between; after that
 * the kernel wakes us, and nothing is polled. Partitions of a disk appear together: the others get a moment only.
 */
import { BLOCK_DEVICES, PARTITION } from './device-paths.ts';
import { toByteString } from './format/bytes.ts';
import { ColdsealError } from './format/errors.ts';
import { readSmallFile } from './read-file.ts';
import { errnoOf } from './sys-error.ts';
import type { DeviceSys } from './sys.ts';

/** Name to device file. */
export type Partitions = ReadonlyMap<string, string>;

const UEVENT_MAX = 4096;
/** For a state partition that comes after its store. */
const OTHERS_MS = 200;

/** Waits for the store and the state until the deadline; whichever has not appeared then is missing in the result. */
export function findPartitions(sys: DeviceSys, deadlineMs: number): Partitions {
  const events = sys.openUevents();
  try {
    const found = listPartitions(sys);
    const nowMs = (): number => sys.clock().bootNs / 1e6;
    let untilMs = nowMs() + deadlineMs;
    let isHurried = false;
    while (!found.has(PARTITION.STORE) || !found.has(PARTITION.STATE)) {
      const leftMs = Math.ceil(untilMs - nowMs());
      if (found.has(PARTITION.STORE) && !isHurried) {
        isHurried = true;
        untilMs = Math.min(untilMs, nowMs() + OTHERS_MS);
        continue;
      }
      const lines = leftMs > 0 ? nextEvent(sys, events, leftMs, found) : undefined;
      if (lines === undefined) break;
      takePartition(lines, found);
    }
    return found;
  } finally {
    sys.close(events);
  }
}

/** The device file of the store; throws HOST_STORE_MISSING. */
export function requireStore(found: Partitions, deadlineMs: number): string {
  const store = found.get(PARTITION.STORE);
  if (store !== undefined) return store;
  throw new ColdsealError(
    'HOST_STORE_MISSING',
    `Cannot find partition ${PARTITION.STORE} within ${deadlineMs} ms: ` +
      `there are ${[...found.keys()].join(', ') || 'none with a name'}`,
  );
}

/** The named partitions there are. Of two with one name the first in byte order counts. */
export function listPartitions(sys: DeviceSys): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of sys.list(BLOCK_DEVICES)) {
    try {
      const text = readSmallFile(sys, `${BLOCK_DEVICES}/${name}/uevent`, UEVENT_MAX);
      takePartition(toByteString(text).split('\n'), found);
    } catch (error) {
      // It may be gone again.
      if (!(error instanceof ColdsealError)) throw error;
    }
  }
  return found;
}

/** The next announcement; an overflow of them means looking again. Undefined when the time is up. */
function nextEvent(
  sys: DeviceSys,
  events: number,
  timeoutMs: number,
  found: Map<string, string>,
): readonly string[] | undefined {
  try {
    return sys.readUevent(events, timeoutMs);
  } catch (error) {
    if (errnoOf(error) !== 'ENOBUFS') throw error;
    for (const [name, path] of listPartitions(sys)) found.set(name, path);
    return [];
  }
}

function takePartition(lines: readonly string[], found: Map<string, string>): void {
  const value = (key: string): string | undefined =>
    lines.find((line) => line.startsWith(key))?.slice(key.length);
  const name = value('PARTNAME=');
  const device = value('DEVNAME=');
  if (name === undefined || device === undefined || value('ACTION=') === 'remove') return;
  if (!found.has(name)) found.set(name, `/dev/${device}`);
}
