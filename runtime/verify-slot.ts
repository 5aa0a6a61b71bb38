/**
 * Verifies what a slot holds: its manifest, judged by the sealed policy and trust and by the stored floors.
 *
 * The same for boot, for `coldseal verify` on the device and for `mark-good`. Images are not looked at here: each is
 * measured on the descriptor that is mounted.
 */
import type { Crypto } from './crypto.ts';
import { RUN_STORE, slotDenyList, slotManifest } from './device-paths.ts';
import type { DevicePolicy } from './format/device-policy.ts';
import { ENVELOPE_BYTES_MAX } from './format/envelope.ts';
import { ColdsealError } from './format/errors.ts';
import { IMAGE_ROLE, MOUNT } from './format/manifest-image.ts';
import type { Manifest } from './format/manifest.ts';
import type { SlotName, SlotState } from './format/slot-state.ts';
import type { TrustBundle } from './format/trust.ts';
import { readSmallFile } from './read-file.ts';
import { highestEpochs } from './slots.ts';
import { errnoOf } from './sys-error.ts';
import type { SysFiles } from './sys.ts';
import { acceptManifest, type AcceptedManifest } from './verify.ts';

/** Whom a device believes: both are sealed into its initramfs. */
export interface SealedTrust {
  readonly policy: DevicePolicy;
  readonly trust: TrustBundle;
}

/** Throws the reason code of the first no. */
export function verifySlot(
  engine: { readonly sys: SysFiles; readonly crypto: Crypto },
  slot: SlotName,
  { policy, trust }: SealedTrust,
  floors: Pick<SlotState, 'epochs' | 'denyVersion'>,
): AcceptedManifest {
  const { sys, crypto } = engine;
  const { algorithms, roles, product, board } = policy;
  const accepted = acceptManifest({
    envelope: readSmallFile(sys, `${RUN_STORE}/${slotManifest(slot)}`, ENVELOPE_BYTES_MAX),
    denyList: readDenyList(sys, `${RUN_STORE}/${slotDenyList(slot)}`),
    policy: {
      anchors: trust.anchors,
      algorithms,
      roles,
      product,
      board,
      epochs: highestEpochs(policy.epochs, floors.epochs),
      denyVersion: Math.max(policy.minDenyVersion, floors.denyVersion),
      checkTime: undefined,
    },
    crypto,
  });
  checkRoot(accepted.manifest);
  return accepted;
}

function readDenyList(sys: SysFiles, path: string): Uint8Array | undefined {
  try {
    return readSmallFile(sys, path, ENVELOPE_BYTES_MAX);
  } catch (error) {
    if (error instanceof ColdsealError && errnoOf(error.cause) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Exactly one image is the root, and it is a system image. */
function checkRoot({ images }: Manifest): void {
  const roots = images.filter(({ mount }) => mount === MOUNT.ROOT);
  if (roots.length === 1 && roots[0]!.role === IMAGE_ROLE.SYSTEM) return;
  throw new ColdsealError(
    'VERIFY_ROOT_IMAGE',
    `Cannot boot the release: ${roots.length} of its images are for the root, expected one system image`,
  );
}
