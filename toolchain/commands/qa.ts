/** `coldseal qa`: many boots of a release on one board, as a plan says, kept as records. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import { EXAMPLE_BENCH } from '../qa/example-bench.ts';
import type { PreparedOutputs } from '../budget/write-outputs.ts';
import type { FinishedRun } from '../qa/measure.ts';
import type { PreparedRun, RunRequest } from '../qa/prepare-run.ts';
import { printAnnotations } from './print-annotations.ts';
import { REPORT_OPTIONS } from './report-options.ts';

const TIMEOUT_S = 300;
const OFF_TIME_S = 5;
const SETTLE_S = 2;
const SEED = 1;

/** Plan and seed are the run's own, and fixed with it. */
const { plan: _plan, seed: _seed, ...REPORTING } = REPORT_OPTIONS;

export const qa = defineCommand({
  name: 'qa',
  summary: 'Boot a board as often as a plan says, and keep every record',
  description: `Boots the release DIR many times, one boot after the other, and keeps each as a record in the directory
of the run. How often is the plan's: it is written to run.json before the first boot, because a plan that is made after
a slow boot proves less than it says. With --baseline the boots of both releases are interleaved in a seeded order, so
that a drift of the board or the room is in both.

--board says what boots: \`virtual\` is the board file's virtual board, \`serial:DEVICE[,BAUD]\` a real one on a power
relay and a serial line, \`command:COMMAND\` whatever a command drives. A board that does not come up is a record of
a boot that failed, and the run goes on; a rig that fails ends the run.

A run that ended before its time goes on with the same command, or with --resume and --output alone, where it stopped:
after Ctrl-C, a kill, a full disk. It does not go on when a release, the board's file, the dictionary or the plan is
another one. docs/qa.md says how to set up a rig, and what evidence each kind gives.`,
  args: [{ name: 'dir', help: 'release directory', optional: true }],
  options: {
    boots: {
      flag: '--boots <n>',
      help: "boots of each release (default: the plan's; 2 on a virtual board)",
      integer: { min: 1, max: 100_000 },
    },
    board: {
      flag: '--board <driver>',
      help: 'virtual, serial:DEVICE[,BAUD] or command:COMMAND (default: virtual)',
    },
    boardFile: {
      flag: '--board-file <id>',
      help: 'board, or path of a board file, instead of the recorded',
    },
    baseline: { flag: '--baseline <dir>', help: 'release to compare with, interleaved' },
    plan: {
      flag: '--plan <p/c>',
      help: "coverage/confidence, as 95/95, or R95C95 (default: the board's)",
    },
    seed: {
      flag: '--seed <n>',
      help: `seed of the order of boots (default: ${SEED})`,
      integer: { min: 0, max: 2 ** 32 - 1 },
    },
    output: { flag: '-o, --output <dir>', help: 'directory of the run; needed but for --dry-run' },
    resume: { flag: '--resume', help: 'go on with the run in --output, as its run.json says' },
    timeout: {
      flag: '--timeout <s>',
      help: `seconds until a boot has failed (default: ${TIMEOUT_S})`,
      integer: { min: 1, max: 86_400 },
    },
    select: { flag: '--select <cmd>', help: 'puts the release of COLDSEAL_ARM on the board' },
    powerOn: { flag: '--power-on <cmd>', help: "switches the board's power on" },
    powerOff: { flag: '--power-off <cmd>', help: "switches the board's power off" },
    offTime: {
      flag: '--off-time <s>',
      help: `seconds that the power is off before a boot (default: ${OFF_TIME_S})`,
      integer: { min: 1, max: 3600 },
    },
    dictionary: { flag: '--dictionary <file>', help: 'events that lines of the console announce' },
    settle: {
      flag: '--settle <s>',
      help: `seconds to listen on for the board's own record (default: ${SETTLE_S})`,
      integer: { min: 0, max: 600 },
    },
    evidence: {
      flag: '--evidence <class>',
      help: "of a command's records (default: board-selfclock)",
      choices: ['virtual-wallclock', 'virtual', 'board-selfclock', 'board-serial', 'board-gpio'],
    },
    specimen: {
      flag: '--specimen <name>',
      help: 'which of several boards, such as its serial number',
    },
    condition: {
      flag: '--condition <n=v>',
      help: 'what is judged apart, such as temperature=-30C',
      repeat: true,
    },
    ...REPORTING,
    dryRun: { flag: '--dry-run', help: 'show the order of boots and the commands, and do nothing' },
  },
  examples: [
    {
      run: 'coldseal qa release --board command:./one-boot.sh --evidence board-gpio --plan 80/80 -o run',
      note: 'Boot as often as a small plan asks for, with a program of the bench',
      before: EXAMPLE_BENCH,
    },
    {
      run:
        'coldseal qa release --board serial:/dev/ttyUSB0 --power-on ./power-on.sh ' +
        '--power-off ./power-off.sh --plan 95/95 --dry-run',
      note: 'Show what a real board would go through',
    },
  ],
  exitCodes: {
    5: 'over budget, a regression, inconclusive or bad evidence; the reason code says which',
    6: 'the rig failed, not the board; --resume goes on',
    130: 'interrupted; --resume goes on',
  },
  async run({ args: [release], options, output }) {
    const { prepareRun } = await import('../qa/prepare-run.ts');
    const { prepareOutputs } = await import('../budget/write-outputs.ts');
    const outputs = prepareOutputs(options, (text) => output.warn(text));
    const request = options.resume
      ? await resumedRequest(release, options)
      : await newRequest(release, options);
    const prepared = await prepareRun(request);
    if (options.dryRun) return showPlan(prepared, output);
    const dir = options.output ?? refuseWithout('--output DIR', 'the records are kept there');
    const { measure } = await import('../qa/measure.ts');
    const run = await measure(prepared, {
      dir,
      signal: output.interrupted,
      note: (text) => output.note(text),
      warn: (text) => output.warn(text),
      nowMs: () => performance.now(),
      now: () => new Date().toISOString(),
    });
    return report(run, outputs, options, output);
  },
});

interface QaOptions {
  readonly boots: number | undefined;
  readonly board: string | undefined;
  readonly boardFile: string | undefined;
  readonly baseline: string | undefined;
  readonly plan: string | undefined;
  readonly seed: number | undefined;
  readonly output: string | undefined;
  readonly timeout: number | undefined;
  readonly select: string | undefined;
  readonly powerOn: string | undefined;
  readonly powerOff: string | undefined;
  readonly offTime: number | undefined;
  readonly dictionary: string | undefined;
  readonly settle: number | undefined;
  readonly evidence: RunRequest['arguments']['evidence'] | undefined;
  readonly specimen: string | undefined;
  readonly condition: readonly string[];
  readonly dryRun: boolean;
}

function refuseWithout(what: string, why: string): never {
  throw new ColdsealError('USAGE_MISSING_OPTION', `Cannot measure without ${what}: ${why}`);
}

/** What the command line asks for. */
async function newRequest(release: string | undefined, options: QaOptions): Promise<RunRequest> {
  const { parseRig, checkRigOptions, parseConditions } = await import('../qa/rig-arguments.ts');
  const { EVIDENCE_DEFAULT } = await import('../qa/prepare-run.ts');
  if (release === undefined) {
    throw new ColdsealError(
      'USAGE_MISSING_ARGUMENT',
      'Cannot measure nothing: expected a release directory, or --resume',
    );
  }
  const { board = 'virtual', baseline = null } = options;
  checkRigOptions(parseRig(board), { ...options }, baseline !== null);
  return {
    arguments: {
      release,
      baseline,
      board,
      boardFile: options.boardFile ?? null,
      select: options.select ?? null,
      powerOn: options.powerOn ?? null,
      powerOff: options.powerOff ?? null,
      offTimeS: options.offTime ?? OFF_TIME_S,
      settleS: options.settle ?? SETTLE_S,
      timeoutS: options.timeout ?? TIMEOUT_S,
      dictionary: options.dictionary ?? null,
      evidence: options.evidence ?? EVIDENCE_DEFAULT,
      specimen: options.specimen ?? null,
      conditions: parseConditions(options.condition),
    },
    directory: process.cwd(),
    plan: options.plan,
    boots: options.boots,
    seed: options.seed ?? SEED,
  };
}

/** Options that decide what is measured; with --resume they are those of the run. */
const RUN_OPTIONS = [
  'boots',
  'board',
  'boardFile',
  'baseline',
  'plan',
  'seed',
  'timeout',
  'select',
  'powerOn',
  'powerOff',
  'offTime',
  'dictionary',
  'settle',
  'evidence',
  'specimen',
] as const satisfies readonly (keyof QaOptions)[];

/** What the run in --output was begun with. */
async function resumedRequest(
  release: string | undefined,
  options: QaOptions,
): Promise<RunRequest> {
  const { requestOf } = await import('../qa/prepare-run.ts');
  const { readRunRecord, RUN_FILE } = await import('../qa/run-record.ts');
  const { output: dir, condition } = options;
  if (dir === undefined) refuseWithout('--output DIR', 'it holds the run that goes on');
  const isAlone =
    release === undefined &&
    condition.length === 0 &&
    RUN_OPTIONS.every((name) => options[name] === undefined);
  if (!isAlone) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use other arguments with --resume: ${RUN_FILE} has those that the run began with`,
      { hint: `coldseal qa --resume --output ${dir}` },
    );
  }
  const record = readRunRecord(dir);
  if (record !== undefined) return requestOf(record);
  throw new ColdsealError(
    'USAGE_NO_RUN',
    `Cannot go on in ${dir}: expected a run with ${RUN_FILE}`,
  );
}

async function showPlan(prepared: PreparedRun, output: Output): Promise<number> {
  const { planLines } = await import('../qa/plan-lines.ts');
  const { record, description } = prepared;
  for (const line of planLines(prepared)) output.line(line);
  const { plan, boots, seed, schedule, inputs, driver } = record;
  output.result({ plan, boots, seed, schedule, inputs, driver, steps: description.steps });
  return 0;
}

interface ReportingOptions {
  readonly margin: number | undefined;
  readonly history: string | undefined;
  readonly annotations: boolean;
}

/** The end of a run: its figures, the verdict that the plan gives, and the outputs that were asked for. */
async function report(
  run: FinishedRun,
  outputs: PreparedOutputs,
  { margin, history, annotations: isAnnotated }: ReportingOptions,
  output: Output,
): Promise<number> {
  const { summarizeRun, summaryTable } = await import('../qa/summary.ts');
  const { evidenceOfRun } = await import('../qa/run-evidence.ts');
  const { readHistory } = await import('../budget/read-history.ts');
  const { writeOutputs } = await import('../budget/write-outputs.ts');
  const { dir, record, board, boots } = run;
  const summary = summarizeRun(boots, board);
  for (const line of summaryTable(summary)) output.line(line);
  if (summary.isRepeatable === false) {
    output.line('boots of one release differ by more than the board file tolerates');
  }
  const evidence = evidenceOfRun(run, {
    marginMs: margin,
    history: history === undefined ? undefined : await readHistory(history),
  });
  const written = writeOutputs(evidence, outputs);
  const { outcome, checks } = evidence;
  output.line(outcome.sentence);
  output.line(`records in ${dir}`);
  for (const path of written) output.note(`wrote ${path}`);
  if (isAnnotated) await printAnnotations(evidence, output);
  const { plan, seed, schedule } = record;
  const head = { run: dir, plan, boots: record.boots, seed, schedule };
  const isOk = outcome.exitCode === 0;
  output.result({ ...head, ...summary, outcome, checks, written }, { ok: isOk });
  return outcome.exitCode;
}
