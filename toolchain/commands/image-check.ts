/** `coldseal image check`: both gates over everything, and every rule that an image breaks. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { ImageCheck } from '../image/check-image.ts';
import type { IndexCheck } from '../image/tar-index-read.ts';

export const imageCheck = defineCommand({
  name: 'image check',
  summary: 'Check the structure of images',
  description: `Reads every inode, name and attribute of the images and prints each rule of composefs that is broken,
with its code. Also says whether mkcomposefs would write the same bytes for the same tree. A check of structure
cannot tell whether content, owners or times were changed: the image's digest does.

An index of a tar archive is checked, too: every file lies in an archive of the size that the index names. With
--tar, ARCHIVE is read: it has to be that archive, and to give this index byte for byte.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    tar: { flag: '--tar <archive>', help: 'the archive that the one IMAGE is an index of' },
  },
  examples: [
    { run: 'coldseal image check rootfs.cfs', note: 'Check an image' },
    {
      run: 'coldseal image check --tar=rootfs.tar rootfs.index',
      note: 'Check that an index and its archive belong together',
    },
  ],
  exitCodes: { 3: 'index and archive do not belong together', 4: 'some image is malformed' },
  async run({ args, options, output }) {
    const { loadBytes } = await import('../image/load-image.ts');
    if (options.tar !== undefined) requireOne(args, options.tar);
    const images: CheckedImage[] = [];
    for (const image of args) {
      const checked = await checkBytes(image, loadBytes(image), options.tar, output);
      images.push(checked);
      const { broken } = checked;
      if (broken.length > 0) output.line(`${image}: malformed`);
      else output.line(`${image}: ok, ${describe(checked)}`);
      for (const { code, message } of broken) output.line(`  ${code}: ${message}`);
    }
    const ok = images.every(({ broken }) => broken.length === 0);
    output.result({ images }, { ok });
    return ok ? 0 : 4;
  },
});

type CheckedImage = { readonly image: string } & (
  | ({ readonly kind: 'composefs' } & ImageCheck)
  | ({ readonly kind: 'tar-index'; readonly tar?: string } & IndexCheck)
);

function requireOne(images: readonly string[], tar: string): void {
  if (images.length === 1) return;
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `Cannot use --tar with ${images.length} images: ${tar} belongs to one`,
  );
}

async function checkBytes(
  image: string,
  bytes: Uint8Array,
  tar: string | undefined,
  output: Output,
): Promise<CheckedImage> {
  const { isTarIndex } = await import('../image/tar-index-format.ts');
  if (isTarIndex(bytes)) {
    const { checkIndex } = await import('../image/tar-index-read.ts');
    const checked = { image, kind: 'tar-index' as const, ...checkIndex(bytes) };
    if (tar === undefined || checked.broken.length > 0) return checked;
    const { checkIndexedTar } = await import('../image/tar-index-check.ts');
    const pair = { image, imageBytes: bytes, tar, interrupted: output.interrupted };
    await checkIndexedTar(pair);
    return { ...checked, tar };
  }
  if (tar !== undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use --tar with ${image}: it is no index of an archive`,
    );
  }
  const { checkImage } = await import('../image/check-image.ts');
  return { image, kind: 'composefs', ...checkImage(bytes) };
}

function describe(checked: CheckedImage): string {
  const inodes = `${checked.inodes} inodes`;
  if (checked.kind === 'composefs') {
    const { version, canonical } = checked;
    const form = canonical === true ? 'as mkcomposefs writes it' : 'not as mkcomposefs writes it';
    return `version ${version}, ${inodes}, ${form}`;
  }
  const { bytes, sha256 } = checked.archive!;
  const which = `the archive sha256:${sha256} of ${bytes} bytes`;
  const proof = checked.tar === undefined ? '' : `, which is ${checked.tar}`;
  return `${inodes}, index of ${which}${proof}`;
}
