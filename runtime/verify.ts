/**
 * The decision: envelope, trust and policy in, verdict out. Pure; everything is injected.
 *
 * The order is fixed and closed on failure: size cap, copy, envelope, chain to a pinned anchor, signature over
 * the exact bytes, deny list, role, then decoding and the canonical comparison, schema, min_runtime, product,
 * board, epochs, and each image. Nothing after the first failure is ever reported as passed, and "could not
 * be checked" is never a yes. Boot does not look at the time: a car in storage must still start, and authority
 * ends by epoch and deny list. An installation does.
 *
 * The five results of docs/threat-model.md (and time) are reported apart: a caller can tell a damaged image
 * from a stranger's signature.
 */
import type { Crypto } from './crypto.ts';
import { equalBytes, toHex } from './format/bytes.ts';
import { requireAlgorithm, type VerifiedChain, verifyChain } from './format/chain.ts';
import { decodeDenyList, type DenyList } from './format/deny-list.ts';
import {
  COSE_ALGORITHMS,
  type CoseAlgorithm,
  decodeEnvelope,
  encodeSigStructure,
  type Envelope,
  envelopeBytesMax,
  isContentType,
  KIND_PURPOSES,
  type ObjectKind,
} from './format/envelope.ts';
import { ColdsealError, type ErrorCode } from './format/errors.ts';
import type { ImageEntry } from './format/manifest-image.ts';
import { decodeManifest, type Manifest, releaseIdOf, type SignerRole } from './format/manifest.ts';
import { purposeName } from './format/oids.ts';
import { PUBLISHED_KEYS } from './format/published-keys.ts';
import { decodeTrustBundle, type TrustAnchor, type TrustBundle } from './format/trust.ts';

/** Whom to believe and how. */
export interface TrustPolicy {
  readonly anchors: readonly TrustAnchor[];
  /** The suite of the board; the artifact never chooses outside it. */
  readonly algorithms: readonly CoseAlgorithm[];
}

/** Judges the dates of an authentic manifest and its chain; throws the code of a no. */
export type TimeCheck = (manifest: Manifest, chain: VerifiedChain) => CheckResult;

/** Every field must be given: `undefined` says "this caller cannot know", and is reported as such. */
export interface VerifyPolicy extends TrustPolicy {
  /** Roles this device accepts; a production board lists no development. */
  readonly roles: readonly SignerRole[];
  readonly product: string | undefined;
  readonly board: string | undefined;
  /** Stored epoch per rollback domain; each must be present in the manifest and not be below. */
  readonly epochs: ReadonlyMap<number, number>;
  /** Lowest deny list version seen so far. */
  readonly denyVersion: number;
  /** Only an installation asks for the time (install-time.ts); a boot gives undefined. */
  readonly checkTime: TimeCheck | undefined;
}

/** What an engine measured on the open file it is going to mount. */
export interface ImageMeasurement {
  readonly size: number;
  /** fs-verity digest in the algorithm of the entry. */
  readonly digest: Uint8Array;
}

/** A manifest to judge. */
export interface ManifestRequest {
  readonly envelope: Uint8Array;
  /** The deny list's envelope, if there is one. */
  readonly denyList: Uint8Array | undefined;
  readonly policy: VerifyPolicy;
  readonly crypto: Crypto;
}

/** A manifest that was accepted, and what it was accepted with. */
export interface AcceptedManifest {
  readonly manifest: Manifest;
  /** SHA-256 of the manifest's bytes: names exactly what is verified. */
  readonly manifestSha256: Uint8Array;
  readonly chain: VerifiedChain;
  /** Of the deny list it was judged with; 0: there was none. */
  readonly denyVersion: number;
}

export interface VerifyRequest extends ManifestRequest {
  /** Measures an image now, or `at-mount`: the caller calls `checkImage` on each file it opens. */
  readonly images: 'at-mount' | ((image: ImageEntry) => ImageMeasurement);
}

export type CheckResult =
  | { readonly status: 'pass' }
  | {
      readonly status: 'fail' | 'not-evaluated';
      readonly code: ErrorCode;
      readonly message: string;
    };

export const CHECKS = ['authenticity', 'role', 'integrity', 'board', 'epoch', 'time'] as const;
export type CheckName = (typeof CHECKS)[number];

export interface ManifestVerdict extends Readonly<Record<CheckName, CheckResult>> {
  readonly ok: boolean;
  /** The first failure; undefined exactly when `ok`. */
  readonly reason: ColdsealError | undefined;
  /** Present as soon as it is authentic and readable, also when a later check says no. */
  readonly manifest: Manifest | undefined;
  /** SHA-256 of the manifest's bytes: names exactly what is verified. Present once authentic. */
  readonly manifestSha256: Uint8Array | undefined;
  readonly chain: VerifiedChain | undefined;
  /** Of the deny list it was judged with; 0: there was none. */
  readonly denyVersion: number;
  /** One result per image, in the manifest's order. */
  readonly images: readonly { readonly image: ImageEntry; readonly result: CheckResult }[];
}

/** The result of a check that said yes. */
export const PASS: CheckResult = { status: 'pass' };

/** The result of a check that could not be made, and why. */
export function notEvaluated(code: ErrorCode, message: string): CheckResult {
  return { status: 'not-evaluated', code, message };
}

const NOT_REACHED = /* @__PURE__ */ notEvaluated('VERIFY_NOT_REACHED', 'An earlier check said no');

/** The verdict while it is being reached. */
interface Ledger extends Partial<AcceptedManifest> {
  readonly results: Partial<Record<CheckName, CheckResult>>;
  current: CheckName;
  images: { image: ImageEntry; result: CheckResult }[];
}

/** Verifies a manifest and, unless `images` is `at-mount`, its images. Hostile input gives a verdict. */
export function verifyManifest(request: VerifyRequest): ManifestVerdict {
  const ledger = openLedger();
  let reason: ColdsealError | undefined;
  try {
    const { manifest } = acceptManifest(request, ledger);
    ledger.current = 'integrity';
    ledger.results.integrity = checkImages(manifest, request, ledger);
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    reason = error;
    ledger.results[ledger.current] = { status: 'fail', code: error.code, message: error.message };
  }
  const { manifest, manifestSha256, chain, denyVersion = 0, images, results } = ledger;
  const notReached = Object.fromEntries(CHECKS.map((name) => [name, NOT_REACHED]));
  return {
    ok: reason === undefined,
    reason,
    manifest,
    manifestSha256,
    chain,
    denyVersion,
    images,
    ...(notReached as Record<CheckName, CheckResult>),
    ...results,
  };
}

const openLedger = (): Ledger => ({ results: {}, current: 'authenticity', images: [] });

/**
 * Verifies everything but the images; throws the code of the first no. This is all that a boot asks: it measures each
 * image on the descriptor that it mounts. The order of this function is the order of the design; tests assert it.
 */
export function acceptManifest(
  request: ManifestRequest,
  ledger: Ledger = openLedger(),
): AcceptedManifest {
  const { policy, crypto, denyList: denyBytes } = request;
  const { payload, chain } = verifyEnvelope(request.envelope, 'manifest', policy, crypto);
  const manifestSha256 = crypto.sha256(payload);
  const denyList = denyBytes && verifyDenyList(denyBytes, policy, policy.denyVersion, crypto);
  if (denyList !== undefined) checkDenied(chain, manifestSha256, denyList, crypto);
  const denyVersion = denyList?.version ?? 0;
  Object.assign(ledger, { chain, manifestSha256, denyVersion });
  const { results } = ledger;
  results.authenticity = PASS;

  ledger.current = 'role';
  checkPolicyRoles(chain, policy);

  ledger.current = 'integrity';
  const manifest = decodeManifest(payload);
  if (!equalBytes(manifest.releaseId, releaseIdOf(payload, crypto.sha256))) {
    throw new ColdsealError(
      'VERIFY_RELEASE_ID',
      `Cannot accept release ${toHex(manifest.releaseId)}: its contents give another release id`,
    );
  }
  Object.assign(ledger, { manifest });

  ledger.current = 'role';
  checkRole(manifest, chain, policy);
  results.role = PASS;

  ledger.current = 'board';
  results.board = checkBoard(manifest, policy);

  ledger.current = 'epoch';
  results.epoch = checkEpochs(manifest, policy, denyList);

  ledger.current = 'time';
  results.time =
    policy.checkTime?.(manifest, chain) ??
    notEvaluated('VERIFY_TIME_NOT_ASKED', 'Boot does not depend on the time');
  return { manifest, manifestSha256, chain, denyVersion };
}

// --- envelope and deny list ----------------------------------------------------------------------------

export interface VerifiedEnvelope {
  /** The authentic bytes, in a copy of their own. */
  readonly payload: Uint8Array;
  readonly chain: VerifiedChain;
}

/** Verifies an envelope of one kind up to its signature; throws the code of the first no. */
export function verifyEnvelope(
  bytes: Uint8Array,
  kind: ObjectKind,
  trust: TrustPolicy,
  crypto: Crypto,
): VerifiedEnvelope {
  const envelope = decodeEnvelope(bytes, envelopeBytesMax(kind));
  if (!isContentType(envelope, kind)) {
    throw new ColdsealError(
      'VERIFY_KIND',
      `Cannot accept the envelope as ${kind}: its content type is ${envelope.contentType}`,
    );
  }
  const facts = COSE_ALGORITHMS.get(envelope.algorithm)!;
  if (!trust.algorithms.includes(envelope.algorithm)) {
    throw new ColdsealError(
      'VERIFY_ALGORITHM_NOT_ALLOWED',
      `Cannot accept the envelope: it is signed with ${facts.name}, which the policy does not list`,
    );
  }
  const chain = verifyChain(envelope.chain, trust.anchors, crypto);
  checkPublished(chain, crypto);
  checkEnvelopeSignature(envelope, kind, chain, crypto);
  if (!KIND_PURPOSES[kind].some((purpose) => chain.purposes.has(purpose))) {
    const named = [...chain.purposes].map(purposeName).join(', ');
    throw new ColdsealError(
      'VERIFY_PURPOSE',
      `Cannot accept the envelope as ${kind}: its key is for ${named}`,
    );
  }
  return { payload: envelope.payload, chain };
}

function checkEnvelopeSignature(
  envelope: Envelope,
  kind: ObjectKind,
  chain: VerifiedChain,
  crypto: Crypto,
): void {
  const { leaf } = chain;
  if (!equalBytes(crypto.sha256(leaf.der), envelope.thumbprint)) {
    throw new ColdsealError(
      'VERIFY_THUMBPRINT',
      'Cannot accept the envelope: x5t is not the SHA-256 of its first certificate',
    );
  }
  const { algorithm, keyKind, name } = COSE_ALGORITHMS.get(envelope.algorithm)!;
  if (leaf.keyKind !== keyKind) {
    throw new ColdsealError(
      'VERIFY_ALGORITHM_KEY',
      `Cannot accept the envelope: ${name} needs a key of kind ${keyKind}, its leaf has ${leaf.keyKind}`,
    );
  }
  requireAlgorithm(crypto, algorithm);
  const signed = encodeSigStructure(kind, envelope.protectedHeader, envelope.payload);
  if (!crypto.verifySignature(algorithm, leaf.spki, signed, envelope.signature)) {
    throw new ColdsealError(
      'VERIFY_SIGNATURE',
      `Cannot accept the envelope: its ${name} signature is not good for the ${kind}`,
    );
  }
}

function checkPublished(chain: VerifiedChain, crypto: Crypto): void {
  for (const certificate of chain.certificates) {
    const pin = toHex(crypto.sha256(certificate.spki));
    if (PUBLISHED_KEYS.has(pin)) {
      throw new ColdsealError(
        'VERIFY_KEY_PUBLISHED',
        `Cannot trust the chain: the private half of key ${pin} is public`,
      );
    }
  }
}

/** Verifies a deny list and that it is not older than the one seen before. */
export function verifyDenyList(
  bytes: Uint8Array,
  trust: TrustPolicy,
  lowestVersion: number,
  crypto: Crypto,
): DenyList {
  const { payload, chain } = verifyEnvelope(bytes, 'deny list', trust, crypto);
  const list = decodeDenyList(payload);
  if (list.version < lowestVersion) {
    throw new ColdsealError(
      'VERIFY_DENY_LIST_OLD',
      `Cannot use deny list version ${list.version}: version ${lowestVersion} was seen before`,
    );
  }
  checkDenied(chain, crypto.sha256(payload), list, crypto);
  return list;
}

/** Verifies a trust bundle's envelope and that it follows the version in use. */
export function verifyTrustBundle(
  bytes: Uint8Array,
  trust: TrustPolicy,
  currentVersion: number,
  crypto: Crypto,
): TrustBundle {
  const bundle = decodeTrustBundle(verifyEnvelope(bytes, 'trust bundle', trust, crypto).payload);
  if (bundle.version !== currentVersion + 1) {
    throw new ColdsealError(
      'VERIFY_TRUST_VERSION',
      `Cannot take trust bundle version ${bundle.version}: expected ${currentVersion + 1}`,
    );
  }
  return bundle;
}

/** Throws VERIFY_KEY_DENIED, VERIFY_CERT_DENIED or VERIFY_MANIFEST_DENIED. */
export function checkDenied(
  chain: VerifiedChain,
  payloadSha256: Uint8Array,
  list: DenyList,
  crypto: Crypto,
): void {
  const listed = (items: readonly Uint8Array[], digest: Uint8Array): boolean =>
    items.some((item) => equalBytes(item, digest));
  for (const certificate of chain.certificates) {
    const pin = crypto.sha256(certificate.spki);
    if (listed(list.keys, pin)) {
      throw new ColdsealError(
        'VERIFY_KEY_DENIED',
        `Cannot trust key ${toHex(pin)}: it is on the deny list`,
      );
    }
    if (listed(list.certificates, crypto.sha256(certificate.der))) {
      throw new ColdsealError(
        'VERIFY_CERT_DENIED',
        `Cannot trust a certificate of key ${toHex(pin)}: it is on the deny list`,
      );
    }
  }
  if (listed(list.manifests, payloadSha256)) {
    throw new ColdsealError(
      'VERIFY_MANIFEST_DENIED',
      `Cannot accept manifest ${toHex(payloadSha256)}: it is on the deny list`,
    );
  }
}

// --- policy --------------------------------------------------------------------------------------------

function checkPolicyRoles(chain: VerifiedChain, policy: VerifyPolicy): void {
  if (!policy.roles.some((role) => chain.purposes.has(role))) {
    const named = [...chain.purposes].map(purposeName).join(', ');
    const wanted = policy.roles.map(purposeName).join(', ');
    throw new ColdsealError(
      'VERIFY_ROLE_NOT_ACCEPTED',
      `Cannot accept a key for ${named}: this board accepts ${wanted || 'none'}`,
    );
  }
}

function checkRole(manifest: Manifest, chain: VerifiedChain, policy: VerifyPolicy): void {
  const name = purposeName(manifest.role);
  if (!chain.purposes.has(manifest.role)) {
    throw new ColdsealError(
      'VERIFY_ROLE_MISMATCH',
      `Cannot accept a manifest in role ${name}: its key is not for that`,
    );
  }
  if (!policy.roles.includes(manifest.role)) {
    throw new ColdsealError(
      'VERIFY_ROLE_NOT_ACCEPTED',
      `Cannot accept a manifest in role ${name}: this board does not`,
    );
  }
}

function checkBoard(manifest: Manifest, policy: VerifyPolicy): CheckResult {
  const { product, board } = policy;
  if (product !== undefined && manifest.product !== product) {
    throw new ColdsealError(
      'VERIFY_PRODUCT',
      `Cannot accept a release for product ${manifest.product}: this is ${product}`,
    );
  }
  if (board === undefined) return notEvaluated('VERIFY_BOARD_NOT_GIVEN', 'No board was named');
  if (!manifest.boards.includes(board)) {
    throw new ColdsealError(
      'VERIFY_BOARD',
      `Cannot accept a release for ${manifest.boards.join(', ')}: this board is ${board}`,
    );
  }
  return PASS;
}

function checkEpochs(
  manifest: Manifest,
  policy: VerifyPolicy,
  denyList: DenyList | undefined,
): CheckResult {
  const denyVersion = denyList?.version ?? 0;
  const lowest = Math.max(manifest.minDenyVersion, policy.denyVersion);
  if (denyVersion < lowest) {
    throw new ColdsealError(
      'VERIFY_DENY_LIST_OLD',
      `Cannot judge the manifest: it needs deny list version ${lowest}, version ${denyVersion} is here`,
      { hint: 'provide the deny list that came with the release' },
    );
  }
  const floors = [...policy.epochs, ...(denyList?.epochs ?? [])];
  for (const [domain, floor] of floors) {
    const epoch = manifest.epochs.get(domain);
    if (epoch === undefined) {
      throw new ColdsealError(
        'VERIFY_EPOCH_MISSING',
        `Cannot accept the manifest: no epoch in domain ${domain}`,
      );
    }
    if (epoch < floor) {
      throw new ColdsealError(
        'VERIFY_EPOCH',
        `Cannot accept epoch ${epoch} in domain ${domain}: the lowest allowed is ${floor}`,
      );
    }
  }
  return floors.length > 0
    ? PASS
    : notEvaluated('VERIFY_EPOCH_NOT_GIVEN', 'No stored epoch was given');
}

// --- images --------------------------------------------------------------------------------------------

function checkImages(manifest: Manifest, request: VerifyRequest, ledger: Ledger): CheckResult {
  const atMount = notEvaluated(
    'VERIFY_IMAGES_AT_MOUNT',
    'Images are measured when they are mounted',
  );
  const waiting = request.images === 'at-mount' ? atMount : NOT_REACHED;
  ledger.images = manifest.images.map((image) => ({ image, result: waiting }));
  if (request.images === 'at-mount') return atMount;
  for (const entry of ledger.images) {
    try {
      checkImage(entry.image, request.images(entry.image));
    } catch (error) {
      if (error instanceof ColdsealError) {
        entry.result = { status: 'fail', code: error.code, message: error.message };
      }
      throw error;
    }
    entry.result = PASS;
  }
  return PASS;
}

/** Compares an image with its entry; throws VERIFY_IMAGE_SIZE or VERIFY_IMAGE_DIGEST. */
export function checkImage(image: ImageEntry, measured: ImageMeasurement): void {
  if (measured.size !== image.size) {
    throw new ColdsealError(
      'VERIFY_IMAGE_SIZE',
      `Cannot accept image ${image.name}: it has ${measured.size} bytes, expected ${image.size}`,
    );
  }
  const expected = image.digest.value;
  if (!equalBytes(measured.digest, expected)) {
    throw new ColdsealError(
      'VERIFY_IMAGE_DIGEST',
      `Cannot accept image ${image.name}: it measures ${toHex(measured.digest)}, expected ${toHex(expected)}`,
    );
  }
}
