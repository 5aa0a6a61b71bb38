/**
 * The files that an image of layers is kept in, by name: in a directory, or where they lie in one plain archive.
 *
 * An archive is gone through once, over its headers, and then every file is read where it is; so it may not be
 * compressed. Links in it are followed to files of the same archive. Nothing here vouches for a byte: whoever reads a
 * file knows its digest, or believes it on the word of the user.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { TarInput, type FilePart } from './tar-input.ts';
import { TAR_LIMITS } from './tar-limits.ts';
import { tarPath } from './tar-path.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';
import { TarStream } from './tar-stream.ts';

/** Where the bytes of a file lie. */
export interface FilePlace extends FilePart {
  readonly path: string;
}

/** How a kind of image is told in errors. */
export interface ImageForm {
  /** Such as `OCI image`. */
  readonly noun: string;
  readonly code: 'FORMAT_OCI_LAYOUT' | 'FORMAT_DOCKER_LAYOUT';
  readonly hint: string;
}

/** Indexes, manifests and configurations have some kilobytes; registries take 4 MiB. */
const JSON_SIZE_MAX = 4 << 20;
/** Files of an image in an archive: layers and a few besides. */
const FILES_MAX = 100_000;
/** As Linux, MAXSYMLINKS. */
const LINKS_MAX = 40;

/** A file of an archive, or what another name of it leads to. */
type ArchiveFile = FilePlace | { readonly target: string };

export class ImageFiles {
  readonly #path: string;
  readonly #form: ImageForm;
  /** Files in an archive by name; undefined for a directory. */
  readonly #files: ReadonlyMap<string, ArchiveFile> | undefined;

  private constructor(
    path: string,
    form: ImageForm,
    files: ReadonlyMap<string, ArchiveFile> | undefined,
  ) {
    this.#path = path;
    this.#form = form;
    this.#files = files;
  }

  /** Opens a directory or an archive. Throws HOST_*, FORMAT_OCI_LAYOUT or FORMAT_DOCKER_LAYOUT, FORMAT_TAR_*. */
  static async open(path: string, form: ImageForm, signal?: AbortSignal): Promise<ImageFiles> {
    let isDirectory: boolean;
    try {
      isDirectory = statSync(path).isDirectory();
    } catch (error) {
      throw explainSysError(error, `Cannot read the ${form.noun} ${path}`);
    }
    const files = isDirectory ? undefined : await filesOf(path, form, signal);
    return new ImageFiles(path, form, files);
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** Where a file lies. */
  place(name: string): FilePlace {
    return this.#find(name) ?? this.fail(`it has no ${name}`);
  }

  /** A small file, whole. */
  read(name: string): Buffer {
    const { path, offset, size } = this.place(name);
    if (size > JSON_SIZE_MAX) {
      this.fail(`${name} has ${size} bytes, expected at most ${JSON_SIZE_MAX}`);
    }
    const fd = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(size);
      const length = readSync(fd, bytes, 0, size, offset);
      if (length < size || !fstatSync(fd).isFile()) this.fail(`${name} changed while it was read`);
      return bytes;
    } catch (error) {
      throw explainSysError(error, `Cannot read ${name} of the ${this.#form.noun} ${this.#path}`);
    } finally {
      closeSync(fd);
    }
  }

  fail(problem: string): never {
    return failForm(this.#form, this.#path, problem, this.#form.hint);
  }

  #find(name: string): FilePlace | undefined {
    if (this.#files === undefined) return placeOnDisk(join(this.#path, name));
    let at = name;
    for (let links = 0; links <= LINKS_MAX; links++) {
      const found = this.#files.get(at);
      if (found === undefined || 'path' in found) return found;
      at = found.target;
    }
    return this.fail(`${name} is a symlink that leads nowhere`);
  }
}

function placeOnDisk(path: string): FilePlace | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true ? { path, offset: 0, size: stat.size } : undefined;
}

/** Where every file of an archive lies. */
async function filesOf(
  path: string,
  form: ImageForm,
  signal?: AbortSignal,
): Promise<Map<string, ArchiveFile>> {
  using input = new TarInput(path, signal);
  const stream = new TarStream(input.pieces(), TAR_LIMITS, () => input.bytes);
  const reader = new TarReader(stream);
  const files = new Map<string, ArchiveFile>();
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const name = tarPath(entry.name, 'name', entry.place).path;
      const target = targetOf(entry, name);
      if (target !== undefined) files.set(name, { target });
      else if (entry.type === '0')
        files.set(name, { path, offset: reader.dataOffset(entry), size: entry.size });
      if (files.size > FILES_MAX) failForm(form, path, `it has more than ${FILES_MAX} files`);
    }
  } finally {
    await stream.close();
  }
  const { compression } = await input.digests();
  if (compression === 'none') return files;
  return failForm(
    form,
    path,
    `it is compressed by ${compression}, expected not`,
    'its parts are read where they lie; unpack it and give the archive, or the directory',
  );
}

/** What a link leads to; one that leads out of the archive leads to no file of it. */
function targetOf({ type, linkName, place }: TarEntry, name: string): string | undefined {
  if (type === '1') return tarPath(linkName, "hardlink's target", place).path;
  if (type !== '2') return undefined;
  // Where an absolute one leads depends on where the archive is unpacked.
  if (linkName.startsWith('/')) return linkName;
  return posix.normalize(posix.join(posix.dirname(name), linkName));
}

function failForm({ noun, code }: ImageForm, path: string, problem: string, hint?: string): never {
  throw new ColdsealError(code, `Cannot read the ${noun} ${path}: ${problem}`, { hint });
}
