/** `coldseal image ls`: the names in images and what they refer to. */
import { defineCommand } from '../cli/command.ts';

export const imageLs = defineCommand({
  name: 'image ls',
  summary: 'List the entries of images',
  description: `One line for each entry: its path, then "/" for a directory, "-> TARGET" for a symlink, or
"@ PATH" for a file whose bytes are the object PATH. Bytes that are not printable are shown as \\xHH.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    filter: { flag: '--filter <name>', help: 'only this name of the root directory', repeat: true },
  },
  examples: [{ run: 'coldseal image ls rootfs.cfs', note: 'List an image' }],
  async run({ args, options, output }) {
    const { loadImage } = await import('../image/load-image.ts');
    const { readTree } = await import('../image/read-tree.ts');
    const { printListing } = await import('../image/describe.ts');
    const { listEntries } = await import('../image/describe-json.ts');
    const { parseFilter } = await import('../image/filter.ts');
    const filter = parseFilter(options.filter);
    const images = [];
    for (const image of args) {
      const root = readTree(loadImage(image), { filter });
      if (output.json) images.push({ image, entries: listEntries(root) });
      else for (const piece of printListing(root)) output.text(piece);
    }
    output.result({ images });
  },
});
