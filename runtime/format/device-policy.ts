/**
 * The device policy: what a board's runtime insists on. Sealed into the initramfs beside the trust bundle.
 *
 * Canonical CBOR, integer keys, made by the toolchain from the board file and the bootset. The bootloader has checked
 * it together with the kernel, so on the device it carries no signature; a kernel command line can only tighten it.
 */
import { type CborKey, type CborValue, decodeCanonical, encodeCanonical } from './cbor.ts';
import type { CoseAlgorithm } from './envelope.ts';
import type { SignerRole } from './manifest.ts';
import { MapShape } from './shape.ts';
import { TRIES_MAX } from './slot-state.ts';

const DEVICE_POLICY_SCHEMA = 1;
const LIMITS = { maxBytes: 8192, maxDepth: 4, maxItems: 512 };
const CODE = 'FORMAT_POLICY_FIELD';
const MODULES_MAX = 64;
const DOMAINS_MAX = 16;
const FAILURES_MAX = 4;

/** How the hardware names itself. A release for another board must not boot here, whatever the policy says. */
export type BoardIdentity =
  | { readonly kind: 'devicetree'; readonly compatible: string }
  | { readonly kind: 'smbios'; readonly vendor: string; readonly product: string };

/** What is done when no slot boots; tried in order, the last one always succeeds. */
export type FailureAction =
  | { readonly action: 'recovery' }
  /** At most `max` times in a row, then the next action. */
  | { readonly action: 'restart'; readonly delayS: number; readonly max: number }
  | { readonly action: 'halt' }
  | { readonly action: 'power-off' }
  /** Development boards only. */
  | { readonly action: 'shell' };

export interface DevicePolicy {
  readonly product: string;
  readonly board: string;
  readonly isProduction: boolean;
  readonly algorithms: readonly CoseAlgorithm[];
  readonly roles: readonly SignerRole[];
  /** Rollback domains every release must give, each with the lowest epoch as of the build. */
  readonly epochs: ReadonlyMap<number, number>;
  readonly minDenyVersion: number;
  readonly verity: 'require' | 'if-supported';
  readonly identity: BoardIdentity;
  /** Kernel modules in the order they are loaded. */
  readonly modules: readonly string[];
  /** How long the store may take to appear. */
  readonly storeDeadlineMs: number;
  /** One or two slots. */
  readonly slotCount: 1 | 2;
  readonly triesMax: number;
  readonly onFailure: readonly FailureAction[];
  /** In the system image. */
  readonly init: string;
  readonly containerEngine: string;
  /** How long an early container may take to start. */
  readonly containerDeadlineMs: number;
  /** Where containers print: the console, or files below /run. */
  readonly containerOutput: 'console' | 'file';
}
