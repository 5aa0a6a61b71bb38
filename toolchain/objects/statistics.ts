/** Numbers about an object store. Blocks shared by reflinks are counted each time. */
import { takeInventory } from './inventory.ts';

export interface StoreStatistics {
  readonly objects: number;
  readonly bytes: number;
  readonly diskBytes: number;
  readonly withVerity: number;
  readonly sizes: readonly {
    readonly upTo: string;
    readonly objects: number;
    readonly bytes: number;
  }[];
  readonly strays: number;
  readonly leftovers: number;
}

const CLASSES: readonly (readonly [name: string, max: number])[] = [
  ['4 KiB', 4096],
  ['64 KiB', 65_536],
  ['1 MiB', 1_048_576],
  ['16 MiB', 16_777_216],
  ['any size', Number.POSITIVE_INFINITY],
];

/** Counts a store. */
export function storeStatistics(dir: string): StoreStatistics {
  const { objects, strays, leftovers } = takeInventory(dir);
  const sizes = CLASSES.map(([upTo]) => ({ upTo, objects: 0, bytes: 0 }));
  let bytes = 0;
  let blocks = 0;
  let withVerity = 0;
  for (const { stat } of objects) {
    const size = sizes[CLASSES.findIndex(([, max]) => stat.size <= max)]!;
    size.objects++;
    size.bytes += stat.size;
    bytes += stat.size;
    blocks += stat.blocks;
    if (stat.hasVerity) withVerity++;
  }
  return {
    objects: objects.length,
    bytes,
    diskBytes: blocks * 512,
    withVerity,
    sizes,
    strays: strays.length,
    leftovers: leftovers.length,
  };
}
