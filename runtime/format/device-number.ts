/**
 * Device numbers in the 32 bits of EROFS inodes, dumps and `struct stat`.
 *
 * 12 bits of major and 20 of minor: the low 8 bits of the minor are below the major, the rest above it (Linux
 * include/linux/kdev_t.h, new_encode_dev; glibc's makedev is the same for these).
 */

/** The device number of a major and a minor. */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}

/** The major of a device number. */
export function majorOf(device: number): number {
  return (device >>> 8) & 0xfff;
}

/** The minor of a device number. */
export function minorOf(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}
