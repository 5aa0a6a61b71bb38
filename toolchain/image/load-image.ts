/** Getting an image into memory: from a file or from stdin, and through the gates. */
import { readFileSync } from 'node:fs';
import { openImage, type ErofsImage } from '../../runtime/format/erofs-image.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { restrictToComposefs } from '../../runtime/format/restrict.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { readStdin } from '../files/read-input.ts';
import { isTarIndex } from './tar-index-format.ts';

/** The bytes of a file; `-` is stdin. */
export function loadBytes(path: string): Uint8Array {
  try {
    return path === '-' ? readStdin() : readFileSync(path);
  } catch (error) {
    throw explainSysError(error, `Cannot read image ${shownPath(path)}`);
  }
}

/** An image that passed both gates; the error names the file. */
export function loadImage(path: string): ErofsImage {
  return imageFrom(loadBytes(path), path);
}

/** The same of bytes that are there already; `path` is for the error. */
export function imageFrom(bytes: Uint8Array, path: string): ErofsImage {
  if (isTarIndex(bytes)) {
    throw new ColdsealError(
      'USAGE_TAR_INDEX',
      `Cannot use image ${shownPath(path)}: it is an index of a tar archive, expected a composefs image`,
      { hint: 'image ls lists it and image check checks it; it is mounted with its archive' },
    );
  }
  try {
    const image = openImage(bytes);
    restrictToComposefs(image);
    return image;
  } catch (error) {
    throw inFile(error, path);
  }
}

/** A refusal of the format with the file it is about. */
export function inFile(error: unknown, path: string): unknown {
  if (!(error instanceof ColdsealError)) return error;
  const { code, hint, message } = error;
  return new ColdsealError(code, `Cannot use image ${shownPath(path)}: ${message}`, {
    hint: hint ?? `coldseal image check ${path} lists everything that is wrong`,
    cause: error,
  });
}

function shownPath(path: string): string {
  return path === '-' ? 'stdin' : path;
}
