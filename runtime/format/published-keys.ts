/**
 * Keys whose private half is public: the test keys of this repository.
 *
 * Android devices have shipped signed with the published AVB test key. So these pins are compiled in, are
 * refused wherever they stand in a chain, and no option turns that off.
 */

/** Lower-case SHA-256 of SubjectPublicKeyInfo; each with the file that holds the private key. */
export const PUBLISHED_KEYS: ReadonlySet<string> = new Set([
  '0ba65a1060a30cdd02de3f80fc773d3fe653a0b77299a12d1d4bdcb0d28fb2e0', // test/vectors/keys/published.key.pem
]);
