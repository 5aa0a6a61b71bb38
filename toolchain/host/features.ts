/**
 * What a composefs mount wants of a machine: one row per feature, with the kernel version and
 * option that bring it.
 *
 * Versions are upstream's; distributions backport, so `probe-features.ts` asks the machine and
 * these only help a person. Sources: Linux Documentation/filesystems/overlayfs.rst and the release
 * notes of the versions named.
 */

export interface FeatureInfo {
  readonly title: string;
  /** Upstream Linux version. */
  readonly since: string;
  /** Kernel option, if there is one. */
  readonly option?: string;
  /** What is different without it. */
  readonly without: string;
}

export const FEATURES = {
  root: {
    title: 'root privileges (CAP_SYS_ADMIN)',
    since: '',
    without: 'nothing can be mounted',
  },
  'user-namespaces': {
    title: 'user namespaces',
    since: '3.8',
    option: 'CONFIG_USER_NS',
    without: 'no id-mapped mounts',
  },
  'new-mount-api': {
    title: 'new mount API (fsopen)',
    since: '5.2',
    without: 'images cannot be mounted',
  },
  erofs: {
    title: 'EROFS',
    since: '5.4',
    option: 'CONFIG_EROFS_FS',
    without: 'images cannot be mounted',
  },
  'erofs-file': {
    title: 'EROFS mounted from a file',
    since: '6.12',
    option: 'CONFIG_EROFS_FS_BACKED_BY_FILE',
    without: 'each image needs a loop device',
  },
  'erofs-long-symlinks': {
    title: 'EROFS symbolic links that cross a block',
    since: '6.12',
    without: 'reading such a link gives EUCLEAN',
  },
  loop: {
    title: 'loop devices',
    since: '5.8',
    option: 'CONFIG_BLK_DEV_LOOP',
    without: 'images are mounted only where EROFS mounts from a file',
  },
  overlay: {
    title: 'overlayfs',
    since: '3.18',
    option: 'CONFIG_OVERLAY_FS',
    without: 'images cannot be mounted',
  },
  'overlay-data-only': {
    title: 'overlay data-only lower layers',
    since: '6.5',
    option: 'CONFIG_OVERLAY_FS',
    without: 'object directories cannot be used',
  },
  'overlay-verity': {
    title: 'overlay option verity=',
    since: '6.6',
    option: 'CONFIG_OVERLAY_FS',
    without: 'files are not verified as they are read',
  },
  'overlay-append': {
    title: 'overlay options lowerdir+ and datadir+',
    since: '6.8',
    option: 'CONFIG_OVERLAY_FS',
    without: 'layers are passed as one escaped string',
  },
  'overlay-descriptors': {
    title: 'overlay layers as descriptors',
    since: '6.13',
    option: 'CONFIG_OVERLAY_FS',
    without: 'layers are passed as paths',
  },
  'overlay-detached': {
    title: 'overlay layers from detached mounts',
    since: '6.15',
    option: 'CONFIG_OVERLAY_FS',
    without: 'the image is mounted in a temporary directory for a moment',
  },
  'overlay-userxattr-data': {
    title: 'overlay userxattr with data-only layers',
    since: '6.16',
    option: 'CONFIG_OVERLAY_FS',
    without: 'no overlay over FUSE metadata without root',
  },
  'verity-intact': {
    title: 'verity=require without the Linux 7.0 regression',
    since: '',
    without: 'Linux 7.0 refuses files with "no fs-verity digest" (kernel commit f77f281b6118)',
  },
  verity: {
    title: 'fs-verity in the directory',
    since: '5.4, btrfs 5.15',
    option: 'CONFIG_FS_VERITY',
    without: 'digests are compared only when something reads whole files',
  },
  reflink: {
    title: 'reflinks in the directory',
    since: '4.5',
    without: 'objects are copies of their sources',
  },
  idmap: {
    title: 'id-mapped EROFS mounts',
    since: '5.19',
    without: '--idmap is refused',
  },
  fuse: {
    title: 'FUSE',
    since: '2.6.14',
    option: 'CONFIG_FUSE_FS',
    without: 'images cannot be served in user space',
  },
} as const satisfies Readonly<Record<string, FeatureInfo>>;

export type FeatureName = keyof typeof FEATURES;

export const FEATURE_NAMES = Object.keys(FEATURES) as FeatureName[];
