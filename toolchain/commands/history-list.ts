/** `coldseal history list`: the builds of the history with their figures. */
import { defineCommand } from '../cli/command.ts';
import { FILTER_OPTIONS, filterOf, TOTAL_OPTIONS } from '../history/options.ts';

export const historyList = defineCommand({
  name: 'history list',
  summary: 'List the builds of the history with their figures',
  description: `Lists builds by series, oldest first. A series is what may be compared: one board, class of evidence,
kind of start and set of conditions; figures are never made over two of them. Median, 95th percentile and maximum are
of the raw totals, from the start event to the stop event of the board's budget. Boots that failed, are no evidence or
lack an event have no total, and are counted apart.`,
  options: { ...FILTER_OPTIONS, ...TOTAL_OPTIONS },
  examples: [
    {
      run: 'coldseal history list --board demo-board',
      note: 'List the builds of a board',
      before: 'coldseal history add boots.jsonl --quiet',
    },
    {
      run: 'coldseal history list --class board-gpio --condition temperature=-30C',
      note: 'List what was measured with a logic analyser in the cold',
      before: 'coldseal history add boots.jsonl --quiet',
    },
  ],
  async run({ options, output }) {
    const { historyPlace } = await import('../history/place.ts');
    const { withHistory } = await import('../history/open.ts');
    const { readBoots } = await import('../history/query.ts');
    const { refuseUnknownEvents, totalByBoard } = await import('../history/board-total.ts');
    const { seriesOf } = await import('../history/series.ts');
    const { describeSeries } = await import('../history/describe-series.ts');
    const place = historyPlace(options.db, process.env);
    const filter = filterOf(options);
    const boots = await withHistory(place, 'read', (history) => readBoots(history, filter));
    refuseUnknownEvents(boots, options, process.cwd());
    const series = seriesOf(boots, totalByBoard(options, process.cwd()));
    series.forEach((each, i) => {
      if (i > 0) output.line('');
      for (const line of describeSeries(each)) output.line(line);
    });
    if (series.length === 0) output.note('no boots');
    output.result({ history: place.shown, series });
  },
});
