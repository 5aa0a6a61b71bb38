/** A calibration and a prediction for people, as lines of text. Pure. */
import { type Term, TERMS } from './calibrate.ts';
import type { Calibration, Prediction } from './calibration.ts';

const WORDS: Readonly<Record<Term, (value: number) => string>> = {
  fixed: (value) => `${value.toFixed(1)} ms whatever the image`,
  cpu: (value) => `${value.toFixed(3)} ms for each virtual ms`,
  latency: (value) => `${value.toFixed(1)} us for each read`,
  transfer: (value) =>
    value === 0 ? 'nothing for bytes' : `${(1000 / value).toFixed(1)} MB/s for bytes`,
};

/** The terms, what they were fitted to, and how wrong they are. */
export function calibrationLines(calibration: Calibration): string[] {
  const { board, virtualBoard, emulator, evidence, span, total, stages, images } = calibration;
  const { failed, unmatched } = calibration.leftOut;
  const boots = images.reduce((sum, { realBoots }) => sum + realBoots, 0);
  return [
    `${board} (${evidence}) from ${virtualBoard} (${emulator.name} ${emulator.version}), ` +
      `${span.from} to ${span.to}: ${images.length} images, ${boots} boots`,
    ...(failed + unmatched === 0
      ? []
      : [`left out: ${failed} boots that failed, ${unmatched} of releases with one side only`]),
    '',
    ...TERMS.flatMap((term) => {
      const value = total.terms[term];
      return value === undefined ? [] : [`${term.padEnd(9)} ${WORDS[term](value)}`];
    }),
    '',
    `residual  ${residualText(total.residual)}`,
    ...total.heldOut.map((each) => `held out  ${unseenText(each)}`),
    ...total.leftOut.map((each) => `left out  ${unseenText(each)}`),
    ...(stages.length === 0 ? [] : ['', 'stages, each fitted by itself:']),
    ...stages.map(({ name, residual, unknown }) => {
      const missing = unknown.length === 0 ? '' : `; not told apart: ${unknown.join(', ')}`;
      return `  ${name.padEnd(14)} ${residualText(residual)}${missing}`;
    }),
    '',
    ...calibration.expires.map((what) => `expires with ${what}`),
  ];
}

/** ±x %, at most y ms: of images that the terms had not seen. */
export function residualText({ relative, ms }: Calibration['total']['residual']): string {
  return `±${(relative * 100).toFixed(1)} %, at most ${ms.toFixed(1)} ms`;
}

function unseenText({
  release,
  measuredMs,
  predictedMs,
}: Calibration['total']['heldOut'][number]): string {
  const error = predictedMs - measuredMs;
  const sign = error < 0 ? '-' : '+';
  return (
    `${release.slice(0, 16)}: measured ${measuredMs.toFixed(1)} ms, ` +
    `predicted ${predictedMs.toFixed(1)} ms (${sign}${Math.abs(error).toFixed(1)})`
  );
}

/** One line, and a second one where the boot lies outside what was calibrated. */
export function predictionLines({
  board,
  from,
  ms,
  plusMinusMs,
  residual,
  outside,
}: Prediction): string[] {
  return [
    `predicted for the real board: ${ms.toFixed(1)} ms ± ${plusMinusMs.toFixed(1)} (modelled), ` +
      `${board} from ${from} to the containers; residual ${residualText(residual)}`,
    ...(outside.length === 0
      ? []
      : [`outside what was calibrated: ${outside.join(', ')}; the ± may not hold`]),
  ];
}
