/** `coldseal image check`: both gates over everything, and every rule that an image breaks. */
import { defineCommand } from '../cli/command.ts';

export const imageCheck = defineCommand({
  name: 'image check',
  summary: 'Check the structure of images',
  description: `Reads every inode, name and attribute of the images and prints each rule of composefs that is broken,
with its code. Also says whether mkcomposefs would write the same bytes for the same tree. A check of structure
cannot tell whether content, owners or times were changed: the image's digest does.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  examples: [{ run: 'coldseal image check rootfs.cfs', note: 'Check an image' }],
  exitCodes: { 4: 'some image is malformed' },
  async run({ args, output }) {
    const { loadBytes } = await import('../image/load-image.ts');
    const { checkImage } = await import('../image/check-image.ts');
    const images = args.map((path) => ({ image: path, ...checkImage(loadBytes(path)) }));
    for (const { image, broken, version, inodes, canonical } of images) {
      if (broken.length === 0) {
        const form =
          canonical === true ? 'as mkcomposefs writes it' : 'not as mkcomposefs writes it';
        output.line(`${image}: ok, version ${version}, ${inodes} inodes, ${form}`);
      } else output.line(`${image}: malformed`);
      for (const { code, message } of broken) output.line(`  ${code}: ${message}`);
    }
    const ok = images.every(({ broken }) => broken.length === 0);
    output.result({ images }, { ok });
    return ok ? 0 : 4;
  },
});
