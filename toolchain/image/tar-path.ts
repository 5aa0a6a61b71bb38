/**
 * Names of tar members as paths below the root of the image.
 *
 * `./` in front, doubled slashes and `.` parts mean nothing; a leading slash means the root of the image, as GNU tar
 * takes it when it unpacks. `..` is refused wherever it stands: no archive of a tree needs it, and readers disagree
 * about what it leads to.
 */
import { EROFS_NAME_LEN_MAX } from '../../runtime/format/erofs.ts';
import type { ByteString } from './byte-string.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import { PATH_MAX } from './tar-limits.ts';

export interface TarPath {
  /** Parts joined by slashes, none in front; empty for the root. */
  readonly path: ByteString;
  /** Whether the name ended in a slash, which only a directory's may. */
  readonly endsInSlash: boolean;
}

/** A part that is empty, `.` or `..`. */
const ODD_PART = /(^|\/)\.{0,2}(\/|$)/;

/** The path that a name means; `label` says whose name it is. Throws FORMAT_TAR_NAME, FORMAT_TAR_TRAVERSAL. */
export function tarPath(name: ByteString, label: string, place: TarPlace): TarPath {
  if (name === '') failTar('FORMAT_TAR_NAME', place, `the ${label} is empty`);
  if (name.includes('\0')) failTar('FORMAT_TAR_NAME', place, `the ${label} contains a NUL byte`);
  const endsInSlash = name.endsWith('/');
  let path: string = name.startsWith('./') ? name.slice(2) : name;
  if (endsInSlash) path = path.slice(0, -1);
  if (ODD_PART.test(path)) path = withoutOddParts(path, label, place);
  if (path.length > PATH_MAX) {
    const problem = `the ${label} has ${path.length} bytes, expected at most ${PATH_MAX}`;
    failTar('FORMAT_TAR_NAME', place, problem, 'the kernel takes no longer path');
  }
  if (path.length > EROFS_NAME_LEN_MAX) requirePartLengths(path, label, place);
  return { path: path as ByteString, endsInSlash };
}

function withoutOddParts(path: string, label: string, place: TarPlace): string {
  const parts = path.split('/');
  if (parts.includes('..')) {
    failTar(
      'FORMAT_TAR_TRAVERSAL',
      place,
      `the ${label} has a part .., expected a path that only leads down`,
      'nothing outside of the image can be meant; make the archive of the tree itself',
    );
  }
  return parts.filter((part) => part !== '' && part !== '.').join('/');
}

function requirePartLengths(path: string, label: string, place: TarPlace): void {
  for (const part of path.split('/')) {
    if (part.length <= EROFS_NAME_LEN_MAX) continue;
    const shown = showName(part.slice(0, 20) as ByteString);
    failTar(
      'FORMAT_TAR_NAME',
      place,
      `the part ${shown}… of the ${label} has ${part.length} bytes, expected at most ${EROFS_NAME_LEN_MAX}`,
    );
  }
}
