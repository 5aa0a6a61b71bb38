/**
 * p values of many tests at once. With 40 stages and a level of 0.05 two are "slower" by chance alone; adjusted values
 * can be compared with the level as they are. Stages explain, the total gates.
 */

/** Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979): the chance of one false alarm or more. */
export function holm(pValues: readonly number[]): number[] {
  const count = pValues.length;
  const order = ascending(pValues);
  const adjusted = pValues.map(() => 0);
  let largest = 0;
  order.forEach((at, place) => {
    largest = Math.max(largest, Math.min(1, (count - place) * pValues[at]!));
    adjusted[at] = largest;
  });
  return adjusted;
}

/** Benjamini and Hochberg, "Controlling the False Discovery Rate" (1995): the part of alarms that are false. */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  const count = pValues.length;
  const order = ascending(pValues);
  const adjusted = pValues.map(() => 0);
  let least = 1;
  for (let place = count; place > 0; place--) {
    const at = order[place - 1]!;
    least = Math.min(least, (count / place) * pValues[at]!);
    adjusted[at] = least;
  }
  return adjusted;
}

/** The places of the values, the smallest first. */
function ascending(pValues: readonly number[]): number[] {
  if (!pValues.every((p) => p >= 0 && p <= 1)) throw new RangeError('expected probabilities');
  return pValues.map((_, at) => at).sort((a, b) => pValues[a]! - pValues[b]!);
}
