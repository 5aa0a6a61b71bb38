/**
 * What the device can say: every error code thrown under `runtime/`, with one line for an operator.
 *
 * Sorted by code. docs/reference/errors.md is printed from this table and toolchain/reasons.ts; the tidy
 * test checks that each code is thrown somewhere and asserted by a test.
 */
export const RUNTIME_REASONS: Readonly<Record<string, string>> = {
  FORMAT_NOT_AN_IMAGE: 'a file does not begin with the composefs header',
  FORMAT_RECORD_FIELD: 'a constant or reserved field of a record has another value',
  FORMAT_RECORD_TRUNCATED: 'a record reaches past the end of the bytes',
  HOST_KERNEL_FEATURE:
    'the kernel lacks something that this needs; coldseal doctor lists what it has',
  HOST_MOUNT_FAILED: 'the kernel refused a step of mounting; nothing of the mount is left',
  HOST_NOT_FOUND: 'a file or directory that is needed does not exist',
  HOST_NO_SPACE: 'the file system or quota is full; nothing half-written is left',
  HOST_NO_VERITY: 'the file system or the kernel has no fs-verity, and it was required',
  HOST_PERMISSION: 'the system refuses the operation to this user, or the file system is read-only',
  HOST_SYSTEM_CALL: 'a system call failed in a way that has no more specific code',
  USAGE_BAD_DIGEST: 'a digest is not 64 (SHA-256) or 128 (SHA-512) hexadecimal digits',
  USAGE_MOUNT_OPTIONS: 'the options of a mount are missing something or contradict each other',
  VERIFY_IMAGE_DIGEST: 'the image has another fs-verity digest than expected',
  VERIFY_IMAGE_NO_VERITY: 'the image could have fs-verity and has none, and it was required',
};
