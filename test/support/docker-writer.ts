/**
 * A small writer of Docker archives for tests: as Docker before 25 wrote them, with a directory for each layer, as
 * skopeo does, and as Docker does since, with an OCI layout in it.
 *
 * Source: Docker's image specification 1.2.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OciWriter, sha256, type Json } from './oci-writer.ts';
import { tarOf, type TarMember } from './tar-writer.ts';

export interface DockerParts {
  readonly names?: readonly string[] | null;
  readonly architecture?: string;
  readonly config?: Json;
  readonly diffIds?: readonly string[];
}

export type DockerStyle = 'legacy' | 'skopeo' | 'blobs';

/** Gathers the members of an archive. */
export class DockerWriter {
  readonly #style: DockerStyle;
  readonly members: TarMember[] = [];
  readonly list: Json[] = [];

  constructor(style: DockerStyle = 'skopeo') {
    this.#style = style;
  }

  /** Adds an image of uncompressed layers; a layer that was there is a symlink to it, as Docker does. */
  image(layers: readonly Buffer[], parts: DockerParts = {}): this {
    const { architecture = 'amd64', names = ['app:latest'] } = parts;
    const diffIds = parts.diffIds ?? layers.map((tar) => `sha256:${sha256(tar)}`);
    const rootfs = { type: 'layers', diff_ids: diffIds };
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture, rootfs, ...parts.config }),
    );
    const id = sha256(config);
    const name = this.#style === 'blobs' ? `blobs/sha256/${id}` : `${id}.json`;
    this.members.push({ name, content: config });
    const Layers = layers.map((tar, i) => this.#layer(tar, `${id.slice(0, 32)}${i}`));
    this.list.push({ Config: name, RepoTags: names, Layers });
    return this;
  }

  #layer(tar: Buffer, id: string): string {
    const hex = sha256(tar);
    if (this.#style !== 'legacy') {
      const name = this.#style === 'blobs' ? `blobs/sha256/${hex}` : `${hex}.tar`;
      this.members.push({ name, content: tar });
      return name;
    }
    const name = `${id}/layer.tar`;
    const same = this.members.find(({ content }) => content === tar);
    this.members.push({ name: `${id}/`, type: '5' }, { name: `${id}/VERSION`, content: '1.0' });
    this.members.push(
      same === undefined
        ? { name, content: tar }
        : { name, type: '2', linkName: `../${same.name}` },
    );
    return name;
  }

  /** All members, `manifest.json` last as Docker writes it. */
  all(): readonly TarMember[] {
    const last = { name: 'manifest.json', content: JSON.stringify(this.list) };
    return [...this.members, last];
  }

  write(path: string): void {
    writeFileSync(path, tarOf(...this.all()));
  }

  /** The same as files of a directory. */
  writeDirectory(path: string): void {
    for (const { name, type = '0', content = '', linkName = '' } of this.all()) {
      const to = join(path, name);
      mkdirSync(type === '5' ? to : dirname(to), { recursive: true });
      if (type === '0') writeFileSync(to, content);
      else if (type === '2') symlinkSync(linkName, to);
    }
  }
}

/** What Docker writes since 25: an OCI layout and `manifest.json` about the same blobs, in one directory. */
export function writeDocker25(path: string, layers: readonly Buffer[], name: string): void {
  const docker = new DockerWriter('blobs').image(layers, { names: [name] });
  docker.writeDirectory(path);
  const layout = new OciWriter(path);
  const [{ Config } = {}] = docker.list;
  const config = docker.members.find((member) => member.name === Config)!.content as Buffer;
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  const manifest = layout.json(
    {
      schemaVersion: 2,
      config: { mediaType: 'config', ...layout.blob(config) },
      layers: layers.map((tar) => ({ mediaType, ...layout.blob(tar) })),
    },
    'application/vnd.oci.image.manifest.v1+json',
  );
  const annotations = { 'org.opencontainers.image.ref.name': name.split(':')[1]! };
  layout.writeIndex({ ...manifest, annotations });
}
