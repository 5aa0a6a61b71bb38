/** `coldseal history export`: the history for other programs. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import { FILTER_OPTIONS, filterOf, TOTAL_OPTIONS } from '../history/options.ts';

export const historyExport = defineCommand({
  name: 'history export',
  summary: 'Write the history for other programs',
  description: `Writes boots to stdout, or to the file of --output. The formats: jsonl has the records as they are kept,
one a line, which history add takes back; csv has a row for each boot, stage, unit and event; otava has a row for each
build of one series, with metrics in columns, as Apache Otava reads it. Times are in nanoseconds. The order is the same
for every database, so the exports of two histories with the same boots are equal.`,
  options: {
    ...FILTER_OPTIONS,
    ...TOTAL_OPTIONS,
    format: {
      flag: '--format <format>',
      help: 'what to write',
      choices: ['jsonl', 'csv', 'otava'],
      default: 'jsonl',
    },
    output: { flag: '-o, --output <file>', help: 'write a file instead of stdout' },
    force: { flag: '--force', help: 'replace the file' },
  },
  examples: [
    {
      run: 'coldseal history export -o all.jsonl',
      note: 'Write a backup that history add takes back',
      before: 'coldseal history add boots.jsonl --quiet',
    },
    {
      run: 'coldseal history export --format otava --class virtual -o builds.csv',
      note: 'Write the builds of a series for Otava',
      before: 'coldseal history add boots.jsonl --quiet',
    },
  ],
  exitCodes: { 4: 'a record is not what was added' },
  async run({ options, output }) {
    const target = options.output === '-' ? undefined : options.output;
    if (output.json && target === undefined) {
      throw new ColdsealError(
        'USAGE_OPTION_CONFLICT',
        'Cannot export to stdout with --json: expected --output',
      );
    }
    const { historyPlace } = await import('../history/place.ts');
    const { withHistory } = await import('../history/open.ts');
    const { exportOtava, exportRecords, exportRows } = await import('../history/export.ts');
    const { totalByBoard } = await import('../history/board-total.ts');
    const { AtomicFile } = await import('../files/atomic-file.ts');
    const place = historyPlace(options.db, process.env);
    const filter = filterOf(options);
    using file =
      target === undefined ? undefined : new AtomicFile(target, { force: options.force });
    const write = (text: string): void =>
      file === undefined ? output.text(text) : file.write(Buffer.from(text));
    const counts = await withHistory(place, 'read', async (history) => {
      if (options.format === 'jsonl') {
        return { boots: await exportRecords(history, filter, write) };
      }
      if (options.format === 'csv') return { boots: await exportRows(history, filter, write) };
      return exportOtava(history, filter, totalByBoard(options, process.cwd()), write);
    });
    file?.commit();
    if ('leftOut' in counts && counts.leftOut > 0) {
      output.warn(`${counts.leftOut} builds are left out: without a release, a time or a total`);
    }
    output.result({ history: place.shown, path: target, ...counts });
  },
});
