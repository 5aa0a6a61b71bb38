/**
 * Kernel modules out of a directory of modules, ready for insmod: uncompressed, in loading order.
 *
 * The dependencies are those that the modules themselves state (`depends=` in their .modinfo section), since an
 * unpacked package has no modules.dep: depmod writes that on installation. A module that is built in is not found
 * here and is no error when the kernel's list of built-in modules names it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { readInput } from '../files/read-input.ts';
import { lastLines, runTool } from '../host/run-tool.ts';

const MODULE_FILE = /\.ko(\.(xz|zst|gz))?$/;

interface Unpacker {
  readonly argv: readonly [string, ...string[]];
  readonly debian: string;
}

/** Distributions compress modules; a kernel that could unpack them by itself would take longer. */
const UNPACKERS: Readonly<Record<string, Unpacker>> = {
  '.xz': { argv: ['xz', '-dc'], debian: 'xz-utils' },
  '.zst': { argv: ['zstd', '-dcq'], debian: 'zstd' },
  '.gz': { argv: ['gzip', '-dc'], debian: 'gzip' },
};

export interface KernelModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface DebianKernel {
  readonly release: string;
  /** Path of the bootable image. */
  readonly image: string;
  /** Directory that holds the modules of this release. */
  readonly modules: string;
}

/** Finds the kernel in the files of a linux-image package. */
export function kernelIn(directory: string): DebianKernel {
  const boot = join(directory, 'boot');
  const name = readdirSync(boot).find((each) => each.startsWith('vmlinuz-'));
  if (name === undefined) {
    throw new ColdsealError(
      'HOST_NOT_FOUND',
      `Cannot find a kernel: expected vmlinuz-* in ${boot}`,
    );
  }
  const release = name.slice('vmlinuz-'.length);
  const modules = ['usr/lib/modules', 'lib/modules']
    .map((path) => join(directory, path, release))
    .find(isDirectory);
  if (modules === undefined) {
    throw new ColdsealError(
      'HOST_NOT_FOUND',
      `Cannot find the modules of kernel ${release}: expected lib/modules in ${directory}`,
    );
  }
  return { release, image: join(boot, name), modules };
}

/** The modules that a kernel has, by name with underscores. */
export interface ModuleIndex {
  readonly paths: ReadonlyMap<string, string>;
  /** Modules whose code is part of the kernel. */
  readonly builtIn: ReadonlySet<string>;
}

/** Lists a directory of modules. Throws HOST_* when it cannot be read. */
export function indexModules(directory: string): ModuleIndex {
  try {
    const paths = new Map<string, string>();
    for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
      if (MODULE_FILE.test(path)) paths.set(moduleName(path), join(directory, path));
    }
    const list = join(directory, 'modules.builtin');
    const builtIn = existsSync(list) ? readFileSync(list, 'utf8').split('\n') : [];
    return { paths, builtIn: new Set(builtIn.map(moduleName)) };
  } catch (error) {
    throw explainSysError(error, `Cannot list the kernel modules in ${directory}`);
  }
}

/** Some modules and what they depend on, each after what it needs; what is built in is left out. */
export async function loadKernelModules(
  kernel: Pick<DebianKernel, 'release' | 'modules'>,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<KernelModule[]> {
  const { paths, builtIn } = indexModules(kernel.modules);
  const loaded = new Map<string, KernelModule>();
  const load = async (name: string, wantedBy: string): Promise<void> => {
    if (loaded.has(name) || builtIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      throw new ColdsealError(
        'HOST_NOT_FOUND',
        `Cannot find the module ${name}${wantedBy}: kernel ${kernel.release} has none of this name`,
        { hint: `the modules of this kernel are in ${kernel.modules}` },
      );
    }
    const bytes = await readModule(path, signal);
    for (const needed of moduleDependencies(bytes)) await load(needed, `, which ${name} needs`);
    loaded.set(name, { name, bytes });
  };
  for (const name of names) await load(moduleName(name), '');
  return [...loaded.values()];
}

/** What a module says that it depends on. */
export function moduleDependencies(module: Uint8Array): string[] {
  const [, list = ''] = /\0depends=([^\0]*)\0/.exec(Buffer.from(module).toString('latin1')) ?? [];
  return list
    .split(',')
    .filter((name) => name !== '')
    .map(moduleName);
}

/** Dashes and underscores mean the same in names of modules. */
export function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

async function readModule(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const unpacker = UNPACKERS[/\.ko(\.\w+)?$/.exec(path)?.[1] ?? ''];
  if (unpacker === undefined) return readInput(path);
  const { argv, debian } = unpacker;
  const { code, stdout, stderr } = await runTool([...argv, path], { debian, signal });
  if (code === 0) return stdout;
  throw new ColdsealError(
    'HOST_TOOL_FAILED',
    `Cannot unpack ${path}: ${argv[0]} exited with ${code}`,
    { hint: lastLines(stderr) },
  );
}

function isDirectory(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    // Absent; the caller says so.
    return false;
  }
}
