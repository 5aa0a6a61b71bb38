/**
 * Bytes of a serial line, as they come in pieces, made into lines with the time of their first byte. Pure.
 *
 * A line is looked at before its end as well, because a prompt never ends. Carriage returns and NULs go; nothing
 * else is interpreted. A line without an end is broken where a boot record of the runtime would not reach.
 */

export interface SerialLine {
  /** One char per byte. */
  readonly text: string;
  /** When its first byte arrived. */
  readonly atNs: number;
}

/** A boot record has at most a quarter of a megabyte. */
export const LINE_CHARS_MAX = 512 * 1024;

export class LineSplitter {
  readonly #onLine: (line: SerialLine, isWhole: boolean) => void;
  #text = '';
  #atNs = 0;

  /** `onLine` gets each line when it is whole, and what there is of it after each piece before that. */
  constructor(onLine: (line: SerialLine, isWhole: boolean) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Buffer, atNs: number): void {
    const pieces = bytes
      .toString('latin1')
      .replace(/[\r\0]/g, '')
      .split('\n');
    pieces.forEach((piece, index) => {
      if (this.#text === '') this.#atNs = atNs;
      this.#text += piece;
      const isWhole = index < pieces.length - 1 || this.#text.length > LINE_CHARS_MAX;
      if (isWhole) this.end();
      else if (piece !== '') this.#onLine({ text: this.#text, atNs: this.#atNs }, false);
    });
  }

  /** Ends the line that is under way. */
  end(): void {
    const line = { text: this.#text, atNs: this.#atNs };
    this.#text = '';
    this.#onLine(line, true);
  }

  /** Whether a line is under way. */
  get isWithin(): boolean {
    return this.#text !== '';
  }
}

/** Lines in the form of grabserial: `[seconds since-the-line-before] text`. */
export function grabserialText(lines: readonly SerialLine[]): Buffer {
  const seconds = (ns: number): string => (ns / 1e9).toFixed(6);
  let previous = 0;
  const rows = lines.map(({ text, atNs }) => {
    const row = `[${seconds(atNs)} ${seconds(atNs - previous)}] ${text}\n`;
    previous = atNs;
    return row;
  });
  return Buffer.from(rows.join(''), 'latin1');
}
