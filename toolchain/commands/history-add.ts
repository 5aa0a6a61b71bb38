/** `coldseal history add`: records of boots into the history. */
import { defineCommand } from '../cli/command.ts';
import { DB_OPTION } from '../history/options.ts';

export const historyAdd = defineCommand({
  name: 'history add',
  summary: 'Add records of boots to the history',
  description: `Adds the records of each FILE (of importers, of boot --out, or a device's own) to a history: a SQLite
file, which is made, or a PostgreSQL database that several rigs share. Boots that are there already are counted and left
as they are, so a file can be added again after it grew. Each file is added as a whole or not at all, and rigs that add
at the same time wait for each other.

A password belongs into PGPASSWORD or ~/.pgpass rather than into the URL, where other users of the machine see it.`,
  args: [{ name: 'file', help: 'records, one a line; - is stdin', variadic: true }],
  options: DB_OPTION,
  examples: [
    { run: 'coldseal history add boots.jsonl', note: 'Keep the boots of a test run' },
    {
      run: 'coldseal history add boots.jsonl --db lab.db',
      note: 'Keep them in another file',
    },
  ],
  exitCodes: {
    4: 'a file holds something else than records, or the database is no history',
    6: 'the database cannot be reached or written, or is locked by another process',
  },
  async run({ args, options, output }) {
    const { historyPlace } = await import('../history/place.ts');
    const { withHistory } = await import('../history/open.ts');
    const { addBoots } = await import('../history/add.ts');
    const { readGrowingRecords } = await import('../budget/read-records.ts');
    const place = historyPlace(options.db, process.env);
    // All files are read before anything is changed: a mistake in the last one is found first.
    const files = args.map((file) => ({ file, boots: readGrowingRecords(file).boots }));
    const results = await withHistory(place, 'add', async (history) => {
      const added: object[] = [];
      for (const { file, boots } of files) {
        const result = await addBoots(history, boots);
        const name = file === '-' ? 'stdin' : file;
        output.line(`${name}: ${result.added} added, ${result.known} there already`);
        added.push({ file, ...result });
      }
      return added;
    });
    output.result({ history: place.shown, files: results });
  },
});
