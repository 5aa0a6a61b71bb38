/**
 * Ratios to a layout that everything is compared with: ours, and those of figures that others have published.
 *
 * The published ones are of `ls -lR` on a developer's machine, through loop devices, of another tree; composefs was a
 * kernel file system of its own then, where today it is EROFS below overlayfs. Only ratios can stand beside ours.
 *
 * Source: linux-fsdevel, discussion of "[PATCH v3 0/6] Composefs: an opportunistically sharing verified image
 * filesystem", early 2023.
 */
import type { LayoutId } from './layout-ids.ts';
import type { LayoutResult } from './result.ts';

export interface Published {
  readonly id: LayoutId;
  /** `ls -lR` in milliseconds. */
  readonly coldMs: number;
  readonly warmMs: number;
}

export const PUBLISHED: readonly Published[] = [
  { id: 'composefs', coldMs: 326, warmMs: 135 },
  { id: 'erofs', coldMs: 264, warmMs: 172 },
  { id: 'erofs-overlay', coldMs: 651, warmMs: 238 },
  { id: 'squashfs-lz4', coldMs: 538, warmMs: 211 },
  { id: 'squashfs-overlay', coldMs: 968, warmMs: 302 },
];

/** In this order: the first that was measured is what the others are compared with. */
const REFERENCES: readonly LayoutId[] = ['composefs', 'erofs'];

/** The layout that ratios are to; undefined where neither was measured. */
export function referenceOf<T extends { readonly id: LayoutId }>(
  layouts: readonly T[],
): T | undefined {
  return REFERENCES.map((id) => layouts.find((each) => each.id === id)).find(
    (found) => found !== undefined,
  );
}

export interface RatioRow {
  readonly id: LayoutId;
  readonly title: string;
  readonly cold: number;
  readonly warm: number;
  readonly published: { readonly cold: number; readonly warm: number } | undefined;
}

/** The ratios of `ls -lR` to the reference; none where there is no reference. */
export function ratioRows(layouts: readonly LayoutResult[]): readonly RatioRow[] {
  const reference = referenceOf(layouts);
  if (reference === undefined) return [];
  const base = PUBLISHED.find(({ id }) => id === reference.id)!;
  return layouts.map(({ id, title, list }) => {
    const published = PUBLISHED.find((each) => each.id === id);
    return {
      id,
      title,
      cold: list.cold.ns / reference.list.cold.ns,
      warm: list.warm.ns / reference.list.warm.ns,
      published: published && {
        cold: published.coldMs / base.coldMs,
        warm: published.warmMs / base.warmMs,
      },
    };
  });
}

/** Names from outside as text: a path or a board's name has no line end. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a name may have any
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
