/** Where the repository is: on QuickJS nowhere. */
export const ROOT = '/';
