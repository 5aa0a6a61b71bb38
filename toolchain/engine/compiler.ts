/**
 * The C compiler for an architecture, and the flags that make its output the same in every directory.
 *
 * Names of directories are mapped away, there is no build id and no note of the compiler, and nothing here uses the
 * date. The same sources, compiler and C library therefore give the same bytes.
 *
 * Source: gcc(1), ld(1); reproducible-builds.org.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { BoardArchitecture } from '../board/qemu.ts';
import { runToolToSuccess } from '../host/run-tool.ts';

export interface Compiler {
  readonly command: string;
  /** Debian package of the compiler. */
  readonly debian: string;
  /** What tells one compiler from another, in its own words. */
  readonly version: string;
}

/** What this machine compiles for without a cross compiler. */
export const HOST_ARCHITECTURE: BoardArchitecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

const CROSS: Readonly<
  Record<BoardArchitecture, { command: string; debian: string; libc: string }>
> = {
  x86_64: {
    command: 'x86_64-linux-gnu-gcc',
    debian: 'gcc-x86-64-linux-gnu',
    libc: 'libc6-dev-amd64-cross',
  },
  aarch64: {
    command: 'aarch64-linux-gnu-gcc',
    debian: 'gcc-aarch64-linux-gnu',
    libc: 'libc6-dev-arm64-cross',
  },
};
const NATIVE = { command: 'gcc', debian: 'gcc', libc: 'libc6-dev' };

/** Finds the compiler and the static C library; throws HOST_TOOL_MISSING with the Debian package to install. */
export async function findCompiler(
  architecture: BoardArchitecture,
  signal?: AbortSignal,
): Promise<Compiler> {
  const isNative = architecture === HOST_ARCHITECTURE;
  const { command, debian, libc } = isNative ? NATIVE : CROSS[architecture];
  const settings = { debian, signal };
  const version = await runToolToSuccess([command, '--version'], settings);
  // A file that it does not find it prints back as it was asked for.
  const library = await runToolToSuccess([command, '-print-file-name=libc.a'], settings);
  if (!library.includes('/')) {
    throw new ColdsealError(
      'HOST_TOOL_MISSING',
      `Cannot compile for ${architecture}: expected a static C library for ${command}`,
      { hint: `install the Debian package ${libc}` },
    );
  }
  return { command, debian, version: version.split('\n', 1)[0]! };
}

/** For everything: small, no directory names, hardened as far as it costs nothing. */
export const COMPILE_FLAGS: readonly string[] = [
  '-std=gnu11',
  '-Os',
  '-D_GNU_SOURCE',
  '-DNDEBUG',
  '-D_FORTIFY_SOURCE=2',
  '-fstack-protector-strong',
  '-fno-ident',
  '-fno-asynchronous-unwind-tables',
  '-ffunction-sections',
  '-fdata-sections',
  '-fno-pie',
];

/** For the files of this project; those of QuickJS are compiled as they are. */
export const OWN_FLAGS: readonly string[] = ['-Wall', '-Wextra', '-Wconversion', '-Werror'];

export const LINK_FLAGS: readonly string[] = [
  '-static',
  '-no-pie',
  '-s',
  '-Wl,--build-id=none',
  '-Wl,--gc-sections',
  '-Wl,-z,noexecstack',
  '-Wl,-z,relro',
];

export interface CompileJob {
  /** Where the sources are; compiled from there, so that no directory is part of a name. */
  readonly directory: string;
  readonly source: string;
  readonly object: string;
  readonly flags: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** Compiles one file. */
export async function compile(compiler: Compiler, job: CompileJob): Promise<void> {
  const { directory, source, object, flags, signal } = job;
  const map = `-ffile-prefix-map=${directory}=.`;
  await runToolToSuccess([compiler.command, ...flags, map, '-c', source, '-o', object], {
    debian: compiler.debian,
    cwd: directory,
    signal,
  });
}

/** Links objects to a program. */
export async function link(
  compiler: Compiler,
  objects: readonly string[],
  program: string,
  flags: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  await runToolToSuccess([compiler.command, ...objects, '-lm', '-o', program, ...flags], {
    debian: compiler.debian,
    signal,
  });
}
