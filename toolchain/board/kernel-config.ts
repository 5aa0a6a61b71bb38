/**
 * A kernel's configuration: what `.config`, Debian's /boot/config-* and /proc/config.gz hold.
 *
 * An option that is set to no is a comment there, and one whose prerequisites are missing is not there at all; both
 * count as off.
 *
 * Source: Documentation/kbuild/kconfig-language.rst; the header is written by scripts/kconfig/confdata.c.
 */
import { gunzipSync } from 'node:zlib';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readInput } from '../files/read-input.ts';

/** Debian's has 280 kB. */
const CONFIG_BYTES_MAX = 8 * 1024 * 1024;

/** Names that Kconfig gives to architectures, where board files use another. */
const ARCHITECTURES: Readonly<Record<string, string>> = { arm64: 'aarch64', x86: 'x86_64' };

/** An option as .config names it; the tables leave the first word out. */
export const configName = (option: string): string => ['CONFIG', option].join('_');

export interface KernelConfig {
  /** `MAJOR.MINOR` from the header; undefined when there is none. */
  readonly version: string | undefined;
  /** As board files name it. */
  readonly arch: string | undefined;
  /** Without `CONFIG_`; only options that are not off. */
  readonly options: ReadonlyMap<string, string>;
}

/** Reads a configuration, plain or gzip. Throws FORMAT_KERNEL_CONFIG for anything else. */
export function readKernelConfigFile(path: string): KernelConfig {
  const bytes = readInput(path);
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isGzip) return parseKernelConfig(bytes.toString('latin1'), path);
  try {
    const text = gunzipSync(bytes, { maxOutputLength: CONFIG_BYTES_MAX }).toString('latin1');
    return parseKernelConfig(text, path);
  } catch (cause) {
    if (cause instanceof ColdsealError) throw cause;
    throw new ColdsealError(
      'FORMAT_KERNEL_CONFIG',
      `Cannot read ${path}: expected gzip with at most ${CONFIG_BYTES_MAX} bytes in it`,
      { cause },
    );
  }
}

/** The options in the text of a configuration; `name` is for messages. */
export function parseKernelConfig(text: string, name: string): KernelConfig {
  const options = new Map<string, string>();
  let lines = 0;
  for (const [, unset, key = unset, value] of text.matchAll(
    /^(?:# CONFIG_(\w+) is not set|CONFIG_(\w+)=(.*))\r?$/gm,
  )) {
    lines++;
    // The kernel takes the last word on an option.
    options.delete(key!);
    if (value !== undefined && value !== 'n') options.set(key!, value.trimEnd());
  }
  if (lines === 0) {
    throw new ColdsealError(
      'FORMAT_KERNEL_CONFIG',
      `Cannot read ${name} as a kernel configuration: it has no line such as CONFIG_EXT4_FS=y`,
      { hint: 'give the .config of the kernel, /boot/config-VERSION or /proc/config.gz' },
    );
  }
  const [, arch, version] = /^# Linux\/(\S+) (\d+\.\d+)\S* Kernel Configuration/m.exec(text) ?? [];
  return { options, version, arch: arch === undefined ? undefined : (ARCHITECTURES[arch] ?? arch) };
}
