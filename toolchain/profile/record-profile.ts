/**
 * From a traced boot to its profile: every read until the last first output, back to the file it was for. Pure.
 */
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import type { DiskRequest, DiskTrace } from '../board/io-trace.ts';
import { AFTER, BETWEEN } from '../board/io-counts.ts';
import type { FoundFile } from '../disk/ext4-reader.ts';
import { BLOCK } from '../disk/ext4-records.ts';
import type { BlockMap } from './block-map.ts';
import type { ByteRange, Profile, ProfileRecord, RequestSums } from './profile-schema.ts';

export interface StorePlace {
  /** Of the partition, in bytes. */
  readonly offset: number;
  readonly size: number;
}

/** What is known about the files of a store, by their path there. */
export type DescribeFile = (file: FoundFile) => FileIdentity | undefined;

/** A record without what was touched. */
export type FileIdentity = ProfileRecord extends infer R
  ? R extends ProfileRecord
    ? Omit<R, 'stage' | 'ranges' | 'treeBlocks'>
    : never
  : never;

interface Touched {
  readonly file: FoundFile;
  readonly stage: string;
  /** Of its data. */
  readonly blocks: Set<number>;
  readonly tree: Set<number>;
}

/** The records of a boot in their order, and its requests by what they were for. */
export function recordTouches(
  record: BootRecord,
  trace: DiskTrace,
  store: StorePlace,
  map: BlockMap,
  describe: DescribeFile,
): Pick<Profile, 'records'> & { readonly requests: RequestSums } {
  const stageOf = stagesOfReads(record);
  const touched = new Map<string, Touched>();
  const sums = noRequests();
  const reads = trace.kernel.filter(({ kind }) => kind === 'read');
  for (const [index, request] of reads.slice(0, record.io!.readRequests).entries()) {
    addRequest(sums, kindOf(request, store, map), request.bytes);
    if (!isInside(request, store)) continue;
    const first = Math.floor((request.offset - store.offset) / BLOCK);
    const end = Math.ceil((request.offset + request.bytes - store.offset) / BLOCK);
    for (let block = first; block < end; block++) {
      const owner = map.ownerOf(block);
      if (owner.kind === 'metadata') continue;
      let own = touched.get(owner.file.path);
      if (own === undefined) {
        own = { file: owner.file, stage: stageOf(index), blocks: new Set(), tree: new Set() };
        touched.set(owner.file.path, own);
      }
      own[owner.kind === 'data' ? 'blocks' : 'tree'].add(owner.block);
    }
  }
  const records = [...touched.values()].flatMap(({ file, stage, blocks, tree }) => {
    const identity = describe(file);
    if (identity === undefined) return [];
    return [{ ...identity, stage, ranges: rangesOf(blocks, file.size), treeBlocks: tree.size }];
  });
  return { records, requests: sums };
}

/** Whole blocks as ranges of bytes, those beside each other as one, the last one cut at the end of the file. */
export function rangesOf(blocks: Iterable<number>, size: number): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const [from, to] = [block * BLOCK, Math.min((block + 1) * BLOCK, size)];
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === from) last[1] = to;
    else ranges.push([from, to]);
  }
  return ranges;
}

export const bytesOfRanges = (ranges: readonly ByteRange[]): number =>
  ranges.reduce((sum, [from, to]) => sum + to - from, 0);

/** The stage in which the kernel's n-th read was done, from 0, by the counters that the boot noted. */
function stagesOfReads({ stages }: BootRecord): (index: number) => string {
  const marks: { readonly until: number; readonly name: string }[] = [];
  for (const { name, startIo, endIo } of stages) {
    // Before the command line was read nothing was counted: what there was is the kernel's.
    const isFirst = marks.length === 0 && startIo === undefined;
    if (startIo !== undefined) marks.push({ until: startIo.readRequests, name: BETWEEN });
    if (endIo !== undefined)
      marks.push({ until: endIo.readRequests, name: isFirst ? 'kernel' : name });
  }
  return (index) => marks.find(({ until }) => index < until)?.name ?? AFTER;
}

function isInside({ offset, bytes }: DiskRequest, store: StorePlace): boolean {
  return offset >= store.offset && offset + bytes <= store.offset + store.size;
}

function kindOf(
  request: DiskRequest,
  store: StorePlace,
  map: BlockMap,
): Exclude<keyof RequestSums, 'total'> {
  if (!isInside(request, store)) return 'outside';
  const { kind } = map.ownerOf(Math.floor((request.offset - store.offset) / BLOCK));
  return kind === 'data' ? 'content' : kind;
}

function noRequests(): RequestSums {
  const none = (): { reads: number; bytes: number } => ({ reads: 0, bytes: 0 });
  return { total: none(), content: none(), tree: none(), metadata: none(), outside: none() };
}

function addRequest(sums: RequestSums, kind: keyof RequestSums, bytes: number): void {
  for (const sum of [sums.total, sums[kind]]) {
    sum.reads++;
    sum.bytes += bytes;
  }
}
