/**
 * All that can be said about a board file without a release: its references, its policy, and its kernel.
 *
 * That the file is valid by itself was settled when it was loaded.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { ConfigFile } from '../config/config-file.ts';
import type { Board } from './board-shape.ts';
import { checkKernel, type KernelFinding } from './check-kernel.ts';
import { checkPolicy, type ReadFile } from './check-policy.ts';
import { readKernelConfigFile } from './kernel-config.ts';

export interface BoardFinding {
  readonly severity: 'problem' | 'warning';
  readonly path: string;
  readonly message: string;
}

export interface BoardReport {
  readonly settings: readonly BoardFinding[];
  /** Undefined: no configuration was given. */
  readonly kernel:
    | {
        readonly config: string;
        readonly version: string | undefined;
        readonly arch: string | undefined;
        readonly findings: readonly KernelFinding[];
      }
    | undefined;
  readonly problems: number;
  readonly warnings: number;
}

export interface CheckBoardOptions {
  /** A kernel's configuration. */
  readonly config?: string | undefined;
  /** Files that the boot reads whole. */
  readonly images?: readonly string[];
}

/** Checks a loaded board. Throws HOST_NOT_FOUND and FORMAT_KERNEL_CONFIG for files that were named. */
export function checkBoardFile(
  file: ConfigFile<Board>,
  { config, images = [] }: CheckBoardOptions = {},
): BoardReport {
  const board = file.value;
  const files = images.map(fileSize);
  const settings: BoardFinding[] = [
    ...missingReferences(file),
    ...checkPolicy(board, files).map((warning): BoardFinding => ({
      severity: 'warning',
      ...warning,
    })),
  ];
  const kernel = config === undefined ? undefined : checkConfig(board, config);
  const all = [...settings, ...(kernel?.findings ?? [])];
  const problems = all.filter(({ severity }) => severity === 'problem').length;
  return { settings, kernel, problems, warnings: all.length - problems };
}

function checkConfig(board: Board, path: string): NonNullable<BoardReport['kernel']> {
  const config = readKernelConfigFile(path);
  const { version, arch } = config;
  return { config: path, version, arch, findings: checkKernel(board, config) };
}

/** Files that the board names and that are not there; they count from the board file. */
function missingReferences({ path, value }: ConfigFile<Board>): BoardFinding[] {
  const { image, modules, dtb } = value.kernel;
  const directory = dirname(resolve(path));
  return Object.entries({ image, modules, dtb }).flatMap(([key, reference]): BoardFinding[] => {
    if (reference === undefined || existsSync(resolve(directory, reference))) return [];
    const message = `is ${reference}, which is not there`;
    return [{ severity: 'problem', path: `kernel.${key}`, message }];
  });
}

function fileSize(path: string): ReadFile {
  try {
    return { path, bytes: statSync(path).size };
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
}
