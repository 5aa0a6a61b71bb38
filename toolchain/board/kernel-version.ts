/** Kernel versions as board files write them, `MAJOR.MINOR`, and what came with which. */

/** Since when Linux has what coldseal uses. Sources: overlayfs.rst, erofs.rst, and the kernels' release notes. */
export const SINCE = {
  /** overlayfs demands fs-verity of its lower files (`verity=require`). */
  overlayVerity: '6.6',
  /** EROFS is mounted from a file; before that it takes a loop device. */
  erofsFromFile: '6.12',
} as const;

/** `verity=require` does not work there (kernel commit f77f281b6118, bootc#2174). */
export const BROKEN_OVERLAY_VERITY = '7.0';

/** Whether a kernel version such as 6.12 is older than another. */
export function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
