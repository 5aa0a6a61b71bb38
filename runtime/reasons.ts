/**
 * What the device can say: every error code thrown under `runtime/`, with one line for an operator.
 *
 * Sorted by code. docs/reference/errors.md is printed from this table and toolchain/reasons.ts; the tidy
 * test checks that each code is thrown somewhere and asserted by a test.
 */
export const RUNTIME_REASONS: Readonly<Record<string, string>> = {
  FORMAT_RECORD_FIELD: 'a constant or reserved field of a record has another value',
  FORMAT_RECORD_TRUNCATED: 'a record reaches past the end of the bytes',
  HOST_NOT_FOUND: 'a file or directory that is needed does not exist',
  HOST_NO_SPACE: 'the file system or quota is full; nothing half-written is left',
  HOST_PERMISSION: 'the system refuses the operation to this user, or the file system is read-only',
  HOST_SYSTEM_CALL: 'a system call failed in a way that has no more specific code',
};
