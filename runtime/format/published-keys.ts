/**
 * Keys whose private half is public: the test keys of this repository.
 *
 * Android devices have shipped signed with the published AVB test key. So these pins are compiled in, are
 * refused wherever they stand in a chain, and no option turns that off.
 */

/** Lower-case SHA-256 of SubjectPublicKeyInfo; each with the file that holds the private key. */
export const PUBLISHED_KEYS: ReadonlySet<string> = new Set([
  'PIN', // test/vectors/keys/published.key.pem
]);
