/** `coldseal qa calibrate`: terms that turn a virtual boot into a prediction for a real board, and their error. */
import { basename } from 'node:path';
import { defineCommand } from '../cli/command.ts';

export const qaCalibrate = defineCommand({
  name: 'qa calibrate',
  summary: 'Fit virtual boots to those of a real board',
  description: `Fits processor and storage terms to records of at least eight deliberately different images that both
boards have booted, and publishes how wrong the terms are on images that they were not fitted to: every fourth image is
held out, and each one in turn is left out. The worst of these errors is printed with every prediction.

Images are matched by release. The virtual records need counted reads (coldseal boot DIR --io --out RECORDS); the real
ones are any records of one board, of one kind of evidence and of one kind of start. Of several boots of a release the
median counts. Images that are too alike, and terms that always change together, are refused: nobody could tell them
apart.

A calibration is for one board, one emulator and its version; coldseal boot --calibration FILE uses it. What it predicts
is modelled. Whether the board keeps its budget is measured on the board.`,
  options: {
    virtual: {
      flag: '--virtual <file>',
      help: 'records of the virtual board, with counted reads (needed)',
      repeat: true,
    },
    real: { flag: '--real <file>', help: 'records of the real board (needed)', repeat: true },
    output: { flag: '-o, --output <file>', help: 'where to write the calibration (needed)' },
    force: { flag: '--force', help: 'replace an existing output' },
  },
  examples: [
    {
      run: 'coldseal qa calibrate --virtual virtual.jsonl --real board.jsonl -o calibration.json',
      note: 'Fit the boots of a board and keep the terms',
      // The fixture of the examples has no board.
      exits: 6,
    },
  ],
  exitCodes: { 2: 'the records cannot tell the terms apart, or are of different boards' },
  async run({ options, output }) {
    const { ColdsealError } = await import('../../runtime/format/errors.ts');
    const { fitImages } = await import('../budget/calibrate.ts');
    const { makeCalibration } = await import('../budget/calibration.ts');
    const { isReal, matchImages } = await import('../budget/calibration-images.ts');
    const { calibrationLines } = await import('../budget/calibration-table.ts');
    const { readCounted } = await import('../budget/read-counted.ts');
    const { readRecords } = await import('../budget/read-records.ts');
    const { refuseExisting, writeFileAtomically } = await import('../files/atomic-file.ts');
    for (const name of ['virtual', 'real', 'output'] as const) {
      if (options[name] !== undefined && options[name].length > 0) continue;
      throw new ColdsealError('USAGE_MISSING_OPTION', `Cannot calibrate: expected --${name} FILE`);
    }
    const path = options.output!;
    if (!options.force) refuseExisting(path);
    const virtual = options.virtual.map((file) => ({ file, ...readCounted(file) }));
    const real = options.real.map((file) => ({ path: file, ...readRecords(file) }));
    for (const { path: file, boots } of real) {
      if (boots.every(isReal)) continue;
      throw new ColdsealError(
        'USAGE_CALIBRATION_MIXED',
        `Cannot calibrate: ${file} has boots of a virtual board, expected a real one`,
      );
    }
    const matched = matchImages(
      virtual.flatMap(({ boots }) => boots),
      real.flatMap(({ boots }) => boots),
    );
    const calibration = makeCalibration(matched, fitImages(matched.images), [
      ...virtual.map(({ file, sha256 }) => ({
        side: 'virtual' as const,
        file: basename(file),
        sha256,
      })),
      ...real.map(({ file, sha256 }) => ({ side: 'real' as const, file, sha256 })),
    ]);
    const bytes = Buffer.from(`${JSON.stringify(calibration, undefined, 2)}\n`);
    writeFileAtomically(path, bytes, { force: options.force });
    for (const line of calibrationLines(calibration)) output.line(line);
    output.line(`written in ${path}`);
    output.result({ calibration, written: [path] });
  },
});
