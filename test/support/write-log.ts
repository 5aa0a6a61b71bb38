/**
 * What a guest wrote to its disk, in order, as QEMU's blklogwrites records it; and the disks that a power cut could
 * have left instead of the whole: what came before a write, and that write in part.
 *
 * The layout is that of Linux's dm-log-writes: a first sector with magic and sector size, then for each entry a
 * sector (first sector, count, flags, length) and the data. Number and order stand for themselves: the count in the
 * first sector is only right after a flush, so that an emulator that was killed leaves more entries than it says.
 */
const MAGIC = 0x6a736677736872n;
const HEADER = 32;
const SECTOR_DEFAULT = 512;
const FLAG_FLUSH = 1n;
const FLAG_DISCARD = 4n;

export interface DiskWrite {
  /** In bytes. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** Whether the guest was told later that everything up to here is durable. */
  readonly isFlushed: boolean;
}

/** The writes of a log. Throws when it has anything else than writes and flushes. */
export function readWriteLog(log: Buffer): DiskWrite[] {
  const writes: { offset: number; data: Uint8Array; isFlushed: boolean }[] = [];
  if (log.length === 0) return writes;
  // The first sector comes with the first flush; until then it is a hole.
  const magic = log.readBigUInt64LE(0);
  if (magic !== MAGIC && magic !== 0n) throw new Error('not a log of writes');
  const sector = magic === 0n ? SECTOR_DEFAULT : log.readUInt32LE(24);
  for (let at = sector; at + HEADER <= log.length; at += sector) {
    const [first, count, flags] = [0, 8, 16].map((field) => log.readBigUInt64LE(at + field));
    if (first === 0n && count === 0n && flags === 0n) break;
    if ((flags! & FLAG_DISCARD) !== 0n) throw new Error('the guest discarded sectors');
    if ((flags! & FLAG_FLUSH) !== 0n) for (const write of writes) write.isFlushed = true;
    const size = Number(count!) * sector;
    if (size === 0) continue;
    const start = at + sector;
    // The emulator was killed within the entry: the guest cannot have been told that it is written.
    if (start + size > log.length) break;
    const data = new Uint8Array(log.subarray(start, start + size));
    writes.push({ offset: Number(first!) * sector, data, isFlushed: false });
    at += size;
  }
  return writes;
}

/** Bytes of a disk from `offset` on after some writes, all of which must lie within. */
export function applyWrites(
  base: Uint8Array,
  offset: number,
  writes: readonly Pick<DiskWrite, 'offset' | 'data'>[],
): Uint8Array {
  const bytes = base.slice();
  for (const write of writes) bytes.set(write.data, write.offset - offset);
  return bytes;
}

export interface TornWrite {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * What a write that was cut off can leave of what was there before: some of its sectors in either order, half of it,
 * and any number of bytes of its first sector, which is more than most media would do.
 */
export function tornWrites(before: Uint8Array, data: Uint8Array, sector = 512): TornWrite[] {
  const mix = (isNew: (at: number) => boolean): Uint8Array =>
    data.map((byte, at) => (isNew(at) ? byte : before[at]!));
  const torn: TornWrite[] = [];
  const add = (name: string, isNew: (at: number) => boolean): void =>
    void torn.push({ name, bytes: mix(isNew) });
  for (let end = sector; end < data.length; end += sector) {
    add(`the first ${end} bytes`, (at) => at < end);
    add(`all but the first ${end} bytes`, (at) => at >= end);
  }
  for (let end = 1; end < sector; end++) {
    add(`the first ${end} bytes`, (at) => at < end);
    add(`all but the first ${end} bytes`, (at) => at >= end);
  }
  // Flash that was cut off while it programs a sector may read as ones, or as neither.
  const noise = (value: (at: number) => number): Uint8Array =>
    data.map((byte, at) => (at < sector ? value(at) : byte));
  torn.push({ name: 'a sector of ones', bytes: noise(() => 0xff) });
  torn.push({ name: 'a sector of noise', bytes: noise((at) => (at * 151 + 7) & 0xff) });
  return torn;
}
