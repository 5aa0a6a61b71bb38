/**
 * What is sealed into the initramfs beside the runtime: the device policy and the trust bundle.
 *
 * The policy is the board file and the bootset in the device's own words, with the epochs of this release as floors:
 * an initramfs never boots what is older than what it was made with, whatever the disk says.
 */
import {
  type BoardIdentity,
  decodeDevicePolicy,
  type DevicePolicy,
  encodeDevicePolicy,
} from '../../runtime/format/device-policy.ts';
import { COSE_ALGORITHMS } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { SignerRole } from '../../runtime/format/manifest.ts';
import { PURPOSE } from '../../runtime/format/oids.ts';
import { failureAction } from '../board/boot-settings.ts';
import type { Board } from '../board/schema.ts';
import type { Bootset } from '../release/bootset.ts';
import type { SignerDescription } from '../sign/signer.ts';
import { trustBundleOfRoots } from '../sign/trust-file.ts';

/** The first bundle of a board; a new one is signed and has the next version. */
const TRUST_VERSION = 1;

/** What a board's runtime insists on. `modules` are the names of those in the initramfs, in loading order. */
export function devicePolicyOf(
  board: Board,
  bootset: Pick<Bootset, 'product' | 'epochs' | 'minDenyVersion'>,
  modules: readonly string[],
): DevicePolicy {
  const { algorithms, roles } = board.signing;
  return {
    product: bootset.product,
    board: board.id,
    isProduction: board.production,
    algorithms: [...COSE_ALGORITHMS].flatMap(([id, { name }]) =>
      algorithms.some((each) => each === name) ? [id] : [],
    ),
    roles: [...new Set(roles)].map(
      (role) => PURPOSE[role.toUpperCase() as 'FACTORY'] as SignerRole,
    ),
    epochs: new Map(board.epochs.map(({ domain }) => [domain, bootset.epochs.get(domain) ?? 0])),
    minDenyVersion: bootset.minDenyVersion,
    verity: board.verity.mode,
    identity: boardIdentity(board),
    modules,
    storeDeadlineMs: board.store.deadline_ms,
    slotCount: board.slots.count,
    triesMax: board.slots.tries,
    onFailure: board.on_failure.map(failureAction),
    init: board.system.init,
    containerEngine: board.system.container_engine,
    containerDeadlineMs: board.containers.deadline_ms,
    containerOutput: board.containers.output,
  };
}

/** The devicetree's most specific name, where there is one; every board file has it or SMBIOS names. */
function boardIdentity({ compatible: [compatible], smbios }: Board): BoardIdentity {
  if (compatible !== undefined) return { kind: 'devicetree', compatible };
  return { kind: 'smbios', vendor: smbios!.vendor, product: smbios!.product };
}

/** The bytes of a policy, already read back as the device reads them. Throws CONFIG_BOARD_POLICY. */
export function sealedPolicy(policy: DevicePolicy): Uint8Array {
  const bytes = encodeDevicePolicy(policy);
  try {
    decodeDevicePolicy(bytes);
    return bytes;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new ColdsealError(
      'CONFIG_BOARD_POLICY',
      `Cannot make the policy of board ${policy.board}: its runtime would refuse it: ${problem}`,
      { hint: 'change the board file or the bootset', cause },
    );
  }
}

/** The trust bundle for the root of a signer's chain, the one that its key directory is built on. */
export function sealedTrust(signer: SignerDescription): Uint8Array {
  return trustBundleOfRoots([signer.chain.at(-1)!], TRUST_VERSION);
}
