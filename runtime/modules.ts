/**
 * Loads the kernel modules that the board lists, in its order.
 *
 * A module that cannot be loaded is noted and the boot goes on: whether it was needed shows when something is
 * missing, and what is missing is never accepted.
 */
import { sealedModule } from './device-paths.ts';
import type { ColdsealError } from './format/errors.ts';
import { withFile } from './read-file.ts';
import type { StageTimer } from './stages.ts';
import { errnoOf, stepError } from './sys-error.ts';
import type { DeviceSys } from './sys.ts';

/** Loads each; returns what went wrong: HOST_MODULE_MISSING, HOST_MODULE_LOAD. */
export function loadModules(
  sys: DeviceSys,
  names: readonly string[],
  timer: StageTimer,
): ColdsealError[] {
  return names.flatMap((name) => timer.run(`modules ${name}`, () => loadModule(sys, name)));
}

function loadModule(sys: DeviceSys, name: string): ColdsealError[] {
  const path = sealedModule(name);
  try {
    withFile(sys, path, (file) => sys.loadModule(file, ''));
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === 'EEXIST') return [];
    const code = errno === 'ENOENT' ? 'HOST_MODULE_MISSING' : 'HOST_MODULE_LOAD';
    return [stepError(code, `Cannot load ${path}`, cause)];
  }
  return [];
}
