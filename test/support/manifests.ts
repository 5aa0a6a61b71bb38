/** A complete manifest for tests. */
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { COSE_PS256 } from '../../runtime/format/envelope.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import {
  createManifest,
  type Manifest,
  type ManifestInput,
} from '../../runtime/format/manifest.ts';
import { encodeRecipe, type Recipe } from '../../toolchain/image/recipe.ts';
import type { VerifyPolicy } from '../../runtime/verify.ts';
import { testAnchor } from './test-pki.ts';

export const { sha256 } = createNodeCrypto();

/** Without anything that needs another runtime level. */
export const TEST_RECIPE: Recipe = {
  mtime: 'epoch',
  xattrs: 'all',
  hardlinks: 'split',
  devices: 'keep',
  inlineMax: 64,
  rootMetadata: 'source',
  selinux: undefined,
};

export function imageEntry(change: Partial<ImageEntry> = {}): ImageEntry {
  return {
    role: 1,
    name: 'root',
    format: 1,
    size: 8192,
    digest: { algorithm: 'sha256', value: new Uint8Array(32).fill(0xaa) },
    objectCount: 3,
    objectBytes: 3_000_000_000,
    objectListDigest: new Uint8Array(32).fill(0xbb),
    mount: 1,
    start: 1,
    flags: 0b0111,
    recipe: encodeRecipe(TEST_RECIPE),
    ...change,
  };
}

/** Every optional field is present, so that a test over all fields meets all of them. */
export function testManifest(change: Partial<ManifestInput> = {}): Manifest {
  const digest = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
  return createManifest(
    {
      product: 'demo',
      boards: ['fsl,imx8mp-evk', 'linux,dummy-virt'],
      version: '1.2.3',
      epochs: new Map([
        [1, 7],
        [2, 1],
      ]),
      builtAt: 1_790_000_000,
      valid: { notBefore: 1_790_000_000, notAfter: 1_900_000_000 },
      role: 1,
      images: [imageEntry(), imageEntry({ role: 2, name: 'app', mount: 2, start: 2 })],
      bootBinding: { kernel: digest(1), dtb: digest(2), cmdline: digest(3), initramfs: digest(4) },
      sbom: { format: 1, sha256: digest(5), size: 12 },
      provenance: { format: 3, sha256: digest(6), size: 13 },
      minDenyVersion: 0,
      notes: new Map([['rxswin', 'R155 example']]),
      ...change,
    },
    sha256,
  );
}

/** A device that accepts `testManifest` as signed by `testSigner`. */
export function testPolicy(change: Partial<VerifyPolicy> = {}): VerifyPolicy {
  return {
    anchors: [testAnchor()],
    algorithms: [COSE_PS256],
    roles: [1],
    product: 'demo',
    board: 'linux,dummy-virt',
    epochs: new Map([[1, 7]]),
    denyVersion: 0,
    checkTime: undefined,
    ...change,
  };
}
