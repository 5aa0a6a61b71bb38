/**
 * The initramfs: the runtime as /init, the policy and the trust bundle it goes by, and the kernel modules it loads.
 *
 * With a profile of the boot, also what to read ahead. Nothing else is in it: no shell, no library, no configuration.
 * Same input, same bytes; what compresses it works in one thread, without times or names. The kernel takes LZ4 in its
 * legacy frame only, and Zstandard with a window of at most 128 MiB; a frame that knows its content's size needs no
 * more than that.
 *
 * Sources: Linux lib/decompress_unlz4.c, lib/decompress_unzstd.c, Documentation/filesystems/ramfs-rootfs-initramfs.rst.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  NEW_ROOT,
  SEALED,
  SEALED_POLICY,
  SEALED_READ_AHEAD,
  SEALED_TRUST,
  sealedModule,
} from '../../runtime/device-paths.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { lastLines, runTool, runToolToSuccess } from '../host/run-tool.ts';
import {
  cpioArchive,
  cpioCharacterDevice,
  cpioDirectory,
  type CpioEntry,
  cpioFile,
} from './cpio.ts';
import type { KernelModule } from './kernel-modules.ts';

/** Runtime, policy and directories. Each byte is read from slow storage and checked by the bootloader. */
export const INITRAMFS_BYTES_MAX = 3 * 1024 * 1024;

export interface InitramfsParts {
  /** The runtime: a static ELF. */
  readonly init: Uint8Array;
  readonly policy: Uint8Array;
  readonly trust: Uint8Array;
  /** What the runtime reads ahead, where the release has a profile. */
  readonly readAhead?: Uint8Array | undefined;
  readonly modules: readonly KernelModule[];
}

export const COMPRESSIONS = ['none', 'lz4', 'zstd'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

const INITRAMFS = 'initramfs.cpio';

/** Name of the file in a release. */
export const initramfsName = (compression: Compression): string =>
  `${INITRAMFS}${{ none: '', lz4: '.lz4', zstd: '.zst' }[compression]}`;

/** Directories the runtime mounts on, and those of the sealed files. */
const DIRECTORIES = ['dev', 'proc', 'sys', 'run', NEW_ROOT.slice(1), SEALED.slice(1)];
const MODULES_DIRECTORY = sealedModule('x').slice(1, -'/x.ko'.length);
/** The kernel opens it before /init runs; without it the runtime could print nothing of what goes wrong first. */
const CONSOLE = cpioCharacterDevice('dev/console', [5, 1]);

/** The archive before compression. Throws BUDGET_INITRAMFS when it is too large without its modules. */
export function initramfsArchive(parts: InitramfsParts): Uint8Array {
  const base: CpioEntry[] = [
    ...DIRECTORIES.map((name) => cpioDirectory(name)),
    CONSOLE,
    cpioFile('init', parts.init, 0o755),
    cpioFile(SEALED_POLICY.slice(1), parts.policy),
    cpioFile(SEALED_TRUST.slice(1), parts.trust),
    ...(parts.readAhead === undefined
      ? []
      : [cpioFile(SEALED_READ_AHEAD.slice(1), parts.readAhead)]),
  ];
  const { length } = cpioArchive(base);
  if (length > INITRAMFS_BYTES_MAX) {
    throw new ColdsealError(
      'BUDGET_INITRAMFS',
      `Cannot make the initramfs: without kernel modules it has ${length} bytes, expected at most ` +
        String(INITRAMFS_BYTES_MAX),
      { hint: 'make the runtime smaller; each byte costs time in every boot' },
    );
  }
  if (parts.modules.length === 0) return cpioArchive(base);
  return cpioArchive([
    ...base,
    cpioDirectory(MODULES_DIRECTORY),
    ...parts.modules.map(({ name, bytes }) => cpioFile(sealedModule(name).slice(1), bytes)),
  ]);
}

interface Compressor {
  readonly argv: readonly [string, ...string[]];
  readonly debian: string;
}

const COMPRESSORS: Readonly<Record<Exclude<Compression, 'none'>, Compressor>> = {
  lz4: { argv: ['lz4', '-l', '-12', '-q', '-c'], debian: 'lz4' },
  // What was verified by its signature needs no checksum of 32 bits on top.
  zstd: { argv: ['zstd', '-19', '--single-thread', '--no-check', '-q', '-c'], debian: 'zstd' },
};

/** An archive in one compression. Throws HOST_TOOL_MISSING. */
export async function compressArchive(
  archive: Uint8Array,
  compression: Compression,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (compression === 'none') return archive;
  const { argv, debian } = COMPRESSORS[compression];
  return withTempFile(archive, async (path) => {
    const { code, stdout, stderr } = await runTool([...argv, path], { debian, signal });
    if (code === 0) return stdout;
    throw new ColdsealError(
      'HOST_TOOL_FAILED',
      `Cannot compress the initramfs: ${argv[0]} exited with ${code}`,
      { hint: lastLines(stderr) },
    );
  });
}

/** The version of what compresses, for the record: another one may give other bytes. */
export async function compressorVersion(compression: Compression): Promise<string | undefined> {
  if (compression === 'none') return undefined;
  const { argv, debian } = COMPRESSORS[compression];
  const text = await runToolToSuccess([argv[0], '--version'], { debian });
  return /v(\d+\.\d+\.\d+)/.exec(text)?.[1];
}

/** From a file the compressors learn the size, which goes into the frame and bounds its window. */
async function withTempFile<T>(bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'coldseal-initramfs-'));
  try {
    const path = join(directory, INITRAMFS);
    writeFileSync(path, bytes);
    return await use(path);
  } catch (error) {
    throw explainSysError(error, `Cannot compress the initramfs in ${directory}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
