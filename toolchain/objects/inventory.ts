/**
 * What is in an object store: objects, what interrupted writers left, and what does not belong.
 *
 * Nothing is opened; names and sizes only. Symbolic links are not followed.
 */
import { constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { type FastStat, lstatIfThere } from '../../runtime/engines/node/xattr.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { type ByteString, byteStringOfText, nodePath, showBytes } from '../image/byte-string.ts';
import { digestOfPath, isFanOut, isLeftover } from './layout.ts';

export interface StoredObject {
  readonly digest: string;
  /** Path below the store. */
  readonly path: ByteString;
  readonly stat: FastStat;
}

export interface Inventory {
  /** Regular files whose name is a digest, sorted by path. */
  readonly objects: readonly StoredObject[];
  /** Paths below the store that an interrupted writer left. */
  readonly leftovers: readonly ByteString[];
  /** What stands in the place of an object or of a directory of objects, and is neither. */
  readonly damaged: readonly Misfit[];
  /** Other paths below the store that no writer makes. */
  readonly strays: readonly Misfit[];
}

/** A path below the store and why it is not an object. */
export interface Misfit {
  readonly path: ByteString;
  readonly problem: string;
}

/** Lists a store; throws HOST_NOT_FOUND when there is nothing, USAGE_NOT_A_STORE when it is something else. */
export function takeInventory(dir: string): Inventory {
  const base = byteStringOfText(dir);
  const objects: StoredObject[] = [];
  const leftovers: ByteString[] = [];
  const damaged: Misfit[] = [];
  const strays: Misfit[] = [];
  const names = listNames(base);
  const others = names.filter((name) => name !== 'lost+found');
  if (others.length > 0 && !others.some((name) => isFanOut(name) || isLeftover(name))) {
    throw notAStore(dir, others);
  }
  for (const name of names) {
    const path = `${base}/${name}` as ByteString;
    if (isLeftover(name)) {
      leftovers.push(name);
    } else if (!isFanOut(name)) {
      strays.push({ path: name, problem: 'expected a directory named by two hexadecimal digits' });
    } else if (kindOf(path) !== 'directory') {
      damaged.push({ path: name, problem: 'expected a directory of objects' });
    } else {
      listFanOut(base, name, { objects, damaged, strays });
    }
  }
  return { objects, leftovers, damaged, strays };
}

/** An answer about the objects of a directory that is no store would always be good. */
function notAStore(dir: string, names: readonly ByteString[]): ColdsealError {
  const hint = names.includes('objects' as ByteString)
    ? `did you mean ${join(dir, 'objects')}?`
    : 'a store is the directory that was given to image build --digest-store';
  return new ColdsealError(
    'USAGE_NOT_A_STORE',
    `Cannot use ${dir} as an object store: it has ${showBytes(names[0]!)}, ` +
      'expected directories named by two hexadecimal digits',
    { hint },
  );
}

function listFanOut(
  base: ByteString,
  fanOut: ByteString,
  {
    objects,
    damaged,
    strays,
  }: Record<'damaged' | 'strays', Misfit[]> & {
    objects: StoredObject[];
  },
): void {
  for (const name of listNames(`${base}/${fanOut}` as ByteString)) {
    const path = `${fanOut}/${name}` as ByteString;
    const digest = digestOfPath(fanOut, name);
    const stat = lstatIfThere(`${base}/${path}`);
    if (stat === undefined) continue;
    if (digest === undefined) {
      strays.push({ path, problem: 'expected a name of 62 or 126 hexadecimal digits' });
    } else if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG) {
      damaged.push({ path, problem: 'expected a regular file' });
    } else {
      objects.push({ digest, path, stat });
    }
  }
}

function kindOf(path: ByteString): 'directory' | 'other' {
  const stat = lstatIfThere(path);
  const isDirectory = stat !== undefined && (stat.mode & constants.S_IFMT) === constants.S_IFDIR;
  return isDirectory ? 'directory' : 'other';
}

function listNames(path: ByteString): ByteString[] {
  try {
    return readdirSync(nodePath(path), { encoding: 'latin1' }).sort() as ByteString[];
  } catch (error) {
    throw explainSysError(error, `Cannot list ${showBytes(path)}`);
  }
}
