/**
 * An archive of `docker save`, or a directory that one was unpacked into, to a tree.
 *
 * `manifest.json` lists the images: the file of the configuration, the names, the files of the layers. It has no
 * digests. The configuration has one of each layer's content, and those are checked; its own is the image's ID, and is
 * checked where the file's name says it, as every writer's does. Docker since 25 writes an OCI layout beside
 * `manifest.json`; then the names of all files are their digests.
 * Source: Docker's image specification 1.2, "Combined Image JSON + Filesystem Changeset Format".
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { byteStringOfText } from './byte-string.ts';
import {
  fitsPlatform,
  type ImageConfig,
  LAYERS_MAX,
  parseImageConfig,
  parseImageJson,
  platformOf,
  type OciPlatform,
  showPlatform,
} from './image-config.ts';
import { ImageFiles, type ImageForm } from './image-files.ts';
import { readLayers, type LayersTable } from './layers.ts';
import type { OciChoice } from './oci-manifest.ts';
import { tarPath } from './tar-path.ts';
import type { ReadTarOptions } from './tar.ts';
import { treeOfTable } from './tree-table.ts';
import type { TreeNode } from './tree.ts';

/** `ref` is a name, with or without a tag; without one it is `latest`. */
export type ReadDockerOptions = ReadTarOptions & OciChoice;

/** One image of an archive. */
export interface DockerImage {
  /** The image's ID. */
  readonly configDigest: string;
  readonly names: readonly string[];
  readonly platform: OciPlatform;
  readonly layers: readonly DockerLayer[];
  readonly config: ImageConfig;
}

export interface DockerLayer {
  readonly file: string;
  readonly size: number;
  readonly diffId: string;
}

export interface DockerTable extends LayersTable {
  readonly image: DockerImage;
}

export interface DockerResult extends Omit<DockerTable, 'table'> {
  readonly root: TreeNode;
}

const FORM: ImageForm = {
  noun: 'Docker archive',
  code: 'FORMAT_DOCKER_LAYOUT',
  hint: 'docker save and skopeo copy … docker-archive:FILE make one',
};
const MANIFEST = 'manifest.json';
/** The list of images of Docker before 1.10, whose layers have no digests. */
const OLD_LIST = 'repositories';

const manifest = z.array(
  z.looseObject({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()).max(LAYERS_MAX).nullable(),
  }),
);
type Listed = z.output<typeof manifest>[number];

/** File names that say the digest of what is in them; those of layers are other things in each version. */
const CONFIG_NAME = /^(?:sha256:|blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/;
const BLOB_NAME = /^blobs\/(sha256)\/([0-9a-f]{64})$/;

/** Reads an archive. Throws FORMAT_DOCKER_LAYOUT, FORMAT_OCI_*, VERIFY_OCI_*, USAGE_OCI_*, FORMAT_TAR_*, HOST_*. */
export async function readDockerTable(
  path: string,
  options: ReadDockerOptions,
): Promise<DockerTable> {
  const files = await ImageFiles.open(path, FORM, options.interrupted);
  const image = chooseImage(files, options);
  const layers = image.layers.map(({ file, diffId }) => {
    const blob = BLOB_NAME.exec(file);
    const digest = blob === null ? undefined : `${blob[1]}:${blob[2]}`;
    return { shown: file, place: files.place(file), digest, diffId };
  });
  return { ...(await readLayers(layers, options)), image };
}

/** The same as nodes. */
export async function readDocker(path: string, options: ReadDockerOptions): Promise<DockerResult> {
  const { table, ...result } = await readDockerTable(path, options);
  return { root: treeOfTable(table), ...result };
}

/** What a record tells of an image: everything but its configuration. */
export function dockerRecord({ configDigest, names, platform, layers }: DockerImage): object {
  return { configDigest, names, platform: showPlatform(platform), layers };
}

function chooseImage(files: ImageFiles, choice: OciChoice): DockerImage {
  if (!files.has(MANIFEST) && files.has(OLD_LIST)) {
    files.fail(`it has ${OLD_LIST} and no ${MANIFEST}, as Docker before 1.10 wrote it`);
  }
  const listed = parseImageJson(files.read(MANIFEST), MANIFEST, manifest);
  const { ref } = choice;
  const named = listed.filter(
    ({ RepoTags }) => ref === undefined || RepoTags?.some((tag) => fullName(tag) === fullName(ref)),
  );
  if (named.length === 0) {
    const all = listed.map(({ RepoTags, Config }) => RepoTags?.join(', ') || Config);
    failChoice('no image has this name', all, choice);
  }
  const images = named.map((each) => openImage(files, each));
  const fitting = images.filter((each) => fitsPlatform(each.platform, choice.platform));
  // One image may be listed once for each of its names.
  const distinct = new Set(fitting.map(({ configDigest }) => configDigest));
  if (distinct.size === 0) failChoice('no image is for this platform', images.map(show), choice);
  if (distinct.size > 1) failChoice('more than one image fits', fitting.map(show), choice);
  return fitting[0]!;
}

function openImage(files: ImageFiles, { Config, RepoTags, Layers }: Listed): DockerImage {
  const bytes = files.read(pathOf(files, Config));
  const hex = createHash('sha256').update(bytes).digest('hex');
  const said = CONFIG_NAME.exec(Config)?.[1];
  if (said !== undefined && said !== hex) {
    throw new ColdsealError(
      'VERIFY_OCI_BLOB',
      `Cannot read the image: the configuration ${Config} has the digest sha256:${hex}`,
      { hint: 'the archive is damaged; save the image again' },
    );
  }
  const layers = Layers ?? [];
  const config = parseImageConfig(bytes, Config, { layers: layers.length, platforms: [] });
  return {
    configDigest: `sha256:${hex}`,
    names: RepoTags ?? [],
    platform: platformOf(config),
    layers: layers.map((name, i) => {
      const file = pathOf(files, name);
      return { file, size: files.place(file).size, diffId: config.rootfs.diff_ids[i]! };
    }),
    config,
  };
}

/** A name of a file as the archive has it; one that leads out of it is refused. */
function pathOf(files: ImageFiles, name: string): string {
  try {
    return tarPath(byteStringOfText(name), 'name', { at: 0 }).path;
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    return files.fail(
      `${MANIFEST} has ${JSON.stringify(name.slice(0, 100))}, which is no file of it`,
    );
  }
}

const DEFAULT_HOST = /^(index\.)?docker\.io\//;

/** A name as Docker understands it: what it adds is there, and what it leaves out is not. */
function fullName(name: string): string {
  const short = name.replace(DEFAULT_HOST, '').replace(/^library\//, '');
  const hasTag = short.slice(short.lastIndexOf('/') + 1).includes(':');
  return hasTag ? short : `${short}:latest`;
}

function show({ names, configDigest, platform }: DockerImage): string {
  return `${names.length === 0 ? configDigest : names.join(', ')} for ${showPlatform(platform)}`;
}

function failChoice(problem: string, found: readonly string[], choice: OciChoice): never {
  const wanted = [choice.ref, choice.platform && showPlatform(choice.platform)].filter(Boolean);
  throw new ColdsealError(
    'USAGE_OCI_CHOICE',
    `Cannot choose an image of the Docker archive: ${problem}${wanted.length > 0 ? ` (${wanted.join(', ')})` : ''}`,
    { hint: found.length === 0 ? 'it has no images' : `it has ${found.slice(0, 10).join('; ')}` },
  );
}
