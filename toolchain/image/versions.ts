/**
 * Which format versions a build may use, from the two options that mkcomposefs has for it.
 */
import { DEFAULT_VERSIONS, type FormatVersions } from './layout.ts';

/**
 * mkcomposefs's rule: 0 to 1 when neither is given; when one is, the other is 0 and not its default, and then
 * the maximum is at least the minimum. So `--min-version=0` alone keeps whiteouts from raising the version.
 */
export function formatVersions(min: number | undefined, max: number | undefined): FormatVersions {
  if (min === undefined && max === undefined) return DEFAULT_VERSIONS;
  return { min: min ?? 0, max: Math.max(min ?? 0, max ?? 0) };
}
