/**
 * What is in an object store: objects, what interrupted writers left, and what does not belong.
 *
 * Nothing is opened; names and sizes only. Symbolic links are not followed.
 */
import { constants, readdirSync } from 'node:fs';
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
  /** Paths below the store that no writer makes, and why they are not objects. */
  readonly strays: readonly { readonly path: ByteString; readonly problem: string }[];
}

/** Lists a store; throws HOST_NOT_FOUND when there is none. */
export function takeInventory(dir: string): Inventory {
  const base = byteStringOfText(dir);
  const objects: StoredObject[] = [];
  const leftovers: ByteString[] = [];
  const strays: { path: ByteString; problem: string }[] = [];
  for (const name of listNames(base)) {
    const path = `${base}/${name}` as ByteString;
    if (isLeftover(name)) {
      leftovers.push(name);
    } else if (!isFanOut(name) || kindOf(path) !== 'directory') {
      strays.push({ path: name, problem: 'expected a directory named by two hexadecimal digits' });
    } else {
      listFanOut(base, name, objects, strays);
    }
  }
  return { objects, leftovers, strays };
}

function listFanOut(
  base: ByteString,
  fanOut: ByteString,
  objects: StoredObject[],
  strays: { path: ByteString; problem: string }[],
): void {
  for (const name of listNames(`${base}/${fanOut}` as ByteString)) {
    const path = `${fanOut}/${name}` as ByteString;
    const digest = digestOfPath(fanOut, name);
    const stat = lstatIfThere(`${base}/${path}`);
    if (stat === undefined) continue;
    if (digest === undefined) {
      strays.push({ path, problem: 'expected a name of 62 or 126 hexadecimal digits' });
    } else if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG) {
      strays.push({ path, problem: 'expected a regular file' });
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
