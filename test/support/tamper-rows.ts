/**
 * The rows of the tamper table: what is changed on the disk, and what the boots that follow must come to.
 *
 * Slot a holds the release, slot b an older one that is whole; the policy is the boards' own: restart three times, then
 * halt. Codes are the reason codes of docs/reference.
 */
import * as assert from 'uvu/assert';
import { PARTITION, slotManifest } from '../../runtime/device-paths.ts';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { fromHex } from '../../runtime/format/bytes.ts';
import { FsverityDescriptor } from '../../runtime/format/fsverity-descriptor.ts';
import type { SlotName, SlotState } from '../../runtime/format/slot-state.ts';
import { type BoardBoots, PROBE_BYTES, type ProbeFile } from './board-boots.ts';
import {
  addDenyList,
  type Change,
  changePartitions,
  cutFile,
  exchangeFiles,
  fillState,
  flipPlain,
  flipSealed,
  flipState,
  imageName,
  objectOf,
  removeFile,
  replaceFile,
  resealFile,
  signAgain,
  unsealFile,
  withState,
} from './tamper-disk.ts';

/** What one boot must come to. */
export interface Expected {
  readonly attempts: readonly (readonly [SlotName, string | null])[];
  readonly outcome: BootRecord['outcome'];
  /** Codes of the notes, in order. Default: none. */
  readonly notes?: readonly string[];
  /** What the kernel says when the container reads a file. Default: nothing, and the file is whole. */
  readonly errors?: Partial<Readonly<Record<ProbeFile, string>>>;
  /** Why the container could not start. */
  readonly container?: string;
}

export interface TamperRow {
  readonly name: string;
  readonly change: Change;
  /** Boots of the same disk, one after the other. */
  readonly boots: readonly Expected[];
  /** The manifest that boots is another than the release's. */
  readonly isSignedAgain?: boolean;
  /** The state that the last boot leaves. */
  readonly after?: (state: SlotState | undefined, damaged: number) => void;
}

const EIO = 'Input/output error';
/** Overlayfs looks for an object when the file is opened, and has no other word for one that is not there. */
const ENOENT = 'No such file or directory';
const a = (): Expected => ({ attempts: [['a', null]], outcome: 'booted' });
/** Slot a is refused, b boots. */
const b = (code: string): Expected => ({
  attempts: [
    ['a', code],
    ['b', null],
  ],
  outcome: 'booted',
});
/** Both are refused, and the policy acts. */
const none = (codeA: string, codeB: string, outcome: Expected['outcome']): Expected => ({
  attempts: [
    ['a', codeA],
    ['b', codeB],
  ],
  outcome,
});
const data = (lab: BoardBoots): string => objectOf(lab, 'data');
const other = (lab: BoardBoots): string => objectOf(lab, 'other');
const crun = (lab: BoardBoots): string => objectOf(lab, 'crun');
const busybox = (lab: BoardBoots): string => objectOf(lab, 'busybox');
const system = (lab: BoardBoots): string => imageName(lab, 'debian');
const systemB = (lab: BoardBoots): string => imageName(lab, 'debian', 'b');
const probe = (lab: BoardBoots): string => imageName(lab, 'probe');
const manifestA = (): string => slotManifest('a');
const manifestB = (): string => slotManifest('b');
const { root_hash: ROOT_HASH, version: VERSION, data_size: DATA_SIZE } = FsverityDescriptor.at;

export const TAMPER_ROWS: readonly TamperRow[] = [
  { name: 'nothing', change: (lab) => lab.copyDisk(), boots: [a()] },

  // The manifest.
  {
    name: 'manifest byte',
    change: flipPlain([manifestA], 484),
    boots: [b('VERIFY_SIGNATURE')],
  },
  {
    name: 'signature byte',
    change: flipPlain([manifestA], 100),
    boots: [b('VERIFY_SIGNATURE')],
  },
  {
    name: 'manifest cut short',
    change: cutFile(manifestA),
    boots: [b('FORMAT_ENVELOPE')],
  },
  { name: 'manifest missing', change: removeFile(manifestA), boots: [b('HOST_NOT_FOUND')] },
  {
    name: 'wrong root: signed in another PKI',
    change: signAgain(({ pki }) => pki.stranger),
    boots: [b('VERIFY_ANCHOR_UNKNOWN')],
  },
  {
    name: 'role not accepted: production',
    change: signAgain(
      ({ pki }) => pki.production,
      () => ({ role: 1 }),
    ),
    boots: [b('VERIFY_ROLE_NOT_ACCEPTED')],
  },
  {
    name: 'role not accepted: recovery',
    change: signAgain(
      ({ pki }) => pki.recovery,
      () => ({ role: 4 }),
    ),
    boots: [b('VERIFY_ROLE_NOT_ACCEPTED')],
  },
  {
    name: 'role of another than its key',
    change: signAgain(
      ({ pki }) => pki.own,
      () => ({ role: 1 }),
    ),
    boots: [b('VERIFY_ROLE_MISMATCH')],
  },
  {
    name: 'a key for deny lists only',
    change: signAgain(({ pki }) => pki.denyList),
    boots: [b('VERIFY_PURPOSE')],
  },
  {
    name: 'role ended: its key is on the deny list',
    change: addDenyList(({ pki }) => ({ keys: [fromHex(pki.own.describe().spkiSha256)!] })),
    boots: [b('VERIFY_KEY_DENIED')],
  },
  {
    name: 'release ended: its manifest is on the deny list',
    change: addDenyList(({ releases }) => ({ manifests: [fromHex(releases.a.manifestSha256)!] })),
    boots: [b('VERIFY_MANIFEST_DENIED')],
  },
  {
    name: 'release ended: the deny list asks for a higher epoch',
    change: addDenyList(() => ({ epochs: new Map([[1, 3]]) })),
    boots: [b('VERIFY_EPOCH')],
  },
  {
    name: 'deny lists older than the one seen before',
    change: withState(
      { denyVersion: 2 },
      addDenyList(() => ({})),
    ),
    boots: [none('VERIFY_DENY_LIST_OLD', 'VERIFY_DENY_LIST_OLD', 'restart')],
  },
  {
    // On purpose: a board that lay in a store for years still boots; authority ends by deny list and epoch.
    name: 'a certificate past its last day boots, for a boot does not ask for the time',
    change: signAgain(({ pki }) => pki.expired),
    boots: [a()],
    isSignedAgain: true,
  },
  {
    name: "another board's manifest",
    change: signAgain(
      ({ pki }) => pki.own,
      () => ({ boards: ['raspberrypi-5'] }),
    ),
    boots: [b('VERIFY_BOARD')],
  },
  {
    name: "another product's manifest",
    change: signAgain(
      ({ pki }) => pki.own,
      () => ({ product: 'toaster' }),
    ),
    boots: [b('VERIFY_PRODUCT')],
  },
  {
    name: 'lower epoch than the one sealed in',
    change: signAgain(
      ({ pki }) => pki.own,
      () => ({ epochs: new Map([[1, 1]]) }),
    ),
    boots: [b('VERIFY_EPOCH')],
  },
  {
    name: 'lower epoch than one marked good',
    change: withState({ epochs: new Map([[1, 3]]) }, (lab) => lab.copyDisk()),
    boots: [none('VERIFY_EPOCH', 'VERIFY_EPOCH', 'restart')],
  },

  // Images.
  {
    name: 'image byte',
    change: flipSealed(system, { data: 0 }, 1024),
    boots: [b('HOST_READ_FAILED')],
  },
  {
    name: 'image byte in its last block',
    change: flipSealed(system, { data: -1 }, 1024),
    boots: [b('HOST_SWITCH_ROOT')],
  },
  {
    name: "container's image byte in its last block",
    change: flipSealed(probe, { data: -1 }, 1024),
    boots: [{ ...a(), container: 'HOST_READ_FAILED' }],
  },
  {
    name: "container's image byte",
    change: flipSealed(probe, { data: 0 }, 1024),
    boots: [b('HOST_READ_FAILED')],
  },
  {
    name: 'images with their names exchanged',
    change: exchangeFiles(system, probe),
    boots: [b('VERIFY_IMAGE_SIZE')],
  },
  {
    name: 'image of the older release under the new name',
    change: replaceFile(system, systemB),
    boots: [b('VERIFY_IMAGE_DIGEST')],
  },
  {
    name: 'image changed and sealed again',
    change: resealFile(system),
    boots: [b('VERIFY_IMAGE_DIGEST')],
  },
  {
    name: 'image changed, without its seal',
    change: unsealFile(system),
    boots: [b('VERIFY_IMAGE_NO_VERITY')],
  },
  { name: 'image missing', change: removeFile(system), boots: [b('HOST_NOT_FOUND')] },
  {
    name: 'Merkle block of an image',
    change: flipSealed(system, { tree: 0 }),
    boots: [b('HOST_READ_FAILED')],
  },
  {
    name: 'descriptor of an image: root hash',
    change: flipSealed(system, 'descriptor', ROOT_HASH),
    boots: [b('VERIFY_IMAGE_DIGEST')],
  },
  {
    name: 'descriptor of an image: version',
    change: flipSealed(system, 'descriptor', VERSION),
    boots: [b('HOST_READ_FAILED')],
  },
  {
    name: 'descriptor of an image: its size',
    change: flipSealed(system, 'descriptor', -1),
    boots: [b('HOST_READ_FAILED')],
  },

  // Objects: the system boots, and whoever reads one gets an error.
  {
    name: 'object byte',
    change: flipSealed(data, { data: 40 }, 77),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'object byte behind the end of the file',
    change: flipSealed(data, { data: Math.floor(PROBE_BYTES / 4096) }, -1),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'objects with their names exchanged',
    change: exchangeFiles(data, other),
    boots: [{ ...a(), errors: { data: EIO, other: EIO } }],
  },
  {
    name: "object of the older release under the new one's name",
    change: replaceFile(data, (lab) => objectOf(lab, 'data', 'b')),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'object changed and sealed again',
    change: resealFile(data),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'object changed, without its seal',
    change: unsealFile(data),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'object missing',
    change: removeFile(data),
    boots: [{ ...a(), errors: { data: ENOENT } }],
  },
  {
    name: 'Merkle block of an object',
    change: flipSealed(data, { tree: 0 }),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'descriptor of an object: root hash',
    change: flipSealed(data, 'descriptor', ROOT_HASH),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'descriptor of an object: size of the data',
    change: flipSealed(data, 'descriptor', DATA_SIZE),
    boots: [{ ...a(), errors: { data: EIO } }],
  },
  {
    name: 'object of the container engine',
    change: flipSealed(crun, { data: 0 }),
    boots: [{ ...a(), container: 'HOST_CONTAINER_ENGINE' }],
  },
  {
    name: 'object of init: after its tries the other slot boots',
    change: withState({ triesA: 1 }, flipSealed(busybox, { data: 0 })),
    boots: [
      { attempts: [['a', 'HOST_INIT']], outcome: 'restart', notes: ['HOST_INIT'] },
      { attempts: [['b', null]], outcome: 'booted' },
    ],
  },

  // The slot state.
  {
    name: 'slot state: the first copy damaged',
    change: flipState(0),
    boots: [{ ...a(), notes: ['FORMAT_SLOT_STATE'] }],
    after: assertWritten,
  },
  {
    name: 'slot state: the second copy damaged',
    change: flipState(1),
    boots: [{ ...a(), notes: ['FORMAT_SLOT_STATE'] }],
    after: assertWritten,
  },
  {
    name: 'slot state: both copies damaged',
    change: flipState(0, 1),
    boots: [{ ...a(), notes: ['FORMAT_SLOT_STATE', 'FORMAT_SLOT_STATE'] }],
    after: assertWritten,
  },
  { name: 'full state partition', change: fillState, boots: [a()], after: assertWritten },
  {
    name: 'state partition missing',
    change: changePartitions((all) => all.filter(({ name }) => name !== PARTITION.STATE)),
    boots: [{ ...a(), notes: ['HOST_STATE_MISSING'] }],
  },

  // Nothing left to boot.
  {
    name: 'both manifests: the policy acts until it gives up',
    change: flipPlain([manifestA, manifestB], 100),
    boots: [
      none('VERIFY_SIGNATURE', 'VERIFY_SIGNATURE', 'restart'),
      none('VERIFY_SIGNATURE', 'VERIFY_SIGNATURE', 'restart'),
      { ...none('VERIFY_SIGNATURE', 'VERIFY_SIGNATURE', 'restart'), notes: ['HOST_SLOT_LATCH'] },
      none('VERIFY_SIGNATURE', 'VERIFY_SIGNATURE', 'halt'),
    ],
    after: (state) => assert.equal([state!.latch, state!.restarts], [1, 3]),
  },
  {
    name: 'both images: the latch closes, and of a board in the field only the slot that was good is tried',
    change: withState(
      { triesA: 1, triesB: 1, goodA: 1 },
      flipSealed([system, systemB], { data: 0 }),
    ),
    boots: [
      { ...none('HOST_READ_FAILED', 'HOST_READ_FAILED', 'restart'), notes: ['HOST_SLOT_LATCH'] },
      none('HOST_READ_FAILED', 'HOST_SLOT_LATCH', 'restart'),
      none('HOST_READ_FAILED', 'HOST_SLOT_LATCH', 'restart'),
    ],
    after: (state) => assert.equal([state!.latch, state!.triesA, state!.triesB], [1, 0, 0]),
  },
  {
    // Without recovery a board that never had a good slot goes on trying, in one order.
    name: 'both images: the latch closes, and a new board keeps to its order',
    change: withState({ triesA: 1, triesB: 1 }, flipSealed([system, systemB], { data: 0 })),
    boots: [
      { ...none('HOST_READ_FAILED', 'HOST_READ_FAILED', 'restart'), notes: ['HOST_SLOT_LATCH'] },
      none('HOST_READ_FAILED', 'HOST_READ_FAILED', 'restart'),
    ],
    after: (state) => assert.equal([state!.latch, state!.triesA, state!.triesB], [1, 0, 0]),
  },
  {
    name: 'store partition renamed',
    change: changePartitions((all) =>
      all.map((each) => (each.name === PARTITION.STORE ? { ...each, name: 'data' } : each)),
    ),
    boots: [{ attempts: [], outcome: 'restart', notes: ['HOST_STORE_MISSING'] }],
  },
  {
    name: 'store partition missing',
    change: changePartitions((all) => all.filter(({ name }) => name !== PARTITION.STORE)),
    boots: [{ attempts: [], outcome: 'restart', notes: ['HOST_STORE_MISSING'] }],
  },
];

/** The next copy was written, and slot a has used up one try. */
function assertWritten(state: SlotState | undefined, damaged: number): void {
  assert.equal([damaged, state!.triesA, state!.booted], [0, 2, 1]);
}
