/** PEM (RFC 7468): certificates as text, several in one file. */
import { readFileSync, statSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';

/** A trust file or chain is a few kilobytes; more is a mistake. */
const FILE_BYTES_MAX = 256 * 1024;

/** The certificates of PEM text, in order; throws CONFIG_PEM when there is none or one is damaged. */
export function certificatesOfPem(text: string, name: string): Uint8Array[] {
  const blocks = text.matchAll(
    /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g,
  );
  const ders = [...blocks].map((block) => new Uint8Array(Buffer.from(block[1]!, 'base64')));
  const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1;
  if (ders.length === 0 || ders.length !== begun || ders.some((der) => der.length === 0)) {
    throw new ColdsealError(
      'CONFIG_PEM',
      `Cannot read ${name}: expected PEM certificates, found ${whatIsThere(text, ders.length, begun)}`,
    );
  }
  return ders;
}

function whatIsThere(text: string, whole: number, begun: number): string {
  if (begun > 0) return whole === begun ? 'an empty one' : `only ${whole} whole of ${begun}`;
  return text.includes('PRIVATE KEY-----') ? 'a private key' : 'none';
}

/** A certificate as PEM text. */
export function pemOfCertificate(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Reads a small regular file that a user named. */
export function readSmallFile(path: string): Uint8Array {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) {
      throw new ColdsealError(
        'CONFIG_FILE_TOO_LARGE',
        `Cannot use ${path}: it has ${size} bytes, expected at most ${FILE_BYTES_MAX}`,
      );
    }
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
}
