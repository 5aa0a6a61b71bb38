/**
 * What only the host can say: every error code thrown under `toolchain/`, with one line for its reader.
 *
 * Sorted by code; see runtime/reasons.ts.
 */
export const TOOLCHAIN_REASONS: Readonly<Record<string, string>> = {};
