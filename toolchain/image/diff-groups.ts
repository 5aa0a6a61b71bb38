/**
 * Differences by their likely cause, with the option of `image build` that would make them go away.
 *
 * The advice comes from what each whole tree is like: when one has no modification time but 0, it was built with
 * `--use-epoch`, and so on. A difference of the root directory alone is a cause of its own, because nobody's
 * packages own the root: it is what the builder's directory happened to be.
 */
import type { ErofsImage } from '../../runtime/format/erofs-image.ts';
import type { ByteString } from './byte-string.ts';
import {
  CAUSES,
  compareTrees,
  type Cause,
  type Difference,
  type TreeComparison,
  type TreeTraits,
} from './diff.ts';
import { SELINUX_XATTR, type TreeNode } from './tree.ts';

/** One of the two things compared; `image` is absent for a dump. */
export interface DiffSide {
  readonly root: TreeNode;
  readonly image?: ErofsImage | undefined;
}

export interface DiffGroup {
  readonly cause: Cause;
  /** What the group is about, as a sentence part: "modification times differ". */
  readonly title: string;
  /** Entries that differ in this way. */
  readonly entries: number;
  /** What would align the two; absent when only the source itself can be changed. */
  readonly align: string | undefined;
  /** The setting of a recipe that decides about it, as bootsets spell it. */
  readonly setting: string | undefined;
  readonly differences: readonly Difference[];
}

export interface Diff {
  readonly groups: readonly DiffGroup[];
  readonly entriesA: number;
  readonly entriesB: number;
  /** Entries with any difference. */
  readonly differing: number;
}

const TITLES: Readonly<Record<Cause, string>> = {
  version: 'the format versions differ',
  algorithm: 'the digests are of different algorithms',
  'only-a': 'only in A',
  'only-b': 'only in B',
  devices: 'device nodes are left out on one side',
  type: 'entries are of another type',
  content: 'contents differ',
  inline: 'files are in one image and objects of the other',
  digest: 'objects without a digest on one side',
  'object-path': 'the same objects have other paths',
  hardlinks: 'names share an inode on one side only, or another one',
  nlink: 'link counts differ',
  permissions: 'permissions differ',
  owner: 'owners differ',
  'device-number': 'device numbers differ',
  selinux: 'SELinux labels differ',
  xattrs: 'extended attributes differ',
  mtime: 'modification times differ',
  root: 'only the root directory differs in this',
  bytes: 'the trees are the same, the bytes are not',
};

/** Which setting of a recipe a difference can come from. */
const SETTINGS: Readonly<Partial<Record<Cause, string>>> = {
  version: 'max_version',
  algorithm: 'hash',
  devices: 'devices',
  inline: 'inline_max',
  hardlinks: 'hardlinks',
  selinux: 'selinux',
  xattrs: 'xattrs',
  mtime: 'mtime',
  root: 'root_metadata',
};

/** Attributes of the root that count as its own matter when no other entry differs in them. */
const ROOT_CAUSES: ReadonlySet<Cause> = new Set([
  'permissions',
  'owner',
  'selinux',
  'xattrs',
  'mtime',
]);

/** Compares two images or dumps. No groups means that nothing differs, in images down to the last byte. */
export function diffSides(a: DiffSide, b: DiffSide): Diff {
  const comparison = compareTrees(a.root, b.root);
  const differences = [...ofImages(a.image, b.image), ...withRootApart(comparison.differences)];
  if (differences.length === 0) differences.push(...ofBytes(a.image, b.image));
  const byCause = groupBy(differences);
  const groups: DiffGroup[] = [];
  for (const cause of CAUSES) {
    const members = byCause.get(cause);
    if (members === undefined) continue;
    const entries = new Set(members.map(({ path }) => path)).size;
    const align = adviceFor(cause, members, comparison, a, b);
    const setting = SETTINGS[cause];
    groups.push({ cause, title: TITLES[cause], entries, align, setting, differences: members });
  }
  const paths = new Set(comparison.differences.map(({ path }) => path));
  return {
    groups,
    entriesA: comparison.a.entries,
    entriesB: comparison.b.entries,
    differing: paths.size,
  };
}

function groupBy(differences: readonly Difference[]): Map<Cause, Difference[]> {
  const groups = new Map<Cause, Difference[]>();
  for (const difference of differences) {
    const group = groups.get(difference.cause);
    if (group === undefined) groups.set(difference.cause, [difference]);
    else group.push(difference);
  }
  return groups;
}

function withRootApart(differences: readonly Difference[]): Difference[] {
  const elsewhere = new Set<Cause>();
  for (const { path, cause } of differences) if (path !== '/') elsewhere.add(cause);
  return differences.map((difference) =>
    difference.path === '/' && ROOT_CAUSES.has(difference.cause) && !elsewhere.has(difference.cause)
      ? { ...difference, cause: 'root' }
      : difference,
  );
}

const WHOLE = '' as ByteString;

function ofImages(a: ErofsImage | undefined, b: ErofsImage | undefined): Difference[] {
  if (a === undefined || b === undefined || a.version === b.version) return [];
  const attribute = 'format version';
  return [{ path: WHOLE, attribute, a: String(a.version), b: String(b.version), cause: 'version' }];
}

/** Where the bytes of two images with the same tree part: fields of the two headers, or an offset. */
function ofBytes(a: ErofsImage | undefined, b: ErofsImage | undefined): Difference[] {
  if (a === undefined || b === undefined) return [];
  const left = Buffer.from(a.bytes.buffer, a.bytes.byteOffset, a.bytes.length);
  if (left.equals(b.bytes)) return [];
  const differences = [
    ...ofRecords('header', a.header, b.header),
    ...ofRecords('superblock', a.superblock, b.superblock),
  ];
  if (a.bytes.length !== b.bytes.length) {
    differences.push(wholeDifference('size', a.bytes.length, b.bytes.length));
  }
  if (differences.length > 0) return differences;
  const at = a.bytes.findIndex((byte, i) => byte !== b.bytes[i]);
  const show = (image: ErofsImage): string => `0x${image.bytes[at]!.toString(16).padStart(2, '0')}`;
  return [wholeDifference(`byte ${at}`, show(a), show(b))];
}

type FieldValue = string | number | bigint | Uint8Array;

function ofRecords(
  name: string,
  a: Readonly<Record<string, FieldValue>>,
  b: Readonly<Record<string, FieldValue>>,
): Difference[] {
  return Object.keys(a)
    .filter((field) => String(a[field]) !== String(b[field]))
    .map((field) => wholeDifference(`${name} ${field}`, a[field]!, b[field]!));
}

function wholeDifference(attribute: string, a: FieldValue, b: FieldValue): Difference {
  return { path: WHOLE, attribute, a: String(a), b: String(b), cause: 'bytes' };
}

function adviceFor(
  cause: Cause,
  members: readonly Difference[],
  { a, b }: TreeComparison,
  sideA: DiffSide,
  sideB: DiffSide,
): string | undefined {
  switch (cause) {
    case 'version':
      return adviseVersion(sideA.image!.version, sideB.image!.version);
    case 'algorithm': {
      const [sha512, other] = members[0]!.a === 'sha512' ? ['A', 'B'] : ['B', 'A'];
      return `build ${other} with --hash=sha512, or ${sha512} with --hash=sha256`;
    }
    case 'devices':
      return `build ${a.devices > 0 ? 'A' : 'B'} with --skip-devices`;
    case 'inline':
      return adviseInline(members, a, b);
    case 'digest':
      return 'build both from the directory: a digest is then known for every object';
    case 'hardlinks':
      return adviseHardlinks(a, b);
    case 'selinux':
      return adviseLabels(a, b);
    case 'xattrs':
      return adviseXattrs(members, a, b);
    case 'mtime':
      return adviseMtime(members, a, b);
    case 'root':
      return adviseRoot(members, sideA.root, sideB.root);
    case 'bytes':
      return 'write both anew: image dump, then image build --from-file';
    default:
      return undefined;
  }
}

function adviseVersion(a: number, b: number): string {
  if (a === 2 || b === 2) {
    return `version 2 is an early layout of composefs-rs: build ${a === 2 ? 'A' : 'B'} anew`;
  }
  const [low, high] = a < b ? ['A', 'B'] : ['B', 'A'];
  return `build ${low} with --min-version=1, or ${high} with --max-version=0`;
}

/** The side that keeps more in the image sets the limit. */
function adviseInline(members: readonly Difference[], a: TreeTraits, b: TreeTraits): string {
  const isInA = members.some((member) => member.a === 'in the image');
  const isInB = members.some((member) => member.b === 'in the image');
  if (isInA && isInB) return 'build both with the same --inline-max';
  return isInA
    ? `build B with --inline-max=${a.inlineMax}, or A with --inline-max=${b.inlineMax}`
    : `build A with --inline-max=${b.inlineMax}, or B with --inline-max=${a.inlineMax}`;
}

function adviseHardlinks(a: TreeTraits, b: TreeTraits): string {
  if (a.hardlinks > 0 && b.hardlinks > 0) {
    return 'build both from directories with --hardlinks, or both without';
  }
  const [keeps, loses] = a.hardlinks > 0 ? ['A', 'B'] : ['B', 'A'];
  return `build ${loses} with --hardlinks, or ${keeps} without`;
}

function adviseXattrs(
  members: readonly Difference[],
  a: TreeTraits,
  b: TreeTraits,
): string | undefined {
  for (const [name, traits, other] of [
    ['A', a, b],
    ['B', b, a],
  ] as const) {
    if (other.xattrs === 0) return `build ${name} with --skip-xattrs`;
    const isOnlyCapability = other.capabilities > 0 && other.capabilities === other.xattrs;
    if (isOnlyCapability && traits.xattrs > traits.capabilities) {
      return `build ${name} with --xattrs=capability`;
    }
    const isOnlyUser = other.otherXattrs === 0 && traits.otherXattrs > 0;
    const isAboutUser = members.some(({ attribute }) => attribute.startsWith('xattr user.'));
    if (isOnlyUser && !isAboutUser) return `build ${name} with --user-xattrs`;
  }
  const isAboutUser = members.some(({ attribute }) => attribute.startsWith('xattr user.'));
  return isAboutUser ? 'build both with --skip-xattrs' : 'build both with --user-xattrs';
}

function adviseLabels(a: TreeTraits, b: TreeTraits): string {
  if (a.labels > 0 && b.labels > 0) return 'build both with --selinux and the same policy';
  const [has, lacks, traits] = a.labels > 0 ? (['A', 'B', b] as const) : (['B', 'A', a] as const);
  const label = `build ${lacks} with --selinux and the policy of ${has}`;
  if (traits.otherXattrs > 0) return label;
  return `${label}, or ${has} with ${traits.xattrs === 0 ? '--skip-xattrs' : '--user-xattrs'}`;
}

function adviseMtime(members: readonly Difference[], a: TreeTraits, b: TreeTraits): string {
  if (a.isEpoch) return 'build B with --use-epoch';
  if (b.isEpoch) return 'build A with --use-epoch';
  const times = members.map((member) => [parseTime(member.a), parseTime(member.b)] as const);
  if (a.hasNanoseconds !== b.hasNanoseconds && times.every(([x, y]) => x.sec === y.sec)) {
    return `build ${a.hasNanoseconds ? 'A' : 'B'} with --mtime=seconds`;
  }
  for (const [clamped, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    // Every time that differs was set to one moment, and was after it: this is what clamping does.
    const latest = times[0]![clamped];
    const isClamped = times.every(
      (pair) =>
        pair[clamped].sec === latest.sec &&
        pair[clamped].nsec === '0' &&
        pair[other].sec >= latest.sec,
    );
    if (!isClamped || times.length < CLAMPED_MIN) continue;
    return `build ${other === 0 ? 'A' : 'B'} with --mtime=clamp and SOURCE_DATE_EPOCH=${latest.sec}`;
  }
  const [whole] = a.hasNanoseconds === b.hasNanoseconds ? [] : a.hasNanoseconds ? ['B'] : ['A'];
  const reason =
    whole === undefined ? '' : ` (${whole} has whole seconds only, as archives keep them)`;
  return `build both with --use-epoch${reason}`;
}

/** One file with a whole second is no sign of a rule. */
const CLAMPED_MIN = 2;

function parseTime(text: string): { sec: bigint; nsec: string } {
  const [sec, nsec] = text.split('.') as [string, string];
  return { sec: BigInt(sec), nsec };
}

/** Which rule about the root directory one of the two was built with. */
function adviseRoot(members: readonly Difference[], a: TreeNode, b: TreeNode): string {
  const sides = [
    [a, 'B'],
    [b, 'A'],
  ] as const;
  const [, other] = sides.find(([root]) => isFixedRoot(root)) ?? [];
  if (other !== undefined) return `build ${other} with --root-metadata=fixed`;
  for (const [root, builder] of sides) {
    const usr = root.children!.find(({ name }) => name === 'usr');
    if (usr === undefined || !hasSameMetadata(root, usr)) continue;
    return `build ${builder} with --root-metadata=usr`;
  }
  const about = [...new Set(members.map(({ attribute }) => attribute))];
  return `build both with --root-metadata=fixed, or set ${about.join(', ')} of the source directory itself`;
}

function isFixedRoot({ mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: TreeNode): boolean {
  const isBare = xattrs.every(({ name }) => name === SELINUX_XATTR);
  return mode === 0o40755 && uid + gid === 0 && mtimeSec === 0 && mtimeNsec === 0 && isBare;
}

function hasSameMetadata(a: TreeNode, b: TreeNode): boolean {
  const show = ({ mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: TreeNode): string => {
    const others = xattrs.filter(({ name }) => name !== SELINUX_XATTR);
    const shown = others.map(({ name, value }) => `${name}=${value}`);
    return [mode, uid, gid, String(mtimeSec), mtimeNsec, ...shown].join('\n');
  };
  return show(a) === show(b);
}
