/**
 * The parts of an OCI image layout: small JSON files and blobs named by their digest, in a directory or in one archive.
 *
 * In an archive every part is where its bytes lie, found in one pass over the headers; so it has to be a plain file,
 * not compressed. A JSON blob is checked against size and digest before a byte of it is believed; layers are checked
 * while they are read.
 * Spec: OCI Image Layout Specification 1.1.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { TarInput, type FilePart } from './tar-input.ts';
import { TAR_LIMITS } from './tar-limits.ts';
import { tarPath } from './tar-path.ts';
import { TarReader } from './tar-reader.ts';
import { TarStream } from './tar-stream.ts';

/** What a descriptor says of a blob. */
export interface BlobDescriptor {
  readonly digest: string;
  readonly size: number;
}

/** A blob's place in a file. */
export interface BlobPlace extends FilePart {
  readonly path: string;
}

/** Indexes, manifests and configurations have some kilobytes; registries take 4 MiB. */
const JSON_SIZE_MAX = 4 << 20;
/** Parts of a layout in an archive: blobs and a few files besides. */
const PARTS_MAX = 100_000;

const DIGEST = /^sha256:([0-9a-f]{64})$/;

export class OciBlobs {
  readonly #shown: string;
  /** Places in an archive by path; undefined for a directory. */
  readonly #parts: ReadonlyMap<string, BlobPlace> | undefined;

  private constructor(shown: string, parts: ReadonlyMap<string, BlobPlace> | undefined) {
    this.#shown = shown;
    this.#parts = parts;
  }

  /** Opens a directory or an archive. Throws HOST_NOT_FOUND, FORMAT_OCI_LAYOUT, FORMAT_TAR_*. */
  static async open(path: string, signal?: AbortSignal): Promise<OciBlobs> {
    let isDirectory: boolean;
    try {
      isDirectory = statSync(path).isDirectory();
    } catch (error) {
      throw explainSysError(error, `Cannot read the OCI image ${path}`);
    }
    return new OciBlobs(path, isDirectory ? undefined : await partsOf(path, signal));
  }

  /** A file of the layout that is not named by its digest. */
  readFile(name: string): Buffer {
    return this.#read(this.#place(name), name);
  }

  /** A JSON blob, checked. Throws VERIFY_OCI_BLOB. */
  readJson(descriptor: BlobDescriptor): Buffer {
    const bytes = this.#read(this.blob(descriptor), descriptor.digest);
    const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (found === descriptor.digest) return bytes;
    throw new ColdsealError(
      'VERIFY_OCI_BLOB',
      `Cannot read the OCI image ${this.#shown}: the blob ${descriptor.digest} has the digest ${found}`,
      { hint: 'the image is damaged; copy it again' },
    );
  }

  /** Where a blob lies; its size is what the descriptor says. Throws FORMAT_OCI_LAYOUT, VERIFY_OCI_BLOB. */
  blob({ digest, size }: BlobDescriptor): BlobPlace {
    const hex = DIGEST.exec(digest)?.[1];
    if (hex === undefined) this.#fail(`${digest} is no SHA-256 digest`);
    const place = this.#place(`blobs/sha256/${hex}`);
    if (place.size === size) return place;
    throw new ColdsealError(
      'VERIFY_OCI_BLOB',
      `Cannot read the OCI image ${this.#shown}: the blob ${digest} has ${place.size} bytes, expected ${size}`,
      { hint: 'the image is damaged or not whole; copy it again' },
    );
  }

  #place(name: string): BlobPlace {
    const place = this.#parts === undefined ? this.#placeOnDisk(name) : this.#parts.get(name);
    return place ?? this.#fail(`it has no ${name}`);
  }

  #placeOnDisk(name: string): BlobPlace | undefined {
    const path = join(this.#shown, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true ? { path, offset: 0, size: stat.size } : undefined;
  }

  #read({ path, offset, size }: BlobPlace, name: string): Buffer {
    if (size > JSON_SIZE_MAX) {
      this.#fail(`${name} has ${size} bytes, expected at most ${JSON_SIZE_MAX}`);
    }
    const fd = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(size);
      const length = readSync(fd, bytes, 0, size, offset);
      if (length < size || !fstatSync(fd).isFile()) this.#fail(`${name} changed while it was read`);
      return bytes;
    } catch (error) {
      throw explainSysError(error, `Cannot read ${name} of the OCI image ${this.#shown}`);
    } finally {
      closeSync(fd);
    }
  }

  #fail(problem: string): never {
    throw new ColdsealError(
      'FORMAT_OCI_LAYOUT',
      `Cannot read the OCI image ${this.#shown}: ${problem}`,
      { hint: 'expected an image layout; skopeo copy … oci:DIR or oci-archive:FILE makes one' },
    );
  }
}

/** Where every file of an archive lies. */
async function partsOf(path: string, signal?: AbortSignal): Promise<Map<string, BlobPlace>> {
  using input = new TarInput(path, signal);
  const stream = new TarStream(input.pieces(), TAR_LIMITS, () => input.bytes);
  const reader = new TarReader(stream);
  const parts = new Map<string, BlobPlace>();
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      if (entry.type !== '0') continue;
      const name = tarPath(entry.name, 'name', entry.place).path;
      parts.set(name, { path, offset: reader.dataOffset(entry), size: entry.size });
      if (parts.size > PARTS_MAX) failArchive(path, `it has more than ${PARTS_MAX} files`);
    }
  } finally {
    await stream.close();
  }
  const { compression } = input.digests();
  if (compression !== 'none') failArchive(path, `it is compressed by ${compression}, expected not`);
  return parts;
}

function failArchive(path: string, problem: string): never {
  throw new ColdsealError('FORMAT_OCI_LAYOUT', `Cannot read the OCI image ${path}: ${problem}`, {
    hint: 'expected an image layout in a plain archive; unpack it and give the directory',
  });
}
