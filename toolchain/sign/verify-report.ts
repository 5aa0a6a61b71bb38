/** What `verify` prints: the same facts as text and as JSON. */
import { toHex } from '../../runtime/format/bytes.ts';
import type { CborMap } from '../../runtime/format/cbor.ts';
import type { VerifiedChain } from '../../runtime/format/chain.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { purposeName } from '../../runtime/format/oids.ts';
import { commonName } from '../../runtime/format/x509.ts';
import { CHECKS, type CheckResult } from '../../runtime/verify.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { decodeRecipe, describeRecipe } from '../image/recipe.ts';
import type { ReleaseReport } from './check-release.ts';
import { DISK_FILE } from './release-files.ts';

/** The report in lines. The first says yes or no. */
export function textReport(report: ReleaseReport): string[] {
  const { verdict, objects, bootFiles } = report;
  const { manifest, reason } = verdict;
  const lines =
    reason === undefined
      ? [
          `verified: ${manifest!.images.length} images, ${objects.count} objects, ${objects.bytes} bytes`,
        ]
      : [`NOT verified: ${reason.message}`, `reason code   ${reason.code}`];
  if (manifest !== undefined) {
    lines.push(
      `release       ${manifest.product} ${manifest.version} (${toHex(manifest.releaseId)})`,
    );
    lines.push(`boards        ${manifest.boards.join(', ')}`);
  }
  if (verdict.manifestSha256 !== undefined) {
    lines.push(`manifest      sha256 ${toHex(verdict.manifestSha256)}`);
  }
  for (const { name, pin, purposes } of signers(report)) {
    lines.push(`signed by     ${name}, key ${pin}, for ${purposes.join(', ')}`);
  }
  for (const name of CHECKS) lines.push(`${name.padEnd(14)}${resultText(verdict[name])}`);
  for (const { image, result } of verdict.images) {
    lines.push(`image         ${image.name}: ${resultText(result)} (${toHex(image.digest.value)})`);
  }
  if (bootFiles.length > 0) lines.push(`boot files    ${bootFiles.join(', ')}: pass`);
  if (report.hasDisk) lines.push(`disk          not looked at: coldseal disk check ${DISK_FILE}`);
  return lines;
}

/** A result in a word or two. */
export function resultText(result: CheckResult): string {
  if (result.status === 'pass') return 'pass';
  return `${result.status === 'fail' ? 'FAIL' : 'not evaluated'} (${result.code})`;
}

/** The report as the `result` of the JSON document. */
export function jsonReport(report: ReleaseReport): object {
  const { verdict, objects } = report;
  const { manifest, reason } = verdict;
  return {
    verified: verdict.ok,
    reason: reason === undefined ? null : { code: reason.code, message: reason.message },
    checks: Object.fromEntries(CHECKS.map((name) => [name, verdict[name]])),
    manifestSha256: verdict.manifestSha256 === undefined ? null : toHex(verdict.manifestSha256),
    release:
      manifest === undefined
        ? null
        : {
            product: manifest.product,
            version: manifest.version,
            releaseId: toHex(manifest.releaseId),
            boards: manifest.boards,
            role: purposeName(manifest.role),
            epochs: Object.fromEntries(manifest.epochs),
            builtAt: manifest.builtAt,
          },
    signers: signers(report),
    images: verdict.images.map(({ image, result }) => ({
      name: image.name,
      digest: toHex(image.digest.value),
      size: image.size,
      ...result,
      recipe: shownRecipe(image.recipe),
    })),
    objects,
    bootFiles: report.bootFiles,
    disk: report.hasDisk ? 'not-evaluated' : null,
  };
}

/** Null where there is none, or none that can be read: the verdict says so. */
function shownRecipe(recipe: CborMap | undefined): object | null {
  try {
    return recipe === undefined ? null : describeRecipe(decodeRecipe(recipe, 'recipe'));
  } catch (error) {
    if (error instanceof ColdsealError) return null;
    throw error;
  }
}

function signers(report: ReleaseReport): Omit<ShownSigner, 'notBefore' | 'notAfter'>[] {
  const { chain } = report.verdict;
  if (chain === undefined) return [];
  const { name, pin, purposes } = describeSigner(chain);
  return [{ name, pin, purposes }];
}

export interface ShownSigner {
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly pin: string;
  readonly purposes: readonly string[];
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
}

/** The leaf of a chain as the one who signed. */
export function describeSigner({ leaf, purposes }: VerifiedChain): ShownSigner {
  const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return {
    name: commonName(leaf.subject) ?? '',
    pin: toHex(createNodeCrypto().sha256(leaf.spki)),
    purposes: [...purposes].map(purposeName),
    notBefore: iso(leaf.notBefore),
    notAfter: iso(leaf.notAfter),
  };
}
