/**
 * What an installation asks of the dates of a release, and a boot never does: a car in storage must still start.
 *
 * Apart from verify.ts, so that the device bundle does not carry it.
 */
import { checkValidity } from './format/chain.ts';
import { ColdsealError } from './format/errors.ts';
import { notEvaluated, PASS, type TimeCheck } from './verify.ts';

/** Seconds since 1970. Not trusted: a floor, the real time may be later. */
export interface InstallTime {
  readonly now: number;
  readonly isTrusted: boolean;
}

/** Throws VERIFY_CERT_EXPIRED, VERIFY_CERT_NOT_YET_VALID, VERIFY_MANIFEST_EXPIRED, VERIFY_MANIFEST_NOT_YET_VALID. */
export function installTime(time: InstallTime | undefined): TimeCheck {
  return (manifest, chain) => {
    if (time === undefined) {
      return notEvaluated('VERIFY_TIME_UNKNOWN', 'Neither a trusted time nor a floor was given');
    }
    const { now, isTrusted } = time;
    checkValidity(chain, now, isTrusted);
    const { notBefore, notAfter } = manifest.valid ?? { notBefore: 0, notAfter: null };
    if (notAfter !== null && now > notAfter) {
      throw new ColdsealError(
        'VERIFY_MANIFEST_EXPIRED',
        'Cannot install: the manifest has expired',
      );
    }
    if (isTrusted && now < notBefore) {
      throw new ColdsealError(
        'VERIFY_MANIFEST_NOT_YET_VALID',
        'Cannot install: the manifest is not valid yet',
      );
    }
    return PASS;
  };
}
