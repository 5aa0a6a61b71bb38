/**
 * The device policy: what a board's runtime insists on. Sealed into the initramfs beside the trust bundle.
 *
 * Canonical CBOR, integer keys, made by the toolchain from the board file and the bootset. The bootloader has checked
 * it together with the kernel, so on the device it carries no signature; a kernel command line can only tighten it.
 */
import { type CborKey, type CborValue, decodeCanonical, encodeCanonical } from './cbor.ts';
import type { CoseAlgorithm } from './envelope.ts';
import { IDENTIFIER, type SignerRole } from './manifest.ts';
import { MapShape, showValue } from './shape.ts';
import { TRIES_MAX } from './slot-state.ts';

const DEVICE_POLICY_SCHEMA = 1;
const DEVICE_POLICY_BYTES_MAX = 8192;
const LIMITS = { maxBytes: DEVICE_POLICY_BYTES_MAX, maxDepth: 4, maxItems: 512 };
const CODE = 'FORMAT_POLICY_FIELD';
export const MODULES_MAX = 64;
const DOMAINS_MAX = 16;
const FAILURES_MAX = 4;
/** The slot state counts restarts in a byte. */
export const RESTARTS_MAX = 255;
export const RESTART_DELAY_MAX_S = 3600;
/** A minute: what waits longer than that is not a board that is to boot in seconds. */
export const DEADLINE_MAX_MS = 60_000;

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

/** Numbers are places in these lists, from 1, so that a zeroed value is never legal. */
const VERITY_MODES = ['require', 'if-supported'] as const;
const OUTPUTS = ['console', 'file'] as const;
const ACTIONS = ['recovery', 'restart', 'halt', 'power-off', 'shell'] as const;
const COSE_KNOWN: readonly CoseAlgorithm[] = [-37, -8, -7];
const ROLES_KNOWN: readonly SignerRole[] = [1, 2, 3, 4];
const DEVELOPMENT: SignerRole = 2;

const PRINTABLE = { max: 128, pattern: /^[ -~]+$/ };
/** As the kernel calls it, with underscores; its file has the same name. */
const MODULE_NAME = /^\w{1,63}$/;
/** Absolute, without `.` and `..`. */
const PROGRAM = { max: 255, pattern: /^(\/(?!\.\.?(\/|$))[\w.+@-]+)+$/ };

/** The canonical bytes of a policy. */
export function encodeDevicePolicy(policy: DevicePolicy): Uint8Array {
  const { identity } = policy;
  const values: CborValue[] = [
    DEVICE_POLICY_SCHEMA,
    policy.product,
    policy.board,
    policy.isProduction ? 1 : 2,
    ascending(policy.algorithms),
    ascending(policy.roles),
    policy.epochs,
    policy.minDenyVersion,
    VERITY_MODES.indexOf(policy.verity) + 1,
    identity.kind === 'devicetree'
      ? numbered([identity.compatible])
      : numbered([identity.vendor, identity.product]),
    policy.modules,
    policy.storeDeadlineMs,
    policy.slotCount,
    policy.triesMax,
    policy.onFailure.map(encodeAction),
    policy.init,
    policy.containerEngine,
    policy.containerDeadlineMs,
    OUTPUTS.indexOf(policy.containerOutput) + 1,
  ];
  return encodeCanonical(numbered(values));
}

/** A map of values to the keys 1, 2, 3 and on. */
function numbered(values: readonly CborValue[]): CborValue {
  return new Map<CborKey, CborValue>(values.map((value, index) => [index + 1, value]));
}

function ascending(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function encodeAction(action: FailureAction): CborValue {
  const { delayS, max } = action as Partial<Extract<FailureAction, { action: 'restart' }>>;
  return numbered([
    ACTIONS.indexOf(action.action) + 1,
    ...(delayS === undefined || max === undefined ? [] : [delayS, max]),
  ]);
}

/** Reads a policy; throws FORMAT_CBOR_* or FORMAT_POLICY_FIELD. */
export function decodeDevicePolicy(bytes: Uint8Array): DevicePolicy {
  const shape = new MapShape(decodeCanonical(bytes, LIMITS), 'policy', CODE);
  shape.oneOf(1, 'schema', [DEVICE_POLICY_SCHEMA]);
  const policy: DevicePolicy = {
    product: shape.text(2, 'product', IDENTIFIER),
    board: shape.text(3, 'board', IDENTIFIER),
    isProduction: shape.oneOf(4, 'production', [1, 2]) === 1,
    algorithms: shape.numbers(5, 'algorithms', COSE_KNOWN),
    roles: shape.numbers(6, 'roles', ROLES_KNOWN),
    epochs: shape.uintMap(7, 'epochs', DOMAINS_MAX),
    minDenyVersion: shape.uint(8, 'minDenyVersion', 0xffff_ffff),
    verity: VERITY_MODES[shape.oneOf(9, 'verity', [1, 2]) - 1]!,
    identity: decodeIdentity(shape.map(10, 'identity')),
    modules: shape.array(11, 'modules', MODULES_MAX, (value) => {
      if (typeof value === 'string' && MODULE_NAME.test(value)) return value;
      throw shape.problem('modules', `has ${showValue(value)}, expected names of modules`);
    }),
    storeDeadlineMs: shape.uint(12, 'storeDeadlineMs', DEADLINE_MAX_MS, 1),
    slotCount: shape.oneOf(13, 'slotCount', [1, 2]),
    triesMax: shape.uint(14, 'triesMax', TRIES_MAX, 1),
    onFailure: shape.array(15, 'onFailure', FAILURES_MAX, decodeAction),
    init: shape.text(16, 'init', PROGRAM),
    containerEngine: shape.text(17, 'containerEngine', PROGRAM),
    containerDeadlineMs: shape.uint(18, 'containerDeadlineMs', DEADLINE_MAX_MS, 1),
    containerOutput: OUTPUTS[shape.oneOf(19, 'containerOutput', [1, 2]) - 1]!,
  };
  shape.finish();
  checkWhole(policy, shape);
  return policy;
}

function decodeIdentity(shape: MapShape): BoardIdentity {
  const isSmbios = shape.has(2);
  const first = shape.text(1, isSmbios ? 'vendor' : 'compatible', PRINTABLE);
  const identity: BoardIdentity = isSmbios
    ? { kind: 'smbios', vendor: first, product: shape.text(2, 'product', PRINTABLE) }
    : { kind: 'devicetree', compatible: first };
  shape.finish();
  return identity;
}

function decodeAction(value: CborValue, path: string): FailureAction {
  const shape = new MapShape(value, path, CODE);
  const action = ACTIONS[shape.oneOf(1, 'action', [1, 2, 3, 4, 5]) - 1]!;
  const decoded: FailureAction =
    action === 'restart'
      ? {
          action,
          delayS: shape.uint(2, 'delayS', RESTART_DELAY_MAX_S),
          max: shape.uint(3, 'max', RESTARTS_MAX, 1),
        }
      : { action };
  shape.finish();
  return decoded;
}

/** Rules between fields. */
function checkWhole(policy: DevicePolicy, shape: MapShape): void {
  const { isProduction, roles, verity, epochs, modules, onFailure } = policy;
  const actions = onFailure.map(({ action }) => action);
  if (epochs.size === 0) throw shape.problem('epochs', 'is empty');
  if (new Set(modules).size !== modules.length) throw shape.problem('modules', 'repeats a name');
  if (new Set(actions).size !== actions.length) throw shape.problem('onFailure', 'repeats itself');
  if (actions.length === 0) throw shape.problem('onFailure', 'is empty');
  // Nothing comes after the end of the machine, and the last of all must not fail.
  const end = actions.findIndex((action) => action === 'halt' || action === 'power-off');
  const last = actions.length - 1;
  if (end === -1 ? actions[last] !== 'shell' : end !== last) {
    throw shape.problem('onFailure', 'must end in halt, power-off or shell, with no end before');
  }
  if (!isProduction) return;
  if (roles.includes(DEVELOPMENT)) throw shape.problem('roles', 'has development in production');
  if (verity !== 'require') throw shape.problem('verity', 'is not require in production');
  if (actions.includes('shell')) throw shape.problem('onFailure', 'has a shell in production');
}
