/**
 * The probe for an architecture: compiled once, and kept in the cache under the digest of all that went in.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { BoardArchitecture } from '../board/qemu.ts';
import {
  COMPILE_FLAGS,
  compile,
  findCompiler,
  link,
  LINK_FLAGS,
  OWN_FLAGS,
} from '../engine/compiler.ts';
import { cachedDirectory, digestOf, engineCache } from '../engine/engine-cache.ts';

const PROGRAM = 'layout-probe';

/** The bytes of the program, a static one. Throws HOST_TOOL_MISSING with the Debian package of the compiler. */
export async function buildProbe(
  architecture: BoardArchitecture,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const compiler = await findCompiler(architecture, signal);
  const directory = probeSources();
  const names = readdirSync(directory).sort();
  const flags = [...COMPILE_FLAGS, ...OWN_FLAGS];
  const key = digestOf([
    architecture,
    compiler.version,
    ...flags,
    ...LINK_FLAGS,
    ...names.flatMap((name) => [name, readFileSync(join(directory, name))]),
  ]);
  const built = await cachedDirectory(engineCache(), `layout-probe-${key}`, async (work) => {
    const objects: string[] = [];
    for (const source of names.filter((name) => name.endsWith('.c'))) {
      const object = join(work, `${source}.o`);
      await compile(compiler, { directory, source, object, flags, signal });
      objects.push(object);
    }
    await link(compiler, objects, join(work, PROGRAM), LINK_FLAGS, signal);
  });
  return readFileSync(join(built, PROGRAM));
}

/** The C sources that come with coldseal: the nearest toolchain/layouts/probe above this bundle. */
function probeSources(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let dir = here; dirname(dir) !== dir; dir = dirname(dir)) {
    const candidate = join(dir, 'toolchain/layouts/probe');
    if (existsSync(join(candidate, 'probe.c'))) return candidate;
  }
  throw new ColdsealError(
    'HOST_NOT_FOUND',
    `Cannot find the sources of the layout probe: expected toolchain/layouts/probe above ${here}`,
  );
}
