/**
 * What makes a kernel refuse modules without a signature.
 *
 * Source: Linux kernel/module/signing.c; Documentation/admin-guide/kernel-parameters.txt for module.sig_enforce and
 * lockdown; security/lockdown/Kconfig.
 */

/** Options that make it refuse them whatever the command line says. */
export const ENFORCING_OPTIONS = [
  'MODULE_SIG_FORCE',
  'LOCK_DOWN_KERNEL_FORCE_INTEGRITY',
  'LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY',
] as const;

/** Without a value the parameter is on; the kernel never turns it off again. Dashes are underscores to it. */
const ENFORCING_WORD =
  /^(?:module\.sig[-_]enforce(?:=(?:[1yY]|on|true).*)?|lockdown=(?:integrity|confidentiality))$/i;

/** The word of a command line that makes the kernel refuse them. */
export function enforcingWord(commandLine: string): string | undefined {
  return commandLine
    .replaceAll('"', '')
    .split(' ')
    .find((word) => ENFORCING_WORD.test(word));
}
