/**
 * What of a release the bootloader starts: kernel, initramfs, command line, devicetree.
 *
 * They are made for exactly one board, and the manifest binds them by SHA-256. Without a profile the initramfs depends
 * on board, bootset and key only, never on an image, so a change of an image leaves what the bootloader checks as it
 * is; with one it names what of the images is read ahead.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import type { DevicePolicy } from '../../runtime/format/device-policy.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { BootBinding } from '../../runtime/format/manifest.ts';
import type { Board } from '../board/schema.ts';
import type { ConfigFile } from '../config/config-file.ts';
import { type BreakEven, breakEven, type CompressedSize } from '../disk/break-even.ts';
import {
  compressArchive,
  type Compression,
  COMPRESSIONS,
  compressorVersion,
  initramfsArchive,
  initramfsName,
  type InitramfsParts,
} from '../disk/initramfs.ts';
import { type BoardKernel, hasKernel, readBoardKernel } from '../disk/kernel.ts';
import { devicePolicyOf, sealedPolicy, sealedTrust } from '../disk/policy.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import type { SignerDescription } from '../sign/signer.ts';
import type { Bootset } from './bootset.ts';

export interface BootFileBytes {
  /** Key of the manifest's boot binding, and of the file's name on the boot partition. */
  readonly part: Exclude<keyof BootBinding, 'container'>;
  /** In the release directory. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sha256: Uint8Array;
}

export interface BootFiles {
  readonly board: ConfigFile<Board>;
  readonly kernel: BoardKernel;
  readonly policy: DevicePolicy;
  /** The trust bundle that is sealed in. */
  readonly trust: Uint8Array;
  readonly files: readonly BootFileBytes[];
  readonly initramfs: {
    readonly compression: Compression;
    /** Version of what compressed it. */
    readonly compressor: string | undefined;
    /** Bytes of the archive that the kernel unpacks, and without modules. */
    readonly archiveBytes: number;
    readonly baseBytes: number;
    readonly initSha256: Uint8Array;
  };
  readonly breakEven: BreakEven;
}

export interface MakeBootFilesOptions {
  /** Replaces the runtime that is built; for tests. */
  readonly init?: Uint8Array | undefined;
  /** What the runtime reads ahead. */
  readonly readAhead?: Uint8Array | undefined;
  readonly onStep: (label: string) => void;
  readonly onStepEnd: (stage: string) => void;
  readonly onWarning: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The board that a release gets boot files for; undefined when it gets none. */
export function bootBoard(
  { boards }: Pick<Bootset, 'boards'>,
  onWarning: (text: string) => void,
): ConfigFile<Board> | undefined {
  const bootable = boards.filter(({ value }) => hasKernel(value));
  const [board] = bootable;
  if (board === undefined || boards.length === 1) return board;
  const names = boards.map(({ value }) => value.id).join(', ');
  onWarning(
    `no disk is made: the release is for ${names}, and a manifest binds the kernel of one; name it with --board`,
  );
  return undefined;
}

/** Whom the board will believe and what it will accept; known before there are modules to load. */
export function slotPolicy(
  { value }: ConfigFile<Board>,
  bootset: Bootset,
  signer: SignerDescription,
): Pick<BootFiles, 'policy' | 'trust'> {
  return { policy: devicePolicyOf(value, bootset, []), trust: sealedTrust(signer) };
}

/** Makes kernel, initramfs and command line of a board. Throws CONFIG_BOARD, BUDGET_INITRAMFS, HOST_*. */
export async function makeBootFiles(
  board: ConfigFile<Board>,
  bootset: Bootset,
  signer: SignerDescription,
  options: MakeBootFilesOptions,
): Promise<BootFiles> {
  try {
    return await make(board, bootset, signer, options);
  } catch (error) {
    if (!(error instanceof ColdsealError) || !error.code.startsWith('HOST_')) throw error;
    const first = error.hint === undefined ? '' : `${error.hint}; `;
    const hint = `${first}--no-disk makes a release without kernel and disk`;
    throw new ColdsealError(error.code, error.message, { hint, cause: error });
  }
}

async function make(
  board: ConfigFile<Board>,
  bootset: Bootset,
  signer: SignerDescription,
  options: MakeBootFilesOptions,
): Promise<BootFiles> {
  const { onStep, onStepEnd, signal } = options;
  const { value: settings } = board;
  refuseUnsupported(board, options.onWarning);
  onStep('reading the kernel');
  const kernel = await readBoardKernel(board, { signal });
  onStepEnd('kernel');
  onStep('building the runtime');
  const init = options.init ?? (await buildInit(settings.arch, options));
  onStepEnd('runtime');
  onStep('making the initramfs');
  const policy = devicePolicyOf(
    settings,
    bootset,
    kernel.modules.map(({ name }) => name),
  );
  const trust = sealedTrust(signer);
  const parts: InitramfsParts = {
    init,
    policy: sealedPolicy(policy),
    trust,
    readAhead: options.readAhead,
    modules: kernel.modules,
  };
  const archive = initramfsArchive(parts);
  const { compression } = settings.boot_image;
  const compressed = await compressArchive(archive, compression, signal);
  const sizes = await otherSizes(archive, compression, signal);
  const { sha256 } = createNodeCrypto();
  const built: BootFiles = {
    board,
    kernel,
    policy,
    trust,
    files: bootFileList(settings, kernel, compressed),
    initramfs: {
      compression,
      compressor: await compressorVersion(compression),
      archiveBytes: archive.length,
      baseBytes: initramfsArchive({ ...parts, modules: [] }).length,
      initSha256: sha256(init),
    },
    breakEven: breakEven(settings, archive.length, [
      { compression, bytes: compressed.length },
      ...sizes,
    ]),
  };
  onStepEnd('initramfs');
  return built;
}

function refuseUnsupported(board: ConfigFile<Board>, onWarning: (text: string) => void): void {
  const { engine, boot_image: bootImage } = board.value;
  if (engine !== 'quickjs') {
    const message = `is ${engine}, which does not fit an initramfs, expected quickjs`;
    board.refuse([{ path: ['engine'], message }]);
  }
  if (bootImage.container === 'none') return;
  onWarning(
    `kernel, initramfs and command line stay separate files: packing them as ${bootImage.container} is up to you`,
  );
}

/** What the other compressions would give; where their program is missing they are left out of the comparison. */
async function otherSizes(
  archive: Uint8Array,
  chosen: Compression,
  signal: AbortSignal | undefined,
): Promise<CompressedSize[]> {
  const others = COMPRESSIONS.filter((each) => each !== chosen);
  const sizes = await Promise.all(
    others.map(async (compression) => {
      try {
        const { length: bytes } = await compressArchive(archive, compression, signal);
        return [{ compression, bytes }];
      } catch (error) {
        if (error instanceof ColdsealError && error.code === 'HOST_TOOL_MISSING') return [];
        throw error;
      }
    }),
  );
  return sizes.flat();
}

function bootFileList(
  { kernel: settings, boot_image: bootImage }: Board,
  { image, dtb }: BoardKernel,
  initramfs: Uint8Array,
): BootFileBytes[] {
  const { sha256 } = createNodeCrypto();
  // As /proc/cmdline shows it: one line.
  const cmdline = Buffer.from(`${settings.command_line}\n`);
  const parts: readonly (readonly [BootFileBytes['part'], string, Uint8Array | undefined])[] = [
    ['kernel', 'kernel', image],
    ['dtb', 'dtb', dtb],
    ['cmdline', 'cmdline.txt', cmdline],
    ['initramfs', initramfsName(bootImage.compression), initramfs],
  ];
  return parts.flatMap(([part, name, bytes]) =>
    bytes === undefined ? [] : [{ part, name, bytes, sha256: sha256(bytes) }],
  );
}

/** The runtime as one static program. */
async function buildInit(
  architecture: Board['arch'],
  { onStep, signal }: Pick<MakeBootFilesOptions, 'onStep' | 'signal'>,
): Promise<Uint8Array> {
  const { buildEngine } = await import('../engine/build-engine.ts');
  const bundle = deviceBundle();
  const { bytes } = await buildEngine(architecture, { bundle, signal, onProgress: onStep });
  return bytes;
}

const BUNDLE = 'runtime.js';

/** The device bundle: beside the CLI in dist/, or in the dist/ above a program that runs from elsewhere. */
function deviceBundle(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let dir = here; dirname(dir) !== dir; dir = dirname(dir)) {
    const found = [join(dir, BUNDLE), join(dir, 'dist', BUNDLE)].find((path) => existsSync(path));
    if (found !== undefined) return found;
  }
  throw new ColdsealError('HOST_NOT_FOUND', `Cannot find dist/${BUNDLE}, the device bundle`, {
    hint: 'make it with: npm run build',
  });
}

/** What the manifest says of the files. */
export function bootBinding({ files }: Pick<BootFiles, 'files'>): BootBinding {
  return Object.fromEntries(files.map(({ part, sha256 }) => [part, sha256]));
}

/** Writes the files into a release directory. */
export function writeBootFiles(directory: string, { files }: Pick<BootFiles, 'files'>): void {
  for (const { name, bytes } of files) writeFileAtomically(join(directory, name), bytes);
}
