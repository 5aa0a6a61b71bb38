/**
 * What an archive may ask of the machine that reads it, each limit with its reason.
 *
 * An archive is read before anyone has vouched for it. Whatever it says, reading it ends, and the memory it takes is
 * bounded by the number of entries. Tests hand in smaller limits.
 */
export interface TarLimits {
  /** Entries of the tree, directories that were only implied by a path among them. */
  readonly entries: number;
  /** Entries that later ones replace or take away; what they took is not given back. */
  readonly replaced: number;
  /** Bytes of the uncompressed archive, with the holes of sparse files counted as bytes. */
  readonly totalBytes: number;
  /** Bytes produced for each byte of the archive file, once more than `ratioFromBytes` were produced. */
  readonly ratio: number;
  readonly ratioFromBytes: number;
}

export const TAR_LIMITS: TarLimits = {
  // A workstation has a million files; an entry takes some 300 bytes of memory until the image is written.
  entries: 4_000_000,
  replaced: 4_000_000,
  // More than the largest device has; at 1 GB/s it is read in a quarter of an hour.
  totalBytes: 2 ** 40,
  // Root file systems shrink to a third; gzip cannot do better than 1032:1, zstd and sparse files can.
  ratio: 200,
  ratioFromBytes: 2 ** 30,
};

/** Bytes of one PAX header. Attributes of an inode take less than 100 KB, a path 4 KB; others use the same limit. */
export const PAX_SIZE_MAX = 1 << 20;
/** Bytes of a GNU long name with its NUL. A path has at most 4095; anything above this is no name. */
export const LONG_NAME_MAX = 65_536;
/** Longest path of an entry: what one system call takes (PATH_MAX without its terminator). */
export const PATH_MAX = 4095;
/** Data regions of one sparse file. Their map is in memory, 16 bytes each. */
export const SPARSE_REGIONS_MAX = 1 << 20;
