/** `coldseal history show`: one boot with its stages. */
import { defineCommand } from '../cli/command.ts';
import { DB_OPTION } from '../history/options.ts';

export const historyShow = defineCommand({
  name: 'history show',
  summary: 'Show one boot with its stages',
  description: `Shows a boot by its identifier, or the first digits of it: what was booted, how it was measured, each
stage and event. The record is compared with the digest it was added with.`,
  args: [{ name: 'id', help: 'identifier of a boot, 4 digits or more' }],
  options: DB_OPTION,
  examples: [
    {
      run: 'coldseal history show 6a24',
      note: 'Show a boot',
      before: 'coldseal history add boots.jsonl --quiet',
    },
  ],
  exitCodes: { 4: 'the record is not what was added' },
  async run({ args: [id], options, output }) {
    const { historyPlace } = await import('../history/place.ts');
    const { withHistory } = await import('../history/open.ts');
    const { findRecord } = await import('../history/query.ts');
    const { describeBoot } = await import('../history/describe-boot.ts');
    const { MEASURED_BOOT } = await import('../budget/measured-boot.ts');
    const place = historyPlace(options.db, process.env);
    const found = await withHistory(place, 'read', (history) => findRecord(history, id));
    const record = MEASURED_BOOT.parse(JSON.parse(found.text));
    for (const line of describeBoot(found.id, record)) output.line(line);
    output.result({ history: place.shown, id: found.id, record });
  },
});
