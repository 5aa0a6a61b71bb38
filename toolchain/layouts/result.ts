/**
 * The result of a comparison: what `--json` writes, and what table and page are made from. Times are nanoseconds of the
 * board's clock unless a name says otherwise, sizes bytes.
 */
import { z } from 'zod';
import { LAYOUT_IDS } from './layout-ids.ts';

export const LAYOUTS_KIND = 'coldseal-layouts';

const text = z.string();
const count = z.int().min(0);

/** One thing that was done on the board, with what the disk read for it. */
const figure = z.strictObject({
  ns: count,
  reads: count,
  readBytes: count,
  /** What the storage would add; null where no storage is known. */
  modelledNs: count.nullable(),
});
const coldAndWarm = z.strictObject({ cold: figure, warm: figure });

const layout = z.strictObject({
  id: z.enum(LAYOUT_IDS),
  title: text,
  verifiesData: text,
  verifiesMetadata: text,
  /** Whether the board sees modes, owners and times (in seconds) as the tree has them. */
  keepsMetadata: z.boolean(),
  /** Of this machine, and the only figure that is: milliseconds for one image. */
  buildMs: z.number().min(0),
  bytes: z.strictObject({ one: count, all: count }),
  mount: figure,
  /** As `ls -lR`. */
  list: coldAndWarm,
  stat: coldAndWarm,
  startup: coldAndWarm,
  /** The start-up set of a similar image after that, and what each of the two added to the page cache. */
  other: figure,
  cache: z.strictObject({ first: z.int(), other: z.int() }),
});

export const layoutsDocument = z.strictObject({
  kind: z.literal(LAYOUTS_KIND),
  schema: z.literal(1),
  tool: z.strictObject({ name: text, version: text }),
  tree: z.strictObject({
    name: text,
    files: count,
    directories: count,
    links: count,
    others: count,
    bytes: count,
    /** The sum of names, kinds and contents that every layout has shown to have on the board. */
    sum: text,
  }),
  images: z.strictObject({ count, changed: count, added: count }),
  seed: count,
  startup: z.strictObject({
    from: z.enum(['list', 'names', 'largest programs']),
    bytes: count,
    paths: z.array(text).readonly(),
  }),
  statFiles: count,
  board: z.strictObject({
    id: text,
    architecture: text,
    machine: text,
    cpu: text,
    memoryMiB: count,
    emulator: text,
    kernel: text,
  }),
  /** The storage that is modelled; null where the board asked for has no rate. */
  storage: z
    .strictObject({
      board: text,
      kind: text,
      mbPerS: z.number(),
      evidence: text,
      latencyUs: z.number().nullable(),
    })
    .nullable(),
  runs: z.strictObject({
    count,
    /** The largest difference of a figure between runs, as a share of it; null where there was one run. */
    largestDifference: z.number().nullable(),
  }),
  layouts: z.array(layout).readonly(),
});

export type LayoutsDocument = z.output<typeof layoutsDocument>;
export type LayoutResult = z.output<typeof layout>;
export type Figure = z.output<typeof figure>;

/** The text of the document; the same figures give the same bytes. */
export function documentText(document: LayoutsDocument): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
