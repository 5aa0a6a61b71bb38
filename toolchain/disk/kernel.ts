/**
 * The kernel of a board: its image, its release, and the modules that the runtime loads.
 *
 * It comes from Debian (`kernel.package`), or from files that the board names (`kernel.image`, `kernel.modules`).
 * Whatever would only show on the board is asked here: is it a kernel for this architecture, is it new enough, does
 * it have the modules, can it unpack the initramfs.
 *
 * Sources: Linux Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { explainSysError } from '../../runtime/sys-error.ts';
import { configName } from '../board/kernel-config.ts';
import { isOlder } from '../board/kernel-version.ts';
import { ENFORCING_OPTIONS } from '../board/module-rules.ts';
import type { Board } from '../board/schema.ts';
import type { ConfigFile } from '../config/config-file.ts';
import type { ConfigProblem } from '../config/explain-issue.ts';
import { nearestWord } from '../config/nearest.ts';
import { readInput } from '../files/read-input.ts';
import { type DebianSource, fetchNewest, fetchPackage } from '../host/debian-packages.ts';
import {
  indexModules,
  kernelIn,
  type KernelModule,
  loadKernelModules,
  moduleName,
} from './kernel-modules.ts';
import { stripModuleSignature } from './module-signature.ts';

/** Where a kernel is from, as release.json says it. */
export type KernelOrigin =
  | {
      readonly kind: 'package';
      readonly suite: string;
      readonly name: string;
      readonly version: string;
    }
  | { readonly kind: 'file'; readonly given: string };

export interface BoardKernel {
  /** Such as `6.12.107+deb13-cloud-arm64`. */
  readonly release: string;
  readonly origin: KernelOrigin;
  readonly image: Uint8Array;
  /** SHA-256 of the image in lower-case hexadecimal. */
  readonly sha256: string;
  readonly dtb: Uint8Array | undefined;
  /** In the order they are loaded, dependencies first; what is built in is left out. */
  readonly modules: readonly KernelModule[];
}

export interface ReadKernelOptions {
  /** Cache and mirror of Debian packages. */
  readonly debian?: Pick<DebianSource, 'cache' | 'mirror'>;
  readonly signal?: AbortSignal | undefined;
}

/** Whether a board file says which kernel boots; without one there is no disk. */
export function hasKernel({ kernel }: Board): boolean {
  return kernel.package !== undefined || kernel.image !== undefined;
}

/** Reads the kernel of a board that has one. Throws CONFIG_BOARD with every problem, HOST_*. */
export async function readBoardKernel(
  board: ConfigFile<Board>,
  options: ReadKernelOptions = {},
): Promise<BoardKernel> {
  const found = await findKernel(board, options);
  const { kernel } = board.value;
  const image = readInput(found.image);
  const facts = describeKernel(image);
  board.refuse([
    ...imageProblems(board.value, found, facts),
    ...moduleProblems(kernel.load, found),
    ...signatureProblems(board.value, found),
    ...compressionProblems(board.value, found),
  ]);
  const release = found.release ?? facts!.release!;
  return {
    release,
    origin: found.origin,
    image,
    sha256: createHash('sha256').update(image).digest('hex'),
    dtb: kernel.dtb === undefined ? undefined : readInput(besideBoard(board, kernel.dtb)),
    modules: await readModules(kernel, { release, modules: found.modules }, options.signal),
  };
}

async function readModules(
  { load, module_signatures: signatures }: Board['kernel'],
  { release, modules }: { readonly release: string; readonly modules: string | undefined },
  signal: AbortSignal | undefined,
): Promise<KernelModule[]> {
  if (modules === undefined) return [];
  const loaded = await loadKernelModules({ release, modules }, load, signal);
  if (signatures === 'keep') return loaded;
  return loaded.map(({ name, bytes }) => ({ name, bytes: stripModuleSignature(name, bytes) }));
}

// --- finding it ----------------------------------------------------------------------------------------

export interface FoundKernel {
  readonly origin: KernelOrigin;
  /** Setting that named it, for problems. */
  readonly setting: 'package' | 'image';
  readonly image: string;
  /** As the directory of its modules is called. */
  readonly release: string | undefined;
  readonly modules: string | undefined;
  /** Its .config, where it is known. */
  readonly config: string | undefined;
}

const DEBIAN_ARCHITECTURE = { x86_64: 'amd64', aarch64: 'arm64' } as const;
/** A package with a version in its name is the kernel; others lead to the newest one. */
const IS_VERSIONED = /^linux-image-\d/;

/** The files of a board's kernel: fetched from Debian, or those that the board names. */
export async function findKernel(
  board: ConfigFile<Board>,
  { debian, signal }: ReadKernelOptions,
): Promise<FoundKernel> {
  const { kernel, arch } = board.value;
  if (kernel.package === undefined) return fileKernel(board);
  const { suite, name } = kernel.package;
  const source: DebianSource = {
    suite,
    architecture: DEBIAN_ARCHITECTURE[arch],
    ...debian,
    ...(signal === undefined ? {} : { signal }),
  };
  const found = await (IS_VERSIONED.test(name) ? fetchPackage : fetchNewest)(source, name);
  const { release, image, modules } = kernelIn(found.directory);
  const config = join(found.directory, 'boot', `config-${release}`);
  return {
    origin: { kind: 'package', suite, name: found.name, version: found.version },
    setting: 'package',
    image,
    release,
    modules,
    config: existsSync(config) ? config : undefined,
  };
}

function fileKernel(board: ConfigFile<Board>): FoundKernel {
  const { image, modules } = board.value.kernel;
  const directory = modules === undefined ? undefined : besideBoard(board, modules);
  return {
    origin: { kind: 'file', given: image! },
    setting: 'image',
    image: besideBoard(board, image!),
    release: directory === undefined ? undefined : basename(directory),
    modules: directory,
    config: undefined,
  };
}

function besideBoard(board: ConfigFile<Board>, path: string): string {
  return resolve(dirname(board.path), path);
}

// --- what its image says -------------------------------------------------------------------------------

export interface KernelFacts {
  readonly arch: Board['arch'];
  /** Undefined where the image does not say, as a compressed one. */
  readonly release: string | undefined;
}

/** The fields looked at end before. */
const HEADER_BYTES = 0x300;
/** Linux cuts its banner to fewer bytes than this. */
const BANNER_MAX = 256;

/** What the image of a kernel says of itself; undefined when it is none for a board known here. */
export function describeKernel(image: Uint8Array): KernelFacts | undefined {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return describeGzip(bytes);
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes.toString('latin1', 0x202, 0x206) === 'HdrS') {
    const at = bytes.readUInt16LE(0x20e) + 0x200;
    return { arch: 'x86_64', release: bannerWord(bytes, at) };
  }
  if (bytes.toString('latin1', 0x38, 0x3c) === 'ARM\x64') {
    const banner = bytes.indexOf('Linux version ');
    const release = banner < 0 ? undefined : bannerWord(bytes, banner + 'Linux version '.length);
    return { arch: 'aarch64', release };
  }
  // An arm64 image in an EFI program that unpacks it (drivers/firmware/efi/libstub/zboot-header.S).
  const isZboot = bytes.toString('latin1', 4, 8) === 'zimg';
  return isZboot ? { arch: 'aarch64', release: undefined } : undefined;
}

function describeGzip(bytes: Buffer): KernelFacts | undefined {
  try {
    const image = gunzipSync(bytes);
    return image[0] === 0x1f ? undefined : describeKernel(image);
  } catch {
    // Cut off or not a kernel at all: not one known here, as the caller says.
    return undefined;
  }
}

function bannerWord(bytes: Buffer, at: number): string | undefined {
  const text = bytes.toString('latin1', at, at + BANNER_MAX);
  return /^(\d+\.\d+[\w.+~-]*)[ \0]/.exec(text)?.[1];
}

// --- problems ------------------------------------------------------------------------------------------

function imageProblems(
  { arch, kernel }: Board,
  found: FoundKernel,
  facts: KernelFacts | undefined,
): ConfigProblem[] {
  const path = ['kernel', found.setting];
  const name = found.origin.kind === 'package' ? found.origin.name : found.origin.given;
  const tell = (message: string): ConfigProblem[] => [{ path, message: `is ${name}, ${message}` }];
  if (facts === undefined) return tell(`which is no kernel image, expected one for ${arch}`);
  if (facts.arch !== arch) return tell(`a kernel for ${facts.arch}, expected one for ${arch}`);
  const release = found.release ?? facts.release;
  if (release === undefined) {
    return tell('which does not say its version, expected kernel.modules beside it');
  }
  if (facts.release !== undefined && facts.release !== release) {
    const message = `is for Linux ${release}, expected the modules of ${name}, ${facts.release}`;
    return [{ path: ['kernel', 'modules'], message }];
  }
  const version = /^\d+\.\d+/.exec(release)?.[0];
  if (version === undefined || isOlder(version, kernel.min_version)) {
    return tell(`Linux ${release}, expected at least ${kernel.min_version}`);
  }
  return [];
}

function moduleProblems(load: readonly string[], found: FoundKernel): ConfigProblem[] {
  if (load.length === 0) return [];
  if (found.modules === undefined) {
    const message = 'is missing, expected the directory with the modules that kernel.load lists';
    return [{ path: ['kernel', 'modules'], message }];
  }
  const { paths, builtIn } = indexModules(found.modules);
  return load.flatMap((given, index) => {
    const name = moduleName(given);
    if (paths.has(name) || builtIn.has(name)) return [];
    const near = nearestWord(name, [...paths.keys()]);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const message = `is ${given}, which kernel ${found.release} does not have${hint}`;
    return [{ path: ['kernel', 'load', index], message }];
  });
}

/** A kernel that enforces signatures would stop at the first module, without a store to boot from: refused. */
export function signatureProblems({ kernel }: Board, found: FoundKernel): ConfigProblem[] {
  if (kernel.module_signatures === 'keep' || found.config === undefined) return [];
  const config = readConfig(found.config);
  const option = ENFORCING_OPTIONS.find((each) => config.includes(`\n${configName(each)}=y\n`));
  if (option === undefined) return [];
  const message =
    `is strip, and kernel ${found.release} has ${configName(option)}=y and loads signed modules only, ` +
    'expected keep';
  return [{ path: ['kernel', 'module_signatures'], message }];
}

const RD_OPTION = { lz4: 'CONFIG_RD_LZ4', zstd: 'CONFIG_RD_ZSTD' } as const;

/** A kernel that cannot unpack its initramfs stops with "no init found", seconds into a boot without a console. */
function compressionProblems(board: Board, found: FoundKernel): ConfigProblem[] {
  const { compression } = board.boot_image;
  if (compression === 'none' || found.config === undefined) return [];
  const option = RD_OPTION[compression];
  if (readConfig(found.config).includes(`\n${option}=y\n`)) return [];
  const message = `is ${compression}, which kernel ${found.release} cannot unpack, expected ${option}=y in it`;
  return [{ path: ['boot_image', 'compression'], message }];
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
}
