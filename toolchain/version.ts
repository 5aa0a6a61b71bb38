/** The version of coldseal: put in by the build from package.json. */
declare const COLDSEAL_VERSION: string | undefined;

export const VERSION: string =
  typeof COLDSEAL_VERSION === 'string' ? COLDSEAL_VERSION : '0.0.0-unbuilt';
