/**
 * Short options as the C library's getopt(3) reads them: clusters, values attached or apart, operands anywhere.
 */

export type GetoptResult =
  | {
      readonly ok: true;
      readonly options: readonly { readonly letter: string; readonly value: string }[];
      readonly operands: readonly string[];
    }
  | { readonly ok: false; readonly problem: string };

/** Reads arguments by an option string such as `ht:o:`; a colon after a letter means that it takes a value. */
export function getopt(argv: readonly string[], optionString: string): GetoptResult {
  const options: { letter: string; value: string }[] = [];
  const operands: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--') {
      operands.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const known = letter === ':' ? -1 : optionString.indexOf(letter);
      if (known < 0) return { ok: false, problem: `invalid option -- '${letter}'` };
      if (optionString[known + 1] !== ':') {
        options.push({ letter, value: '' });
        continue;
      }
      const value = at + 1 < word.length ? word.slice(at + 1) : argv[++i];
      if (value === undefined) {
        return { ok: false, problem: `option requires an argument -- '${letter}'` };
      }
      options.push({ letter, value });
      break;
    }
  }
  return { ok: true, options, operands };
}
