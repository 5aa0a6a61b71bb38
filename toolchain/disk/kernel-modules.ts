/**
 * Kernel modules out of an unpacked Debian kernel package, ready for insmod: uncompressed, in loading order.
 *
 * The dependencies are those that the modules themselves state (`depends=` in their .modinfo section), since an
 * unpacked package has no modules.dep: depmod writes that on installation. A module that is built in is not found
 * here and is no error when the kernel's list of built-in modules names it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { runTool } from '../host/run-tool.ts';

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

/** Some modules and what they depend on, each after what it needs. */
export async function loadKernelModules(
  kernel: DebianKernel,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<KernelModule[]> {
  const paths = modulePaths(kernel.modules);
  const builtIn = readFileSync(join(kernel.modules, 'modules.builtin'), 'utf8');
  const isBuiltIn = new Set(builtIn.split('\n').map(moduleName));
  const loaded = new Map<string, KernelModule>();
  const load = async (name: string): Promise<void> => {
    if (loaded.has(name) || isBuiltIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      throw new ColdsealError(
        'HOST_NOT_FOUND',
        `Cannot find the module ${name}: kernel ${kernel.release} has none of this name`,
      );
    }
    const bytes = await readModule(path, signal);
    for (const dependency of moduleDependencies(bytes)) await load(dependency);
    loaded.set(name, { name, bytes });
  };
  for (const name of names) await load(name);
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

function modulePaths(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (/\.ko(\.xz)?$/.test(path)) found.set(moduleName(path), join(directory, path));
  }
  return found;
}

/** Dashes and underscores mean the same in names of modules. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

async function readModule(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  if (!path.endsWith('.xz')) return readFileSync(path);
  const { code, stdout, stderr } = await runTool(['xz', '-dc', path], {
    debian: 'xz-utils',
    signal,
  });
  if (code === 0) return stdout;
  throw new ColdsealError('HOST_TOOL_FAILED', `Cannot unpack ${path}: xz exited with ${code}`, {
    hint: stderr.trim(),
  });
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
