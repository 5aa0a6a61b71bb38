/** The case `report`: ten thousand boots, with a baseline of as many, judged and written in every form. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchCase, coldseal, usageRows } from './context.ts';
import { LIMITS, REFERENCE_RECORDS } from './limits.ts';
import { writeSyntheticRecords } from './synthetic-records.ts';

const OUTPUTS = ['html', 'junit', 'json', 'csv', 'perfetto', 'openmetrics', 'summary'] as const;

export const reportCase: BenchCase = {
  name: 'report',
  title: `report on ${REFERENCE_RECORDS.boots} boots`,
  async run({ dir, meter, runs }) {
    const records = join(dir, 'records.jsonl');
    const baseline = join(dir, 'baseline.jsonl');
    writeSyntheticRecords(records, REFERENCE_RECORDS.boots);
    writeSyntheticRecords(baseline, REFERENCE_RECORDS.boots / 10);
    const written = OUTPUTS.map((name) => [`--${name}`, join(dir, `report.${name}`)] as const);
    const all = ['report', records, '--force', ...written.flat()];
    const commands = [
      coldseal(['report', records, '--html', join(dir, 'report.html'), '--force']),
      coldseal(all),
      coldseal([...all, '--baseline', baseline]),
    ];
    const [page, everything, compared] = await meter.alternate(commands, { runs });
    for (const made of [records, baseline, ...written.map(([, path]) => path)]) rmSync(made);
    const limits = { wallLimitMs: LIMITS.reportMs, peakLimitBytes: LIMITS.reportPeakBytes };
    return {
      rows: [
        ...usageRows(page!, limits, 'page: '),
        ...usageRows(everything!, limits, 'every output: '),
        ...usageRows(compared!, {}, 'with a tenth as baseline: '),
      ],
      notes: [],
      samples: { page: page!, everything: everything!, compared: compared! },
    };
  },
};
