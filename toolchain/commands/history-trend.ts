/** `coldseal history trend`: how the boot time went from build to build. */
import { defineCommand } from '../cli/command.ts';
import { FILTER_OPTIONS, filterOf, TOTAL_OPTIONS } from '../history/options.ts';

export const historyTrend = defineCommand({
  name: 'history trend',
  summary: 'Show how the boot time went from build to build',
  description: `Shows the builds of each series, oldest first, as a table and as a small chart of their medians. Builds
are ordered by the time they were built, and those that do not say it come last. A build with which the level changes
is marked: E-divisive on ten builds or more, with the seed of reports, so the answer is the same every time.`,
  options: {
    ...FILTER_OPTIONS,
    ...TOTAL_OPTIONS,
    ascii: { flag: '--ascii', help: 'draw with ASCII characters only' },
  },
  examples: [
    {
      run: 'coldseal history trend --board demo-board --class virtual',
      note: 'Show the builds of a virtual board',
      before: 'coldseal history add boots.jsonl --quiet',
    },
  ],
  async run({ options, output }) {
    const { historyPlace } = await import('../history/place.ts');
    const { withHistory } = await import('../history/open.ts');
    const { readBoots } = await import('../history/query.ts');
    const { refuseUnknownEvents, totalByBoard } = await import('../history/board-total.ts');
    const { seriesOf } = await import('../history/series.ts');
    const { describeTrend, trendOf } = await import('../history/trend.ts');
    const { isAsciiOnly } = await import('../history/text-chart.ts');
    const { changePoints, SERIES_MIN } = await import('../budget/statistics/change-points.ts');
    const { DEFAULT_SEED } = await import('../budget/make-report.ts');
    const place = historyPlace(options.db, process.env);
    const filter = filterOf(options);
    const boots = await withHistory(place, 'read', (history) => readBoots(history, filter));
    refuseUnknownEvents(boots, options, process.cwd());
    const series = seriesOf(boots, totalByBoard(options, process.cwd()));
    const findChanges = (medians: readonly number[]): number[] => {
      if (medians.length < SERIES_MIN) return [];
      return changePoints(medians, { seed: DEFAULT_SEED }).map(({ index }) => index);
    };
    const trends = series.map((each) => trendOf(each, findChanges));
    const isAscii = options.ascii || isAsciiOnly(process.env);
    trends.forEach((trend, i) => {
      if (i > 0) output.line('');
      for (const line of describeTrend(trend, isAscii)) output.line(line);
    });
    if (trends.length === 0) output.note('no boots');
    output.result({ history: place.shown, trends });
  },
});
