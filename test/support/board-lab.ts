/** A fake board with two slots and a recovery image, signed and sealed, and what a test does to it. */
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { boot } from '../../runtime/boot.ts';
import type { BootParts } from '../../runtime/boot-run.ts';
import { SEALED_POLICY, SEALED_TRUST, sealedModule } from '../../runtime/device-paths.ts';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { fromHex } from '../../runtime/format/bytes.ts';
import { type DevicePolicy, encodeDevicePolicy } from '../../runtime/format/device-policy.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import {
  encodeManifest,
  type Manifest,
  type ManifestInput,
} from '../../runtime/format/manifest.ts';
import {
  encodeSlotStates,
  freshSlotState,
  readSlotState,
  SLOT_STATE_SPACING,
  type SlotName,
  type SlotState,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { encodeTrustBundle } from '../../runtime/format/trust.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { digestOf, Ended, type FakeBoard, type FakeRun, type StoreFile } from './fake-board.ts';
import { FakeDevice } from './fake-device.ts';
import { imageEntry, testManifest } from './manifests.ts';
import { testDevicePolicy } from './policies.ts';
import { testAnchor, testSigner } from './test-pki.ts';
import { dumpOf } from './test-release.ts';

export const { sha256 } = createNodeCrypto();
export const POLICY: DevicePolicy = testDevicePolicy({
  board: 'linux,dummy-virt',
  algorithms: [-37],
  roles: [1],
  epochs: new Map([[1, 7]]),
  minDenyVersion: 0,
  onFailure: [
    { action: 'recovery' },
    { action: 'restart', delayS: 5, max: 2 },
    { action: 'power-off' },
  ],
});
const CONTENT = Buffer.alloc(9000, 'content');
const OBJECT = digestOf(CONTENT);
export const OBJECT_PATH = `objects/${OBJECT.slice(0, 2)}/${OBJECT.slice(2)}`;

/** Images differ by the path of their object's name, so each slot has its own. */
function makeImage(index: number): Uint8Array {
  const path = `${OBJECT.slice(0, 2)}/${OBJECT.slice(2)}`;
  const file = { path, digest: OBJECT, size: CONTENT.length };
  return imageBytes(parseDump(dumpOf(Array.from({ length: index + 1 }, () => file))));
}

const IMAGES = Array.from({ length: 9 }, (_, index) => makeImage(index));

function entryOf(bytes: Uint8Array, change: Partial<ImageEntry>): ImageEntry {
  const value = fromHex(digestOf(bytes))!;
  return imageEntry({ size: bytes.length, digest: { algorithm: 'sha256', value }, ...change });
}

/** What a slot's release is unless a test says otherwise: a system, an early and a normal container. */
export function slotManifest(slot: SlotName, change: Partial<ManifestInput> = {}): Manifest {
  const at = { a: 0, b: 3, recovery: 6 }[slot];
  return testManifest({
    version: `1.0-${slot}`,
    valid: undefined,
    images: [
      entryOf(IMAGES[at]!, { role: 1, mount: 1, name: 'system', start: 3, flags: 0b0001 }),
      entryOf(IMAGES[at + 1]!, { role: 2, mount: 2, name: 'app', start: 1, flags: 0b0111 }),
      entryOf(IMAGES[at + 2]!, { role: 3, mount: 3, name: 'settings', start: 3, flags: 0b1111 }),
    ],
    ...change,
  });
}

export const signer = testSigner([1]);
const envelopes = new Map<string, Uint8Array>();

/** A signed manifest; signing costs more than a boot, so the same one is kept. */
export function signed(manifest: Manifest, by = signer): Uint8Array {
  const key = Buffer.from(encodeManifest(manifest)).toString('latin1');
  const known = by === signer ? envelopes.get(key) : undefined;
  const envelope = known ?? signEnvelope('manifest', encodeManifest(manifest), by);
  if (by === signer) envelopes.set(key, envelope);
  return envelope.slice();
}

export const imagePath = (slot: SlotName, index = 0): string =>
  `images/${digestOf(IMAGES[{ a: 0, b: 3, recovery: 6 }[slot] + index]!)}.cfs`;

export function seal(board: FakeBoard, path: string, bytes: Uint8Array): void {
  // A copy: tests change bytes in place.
  board.store.set(path, { bytes: Uint8Array.from(bytes), sealed: digestOf(bytes) });
}

export function putManifest(board: FakeBoard, slot: SlotName, envelope: Uint8Array): void {
  seal(board, `slots/${slot}/manifest.cose`, envelope);
}

export function setPolicy(board: FakeBoard, change: Partial<DevicePolicy>): void {
  board.initramfs.set(SEALED_POLICY, encodeDevicePolicy({ ...POLICY, ...change }));
}

export function setState(board: FakeBoard, change: Partial<SlotState> = {}): void {
  const state = { ...freshSlotState(POLICY.triesMax, 2, POLICY.epochs), ...change };
  board.state.set(encodeSlotStates(state, sha256));
}

/** The state that counts, or undefined. */
export function stateOf(board: FakeBoard): SlotState | undefined {
  const copies = [0, 1].map((index) =>
    board.state.slice(
      index * SLOT_STATE_SPACING,
      index * SLOT_STATE_SPACING + SlotStateRecord.size,
    ),
  );
  return readSlotState(copies, sha256).state;
}

const factory = new Map<boolean, FakeBoard>();

/** A board fresh from the factory; `recovery` says whether it has a recovery image. */
export function makeBoard({ recovery = false }: { recovery?: boolean } = {}): FakeBoard {
  const made = factory.get(recovery) ?? manufacture(recovery);
  factory.set(recovery, made);
  return {
    ...made,
    store: new Map([...made.store].map(([path, file]) => [path, copyOf(file)])),
    state: made.state.slice(),
    initramfs: new Map(made.initramfs),
    modulesLoaded: new Set(),
  };
}

/** Tests change bytes in place. */
const copyOf = (file: StoreFile): StoreFile => ({ ...file, bytes: file.bytes.slice() });

function manufacture(recovery: boolean): FakeBoard {
  const board: FakeBoard = {
    partitions: [
      { name: 'coldseal-boot', device: 'vda1', atMs: 1 },
      { name: 'coldseal-store', device: 'vda2', atMs: 1 },
      { name: 'coldseal-state', device: 'vda3', atMs: 1 },
    ],
    store: new Map(),
    state: new Uint8Array(8192),
    initramfs: new Map([
      ['/init', new Uint8Array(1)],
      [SEALED_TRUST, encodeTrustBundle({ version: 1, anchors: [testAnchor()] })],
      ...POLICY.modules.map((name) => [sealedModule(name), new Uint8Array(1)] as const),
    ]),
    commandLine: 'console=ttyAMA0 quiet\n',
    compatible: 'linux,dummy-virt',
    systemPaths: ['/dev', '/proc', '/sys', '/run', '/sbin/init'],
    modulesLoaded: new Set(),
  };
  setPolicy(board, {});
  seal(board, OBJECT_PATH, CONTENT);
  const slots: SlotName[] = recovery ? ['a', 'b', 'recovery'] : ['a', 'b'];
  for (const slot of slots) {
    putManifest(board, slot, signed(slotManifest(slot)));
    for (const index of [0, 1, 2]) {
      seal(board, imagePath(slot, index), IMAGES[{ a: 0, b: 3, recovery: 6 }[slot] + index]!);
    }
  }
  setState(board);
  return board;
}

/** Containers that start at once; no attendant. */
export const PARTS: BootParts = {
  startEarlyContainers: (engine, names) => ({
    containers: names.map((name) => {
      const startNs = engine.sys.clock().bootNs;
      const startedNs = engine.sys.clock().bootNs;
      return { name, start: 'early', startNs, startedNs, firstOutputNs: null, reason: null };
    }),
    pipes: [],
  }),
  attend: () => 0,
};

export interface BootResult {
  readonly device: FakeDevice;
  readonly end: FakeDevice['end'];
  readonly record: BootRecord | undefined;
  /** `slot CODE` of each slot that was tried, `slot ok` for the one that booted. */
  readonly attempts: readonly string[];
  readonly notes: readonly string[];
  readonly log: string;
}

/** Powers the board on until the machine has ended. */
export function powerOn(board: FakeBoard, run: FakeRun = {}, parts = PARTS): BootResult {
  const device = new FakeDevice(board, run);
  try {
    boot(device.engine(), parts);
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
  }
  const { record } = device;
  return {
    device,
    end: device.end,
    record,
    attempts: (record?.attempts ?? []).map(({ slot, reason }) => `${slot} ${reason?.code ?? 'ok'}`),
    notes: (record?.notes ?? []).map(({ code }) => code),
    log: device.log.map(({ text }) => text).join('\n'),
  };
}
