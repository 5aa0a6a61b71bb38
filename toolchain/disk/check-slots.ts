/**
 * The releases in the slots of a disk: each manifest as the device will verify it, then what only a host looks at,
 * every image and every object that it needs.
 */
import {
  slotDenyList,
  slotManifest,
  STORE_OBJECTS,
  storeImage,
} from '../../runtime/device-paths.ts';
import { decodeEnvelope, ENVELOPE_BYTES_MAX } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import { decodeManifest, type Manifest } from '../../runtime/format/manifest.ts';
import { SLOTS, type SlotName } from '../../runtime/format/slot-state.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import {
  checkImage,
  type ManifestVerdict,
  verifyManifest,
  type VerifyPolicy,
} from '../../runtime/verify.ts';
import { objectsOfImage } from '../image/objects.ts';
import { recipesOf } from '../image/recipe.ts';
import { objectPath } from '../objects/layout.ts';
import { listObjects } from '../sign/check-release.ts';
import type { Findings } from './check-disk.ts';
import { readStoreFile, type StoreContent } from './check-store-files.ts';

export type SlotPolicy = VerifyPolicy;

export interface SlotReport {
  readonly slot: SlotName;
  readonly ok: boolean;
  /** Whether the manifest was verified, or only read because no trust was given. */
  readonly signature: 'verified' | 'refused' | 'not evaluated';
  readonly manifest: Manifest | undefined;
  readonly objects: number;
}

/** Judges every slot that has a manifest; a disk without any is damaged. */
export function checkSlots(
  content: StoreContent,
  policy: SlotPolicy | undefined,
  findings: Findings,
): SlotReport[] {
  const reports: SlotReport[] = [];
  for (const slot of SLOTS) {
    const envelope = signedFile(content, slotManifest(slot));
    if (envelope !== undefined) reports.push(checkSlot(slot, envelope, content, policy, findings));
    else if (signedFile(content, slotDenyList(slot)) !== undefined) {
      findings.add(`slot ${slot}`, 'damage', noManifest(`slot ${slot} has a deny list alone`));
    }
  }
  if (reports.length === 0) findings.add('store', 'damage', noManifest('no slot has one'));
  return reports;
}

function checkSlot(
  slot: SlotName,
  envelope: Uint8Array,
  content: StoreContent,
  policy: SlotPolicy | undefined,
  findings: Findings,
): SlotReport {
  const where = `slot ${slot}`;
  const known = findings.list.length;
  let signature: SlotReport['signature'] = policy === undefined ? 'not evaluated' : 'refused';
  let manifest: Manifest | undefined;
  let objects = 0;
  try {
    if (policy === undefined) manifest = decodeManifest(decodeEnvelope(envelope).payload);
    else {
      const verdict = verifySlot(slot, envelope, content, policy);
      manifest = verdict.manifest;
      if (verdict.reason !== undefined) throw verdict.reason;
      signature = 'verified';
    }
    recipesOf(manifest!);
    objects = checkContent(manifest!, content, where, findings);
  } catch (error) {
    findings.add(where, 'damage', error);
  }
  return { slot, ok: findings.list.length === known, signature, manifest, objects };
}

function verifySlot(
  slot: SlotName,
  envelope: Uint8Array,
  content: StoreContent,
  policy: SlotPolicy,
): ManifestVerdict {
  return verifyManifest({
    envelope,
    denyList: signedFile(content, slotDenyList(slot)),
    policy,
    crypto: createNodeCrypto(),
    images: 'at-mount',
  });
}

/** Images and objects of a manifest; returns how many objects are there and right. */
function checkContent(
  manifest: Manifest,
  content: StoreContent,
  where: string,
  findings: Findings,
): number {
  let objects = 0;
  for (const image of manifest.images) {
    try {
      const bytes = readImage(image, content);
      const only = { ...manifest, images: [image] };
      for (const { digest, size } of listObjects(only, new Map([[image.name, bytes]]), {
        objectsOfImage,
      })) {
        try {
          checkObject(digest, size, content);
          objects++;
        } catch (error) {
          findings.add(where, 'damage', error);
        }
      }
    } catch (error) {
      findings.add(where, 'damage', error);
    }
  }
  return objects;
}

function readImage(image: ImageEntry, content: StoreContent): Uint8Array {
  const path = storeImage(image.digest);
  const file = content.sealed.get(path);
  if (file === undefined) {
    const state = content.damaged.has(path) ? 'is damaged' : 'is not there';
    throw new ColdsealError(
      'VERIFY_IMAGE_MISSING',
      `Cannot accept image ${image.name}: /${path} ${state}`,
    );
  }
  checkImage(image, { size: file.size, digest: image.digest.value });
  return readStoreFile(content.reader, file);
}

function checkObject(digest: string, size: number, content: StoreContent): void {
  const path = `${STORE_OBJECTS}/${objectPath(digest)}`;
  const file = content.sealed.get(path);
  if (file === undefined) {
    const state = content.damaged.has(path) ? 'is damaged' : 'is not there';
    throw new ColdsealError('VERIFY_OBJECT_MISSING', `Cannot accept object ${digest}: it ${state}`);
  }
  if (file.size !== size) {
    throw new ColdsealError(
      'VERIFY_OBJECT_SIZE',
      `Cannot accept object ${digest}: it has ${file.size} bytes, expected ${size}`,
    );
  }
}

/** One byte more than allowed is read: the verifier then refuses the size by its own code. */
function signedFile(content: StoreContent, path: string): Uint8Array | undefined {
  const file = content.signed.get(path);
  return file && readStoreFile(content.reader, file, ENVELOPE_BYTES_MAX + 1);
}

function noManifest(problem: string): ColdsealError {
  return new ColdsealError(
    'VERIFY_MANIFEST_MISSING',
    `Cannot find a manifest on the store: ${problem}`,
  );
}
