/**
 * From files of records to evidence: read, collect, judge. Everything that `coldseal report` and `qa` have in common.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { loadBoard } from '../board/load.ts';
import type { Board } from '../board/schema.ts';
import { readInput } from '../files/read-input.ts';
import { identifyBoots } from '../history/identity.ts';
import { VERSION } from '../version.ts';
import { budgetOfBoard, storageOfBoard, toleranceOfBoard } from './budget-of-board.ts';
import { buildsOf } from './builds.ts';
import { collectGroups, groupIdOf } from './collect.ts';
import {
  EVIDENCE_KIND,
  type Evidence,
  type EvidenceSettings,
  type EvidenceSource,
} from './evidence.ts';
import { evidenceText, parseEvidence } from './evidence-file.ts';
import { judge, pairGroups } from './judge.ts';
import type { MeasuredBoot } from './measured-boot.ts';
import type { HistoryBoot } from './read-history.ts';
import { readRecords, type RecordFile } from './read-records.ts';
import { stageMarginNs, totalMarginNs } from './statistics/judge-regression.ts';
import { parsePlan } from './statistics/plan.ts';

export interface ReportOptions {
  readonly records: readonly string[];
  readonly baseline: readonly string[];
  /** Identifier, or path of a board file; the records name it otherwise. */
  readonly board: string | undefined;
  /** Directory that paths of board files count from. */
  readonly from: string;
  readonly plan: string | undefined;
  /** The plan that was fixed when these boots were begun. */
  readonly runPlan?: string | undefined;
  readonly seed: number;
  readonly marginMs: number | undefined;
  /** Boots of earlier builds, for the trend. */
  readonly history?: readonly HistoryBoot[] | undefined;
}

export const DEFAULT_SEED = 1;
/** Two-sided, for every interval and test. */
const ALPHA = 0.05;

/** Makes the evidence. Throws FORMAT_BOOT_RECORDS, FORMAT_EVIDENCE, USAGE_*, CONFIG_BOARD_*, HOST_*. */
export function makeReport(options: ReportOptions): Evidence {
  const again = evidenceAgain(options);
  if (again !== undefined) return again;
  const candidate = options.records.map(readRecords);
  const baseline = options.baseline.map(readRecords);
  const board = boardOf([...candidate, ...baseline], options);
  const budget = budgetOfBoard(board);
  const collect = (files: readonly RecordFile[]): ReturnType<typeof collectGroups> =>
    collectGroups(
      files.flatMap(({ boots }) => boots),
      budget,
    );
  const [candidateGroups, baselineGroups] = [collect(candidate), collect(baseline)];
  const { history } = options;
  return judge({
    tool: { name: 'coldseal', version: VERSION },
    board: { id: board.id, name: board.name },
    budget,
    settings: settingsOf(board, options),
    storage: storageOfBoard(board),
    sources: [...sourcesOf(candidate, 'candidate'), ...sourcesOf(baseline, 'baseline')],
    groups: pairGroups(candidateGroups, baselineGroups),
    builds: buildsOf(seriesOf(history, candidate, candidateGroups[0]!.id), budget),
    hasBaseline: baseline.length > 0,
    hasHistory: history !== undefined,
  });
}

/** The builds of one series are of one group, the first one, and end with the boots of this report. */
function seriesOf(
  history: readonly HistoryBoot[] | undefined,
  candidate: readonly RecordFile[],
  id: string,
): MeasuredBoot[] {
  if (history === undefined) return [];
  const known = new Set(history.map((each) => each.id));
  // Boots that were added to the history already are not counted twice. To it they have no file, which may grow.
  const fresh = candidate.flatMap(({ boots, sha256: own }) =>
    identifyBoots(
      boots.map((boot) =>
        boot.source.sha256 === own ? { ...boot, source: { ...boot.source, sha256: '' } } : boot,
      ),
    ).filter((each) => !known.has(each.id)),
  );
  return [...history.map(({ boot }) => boot), ...fresh.map(({ record }) => record)].filter(
    (boot) => groupIdOf(boot) === id,
  );
}

function settingsOf(board: Board, options: ReportOptions): EvidenceSettings {
  const { plan: asked, runPlan, marginMs, seed } = options;
  const text = asked ?? runPlan ?? board.budget.plan;
  const origin = asked !== undefined ? 'option' : runPlan !== undefined ? 'run' : 'board';
  const { totalNs } = budgetOfBoard(board);
  return {
    plan: { text, ...parsePlan(text), origin },
    seed,
    alpha: ALPHA,
    totalMarginNs: marginMs === undefined ? totalMarginNs(totalNs) : Math.round(marginMs * 1e6),
    stageMargin: { absoluteNs: stageMarginNs(0), relative: 0.03 },
    tolerance: toleranceOfBoard(board),
  };
}

function sourcesOf(files: readonly RecordFile[], arm: EvidenceSource['arm']): EvidenceSource[] {
  return files.map(({ file, sha256, format, boots }) => {
    return { file, sha256, format, arm, boots: boots.length };
  });
}

/** All records are of one board, the one that was asked for. */
function boardOf(files: readonly RecordFile[], { board: asked, from }: ReportOptions): Board {
  const found = [...new Set(files.flatMap(({ boots }) => boots.map(({ board }) => board)))].sort();
  if (found.length > 1) {
    throw new ColdsealError(
      'USAGE_RECORDS_BOARD',
      `Cannot report on records of ${found.length} boards (${found.slice(0, 5).join(', ')}): expected those of one`,
      { hint: 'a report is about one board: give the files of each to a report of its own' },
    );
  }
  const [id] = found;
  const board = loadBoard(asked ?? id!, from).value;
  if (board.id === id) return board;
  throw new ColdsealError(
    'USAGE_RECORDS_BOARD',
    `Cannot report with the budget of board ${board.id}: the records are of ${id}`,
  );
}

// --- an evidence file instead of records -----------------------------------------------------------------------

/** Judges an evidence file again. Undefined: the arguments are records. */
function evidenceAgain(options: ReportOptions): Evidence | undefined {
  const path = options.records[0]!;
  if (!isEvidence(path)) return undefined;
  refuseBeside(path, options);
  const bytes = readInput(path);
  const evidence = judge(parseEvidence(parseJson(bytes, path), path));
  // Another version may answer in other words; this one has to find what it has found before.
  if (evidence.tool.version !== VERSION || bytes.equals(Buffer.from(evidenceText(evidence)))) {
    return evidence;
  }
  throw new ColdsealError(
    'FORMAT_EVIDENCE',
    `Cannot use the evidence ${path}: its answers do not follow from its samples`,
    { hint: 'the file was changed after report --json wrote it' },
  );
}

const EVIDENCE_START = Buffer.from(`{"kind":"${EVIDENCE_KIND}"`);

/** Whether a file begins as an evidence file does. */
function isEvidence(path: string): boolean {
  if (path === '-') return false;
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    if (fstatSync(fd).isDirectory()) return false;
    const start = Buffer.alloc(EVIDENCE_START.length);
    readSync(fd, start, 0, start.length, 0);
    return start.equals(EVIDENCE_START);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function parseJson(bytes: Buffer, path: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    throw new ColdsealError(
      'FORMAT_EVIDENCE',
      `Cannot read the evidence ${path}: it is not one JSON document`,
      { hint: 'the file may have been cut off', cause: error },
    );
  }
}

/** An evidence file has everything in it: arms, budget and plan. */
function refuseBeside(path: string, options: ReportOptions): void {
  const { records, baseline, board, plan, marginMs, history, seed } = options;
  const beside = [
    records.length > 1 ? 'other records' : undefined,
    baseline.length > 0 ? '--baseline' : undefined,
    board === undefined ? undefined : '--board',
    plan === undefined ? undefined : '--plan',
    marginMs === undefined ? undefined : '--margin-ms',
    history === undefined ? undefined : '--history',
    seed === DEFAULT_SEED ? undefined : '--seed',
  ].find((each) => each !== undefined);
  if (beside === undefined) return;
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `Cannot use ${beside} with the evidence ${path}: it says all of that itself`,
  );
}
