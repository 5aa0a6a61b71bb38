/**
 * System calls that tests need to make trees Node cannot: device nodes, xattrs and nanosecond times by byte path.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { AT_FDCWD, terminated } from '../../runtime/engines/node/libc.ts';

type Call = (...args: unknown[]) => number;

interface Native {
  readonly mknod: Call;
  readonly lsetxattr: Call;
  readonly utimensat: Call;
  readonly errno: () => number;
}

let loaded: Native | undefined;

function native(): Native {
  if (loaded !== undefined) return loaded;
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const lib = koffi.load(null);
  const bind = (name: string, args: string[]): Call => lib.func(name, 'int', args);
  loaded = {
    mknod: bind('mknod', ['void *', 'uint', 'uint64_t']),
    lsetxattr: bind('lsetxattr', ['void *', 'void *', 'void *', 'size_t', 'int']),
    utimensat: bind('utimensat', ['int', 'void *', 'void *', 'int']),
    errno: () => koffi.errno(),
  };
  return loaded;
}

function check(result: number, doing: string): void {
  if (result !== 0) throw new Error(`${doing}: errno ${native().errno()}`);
}

/** Makes a node of any type; `mode` has its type bits. */
export function makeNode(path: string, mode: number, rdev = 0): void {
  check(native().mknod(terminated(path), mode, rdev), `mknod ${path}`);
}

/** Sets an extended attribute of a name itself; all strings have one character per byte. */
export function setXattr(path: string, name: string, value: string): void {
  const bytes = Buffer.from(value, 'latin1');
  const result = native().lsetxattr(terminated(path), terminated(name), bytes, bytes.length, 0);
  check(result, `lsetxattr ${path} ${name}`);
}

/** Sets the modification time of a name itself. */
export function setMtime(path: string, seconds: number, nanoseconds: number): void {
  const times = Buffer.alloc(32);
  for (const at of [0, 16]) {
    times.writeBigInt64LE(BigInt(seconds), at);
    times.writeBigInt64LE(BigInt(nanoseconds), at + 8);
  }
  const AT_SYMLINK_NOFOLLOW = 0x100;
  check(
    native().utimensat(AT_FDCWD, terminated(path), times, AT_SYMLINK_NOFOLLOW),
    `utimensat ${path}`,
  );
}
