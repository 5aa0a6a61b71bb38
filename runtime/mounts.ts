/**
 * Mounting a composefs image: the decision.
 *
 * `planMount` is pure: what the kernel can do and what is asked for go in, a plan comes out, or an error that
 * names what is missing. `mount-steps.ts` carries a plan out. Nothing weaker than asked is ever chosen, except
 * where the request says `if-supported`, and the result says what is enforced.
 */
import { ColdsealError } from './format/errors.ts';
import { fromHex } from './format/bytes.ts';
import { type VerityAlgorithm, verityAlgorithmOfDigestSize } from './format/fsverity.ts';
import type { MountCapabilities } from './mount-capabilities.ts';

export type VerityMode = 'require' | 'if-supported' | 'off';

export interface MountRequest {
  /** The image, as errors and the mount table show it. */
  readonly image: string;
  readonly target: string;
  readonly basedirs: readonly string[];
  readonly verity: VerityMode;
  readonly readOnly: boolean;
  /** What else is forbidden in the mount. */
  readonly nosuid?: boolean;
  readonly nodev?: boolean;
  readonly noexec?: boolean;
  readonly upperdir?: string | undefined;
  readonly workdir?: string | undefined;
  /** What the mount table shows as the source; at most 255 bytes. */
  readonly source: string;
}

/** What was seen of the image and the object stores before mounting. */
export interface MountFacts {
  /** The header's flag: some file has a POSIX ACL. */
  readonly hasAcl: boolean;
  /** Per basedir: whether its objects have fs-verity; `unknown` when it has no object. */
  readonly objectVerity: readonly ObjectVerity[];
}

export type ObjectVerity = 'enabled' | 'absent' | 'unknown';
export type FileVerity = 'required' | 'not supported by kernel' | 'objects have none' | 'off';

export interface MountPlan {
  /** Where the EROFS mount is while the overlay is made: nowhere, or in a private directory for a moment. */
  readonly imageMount: 'detached' | 'temporary directory';
  readonly layers: 'descriptors' | 'append' | 'string';
  readonly noAcl: boolean;
  readonly fileVerity: FileVerity;
  readonly request: MountRequest;
}

/** Decides how to mount, or throws why this kernel cannot do it as asked. */
export function planMount(
  kernel: MountCapabilities,
  request: MountRequest,
  facts: MountFacts,
): MountPlan {
  checkKernel(kernel, request);
  const fileVerity = decideFileVerity(kernel, request, facts);
  const layers = kernel.descriptorLayers
    ? 'descriptors'
    : kernel.appendLayers
      ? 'append'
      : 'string';
  return {
    imageMount: kernel.detachedLayers ? 'detached' : 'temporary directory',
    layers,
    noAcl: !facts.hasAcl,
    fileVerity,
    request,
  };
}

/** Refuses options of a person that contradict each other; the device's own requests come from its code. */
export function checkMountOptions(request: MountRequest): void {
  const { image, target, basedirs, upperdir, workdir } = request;
  const refuse = (problem: string): never => {
    throw new ColdsealError(
      'USAGE_MOUNT_OPTIONS',
      `Cannot mount ${image} on ${target}: ${problem}`,
    );
  };
  if (basedirs.length === 0) refuse('expected at least one object directory');
  if (basedirs.includes('')) refuse('an object directory is empty, expected a path');
  if ((upperdir === undefined) !== (workdir === undefined)) {
    refuse('expected both an upper and a work directory, or neither');
  }
  if (upperdir === '' || workdir === '')
    refuse('the upper or work directory is empty, expected a path');
}

function checkKernel(kernel: MountCapabilities, request: MountRequest): void {
  const missing = (what: string, hint: string): ColdsealError =>
    new ColdsealError(
      'HOST_KERNEL_FEATURE',
      `Cannot mount ${request.image}: kernel ${kernel.kernelRelease} has no ${what}`,
      { hint },
    );
  if (!kernel.erofs) throw missing('EROFS', 'enable CONFIG_EROFS_FS, or load the module erofs');
  if (!kernel.overlay) {
    throw missing('overlayfs', 'enable CONFIG_OVERLAY_FS, or load the module overlay');
  }
}

function decideFileVerity(
  kernel: MountCapabilities,
  request: MountRequest,
  facts: MountFacts,
): FileVerity {
  if (request.verity === 'off') return 'off';
  const bare = facts.objectVerity.indexOf('absent');
  if (request.verity === 'require') {
    // An old overlay refuses the option by itself, so nothing is lost by asking it.
    if (kernel.overlayContext && !kernel.overlayVerity) {
      throw new ColdsealError(
        'HOST_KERNEL_FEATURE',
        `Cannot mount ${request.image} with verity: ` +
          `the overlayfs of kernel ${kernel.kernelRelease} cannot require fs-verity`,
        { hint: 'use Linux 6.6 or newer, or --verity=if-supported' },
      );
    }
    if (bare >= 0) {
      throw new ColdsealError(
        'HOST_NO_VERITY',
        `Cannot mount ${request.image} with verity: ` +
          `the objects in ${request.basedirs[bare]} have no fs-verity, so no file could be opened`,
        {
          hint:
            'put the store on a file system with fs-verity and a kernel with CONFIG_FS_VERITY, ' +
            'or use --verity=if-supported',
        },
      );
    }
    return 'required';
  }
  if (!kernel.overlayVerity) return 'not supported by kernel';
  // Without a single object to look at, requiring could make a mount in which nothing opens.
  const all = facts.objectVerity.every((verity) => verity === 'enabled');
  return all ? 'required' : 'objects have none';
}

/** What a person should know about a mount on this kernel. */
export function mountWarnings(kernelRelease: string, fileVerity: FileVerity): string[] {
  if (fileVerity !== 'required' || !hasVerityRegression(kernelRelease)) return [];
  return [
    `kernel ${kernelRelease} may refuse every file with "no fs-verity digest": ` +
      'Linux 7.0 has this regression (commit f77f281b6118)',
  ];
}

/** Linux 7.0 cannot use verity=require (kernel commit f77f281b6118); fixed kernels look the same by name. */
export function hasVerityRegression(release: string): boolean {
  return /^7\.0(?:[.-]|$)/.test(release);
}

/** The fs-verity digest that an image must have, in lower-case hexadecimal. */
export interface WantedDigest {
  readonly algorithm: VerityAlgorithm;
  readonly digest: string;
}

/** A digest given by a person: whole, and of a length that some algorithm has. Never "no digest". */
export function parseImageDigest(text: string): WantedDigest {
  const bytes = fromHex(text);
  const algorithm = bytes === undefined ? undefined : verityAlgorithmOfDigestSize(bytes.length);
  if (algorithm === undefined) {
    throw new ColdsealError(
      'USAGE_BAD_DIGEST',
      `Cannot use the image digest "${text}": expected 64 hexadecimal digits (SHA-256) or 128 (SHA-512)`,
      { hint: 'print it with coldseal image digest IMAGE' },
    );
  }
  return { algorithm, digest: text.toLowerCase() };
}
