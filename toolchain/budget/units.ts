/** Times and counts as reports write them: the same text everywhere, on every machine. */

/** Milliseconds with a decimal point: `583.2 ms`. */
export function msText(ns: number, digits = 1): string {
  return `${msNumber(ns, digits)} ms`;
}

/** The number alone, for tables whose head has the unit. */
export function msNumber(ns: number, digits = 1): string {
  const text = (ns / 1e6).toFixed(digits);
  // A difference that rounds to nothing has no sign.
  return /^-0(?:\.0*)?$/.test(text) ? text.slice(1) : text;
}

/** A difference with its sign: `+1.1 ms`. */
export function shiftText(ns: number, digits = 1): string {
  const text = msText(ns, digits);
  return ns > 0 && !/^0(?:\.0*)? /.test(text) ? `+${text}` : text;
}

/** A part of one in percent, without digits that say nothing: `95 %`, `99.9 %`. */
export function percentOf(part: number, digits = 1): string {
  return `${Number((part * 100).toFixed(digits))} %`;
}

/** `1 boot`, `59 boots`. */
export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
