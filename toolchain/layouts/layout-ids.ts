/** What the layouts are called on the command line and in results, in the order in which they are shown. */
export const LAYOUT_IDS = [
  'composefs',
  'composefs-eager',
  'composefs-eager-all',
  'erofs',
  'erofs-overlay',
  'squashfs-lz4',
  'squashfs-overlay',
  'squashfs-zstd',
  'dm-verity',
  'symlinks',
  'hardlinks',
  'ext4',
] as const;
export type LayoutId = (typeof LAYOUT_IDS)[number];
