/**
 * What a board file leaves to be desired: nothing here is wrong, and each row says what it costs.
 *
 * A board may be meant that way (one slot on a small flash), so these are warnings. What the runtime does not do yet is
 * told as well: a setting must not promise what the device does not keep.
 */
import type { Board } from './board-shape.ts';
import { failureAction } from './boot-settings.ts';
import type { Fact } from './figures.ts';
import { isOlder, BROKEN_OVERLAY_VERITY, SINCE } from './kernel-version.ts';

export interface PolicyWarning {
  /** The setting, as `kernel.load`. */
  readonly path: string;
  /** Continues a sentence that begins with the path. */
  readonly message: string;
}

/** A file that the boot reads whole. */
export interface ReadFile {
  readonly path: string;
  readonly bytes: number;
}

type Warn = (path: string, message: string) => void;

const CHECKS: readonly ((board: Board, warn: Warn, files: readonly ReadFile[]) => void)[] = [
  checkKernelSettings,
  checkModuleSignatures,
  checkCommandLine,
  checkVerity,
  checkRollback,
  checkSlots,
  checkChain,
  checkBudget,
  checkStorage,
  checkVirtual,
  checkKnowledge,
];

/** Every warning, in the order of the checks. */
export function checkPolicy(board: Board, files: readonly ReadFile[] = []): PolicyWarning[] {
  const warnings: PolicyWarning[] = [];
  const warn: Warn = (path, message) => warnings.push({ path, message });
  for (const check of CHECKS) check(board, warn, files);
  return warnings;
}

function checkKernelSettings({ kernel, verity, engine }: Board, warn: Warn): void {
  const { min_version: version, load } = kernel;
  if (kernel.package === undefined && kernel.image === undefined) {
    warn('kernel', 'has neither package nor image: no disk can be made for this board');
  }
  if (isOlder(version, SINCE.erofsFromFile) && !load.includes('loop')) {
    warn(
      'kernel.min_version',
      `is ${version}: EROFS takes a loop device before ${SINCE.erofsFromFile}, ` +
        'list loop in kernel.load unless it is built in',
    );
  }
  if (version === BROKEN_OVERLAY_VERITY && verity.mode === 'require') {
    warn('kernel.min_version', 'is 7.0: its overlayfs cannot mount with verity=require');
  }
  if (engine === 'node') {
    warn('engine', 'is node: about half a second more than quickjs on a processor of 1 GIPS');
  }
}

/** What a board gives up with the signatures of its modules. */
function checkModuleSignatures({ kernel, production }: Board, warn: Warn): void {
  if (kernel.module_signatures === 'keep') return;
  const and = production ? ', and root can load any module into it' : '';
  warn(
    'kernel.module_signatures',
    'is strip: only the boot chain vouches for the modules, the kernel is tainted (E), and it cannot ' +
      `run with module.sig_enforce or lockdown${and}; Secure Boot may turn lockdown on by itself`,
  );
}

function checkCommandLine({ kernel, production }: Board, warn: Warn): void {
  if (kernel.package === undefined && kernel.image === undefined) return;
  const words = kernel.command_line.split(' ');
  const has = (pattern: RegExp): boolean => words.some((word) => pattern.test(word));
  if (!has(/^(?:quiet|loglevel=[0-4])$/)) {
    warn(
      'kernel.command_line',
      'lacks quiet: at 115200 baud, each 11 kB of messages take a second',
    );
  }
  if (!has(/^panic=-?[1-9]/)) {
    warn('kernel.command_line', 'lacks panic=: after a panic the board stands still for ever');
  }
  if (has(/^(?:initcall_debug|debug|ignore_loglevel|earlyprintk\b.*)$/)) {
    warn('kernel.command_line', 'turns on debugging output, which takes time on every boot');
  }
  if (production && has(/^(?:module\.sig_enforce=0|lockdown=none|nokaslr|mitigations=off)$/)) {
    warn('kernel.command_line', 'turns off a protection on a production board');
  }
  if (production && has(/^initcall_blacklist=/)) {
    warn('kernel.command_line', 'leaves parts of the kernel out: see that none is a protection');
  }
}

function checkVerity({ verity }: Board, warn: Warn): void {
  if (verity.mode === 'require') return;
  warn('verity.mode', 'is if-supported: files without fs-verity are read unchecked');
}

function checkRollback({ rollback }: Board, warn: Warn): void {
  const limit = 'accidental downgrades only, whoever writes the disk can set the epochs back';
  if (rollback.backend === 'state-partition') {
    warn('rollback.backend', `is state-partition: it keeps off ${limit}`);
    return;
  }
  warn(
    'rollback.backend',
    `is ${rollback.backend}, which the runtime does not use yet: epochs are in the state partition, ` +
      `which keeps off ${limit}`,
  );
}

function checkSlots({ slots, on_failure: steps }: Board, warn: Warn): void {
  const hasRecovery = steps.some((step) => failureAction(step).action === 'recovery');
  if (slots.count === 1) {
    warn('slots.count', 'is 1: a release that does not boot has no other to go back to');
  }
  if (!hasRecovery) {
    warn('on_failure', 'has no recovery: when no slot boots, only a visit helps');
  }
}

function checkChain(board: Board, warn: Warn): void {
  if (!board.production) return;
  if (board.boot_image.container === 'none') {
    warn(
      'boot_image.container',
      'is none on a production board: kernel, initramfs and command line need one signature',
    );
  }
  if (!board.boot_chain.some(({ verifies }) => verifies !== undefined)) {
    warn(
      'boot_chain',
      'names no stage that verifies the next one: nothing vouches for the runtime',
    );
  }
  if (board.containers.output === 'console') {
    warn('containers.output', 'is console on a production board: output is shown and takes time');
  }
}

/** Milliseconds of the stages before the runtime, as far as they are known. */
export function chainMs(board: Board): number {
  return board.boot_chain.reduce((sum, { ms }) => sum + (ms?.value ?? 0), 0);
}

/** Milliseconds that the runtime's stages may take together. */
export function stagesMs(board: Board): number {
  const known = chainMs(board) > 0;
  return Object.entries(board.budget.stages)
    .filter(([name]) => !known || !BEFORE_RUNTIME.includes(name))
    .reduce((sum: number, [, ms]) => sum + (ms ?? 0), 0);
}

/** What the boot chain of the file has figures for; their budgets are for the same time. */
const BEFORE_RUNTIME: readonly string[] = ['firmware', 'loader', 'before-kernel', 'kernel'];

function checkBudget(board: Board, warn: Warn): void {
  const before = chainMs(board);
  const stages = stagesMs(board);
  const total = board.budget.total_ms;
  if (before + stages > total) {
    warn(
      'budget',
      `has ${stages} ms of stages and ${before} ms before the runtime, together more than its ${total} ms`,
    );
  }
  if (stages === 0) warn('budget.stages', 'are not set: only the whole boot is held against it');
}

/** The best figure there is for a storage. */
export function readSpeed(storage: Board['storage'][number]): Fact | undefined {
  return storage.measured_mb_s ?? storage.ceiling_mb_s;
}

function checkStorage(board: Board, warn: Warn, files: readonly ReadFile[]): void {
  board.storage.forEach((storage, index) => {
    const at = `storage[${index}]`;
    const speed = readSpeed(storage);
    if (speed === undefined) {
      // Behind a virtual disk is the storage of this machine, which is nobody's figure.
      if (board.virtual === undefined)
        warn(at, `(${storage.kind}) has no speed: what reading costs cannot be planned`);
      return;
    }
    if (storage.measured_mb_s === undefined) {
      warn(at, `(${storage.kind}) was not measured: ${speed.value} MB/s is ${speed.evidence}`);
    }
    if (files.length === 0) return;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const ms = Math.ceil(bytes / (speed.value * 1000));
    const left = board.budget.total_ms - stagesMs(board);
    if (ms <= left) return;
    warn(
      at,
      `(${storage.kind}) takes ${ms} ms for ${bytes} bytes at ${speed.value} MB/s, ` +
        `and the budget leaves ${left} ms beside the stages`,
    );
  });
}

function checkVirtual({ virtual, production, smbios, compatible }: Board, warn: Warn): void {
  if (virtual === undefined) return;
  if (production) warn('virtual', 'is there on a production board: QEMU is no evidence for one');
  if (virtual.machine === 'microvm' && compatible.length === 0 && smbios !== undefined) {
    warn(
      'smbios',
      'cannot be read on microvm, which has no SMBIOS tables: the runtime refuses the board',
    );
  }
}

/** Figures that nobody gave. */
function checkKnowledge(board: Board, warn: Warn): void {
  const unknown: string[] = [];
  if (board.cpu.length === 0) unknown.push('cpu');
  if (board.ram_mb === undefined && board.virtual === undefined) unknown.push('ram_mb');
  if (board.storage.length === 0) unknown.push('storage');
  if (board.boot_chain.every(({ ms }) => ms === undefined)) unknown.push('boot_chain[].ms');
  for (const path of unknown) warn(path, 'is not known');
}
