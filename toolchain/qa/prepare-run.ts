/**
 * From what was asked for to a run that can begin: releases and board read and digested, the plan fixed, the
 * schedule made, the driver chosen. Nothing is written and nothing is booted.
 */
import { resolve } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { loadBoard } from '../board/load.ts';
import type { Board } from '../board/schema.ts';
import type { ConfigFile } from '../config/config-file.ts';
import { parsePlan } from '../budget/statistics/plan.ts';
import type { EvidenceClass } from '../budget/measured-boot.ts';
import { VERSION } from '../version.ts';
import { commandDriver } from './command-driver.ts';
import type { Arm, ArmRelease, BootDriver, DriverDescription } from './driver.ts';
import { type LoadedEvents, loadEvents } from './load-events.ts';
import { type ReadArm, readArm } from './read-arm.ts';
import { parseRig, type Rig } from './rig-arguments.ts';
import { RUN_KIND, RUN_SCHEMA, type RunArguments, type RunRecord } from './run-record.ts';
import { parseSchedule, scheduleBoots, scheduleText } from './schedule.ts';
import { serialDriver } from './serial-driver.ts';
import { virtualDriver } from './virtual-driver.ts';

export interface RunRequest {
  readonly arguments: RunArguments;
  /** What relative paths and the rig's commands count from. */
  readonly directory: string;
  /** Undefined: the board's. */
  readonly plan: string | undefined;
  /** Of each arm; undefined: as many as the plan takes. */
  readonly boots: number | undefined;
  readonly seed: number;
}

export interface PreparedRun {
  readonly record: RunRecord;
  readonly board: Board;
  readonly releases: Readonly<Record<Arm, ArmRelease | null>>;
  readonly schedule: readonly Arm[];
  readonly driver: BootDriver;
  readonly description: DriverDescription;
}

/** Instructions are counted, so that a second boot shows whether they repeat; there is no verdict to plan for. */
const VIRTUAL_BOOTS = 2;

/** The run that a run's record describes, as things are now; `requireSameRun` compares both. */
export function requestOf({
  arguments: args,
  directory,
  plan,
  boots,
  seed,
}: RunRecord): RunRequest {
  return {
    arguments: args,
    directory,
    plan: plan.origin === 'option' ? plan.text : undefined,
    boots,
    seed,
  };
}

/** Prepares a run. Throws USAGE_*, CONFIG_*, FORMAT_* and HOST_* about what cannot be measured. */
export async function prepareRun(request: RunRequest): Promise<PreparedRun> {
  const { arguments: args, directory, seed } = request;
  const rig = parseRig(args.board);
  const candidate = readArm(args.release, directory);
  const baseline = args.baseline === null ? null : readArm(args.baseline, directory);
  const board = loadRunBoard(candidate, args, directory);
  const planText = request.plan ?? board.value.budget.plan;
  const plan = parsePlan(planText);
  const boots = request.boots ?? (rig.driver === 'virtual' ? VIRTUAL_BOOTS : plan.boots);
  const schedule = scheduleText(scheduleBoots(boots, baseline !== null, seed));
  const events =
    args.dictionary === null
      ? undefined
      : loadEvents(resolve(directory, args.dictionary), board.value.budget.stop);
  const driver = chooseDriver(rig, request, board.value, candidate, events);
  const description = await driver.describe();
  return {
    record: {
      kind: RUN_KIND,
      schema: RUN_SCHEMA,
      tool: { name: 'coldseal', version: VERSION },
      directory,
      arguments: args,
      plan: { text: planText, ...plan, origin: request.plan === undefined ? 'board' : 'option' },
      boots,
      seed,
      schedule,
      inputs: {
        board: { id: board.value.id, sha256: board.sha256 },
        candidate: inputOf(candidate),
        baseline: baseline === null ? null : inputOf(baseline),
        dictionary: events?.sha256 ?? null,
      },
      driver: { name: driver.name, settings: { ...description.settings } },
    },
    board: board.value,
    releases: { candidate: candidate.release, baseline: baseline?.release ?? null },
    schedule: parseSchedule(schedule),
    driver,
    description,
  };
}

function inputOf({ release: { id, version }, sha256 }: ReadArm): RunRecord['inputs']['candidate'] {
  return { id, version, sha256 };
}

function loadRunBoard(
  { board, release }: ReadArm,
  { boardFile }: RunArguments,
  directory: string,
): ConfigFile<Board> {
  const reference = boardFile ?? board;
  if (reference !== null) return loadBoard(reference, directory);
  throw new ColdsealError(
    'USAGE_MISSING_OPTION',
    `Cannot measure ${release.given}: its release.json names no board, expected --board-file`,
  );
}

function chooseDriver(
  rig: Rig,
  { arguments: args, directory }: RunRequest,
  board: Board,
  candidate: ReadArm,
  events: LoadedEvents | undefined,
): BootDriver {
  const timeoutMs = args.timeoutS * 1000;
  const select = args.select ?? undefined;
  const common = { cwd: directory, board: board.id, timeoutMs, select };
  switch (rig.driver) {
    case 'virtual': {
      const reference = args.boardFile ?? candidate.board ?? undefined;
      return virtualDriver({ board, inputs: { board: reference, from: directory }, timeoutMs });
    }
    case 'command':
      return commandDriver({ ...common, command: rig.command, evidence: args.evidence });
    case 'serial':
      return serialDriver({
        ...common,
        device: resolve(directory, rig.device),
        baud: rig.baud,
        powerOn: args.powerOn!,
        powerOff: args.powerOff!,
        offTimeMs: args.offTimeS * 1000,
        settleMs: args.settleS * 1000,
        events,
      });
  }
}

/** What the command driver's records are where nobody says; the weakest class of a real board. */
export const EVIDENCE_DEFAULT: EvidenceClass = 'board-selfclock';
