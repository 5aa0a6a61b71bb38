/** SOURCE_DATE_EPOCH, the only time source that builds have (reproducible-builds.org). */
import { ColdsealError } from '../../runtime/format/errors.ts';

/** Seconds since 1970 from the text of the environment; throws CONFIG_SOURCE_DATE_EPOCH. */
export function parseSourceDateEpoch(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ColdsealError(
    'CONFIG_SOURCE_DATE_EPOCH',
    `Cannot use SOURCE_DATE_EPOCH ${JSON.stringify(text)}: expected seconds since 1970`,
    { hint: 'set it to a number, or take it out of the environment' },
  );
}
