/**
 * QuickJS-ng's own sources, from Debian's package qjs-src, as objects for an architecture and compiler.
 *
 * Compiled once and kept in the cache. Only the interpreter is used; its library of files and processes
 * (quickjs-libc) is not, the engine has its own. Without `parser`, the objects cannot evaluate text.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fetchPackage } from '../host/debian-packages.ts';
import { COMPILE_FLAGS, compile, type Compiler } from './compiler.ts';
import { cachedDirectory, digestOf } from './engine-cache.ts';

/** Debian 13 has QuickJS-ng in its backports. */
const SUITE = 'trixie-backports';
const PACKAGE = 'qjs-src';
const FILES = ['dtoa', 'libregexp', 'libunicode', 'quickjs'];

export interface QuickjsSources {
  /** The package's version. */
  readonly version: string;
  readonly directory: string;
}

/** Fetches the sources unless the cache has them. */
export async function fetchQuickjs(cache?: string, signal?: AbortSignal): Promise<QuickjsSources> {
  const source = {
    suite: SUITE,
    architecture: 'amd64', // The package is for all of them.
    ...(cache === undefined ? {} : { cache }),
    ...(signal === undefined ? {} : { signal }),
  };
  const { version, directory } = await fetchPackage(source, PACKAGE);
  const sources = join(directory, 'usr/src/quickjs-ng');
  if (!existsSync(join(sources, 'quickjs.c'))) {
    throw new ColdsealError(
      'HOST_PACKAGE_MISSING',
      `Cannot use ${PACKAGE} ${version}: expected the sources in ${sources}`,
    );
  }
  return { version, directory: sources };
}

export interface LibraryJob {
  readonly sources: QuickjsSources;
  readonly compiler: Compiler;
  readonly parser: boolean;
  /** More flags, such as those of a sanitizer. */
  readonly extra?: readonly string[];
  readonly cache: string;
  readonly signal?: AbortSignal | undefined;
}

/** The objects of QuickJS, in the order in which they are linked. */
export async function quickjsObjects(job: LibraryJob): Promise<string[]> {
  const { sources, compiler, parser, extra = [], cache, signal } = job;
  // Its warnings are its own matter.
  const flags = [...COMPILE_FLAGS, '-w', ...(parser ? [] : ['-DQJS_DISABLE_PARSER']), ...extra];
  const key = digestOf([sources.version, compiler.command, compiler.version, ...flags]);
  const directory = await cachedDirectory(cache, `quickjs-${key}`, async (work) => {
    for (const name of FILES) {
      await compile(compiler, {
        directory: sources.directory,
        source: `${name}.c`,
        object: join(work, `${name}.o`),
        flags,
        signal,
      });
    }
  });
  return FILES.map((name) => join(directory, `${name}.o`));
}
