/**
 * Signs manifests, and says no where a signature would do harm.
 *
 * Refused: a development key for a production board, a key that is not for the manifest's role, an expired
 * leaf, a manifest that devices could not read. A leaf that ends within 30 days gets a warning.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { decodeManifest, encodeManifest, type Manifest } from '../../runtime/format/manifest.ts';
import { PURPOSE, purposeName } from '../../runtime/format/oids.ts';
import { recipesOf } from '../image/recipe.ts';
import { type EnvelopePlan, planEnvelope, signEnvelope } from './sign-envelope.ts';
import { agreeWithSecondReader } from './second-reader.ts';
import type { Signer, SignerDescription } from './signer.ts';

export interface SignOptions {
  /** Those of the manifest's boards whose board file says `production`. */
  readonly productionBoards?: readonly string[];
  /** Seconds since 1970; the host's clock by default. Never enters the envelope. */
  readonly now?: number;
  readonly onWarning?: (text: string) => void;
}

/** RAUC warns at one month as well. */
const WARN_SECONDS = 30 * 86_400;

/** The signed envelope of a manifest, already verified through two code paths. */
export function signManifest(
  manifest: Manifest,
  signer: Signer,
  options: SignOptions = {},
): Uint8Array {
  checkSigner(manifest, signer.describe(), options);
  return signEnvelope('manifest', manifestPayload(manifest), signer);
}

/** First half of offline signing: what to carry to the key. Complete it with `attachSignature`. */
export function exportTbs(
  manifest: Manifest,
  signer: SignerDescription,
  options: SignOptions = {},
): EnvelopePlan {
  checkSigner(manifest, signer, options);
  return planEnvelope('manifest', manifestPayload(manifest), signer);
}

/** What is signed must decode: a device refuses what this throws for. */
function manifestPayload(manifest: Manifest): Uint8Array {
  const payload = encodeManifest(manifest);
  // Devices do not read recipes; whoever compares builds does.
  recipesOf(decodeManifest(payload));
  agreeWithSecondReader(payload, 'the manifest');
  return payload;
}

/** Refuses a signer that must not sign this manifest; a release asks before it builds anything. */
export function checkSigner(
  manifest: Pick<Manifest, 'role'>,
  signer: SignerDescription,
  options: SignOptions,
): void {
  const { productionBoards = [], now = Math.floor(Date.now() / 1000), onWarning } = options;
  const isDevelopment =
    manifest.role === PURPOSE.DEVELOPMENT || signer.purposes.includes(PURPOSE.DEVELOPMENT);
  if (isDevelopment && productionBoards.length > 0) {
    throw new ColdsealError(
      'CONFIG_KEY_DEVELOPMENT',
      `Cannot sign for ${productionBoards.join(', ')} with ${signer.name}: production boards take no development key`,
      { hint: 'sign with a production key, or build for a development board' },
    );
  }
  if (!signer.purposes.includes(manifest.role)) {
    const named = signer.purposes.map(purposeName).join(', ');
    throw new ColdsealError(
      'CONFIG_KEY_ROLE',
      `Cannot sign in role ${purposeName(manifest.role)} with ${signer.name}: it is for ${named}`,
    );
  }
  checkDates(signer, now, { onWarning });
}

export interface DateCheckOptions {
  readonly onWarning?: ((text: string) => void) | undefined;
  /** The command that makes a new certificate. */
  readonly renewal?: string | undefined;
}

/** Refuses an expired or future leaf and warns about one that ends soon. */
export function checkDates(
  signer: SignerDescription,
  now: number,
  { onWarning, renewal = 'keys init --force' }: DateCheckOptions = {},
): void {
  if (now > signer.notAfter || now < signer.notBefore) {
    const problem = now > signer.notAfter ? 'has expired' : 'is not valid yet';
    throw new ColdsealError(
      'CONFIG_KEY_EXPIRED',
      `Cannot sign with ${signer.name}: its certificate ${problem}`,
      { hint: `make new development keys with: coldseal ${renewal}` },
    );
  }
  if (signer.notAfter - now < WARN_SECONDS) {
    const days = Math.floor((signer.notAfter - now) / 86_400);
    onWarning?.(`the certificate of ${signer.name} expires in ${days} days`);
  }
}
