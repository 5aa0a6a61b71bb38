/**
 * Where a history is: the path of a SQLite file, or the URL of a PostgreSQL database. Pure.
 *
 * A URL may hold a password, so what is printed of it is put together from its harmless parts only, and a text that
 * cannot be understood is not repeated.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';

export interface HistoryPlace {
  readonly kind: 'sqlite' | 'postgres';
  /** Path or URL, for the driver. Never print it. */
  readonly target: string;
  /** The same for people, without a password. */
  readonly shown: string;
}

/** Looked for in the current directory when nobody says where the history is. */
export const DEFAULT_PLACE = 'boot-history.db';

/** The place that was asked for: the option, else $COLDSEAL_HISTORY, else the default. Throws USAGE_HISTORY_PLACE. */
export function historyPlace(
  option: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): HistoryPlace {
  const variable = env['COLDSEAL_HISTORY'];
  // A variable that is set to nothing is one that is not set.
  const text = option ?? (variable === undefined || variable === '' ? DEFAULT_PLACE : variable);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: 'sqlite', target: text, shown: text };
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    throw refusal(`its scheme is ${scheme}, expected a path or postgres://`);
  }
  return { kind: 'postgres', target: text, shown: shownUrl(text) };
}

/** Stands where a URL with a user has no host, which is PostgreSQL's form for a socket and no URL otherwise. */
const NO_HOST = 'no-host.invalid';

function shownUrl(text: string): string {
  const whole = URL.canParse(text) ? text : text.replace('@/', `@${NO_HOST}/`);
  if (!URL.canParse(whole)) throw refusal('it is not a URL');
  const url = new URL(whole);
  if (url.pathname.length < 2) throw refusal('it names no database');
  // The host of a socket is a parameter, since a path does not fit where a host stands.
  const socket = url.searchParams.get('host');
  const user = url.username === '' ? '' : `${url.username}@`;
  const query = socket === null ? '' : `?host=${socket}`;
  const host = url.host === NO_HOST ? '' : url.host;
  return `postgres://${user}${host}${url.pathname}${query}`;
}

function refusal(problem: string): ColdsealError {
  return new ColdsealError('USAGE_HISTORY_PLACE', `Cannot open the history: ${problem}`, {
    hint: 'such as --db boots.db or --db postgres://rig@server/boots',
  });
}
