/** The `--filter` options of the image commands: names of the root directory. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { byteStringOfText } from './byte-string.ts';

/** The names as byte strings, or undefined when there are none. */
export function parseFilter(names: readonly string[]): ReadonlySet<string> | undefined {
  for (const name of names) {
    if (name === '' || name.includes('/')) {
      throw new ColdsealError(
        'USAGE_FILTER',
        `Cannot filter by ${JSON.stringify(name)}: expected one name of the root directory`,
        { hint: 'repeat --filter for several names' },
      );
    }
  }
  return names.length === 0 ? undefined : new Set(names.map(byteStringOfText));
}
