/**
 * An OCI image to a tree: one image of a layout, its layers one over the other (layers.ts).
 */
import { readLayers, type LayersTable } from './layers.ts';
import { OciBlobs } from './oci-blobs.ts';
import { showPlatform } from './image-config.ts';
import { chooseImage, type OciChoice, type OciImage } from './oci-manifest.ts';
import type { ReadTarOptions } from './tar.ts';
import { treeOfTable } from './tree-table.ts';
import type { TreeNode } from './tree.ts';

export type ReadOciOptions = ReadTarOptions & OciChoice;

export interface OciTable extends LayersTable {
  readonly image: OciImage;
}

export interface OciResult extends Omit<OciTable, 'table'> {
  readonly root: TreeNode;
}

/** Reads an image layout, a directory or an archive. Throws FORMAT_OCI_*, VERIFY_OCI_*, FORMAT_TAR_*, HOST_*. */
export async function readOciTable(path: string, options: ReadOciOptions): Promise<OciTable> {
  const blobs = await OciBlobs.open(path, options.interrupted);
  const image = chooseImage(blobs, options);
  const layers = image.layers.map((layer) => {
    const { digest, diffId } = layer;
    return { shown: digest, place: blobs.blob(layer), digest, diffId };
  });
  return { ...(await readLayers(layers, options)), image };
}

/** The same as nodes. */
export async function readOci(path: string, options: ReadOciOptions): Promise<OciResult> {
  const { table, ...result } = await readOciTable(path, options);
  return { root: treeOfTable(table), ...result };
}

/** What a record tells of an image: everything but its configuration. */
export function ociRecord(image: OciImage): object {
  const { manifestDigest, configDigest, layers } = image;
  return { manifestDigest, configDigest, platform: showPlatform(image.platform), layers };
}
