/** What `node:path` means on QuickJS to modules that only join names. */
export const join = (...parts: readonly string[]): string => parts.join('/');
