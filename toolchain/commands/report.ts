/** `coldseal report`: whether a board keeps its boot budget, how surely, and what changed since the baseline. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import { printAnnotations } from './print-annotations.ts';
import { REPORT_OPTIONS } from './report-options.ts';

export const report = defineCommand({
  name: 'report',
  summary: 'Judge boot records against the budget of their board',
  description: `Reads RECORDS, JSON lines as boot --out, qa, records import or a device write them, and answers three
questions, each by itself. Compliance, for real boards: does the share of cold boots that the plan asks for keep to the
budget, with the plan's confidence? Regression, with --baseline: is this release slower than that one? Drift, with
--history: did the level change over the builds, and with which?

Figures of different evidence (virtual, board-selfclock, board-serial, board-gpio), kinds of start and conditions are
never mixed: each group is judged by itself, and the worst one decides. A virtual board predicts; it never proves that a
real one keeps its budget. Two runs of a virtual board are compared exactly, within the tolerance of the board file.

The plan is fixed before the boots: only as many as it asks for are counted, in the order they were run. The same
records give the same bytes in every output. An evidence file, as --json writes it, can be given instead of records: it
is judged again, and refused when its answers do not follow from its samples.`,
  args: [{ name: 'records', help: 'files of boot records, or - for stdin', variadic: true }],
  options: {
    board: {
      flag: '--board <id>',
      help: 'board whose budget counts: identifier or file (default: as the records)',
    },
    baseline: {
      flag: '--baseline <records>',
      help: 'records of the release to compare with',
      repeat: true,
    },
    ...REPORT_OPTIONS,
  },
  examples: [
    {
      run: 'coldseal report records.jsonl --html report.html --junit report.xml',
      note: 'Judge the boots of a virtual board and write the page and the test results',
    },
    {
      run: 'coldseal report slower.jsonl --baseline records.jsonl',
      note: 'Compare a release with the one before: this one is slower, and the stage is named',
      exits: 5,
    },
    {
      run: 'coldseal report records.jsonl --json evidence.json --sign keys/dev',
      note: 'Sign the evidence, for whoever asks in three years: coldseal verify checks it',
    },
  ],
  exitCodes: {
    5: 'over budget, a regression, inconclusive or bad evidence; the reason code says which',
  },
  async run({ args: records, options, output }) {
    const { makeReport } = await import('../budget/make-report.ts');
    const { prepareOutputs, writeOutputs } = await import('../budget/write-outputs.ts');
    if ([...records, ...options.baseline].filter((path) => path === '-').length > 1) {
      throw new ColdsealError('USAGE_OPTION_CONFLICT', 'Cannot read stdin twice: expected one -');
    }
    const outputs = prepareOutputs(options, (text) => output.warn(text));
    const { readHistory } = await import('../budget/read-history.ts');
    const evidence = makeReport({
      records,
      baseline: options.baseline,
      board: options.board,
      from: process.cwd(),
      plan: options.plan,
      seed: options.seed,
      marginMs: options.margin,
      history: options.history === undefined ? undefined : await readHistory(options.history),
    });
    const written = writeOutputs(evidence, outputs);
    const { reportText } = await import('../budget/report/text.ts');
    for (const line of reportText(evidence, output.style)) output.line(line);
    for (const path of written) output.note(`wrote ${path}`);
    if (options.annotations) await printAnnotations(evidence, output);
    const { outcome } = evidence;
    output.result({ outcome, checks: evidence.checks, written }, { ok: outcome.exitCode === 0 });
    return outcome.exitCode;
  },
});
