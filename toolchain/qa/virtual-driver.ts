/**
 * A virtual board: each boot is one run of `coldseal boot`, from a fresh copy of the release's disk.
 *
 * A guest that panics, lies, floods or never ends is a boot that failed. QEMU that cannot be run is a broken rig,
 * and so is a release that changed under the run. A single boot cannot say whether runs agree, so records are
 * `virtual` evidence and whoever reads all of them compares.
 */
import { fromVirtualBoot } from '../budget/from-virtual-boot.ts';
import { type BootInputOptions, readBootInputs } from '../board/boot-inputs.ts';
import { bootRelease, type VirtualBoot } from '../board/virtual.ts';
import { emulatorVersion } from '../board/boot-machine.ts';
import { emulatorOf } from '../board/qemu.ts';
import type { Board } from '../board/schema.ts';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import type { Arm, BootDriver, BootRequest, DrivenBoot } from './driver.ts';
import { failedBoot } from './failed-boot.ts';

export interface VirtualDriverOptions {
  readonly board: Board;
  /** Which board, and where a relative path of its file counts from. */
  readonly inputs: BootInputOptions;
  readonly timeoutMs: number;
}

/** What the guest did, not the host. */
const BOARD_FAILURES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FORMAT_BOOT_REPORT',
  'HOST_BOARD_OUTPUT',
  'HOST_BOARD_SILENT',
  'HOST_BOARD_TIMEOUT',
]);

const FORMAT = 'qa-virtual';

export function virtualDriver(options: VirtualDriverOptions): BootDriver {
  const { board } = options;
  /** What each arm booted first. */
  const booted = new Map<Arm, string>();
  return {
    name: 'virtual',
    evidence: 'virtual',
    describe: async () => {
      const { name } = emulatorOf(board.arch);
      const version = await emulatorVersion(board.arch);
      return { settings: { emulator: name, version }, steps: [`boot the release in ${name}`] };
    },
    async check({ dir }) {
      readBootInputs(dir, options.inputs)[Symbol.dispose]();
    },
    async boot(request) {
      const boot = await bootOnce(request, options);
      if (boot.inputs !== undefined) requireSameInputs(booted, request, boot.inputs);
      return boot.driven;
    },
    async [Symbol.asyncDispose]() {
      // QEMU has ended with its boot.
    },
  };
}

interface BootedOnce {
  readonly driven: DrivenBoot;
  /** Of what was booted; undefined when the board did not come up. */
  readonly inputs?: string;
}

async function bootOnce(
  { release, signal }: BootRequest,
  { board, inputs, timeoutMs }: VirtualDriverOptions,
): Promise<BootedOnce> {
  const console: string[] = [];
  const capture = (): Buffer => Buffer.from(console.join(''), 'latin1');
  let boot: VirtualBoot;
  try {
    const onConsole = (text: string): void => void console.push(text);
    const boots = await bootRelease(release.dir, { ...inputs, signal, timeoutMs, onConsole });
    boot = boots[0]!;
  } catch (error) {
    if (!(error instanceof ColdsealError) || !BOARD_FAILURES.has(error.code)) throw error;
    const reason = `${error.code}: ${error.message}`;
    const record = failedBoot({
      board: board.id,
      evidence: 'virtual',
      reason,
      format: FORMAT,
      start: 'cold',
    });
    return { driven: { record, others: [], capture: capture() } };
  }
  const record = fromVirtualBoot(boot, { format: FORMAT, file: 'capture', sha256: '' });
  return {
    driven: { record, others: [], capture: capture() },
    inputs: JSON.stringify(boot.inputs),
  };
}

function requireSameInputs(
  booted: Map<Arm, string>,
  { arm, run, release }: BootRequest,
  inputs: string,
): void {
  const before = booted.get(arm) ?? inputs;
  booted.set(arm, before);
  if (before === inputs) return;
  throw new ColdsealError(
    'CONFIG_QA_CHANGED',
    `Cannot use boot ${run}: the files of ${release.given} changed while the run went on`,
    { hint: 'boots of different things are not one sample' },
  );
}
