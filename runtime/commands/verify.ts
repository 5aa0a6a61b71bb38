/**
 * `coldseal verify`: the booted slot's manifest is verified again, and every image of it on the store is measured again
 * and read to its end, so that the kernel checks each block. Objects are checked when they are read. Exit code 3: no.
 */
import { RUN_STORE, storeImage } from '../device-paths.ts';
import type { Engine } from '../engine.ts';
import { toHex } from '../format/bytes.ts';
import { ColdsealError, EXIT_CODES } from '../format/errors.ts';
import type { ImageEntry } from '../format/manifest-image.ts';
import { checkImageDigest } from '../mount-steps.ts';
import { withFile } from '../read-file.ts';
import { explainSysError } from '../sys-error.ts';
import { checkImage } from '../verify.ts';
import type { VerityMode } from '../mounts.ts';
import { requireSlot } from './booted.ts';
import { type DeviceCommand, fact } from './command.ts';
import type { VerifyResult } from './documents.ts';

const READ_STEP = 64 * 1024;

export const verifyCommand: DeviceCommand = {
  name: 'verify',
  about: () => 'verify the booted release again; exit code 3 when the answer is no',
  run: (engine) => {
    const { slot, sealed, accepted, problems } = requireSlot(engine);
    const manifestSha256 = toHex(accepted.manifestSha256);
    const images = accepted.manifest.images.map((image) => {
      const reason = refusalOf(() => measureImage(engine, image, sealed.policy.verity));
      return { name: image.name, reason: reason && { code: reason.code, message: reason.message } };
    });
    const isGood = images.every(({ reason }) => reason === undefined);
    return {
      lines: [
        fact(`slot ${slot}`, `manifest ${manifestSha256} verified`),
        ...images.map(({ name, reason }) =>
          fact(
            `image ${name}`,
            reason === undefined ? 'verified' : `${reason.code}: ${reason.message}`,
          ),
        ),
        ...problems.map(({ code, message }) => fact('note', `${code}:`, message)),
        fact('verdict', isGood ? 'yes' : 'no'),
      ],
      result: { slot, manifestSha256, images } satisfies VerifyResult,
      exitCode: isGood ? 0 : EXIT_CODES.VERIFY,
    };
  },
};

function refusalOf(action: () => void): ColdsealError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof ColdsealError) return error;
    throw error;
  }
}

function measureImage({ sys, computeDigest }: Engine, image: ImageEntry, verity: VerityMode): void {
  const { algorithm, value } = image.digest;
  const path = `${RUN_STORE}/${storeImage(image.digest)}`;
  const wanted = { algorithm, digest: toHex(value) };
  try {
    withFile(sys, path, (file) => {
      checkImage(image, { size: sys.stat(file).size, digest: value });
      checkImageDigest(sys, file, wanted, { image: path, verity }, computeDigest);
      const buffer = new Uint8Array(READ_STEP);
      for (let at = 0; at < image.size;) {
        const length = sys.read(file, buffer, at);
        if (length === 0) break;
        at += length;
      }
    });
  } catch (error) {
    // A block that does not match is an I/O error to its reader.
    throw explainSysError(error, `Cannot read the image ${path}`, { code: 'VERIFY_IMAGE_READ' });
  }
}
