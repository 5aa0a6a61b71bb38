/**
 * What a disk has read and written since the kernel found it: /sys/class/block/DISK/stat. For a run that counts, which
 * is never a run that is timed; on development boards only.
 *
 * Source: Documentation/block/stat.rst of Linux; a sector there is 512 bytes, whatever the disk's own are.
 */
import { BLOCK_DEVICES } from './device-paths.ts';
import type { DiskCounters } from './format/boot-record.ts';
import { toByteString } from './format/bytes.ts';
import { readSmallFile } from './read-file.ts';
import type { SysFiles } from './sys.ts';

const STAT_MAX = 512;
const SECTOR = 512;

/** The counters as of now; undefined where nobody asked for a disk, and where it is not there (yet). */
export function readDiskCounters(
  sys: SysFiles,
  disk: string | undefined,
): DiskCounters | undefined {
  if (disk === undefined) return undefined;
  try {
    const text = toByteString(readSmallFile(sys, `${BLOCK_DEVICES}/${disk}/stat`, STAT_MAX));
    const [reads, , readSectors, , writes, , writtenSectors] = text.match(/\d+/g)!.map(Number);
    return {
      readRequests: reads!,
      readBytes: readSectors! * SECTOR,
      writeRequests: writes!,
      writeBytes: writtenSectors! * SECTOR,
    };
  } catch {
    return undefined;
  }
}
