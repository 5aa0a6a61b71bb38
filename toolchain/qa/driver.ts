/**
 * What a measuring run asks of whatever boots a board: one interface for QEMU, a board on a relay, and a command.
 *
 * A boot that fails is a record: a board that never came up is the finding, and is never left out. A rig that fails
 * is an error, HOST_RIG_* mostly, which ends the run: what a broken relay measures is no boot. After such an error,
 * and after an interruption, nothing is recorded of the boot that was under way.
 */
import type { EvidenceClass, MeasuredBoot } from '../budget/measured-boot.ts';

/** The release that is judged, or the one it is compared with. */
export type Arm = 'candidate' | 'baseline';

/** What boots are of: a release directory and what its record says. */
export interface ArmRelease {
  /** As it was given. */
  readonly given: string;
  /** Absolute. */
  readonly dir: string;
  readonly id: string;
  readonly version: string;
  /** Seconds since 1970; null where release.json does not say. */
  readonly builtAt: number | null;
}

export interface BootRequest {
  readonly arm: Arm;
  readonly release: ArmRelease;
  /** Place in the schedule, from 1. */
  readonly run: number;
  readonly signal: AbortSignal;
}

/** What one boot gave. */
export interface DrivenBoot {
  /** What decides, of the driver's class. */
  readonly record: MeasuredBoot;
  /** The same boot as another clock saw it, such as the board's own beside the host's. */
  readonly others: readonly MeasuredBoot[];
  /** What the board, or the command that drove it, printed. */
  readonly capture: Buffer;
}

export interface DriverDescription {
  /** Whatever would make figures incomparable when it changed; a run that goes on must find it the same. */
  readonly settings: Readonly<Record<string, string | number | boolean | null>>;
  /** What one boot does, step by step, for --dry-run. */
  readonly steps: readonly string[];
}

export interface BootDriver extends AsyncDisposable {
  readonly name: 'virtual' | 'serial' | 'command';
  /** Of every record that decides. */
  readonly evidence: EvidenceClass;
  describe(): Promise<DriverDescription>;
  /** Before anything is written: refuses a release that cannot be booted, and a rig that is not there. */
  check(release: ArmRelease): Promise<void>;
  /** Boots once. Rejects when the rig fails, and with the signal's reason when that aborts. */
  boot(request: BootRequest): Promise<DrivenBoot>;
}

/** The environment of every command that a rig runs. */
export function commandEnvironment({
  arm,
  run,
  release,
}: Pick<BootRequest, 'arm' | 'run' | 'release'>): Record<string, string> {
  return { COLDSEAL_ARM: arm, COLDSEAL_RUN: String(run), COLDSEAL_RELEASE: release.dir };
}
