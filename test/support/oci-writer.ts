/**
 * A small writer of OCI image layouts for tests: every descriptor can be said, right or wrong.
 *
 * Spec: OCI image layout 1.0.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export type Json = Record<string, unknown>;

export interface ImageParts {
  readonly architecture?: string;
  readonly config?: Json;
  readonly manifest?: Json;
  readonly layerType?: string;
  readonly diffIds?: readonly string[];
}

/** The lower-case hexadecimal SHA-256 of some bytes. */
export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/** Writes a layout into a directory, which it makes. */
export class OciWriter {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
    this.writeVersion();
  }

  writeVersion(version = '1.0.0'): void {
    writeFileSync(join(this.path, 'oci-layout'), JSON.stringify({ imageLayoutVersion: version }));
  }

  /** A blob and what a descriptor says of it. */
  blob(bytes: Uint8Array): Json {
    const hex = sha256(bytes);
    writeFileSync(join(this.path, 'blobs/sha256', hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  }

  json(value: unknown, mediaType: string): Json {
    return { mediaType, ...this.blob(Buffer.from(JSON.stringify(value))) };
  }

  /** An image of uncompressed layers, of which every second is stored compressed. */
  image(layers: readonly Buffer[], parts: ImageParts = {}): Json {
    const { architecture = 'amd64', layerType = LAYER_TYPE } = parts;
    const descriptors = layers.map((tar, i) => ({
      mediaType: layerType,
      ...this.blob(i % 2 === 0 ? tar : gzipSync(tar)),
    }));
    const diffIds = parts.diffIds ?? layers.map((tar) => `sha256:${sha256(tar)}`);
    const rootfs = { type: 'layers', diff_ids: diffIds };
    const config = this.json({ os: 'linux', architecture, rootfs, ...parts.config }, 'config');
    const manifest = { schemaVersion: 2, config, layers: descriptors, ...parts.manifest };
    return { ...this.json(manifest, MANIFEST_TYPE), platform: { os: 'linux', architecture } };
  }

  writeIndex(...manifests: Json[]): void {
    writeFileSync(join(this.path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  }
}
