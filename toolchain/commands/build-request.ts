/** What the options of `image build` come to, and which of them exclude each other. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { requireOneRule, type RecipeRequest, uselessForDump } from './image-build-recipe.ts';

/** What the options of this command come to. */
export interface BuildRequest extends RecipeRequest {
  readonly source: string;
  readonly image: string | undefined;
  readonly fromTar: boolean;
  readonly fromCpio: boolean;
  readonly fromOci: boolean;
  readonly fromDocker: boolean;
  readonly tarIndex: boolean;
  readonly ref: string | undefined;
  readonly platform: string | undefined;
  readonly digestStore: string | undefined;
  readonly verifyExisting: boolean;
  readonly noCache: boolean;
  readonly threads: number | undefined;
  readonly minVersion: number | undefined;
  readonly maxVersion: number | undefined;
  readonly printDigest: boolean;
  readonly printDigestOnly: boolean;
  readonly force: boolean;
}

/** Throws USAGE_* when the image, or its digest, has no place to go, or two. */
export function requireOutput(request: BuildRequest): void {
  if (request.printDigestOnly && request.image !== undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot write ${request.image} with --print-digest-only: expected no IMAGE`,
      { hint: 'use --print-digest to write the image and print its digest' },
    );
  }
  if (!request.printDigestOnly && request.image === undefined) {
    throw new ColdsealError(
      'USAGE_MISSING_ARGUMENT',
      'Cannot build an image: expected the name of IMAGE',
      {
        hint: 'give a file name, - for stdout, or --print-digest-only',
      },
    );
  }
  if (request.printDigest && request.image === '-') {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot print the digest: stdout carries the image',
      { hint: 'write the image to a file, or run again with --print-digest-only' },
    );
  }
}

/** Options without effect would only give a false impression. Throws USAGE_OPTION_CONFLICT. */
export function requireUseful(request: BuildRequest): void {
  if ((request.minVersion ?? 0) > (request.maxVersion ?? 1)) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use --min-version ${request.minVersion} with --max-version ${request.maxVersion}: ` +
        'expected the least to be at most the highest',
    );
  }
  if (request.skipXattrs && request.userXattrs) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot use --skip-xattrs and --user-xattrs together: expected at most one',
    );
  }
  if (request.verifyExisting && request.digestStore === undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot use --verify-existing without --digest-store',
    );
  }
  requireOneRule(request);
  const kinds = Object.entries({
    '--from-file': request.fromFile,
    '--from-tar': request.fromTar,
    '--from-cpio': request.fromCpio,
    '--from-oci': request.fromOci,
    '--from-docker': request.fromDocker,
    '--tar-index': request.tarIndex,
  }).flatMap(([flag, isGiven]) => (isGiven ? [flag] : []));
  if (kinds.length > 1) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use ${kinds.join(' and ')} together: expected at most one`,
    );
  }
  const isLayered = request.fromOci || request.fromDocker;
  if (!isLayered && (request.ref ?? request.platform) !== undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use ${request.ref === undefined ? '--platform' : '--ref'} without --from-oci or --from-docker`,
    );
  }
  if (request.fromFile) requireUsefulForDump(request);
  if (request.tarIndex) requireUsefulForIndex(request);
}

function requireUsefulForDump(request: BuildRequest): void {
  const useless = {
    '--digest-store': request.digestStore !== undefined,
    ...uselessForDump(request),
    '--no-cache': request.noCache,
  };
  refuseUseless(useless, '--from-file: a dump already says what the image contains');
}

function requireUsefulForIndex(request: BuildRequest): void {
  const composefsOnly = {
    '--inline-max': request.inlineMax !== undefined,
    '--min-version': request.minVersion !== undefined,
    '--max-version': request.maxVersion !== undefined,
    '--target-kernel': request.targetKernel !== undefined,
    '--board': request.board !== undefined,
  };
  const notApplied = {
    '--mtime': request.mtime !== undefined,
    '--xattrs': request.xattrs !== undefined,
    '--root-metadata': request.rootMetadata !== undefined,
    '--selinux': request.selinux !== undefined,
  };
  refuseUseless(notApplied, '--tar-index: it shows the archive as it is');
  refuseUseless(composefsOnly, '--tar-index: the image is plain EROFS, and contents stay outside');
  refuseUseless({ '--hardlinks': request.hardlinks }, '--tar-index: they always stay together');
}

function refuseUseless(useless: Readonly<Record<string, boolean>>, why: string): void {
  for (const [flag, isGiven] of Object.entries(useless)) {
    if (isGiven) throw new ColdsealError('USAGE_OPTION_CONFLICT', `Cannot use ${flag} with ${why}`);
  }
}
