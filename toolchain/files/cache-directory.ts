/** Where everything is kept that can be made or fetched again: `$XDG_CACHE_HOME/coldseal` (XDG base directories). */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The path; nothing is made. An empty variable counts as unset, as the specification says. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'coldseal');
}
