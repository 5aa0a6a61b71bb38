/** Times as people write them in options and bootsets: to the second, in UTC. */

/** Seconds since 1970 of `2026-01-31T00:00:00Z`; undefined when it is no such time. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || ms < 0) return undefined;
  // Date.parse takes 31 February for a day in March.
  return new Date(ms).toISOString() === text.replace('Z', '.000Z') ? ms / 1000 : undefined;
}
