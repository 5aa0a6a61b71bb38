/** The settings of a recipe that are words: for bootsets, options of commands, and the manifest. */

/** The words of each setting; a word's number in the manifest is its place, counted from 1. */
export const RECIPE_WORDS = {
  mtime: ['keep', 'epoch', 'clamp', 'seconds'],
  xattrs: ['all', 'user', 'none', 'capability'],
  hardlinks: ['split', 'keep'],
  devices: ['keep', 'skip'],
  rootMetadata: ['source', 'usr', 'fixed'],
} as const;
