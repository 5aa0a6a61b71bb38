/**
 * SHA-256 of the C side against FIPS 180-4 and against what Node says of all short lengths, given as an argument.
 * Prints its report as JSON.
 */
import type { Host } from '../../../runtime/engines/quickjs/host.ts';
import { ascii, toHex } from '../../../runtime/format/bytes.ts';
import { concatBytes } from '../../../runtime/format/concat.ts';
import { encodeUtf8 } from '../../../runtime/format/utf8.ts';
import type { Report } from './uvu.ts';

/** The examples that NIST publishes for FIPS 180-4. */
const VECTORS: readonly (readonly [name: string, message: Uint8Array, digest: string])[] = [
  ['abc', ascii('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ['nothing', new Uint8Array(), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  [
    '448 bits, whose padding needs a second block',
    ascii('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  [
    'a million times the letter a',
    new Uint8Array(1_000_000).fill(0x61),
    'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
  ],
];

/** Called by host.c. */
export function start(host: Host, _main: undefined, args: readonly string[]): number {
  const report = { passed: [] as string[], failed: [] as string[], skipped: [] as string[] };
  const check = (name: string, digest: string, expected: string | undefined): void => {
    if (digest === expected) report.passed.push(name);
    else report.failed.push(`${name}: ${digest}, expected ${expected}`);
  };
  for (const [name, message, digest] of VECTORS) check(name, toHex(host.sha256(message)), digest);
  const all = Array.from({ length: 321 }, (_, length) =>
    host.sha256(Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 0xff)),
  );
  check('every short length', toHex(host.sha256(concatBytes(...all))), args[0]);
  host.write(1, encodeUtf8(JSON.stringify(report satisfies Report)));
  return 0;
}
