/**
 * The boot, from the first instruction of PID 1 to the system's init. Closed on failure: nothing runs that was not
 * verified, and whatever goes wrong has a reason code, a line in the kernel's log and an end that the board chose.
 *
 * The order: the kernel's file systems, policy and identity, modules, the store, the slot (its try is counted before
 * anything of it is mounted), reading ahead, the manifest, each image measured and mounted on one descriptor, the new
 * root, early containers from within it, init. Up to the change of the root a failing slot is undone and the next one
 * tried.
 */
import { attend } from './attendant.ts';
import {
  inStep,
  mountEntry,
  mountKernelFileSystems,
  mountStore,
  switchToSystem,
} from './boot-mounts.ts';
import {
  addNote,
  type BootParts,
  type BootRun,
  keepRecord,
  log,
  quietly,
  recordOf,
  save,
  startRun,
} from './boot-run.ts';
import { parseCommandLine } from './command-line.ts';
import { type ContainerPipe, startEarlyContainers } from './containers.ts';
import { PARTITION, SEALED_POLICY, SEALED_TRUST } from './device-paths.ts';
import type { Engine } from './engine.ts';
import { noteOf, planFailure } from './failure.ts';
import { findPartitions, requireStore } from './find-store.ts';
import type { BootNote, StageWord } from './format/boot-record.ts';
import { toByteString } from './format/bytes.ts';
import { decodeDevicePolicy, type FailureAction } from './format/device-policy.ts';
import { ColdsealError } from './format/errors.ts';
import { IMAGE_ROLE, START } from './format/manifest-image.ts';
import { freshSlotState, type SlotName, type SlotState } from './format/slot-state.ts';
import { decodeTrustBundle } from './format/trust.ts';
import { checkIdentity } from './identity.ts';
import { loadModules } from './modules.ts';
import { probeMountCapabilities } from './mount-capabilities.ts';
import { Cleanup } from './mount-steps.ts';
import { readAhead, readAheadList } from './read-ahead.ts';
import { readSmallFile } from './read-file.ts';
import {
  chooseSlot,
  closeLatch,
  countRestart,
  countTry,
  isNewRelease,
  noteFailure,
  type Slot,
  slotFacts,
  takeNewRelease,
} from './slots.ts';
import { loadState } from './state-partition.ts';
import { verifySlot } from './verify-slot.ts';
import type { AcceptedManifest } from './verify.ts';

/** Policy and trust are far below this; the formats have limits of their own. */
const SEALED_MAX = 16 * 1024;
const COMMAND_LINE_MAX = 4096;
const ENVIRONMENT = ['HOME=/', 'TERM=linux', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'];

/** Boots. Returns only in the attendant's copy of this process, its exit code. */
export function boot(engine: Engine, parts: BootParts = { startEarlyContainers, attend }): number {
  const run = startRun(engine, parts);
  let reason: BootNote;
  try {
    prepare(run);
    if (bootSlots(run)) return enterSystem(run);
    // Of the slot that was to boot: what comes after it is second best.
    reason = run.attempts[0]?.reason ?? noteOf(noSlot());
  } catch (error) {
    reason = addNote(run, error);
  }
  try {
    return actOnFailure(run, reason);
  } catch (error) {
    log(run, 'error', `halt: ${noteOf(error).message}`);
    return engine.sys.endMachine('halt');
  }
}

const stage = <T>(run: BootRun, word: StageWord, action: () => T): T => run.timer.run(word, action);

const noSlot = (): ColdsealError =>
  new ColdsealError('HOST_SLOT_TRIES', 'Cannot boot: no slot has tries left');

/** Everything before the first slot is looked at. */
function prepare(run: BootRun): void {
  const { sys } = run.engine;
  stage(run, 'setup', () => mountKernelFileSystems(sys));
  const { policy } = stage(run, 'policy', () => readPolicy(run));
  for (const problem of loadModules(sys, policy.modules, run.timer)) addNote(run, problem);
  const found = stage(run, 'find-store', () => findPartitions(sys, policy.storeDeadlineMs));
  const store = stage(run, 'slot-state', () => {
    const fresh = freshSlotState(policy.triesMax, policy.slotCount, policy.epochs);
    const path = found.get(PARTITION.STATE);
    const loaded = loadState(sys, run.engine.crypto, path, fresh);
    run.partition = loaded.partition;
    for (const problem of loaded.notes) addNote(run, problem);
    // Only now, so that the state can count restarts.
    const device = requireStore(found, policy.storeDeadlineMs);
    // Counted before the mount: a store that hangs the kernel uses up tries as well.
    chooseNext(run, []);
    return device;
  });
  stage(run, 'mount-store', () => mountStore(sys, store));
  run.isStoreMounted = true;
  const list = run.commandLine.readAhead === undefined ? readAheadList(sys) : '';
  if (list !== '') stage(run, 'read-ahead', () => readAhead(sys, store, list));
}

function readPolicy(run: BootRun): NonNullable<BootRun['sealed']> {
  const { sys } = run.engine;
  const policy = decodeDevicePolicy(readSmallFile(sys, SEALED_POLICY, SEALED_MAX));
  const trust = decodeTrustBundle(readSmallFile(sys, SEALED_TRUST, SEALED_MAX));
  run.sealed = { policy, trust };
  const text = toByteString(readSmallFile(sys, '/proc/cmdline', COMMAND_LINE_MAX));
  const { commandLine, problem } = parseCommandLine(text, policy);
  run.commandLine = commandLine;
  run.timer.disk = commandLine.io;
  if (problem !== undefined) throw problem;
  checkIdentity(sys, policy.identity);
  return run.sealed;
}

// --- slots ---------------------------------------------------------------------------------------------

/** Chooses the next slot and counts its try. */
function chooseNext(run: BootRun, failed: readonly Slot[]): void {
  const { state } = run.partition!;
  const { slotCount, onFailure } = run.sealed!.policy;
  const keepGood = !onFailure.some(({ action }) => action === 'recovery');
  run.choice = chooseSlot(state, { slotCount, failed, first: run.commandLine.slot, keepGood });
  if (run.choice === undefined) return;
  const { slot, because, onlyNew } = run.choice;
  log(run, 'info', `slot ${slot}: ${because}`);
  if (!onlyNew) save(run, countTry(state, slot));
}

/** Tries slots until one is the root; false when none is. */
function bootSlots(run: BootRun): boolean {
  const failed: Slot[] = [];
  while (run.choice !== undefined) {
    const { slot, onlyNew } = run.choice;
    if (trySlot(run, slot, onlyNew)) return true;
    failed.push(slot);
    run.timer.run(`slot-state ${slot}`, () => chooseNext(run, failed));
  }
  const { state } = run.partition!;
  if (state.latch === 0 && state.triesA + state.triesB === 0) {
    addNote(
      run,
      new ColdsealError('HOST_SLOT_LATCH', 'No slot is tried again: all used up their tries'),
    );
    run.partition!.state = closeLatch(state);
  }
  return false;
}

/** One slot up to the change of the root. When it fails, everything of it is undone and the reason is kept. */
function trySlot(run: BootRun, slot: SlotName, onlyNew: boolean): boolean {
  const undo = new Cleanup();
  try {
    try {
      mountSlot(run, slot, onlyNew, undo);
      stage(run, 'switch-root', () => switchToSystem(run.engine.sys, undo));
    } catch (error) {
      undo.run();
      throw error;
    }
  } catch (error) {
    const reason = noteOf(error, `Cannot boot slot ${slot}`);
    run.attempts.push({ slot, reason });
    Object.assign(run, { accepted: undefined, images: [] });
    log(run, 'error', `slot ${slot} refused: ${reason.code}: ${reason.message}`);
    run.partition!.state = noteFailure(run.partition!.state, reason.code);
    return false;
  }
  run.attempts.push({ slot, reason: null });
  run.slot = slot;
  run.isSwitched = true;
  return true;
}

function mountSlot(run: BootRun, slot: SlotName, onlyNew: boolean, undo: Cleanup): void {
  const { engine, sealed, partition, timer } = run;
  const { policy } = sealed!;
  const accepted = timer.run(`verify ${slot}`, () =>
    verifySlot(engine, slot, sealed!, partition!.state),
  );
  if (slot !== 'recovery') admitRelease(run, slot, accepted, onlyNew);
  run.accepted = accepted;
  const kernel = (run.kernel ??= stage(run, 'mount', () => probeMountCapabilities(engine.sys)));
  run.images = accepted.manifest.images.map((image) =>
    timer.run(`mount ${image.name}`, () =>
      mountEntry(engine, image, { verity: policy.verity, kernel, undo }),
    ),
  );
}

/** A release the state does not know starts with fresh tries, of which this boot is one. */
function admitRelease(
  run: BootRun,
  slot: Slot,
  { manifest }: AcceptedManifest,
  onlyNew: boolean,
): void {
  const { state } = run.partition!;
  const { releaseId } = manifest;
  if (isNewRelease(state, slot, releaseId)) {
    const fresh = takeNewRelease(state, slot, releaseId, run.sealed!.policy.triesMax);
    run.timer.run(`slot-state ${slot}`, () => save(run, countTry(fresh, slot)));
  } else if (onlyNew) {
    const code = state.latch === 1 ? 'HOST_SLOT_LATCH' : 'HOST_SLOT_TRIES';
    throw new ColdsealError(code, `Cannot boot slot ${slot}: its release has used up its tries`);
  }
}

// --- the system ----------------------------------------------------------------------------------------

/** From the new root on: what fails here cannot change to another slot within this boot. */
function enterSystem(run: BootRun): number {
  try {
    const pipes = stage(run, 'containers', () => startContainers(run));
    return handOver(run, pipes);
  } catch (error) {
    const reason = addNote(run, error);
    run.attempts.push({ slot: run.attempts.pop()!.slot, reason });
    run.slot = undefined;
    return actOnFailure(run, reason);
  }
}

function startContainers(run: BootRun): readonly ContainerPipe[] {
  const early = run.accepted!.manifest.images.filter(
    ({ role, start }) => role === IMAGE_ROLE.CONTAINER && start === START.EARLY,
  );
  const names = early.map(({ name }) => name);
  if (names.length === 0) return [];
  const { engine, parts, sealed } = run;
  try {
    const { containers, pipes } = parts.startEarlyContainers(engine, names, sealed!.policy);
    run.containers = containers;
    for (const { reason } of containers) {
      if (reason !== null) log(run, 'error', `${reason.code}: ${reason.message}`);
    }
    return pipes;
  } catch (error) {
    // The system may run without them, and says so.
    addNote(run, error);
    return [];
  }
}

function handOver(run: BootRun, pipes: readonly ContainerPipe[]): number {
  const { engine, sealed, partition, accepted, slot } = run;
  const { policy } = sealed!;
  const end = run.timer.begin('handover');
  const { state } = partition!;
  if (state.restarts > 0 && slot !== 'recovery') save(run, { ...state, restarts: 0 });
  end();
  const record = recordOf(run, slot === 'recovery' ? 'recovery' : 'booted');
  keepRecord(run, record);
  const ms = Math.round((record.stages.at(-1)?.endNs ?? 0) / 1e6);
  const { version } = accepted!.manifest;
  log(run, 'notice', `booted slot ${slot}, release ${version}, at ${ms} ms`);
  const { report } = run.commandLine;
  if (pipes.length > 0 || report !== undefined) {
    const settings = { output: policy.containerOutput, report, disk: run.commandLine.io };
    if (forkAttendant(run))
      return attendInCopy(run, () => run.parts.attend(engine, record, pipes, settings));
  }
  return inStep('HOST_INIT', `start ${policy.init}`, () =>
    engine.sys.exec([policy.init], ENVIRONMENT),
  );
}

/** True in the copy. Without one the containers' output is lost, and the system starts nevertheless. */
function forkAttendant(run: BootRun): boolean {
  try {
    return run.engine.sys.fork() === 0;
  } catch (error) {
    addNote(run, error);
    return false;
  }
}

/** The copy must never get back into the boot: it is not the one that may restart the machine. */
function attendInCopy(run: BootRun, action: () => number): number {
  try {
    return action();
  } catch (error) {
    addNote(run, error);
    return 1;
  }
}

// --- failure -------------------------------------------------------------------------------------------

/** Does what the board wants done when no slot boots. */
function actOnFailure(run: BootRun, reason: BootNote): number {
  const { policy } = run.sealed ?? {};
  const { partition } = run;
  const remember = (): SlotState | undefined =>
    partition && (partition.state = noteFailure(partition.state, reason.code));
  const state = remember();
  const isOwnBoard = run.isStoreMounted && !run.isSwitched;
  const plan = planFailure(policy?.onFailure ?? [], {
    canRecover: isOwnBoard,
    restarts: state?.restarts ?? 0,
    isProduction: policy?.isProduction ?? true,
    canTryAgain: run.isSwitched && hasTries(state, policy?.slotCount ?? 1),
    override: run.commandLine.onFailure,
  });
  for (const action of plan) {
    if (action.action === 'recovery') {
      save(run, countTry(partition!.state, 'recovery'));
      if (trySlot(run, 'recovery', false)) return enterSystem(run);
      remember();
      continue;
    }
    if (!isKept(run, action)) continue;
    try {
      return stop(run, action, reason);
    } catch (error) {
      addNote(run, error);
    }
  }
  throw new Error(`Cannot even halt: ${reason.code}`);
}

/** Keeps what there is to keep. False: a restart that cannot be counted could go on for ever, so it is not done. */
function isKept(run: BootRun, action: FailureAction): boolean {
  const { state } = run.partition ?? {};
  if (action.action !== 'restart') {
    if (state !== undefined) save(run, state);
    return true;
  }
  // Restarts for another try are bounded by the tries.
  const isCounted = Number.isFinite(action.max);
  return state !== undefined && save(run, isCounted ? countRestart(state) : state);
}

function hasTries(state: SlotState | undefined, slotCount: 1 | 2): boolean {
  if (state === undefined || state.latch === 1) return false;
  return slotFacts(state, 'a').tries + (slotCount === 2 ? slotFacts(state, 'b').tries : 0) > 0;
}

/** Tells why, and ends the machine or opens the shell of a development board. */
function stop(
  run: BootRun,
  action: Exclude<FailureAction, { action: 'recovery' }>,
  reason: BootNote,
): number {
  const { sys } = run.engine;
  const record = recordOf(run, action.action);
  keepRecord(run, record);
  log(run, 'error', `${action.action}: ${reason.code}: ${reason.message}`);
  const { report } = run.commandLine;
  if (report !== undefined) {
    // A measurement: the record goes out, and the machine is switched off instead.
    quietly(() => run.parts.attend(run.engine, record, [], { output: 'console', report }));
  }
  switch (action.action) {
    case 'restart':
      if (action.delayS > 0) sys.sleep(action.delayS * 1000);
      return sys.endMachine('restart');
    case 'shell':
      return sys.exec(['/bin/sh'], ENVIRONMENT);
    case 'halt':
    case 'power-off':
      return sys.endMachine(action.action);
  }
}
