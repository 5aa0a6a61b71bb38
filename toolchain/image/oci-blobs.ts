/**
 * The parts of an OCI image layout: small JSON files and blobs named by their digest, in a directory or in one archive.
 *
 * A JSON blob is checked against size and digest before a byte of it is believed; layers are checked while they are
 * read.
 * Spec: OCI Image Layout Specification 1.1.
 */
import { createHash } from 'node:crypto';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { type FilePlace, ImageFiles, type ImageForm } from './image-files.ts';

/** What a descriptor says of a blob. */
export interface BlobDescriptor {
  readonly digest: string;
  readonly size: number;
}

const FORM: ImageForm = {
  noun: 'OCI image',
  code: 'FORMAT_OCI_LAYOUT',
  hint: 'expected an image layout; skopeo copy … oci:DIR or oci-archive:FILE makes one',
};

const DIGEST = /^sha256:([0-9a-f]{64})$/;

export class OciBlobs {
  readonly #shown: string;
  readonly #files: ImageFiles;

  private constructor(shown: string, files: ImageFiles) {
    this.#shown = shown;
    this.#files = files;
  }

  /** Opens a directory or an archive. Throws HOST_NOT_FOUND, FORMAT_OCI_LAYOUT, FORMAT_TAR_*. */
  static async open(path: string, signal?: AbortSignal): Promise<OciBlobs> {
    return new OciBlobs(path, await ImageFiles.open(path, FORM, signal));
  }

  /** A file of the layout that is not named by its digest. */
  readFile(name: string): Buffer {
    return this.#files.read(name);
  }

  /** A JSON blob, checked. Throws VERIFY_OCI_BLOB. */
  readJson(descriptor: BlobDescriptor): Buffer {
    this.blob(descriptor);
    const bytes = this.#files.read(this.#name(descriptor));
    const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (found === descriptor.digest) return bytes;
    throw new ColdsealError(
      'VERIFY_OCI_BLOB',
      `Cannot read the OCI image ${this.#shown}: the blob ${descriptor.digest} has the digest ${found}`,
      { hint: 'the image is damaged; copy it again' },
    );
  }

  /** Where a blob lies; its size is what the descriptor says. Throws FORMAT_OCI_LAYOUT, VERIFY_OCI_BLOB. */
  blob(descriptor: BlobDescriptor): FilePlace {
    const place = this.#files.place(this.#name(descriptor));
    const { digest, size } = descriptor;
    if (place.size === size) return place;
    throw new ColdsealError(
      'VERIFY_OCI_BLOB',
      `Cannot read the OCI image ${this.#shown}: the blob ${digest} has ${place.size} bytes, expected ${size}`,
      { hint: 'the image is damaged or not whole; copy it again' },
    );
  }

  #name({ digest }: BlobDescriptor): string {
    const hex = DIGEST.exec(digest)?.[1];
    return hex === undefined
      ? this.#files.fail(`${digest} is no SHA-256 digest`)
      : `blobs/sha256/${hex}`;
  }
}
