/**
 * What a kernel does with an image that it is too old for, one row each: what would fail on the device fails at build.
 *
 * A refusal is what the kernel does not mount, or shows as something else than the image says. A note is what depends
 * on how the kernel was configured, which a version does not tell; `coldseal board check` looks at configurations.
 *
 * What is not here: that a name, target or attribute is one at all, which the format's own rules see to; mounts without
 * privileges (`userxattr`), which no board makes; times in compact inodes (Linux 6.15), which are never written.
 */
import { showBytes } from '../image/byte-string.ts';
import type { ImageFacts, Sighting } from '../image/image-facts.ts';
import type { Board } from './board-shape.ts';
import { BROKEN_OVERLAY_VERITY, isOlder, SINCE } from './kernel-version.ts';

/** What an image is for. */
export interface ImageTarget {
  /** For messages: `Linux 6.1`, or a board. */
  readonly name: string;
  /** The oldest kernel that it has to work with, such as 6.1. */
  readonly kernel: string;
  /** Whether files that the kernel cannot verify are refused. */
  readonly verity: Board['verity']['mode'];
  /** composefs layout versions; undefined: all that the kernel knows. */
  readonly formats?: readonly number[] | undefined;
  readonly algorithms?: readonly string[] | undefined;
}

interface ImageRule {
  readonly id: string;
  /** What the image has that a kernel may not know. */
  readonly feature: string;
  /** The first kernel with it; `all`: the rule is about every kernel; the other rows say what `isBroken` asks. */
  readonly since: string;
  readonly source: string;
  readonly severity: 'refusal' | 'note';
  /** Whether the image has it. */
  readonly isUsed: (facts: ImageFacts, target: ImageTarget) => boolean;
  /** Whether the kernel fails; without it, whether it is older than `since`. */
  readonly isBroken?: (target: ImageTarget) => boolean;
  /** Continues the sentence that begins with the image. */
  readonly tell: (facts: ImageFacts, target: ImageTarget) => string;
  readonly advice: string;
}

/** One thing that is wrong. */
export interface ImageFinding {
  readonly rule: string;
  readonly severity: ImageRule['severity'];
  readonly message: string;
  readonly advice: string;
  readonly source: string;
}

const always = (): boolean => true;

export const IMAGE_RULES: readonly ImageRule[] = [
  {
    id: 'format',
    feature: 'composefs layout version',
    since: 'all',
    source: 'erofs.formats of the board file',
    severity: 'refusal',
    isUsed: ({ format }, { formats }) => formats !== undefined && !formats.includes(format),
    isBroken: always,
    tell: ({ format }, { formats }) =>
      `gives composefs layout version ${format}, expected one of ${formats!.join(', ')}`,
    advice: 'set min_version and max_version of the recipe',
  },
  {
    id: 'algorithm',
    feature: 'algorithm of the digests',
    since: 'all',
    source: 'verity.algorithms of the board file',
    severity: 'refusal',
    isUsed: ({ algorithm }, { algorithms }) =>
      algorithms !== undefined && !algorithms.includes(algorithm),
    isBroken: always,
    tell: ({ algorithm }, { algorithms }) =>
      `has ${algorithm} digests, expected one of ${algorithms!.join(', ')}`,
    advice: 'set hash of the recipe',
  },
  {
    id: 'data-only-lower',
    feature: 'objects: overlayfs with data-only lower layers',
    since: '6.5',
    source: 'Documentation/filesystems/overlayfs.rst, Data-only lower layers',
    severity: 'refusal',
    isUsed: ({ objects }) => objects.count > 0,
    tell: ({ objects }) => `has ${showSighting(objects, 'file')} whose content is an object`,
    advice: 'use a later kernel',
  },
  {
    id: 'overlay-verity',
    feature: 'objects that the kernel checks: overlayfs with verity=require',
    since: SINCE.overlayVerity,
    source: 'Documentation/filesystems/overlayfs.rst, fs-verity support',
    severity: 'refusal',
    isUsed: ({ objects }, { verity }) => objects.count > 0 && verity === 'require',
    tell: () => 'has objects that overlayfs should check',
    advice: 'use a later kernel; verity.mode if-supported gives the check away',
  },
  {
    id: 'overlay-verity-broken',
    feature: 'objects that the kernel checks: overlayfs with verity=require',
    since: `not ${BROKEN_OVERLAY_VERITY}`,
    source: 'kernel commit f77f281b6118, bootc#2174',
    severity: 'refusal',
    isUsed: ({ objects }, { verity }) => objects.count > 0 && verity === 'require',
    isBroken: ({ kernel }) => majorMinor(kernel) === BROKEN_OVERLAY_VERITY,
    tell: () => 'has objects that overlayfs should check, which this version gets wrong',
    advice: 'use another kernel',
  },
  {
    id: 'whiteouts',
    feature: 'whiteouts inside an image: nested overlayfs attributes',
    since: '6.7',
    source: 'Documentation/filesystems/overlayfs.rst, Nesting overlayfs mounts',
    severity: 'refusal',
    isUsed: ({ whiteouts }) => whiteouts.count > 0,
    tell: ({ whiteouts }) => `has ${showSighting(whiteouts, 'whiteout')}, shown as empty files`,
    advice: 'leave whiteouts out (devices: skip), or use a later kernel',
  },
  {
    id: 'whiteouts-format-0',
    feature: 'whiteouts in format 0: the convention of Linux 6.7',
    since: 'before 6.8',
    source: 'composefs PR#237, ostree PR#3149',
    severity: 'refusal',
    isUsed: ({ whiteouts, format }) => whiteouts.count > 0 && format === 0,
    isBroken: ({ kernel }) => !isOlder(kernel, '6.8'),
    tell: ({ whiteouts }) =>
      `has ${showSighting(whiteouts, 'whiteout')} in format 0, which kernels since 6.8 do not see`,
    advice: 'allow format 1: max_version 1, or neither min_version nor max_version',
  },
  {
    id: 'symlink-beyond-block',
    feature: 'symlinks whose target is in another block than their inode',
    since: '6.12',
    source: 'kernel commit 9ed50b8231e3, composefs-rs#85',
    severity: 'refusal',
    isUsed: ({ symlinks }) => symlinks.count > 0,
    tell: ({ symlinks }) =>
      `has ${showSighting(symlinks, 'symlink')} in another block than its inode, EUCLEAN there`,
    advice: 'use a later kernel: the layout is that of mkcomposefs and cannot be changed',
  },
  {
    id: 'owner',
    feature: 'the owner 4294967295, which is none',
    since: 'all',
    source: 'include/linux/uidgid.h',
    severity: 'refusal',
    isUsed: ({ nobody }) => nobody.count > 0,
    isBroken: always,
    tell: ({ nobody }) => `has ${showSighting(nobody, 'entry', 'entries')} of owner 4294967295`,
    advice: 'change the owner in the source',
  },
  {
    id: 'xattr-list',
    feature: 'attributes whose names take more than 65536 bytes',
    since: 'all',
    source: 'include/uapi/linux/limits.h, XATTR_LIST_MAX',
    severity: 'refusal',
    isUsed: ({ longLists }) => longLists.count > 0,
    isBroken: always,
    tell: ({ longLists }) =>
      `has ${showSighting(longLists, 'entry', 'entries')} with more attributes than can be listed`,
    advice: 'leave attributes out: xattrs of the recipe',
  },
  {
    id: 'erofs-from-file',
    feature: 'mounting an image without a loop device',
    since: SINCE.erofsFromFile,
    source: 'Documentation/filesystems/erofs.rst',
    severity: 'note',
    isUsed: always,
    tell: () => 'is mounted over a loop device',
    advice: 'have BLK_DEV_LOOP in the kernel, or use a later one',
  },
  {
    id: 'append-layers',
    feature: 'naming layers one by one (lowerdir+, datadir+)',
    since: '6.8',
    source: 'Documentation/filesystems/overlayfs.rst',
    severity: 'note',
    isUsed: ({ objects }) => objects.count > 0,
    tell: () => 'is mounted with its layers in one option, so their paths have no commas or colons',
    advice: 'use a later kernel, or plain paths',
  },
  {
    id: 'security-xattrs',
    feature: 'SELinux labels and capabilities',
    since: 'all',
    source: 'fs/erofs/Kconfig',
    severity: 'note',
    isUsed: ({ security }) => security.count > 0,
    isBroken: always,
    tell: ({ security }) =>
      `has ${showSighting(security, 'entry', 'entries')} with security.* attributes`,
    advice: 'have EROFS_FS_SECURITY in the kernel',
  },
  {
    id: 'acls',
    feature: 'access lists',
    since: 'all',
    source: 'fs/erofs/Kconfig',
    severity: 'note',
    isUsed: ({ acls }) => acls.count > 0,
    isBroken: always,
    tell: ({ acls }) => `has ${showSighting(acls, 'access list')}`,
    advice: 'have EROFS_FS_POSIX_ACL in the kernel',
  },
];

/** Everything a target has against an image, in the order of the table. */
export function checkImageTarget(facts: ImageFacts, target: ImageTarget): ImageFinding[] {
  return IMAGE_RULES.flatMap((rule): ImageFinding[] => {
    const isBroken = rule.isBroken ?? (({ kernel }) => isOlder(kernel, rule.since));
    if (!rule.isUsed(facts, target) || !isBroken(target)) return [];
    const { id, severity, advice, source, tell } = rule;
    const needs = rule.isBroken === undefined ? ` (Linux ${rule.since})` : '';
    return [{ rule: id, severity, message: tell(facts, target) + needs, advice, source }];
  });
}

/** What a board asks of the images it gets. */
export function targetOfBoard({ id, kernel, verity, erofs }: Board): ImageTarget {
  return {
    name: `board ${id}`,
    kernel: kernel.min_version,
    verity: verity.mode,
    formats: erofs.formats,
    algorithms: verity.algorithms,
  };
}

/** 6.12 of 6.12.30. */
function majorMinor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function showSighting({ count, example }: Sighting, one: string, many = `${one}s`): string {
  const shown = showBytes(example!);
  return count === 1 ? `1 ${one} (${shown})` : `${count} ${many} (such as ${shown})`;
}
