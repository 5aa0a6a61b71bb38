/**
 * What only the host can say: every error code thrown under `toolchain/`, with one line for its reader.
 *
 * Sorted by code; see runtime/reasons.ts.
 */
export const TOOLCHAIN_REASONS: Readonly<Record<string, string>> = {
  HOST_FILE_CHANGED: 'a source file changed while it was being read; nothing of it was stored',
  HOST_STORE_BUSY: 'the object store is in use by a writer or a garbage collection',
  INTERNAL_UNEXPECTED: 'a failure nobody foresaw: a bug, or a system error without a better name',
  USAGE_BAD_VALUE: 'the value of an option is outside its choices or bounds',
  USAGE_BYTES_TO_TERMINAL: 'bytes would have gone to a terminal',
  USAGE_BYTES_WITH_JSON: 'bytes and the JSON document would both have gone to stdout',
  USAGE_EXCESS_ARGUMENT: 'the command takes fewer arguments',
  USAGE_MISSING_ARGUMENT: 'a required argument was not given',
  USAGE_MISSING_COMMAND: 'no command was given, or a group without its verb',
  USAGE_MISSING_VALUE: 'an option that needs a value came without one',
  USAGE_UNKNOWN_COMMAND: 'no command has this name',
  USAGE_UNKNOWN_OPTION: 'the command has no such option',
};
