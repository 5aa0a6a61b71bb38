/**
 * The configuration of a container image: for which machine it is, what its layers are, and what its container is.
 *
 * OCI layouts and Docker's archives have the same JSON. It is parsed when its digest is right, or when nothing could
 * vouch for it; either way it has to say a digest for each layer, and the machine that was asked for.
 * Spec: OCI Image Format Specification 1.1, config.md.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';

/** What kind of machine an image is for, in the words of Go. */
export interface OciPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

export const LAYERS_MAX = 1000;

export const platform = z.looseObject({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
});
const config = z.looseObject({
  ...platform.shape,
  rootfs: z.looseObject({ type: z.literal('layers'), diff_ids: z.array(z.string()) }),
});

/** The configuration as it stands; what it says of the container is looked at by whoever makes one. */
export type ImageConfig = z.output<typeof config>;

/** What a configuration has to agree with. */
export interface ExpectedImage {
  /** Number of layers. */
  readonly layers: number;
  readonly platforms: readonly (OciPlatform | undefined)[];
}

/** Parses a configuration. Throws FORMAT_OCI_JSON, FORMAT_OCI_CONFIG. */
export function parseImageConfig(
  bytes: Buffer,
  name: string,
  { layers, platforms }: ExpectedImage,
): ImageConfig {
  const value = parseImageJson(bytes, name, config);
  const { diff_ids: diffIds } = value.rootfs;
  if (diffIds.length !== layers) {
    failImage(
      'FORMAT_OCI_CONFIG',
      `the configuration has ${diffIds.length} diff_ids, expected one for each of ${layers} layers`,
    );
  }
  for (const wanted of platforms) {
    if (fitsPlatform(value, wanted)) continue;
    failImage(
      'FORMAT_OCI_CONFIG',
      `the configuration says ${showPlatform(value)}, expected ${showPlatform(wanted)}`,
    );
  }
  return value;
}

/** Parses a JSON file of an image. Throws FORMAT_OCI_JSON. */
export function parseImageJson<T extends z.ZodType>(
  bytes: Buffer,
  name: string,
  schema: T,
): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ColdsealError('FORMAT_OCI_JSON', `Cannot read the image: ${name} is no JSON`, {
      cause: error,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  return failImage('FORMAT_OCI_JSON', `${path.join('.') || 'the value'} of ${name}: ${message}`);
}

export function failImage(
  code: 'FORMAT_OCI_JSON' | 'FORMAT_OCI_CONFIG' | 'FORMAT_OCI_MEDIA_TYPE',
  problem: string,
): never {
  throw new ColdsealError(code, `Cannot read the image: ${problem}`);
}

// --- platforms -----------------------------------------------------------------------------------------

/** An image that does not say its platform in one place says it in its configuration. */
export function fitsPlatform(
  has: OciPlatform | undefined,
  wanted: OciPlatform | undefined,
): boolean {
  if (has === undefined || wanted === undefined) return true;
  return (
    has.os === wanted.os &&
    has.architecture === wanted.architecture &&
    (wanted.variant === undefined || has.variant === undefined || has.variant === wanted.variant)
  );
}

export function platformOf({ os, architecture, variant }: OciPlatform): OciPlatform {
  return { os, architecture, variant };
}

/** A platform as it is written: `linux/arm64`, `linux/arm/v7`. Throws USAGE_BAD_VALUE. */
export function parsePlatform(text: string): OciPlatform {
  const match = /^([a-z0-9]+)\/([a-z0-9]+)(?:\/([a-z0-9.]+))?$/.exec(text);
  if (match !== null) return { os: match[1]!, architecture: match[2]!, variant: match[3] };
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot use the platform "${text}": expected one such as linux/arm64`,
  );
}

export function showPlatform(value: OciPlatform | undefined): string {
  if (value === undefined) return 'any platform';
  const { os, architecture, variant } = value;
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}
