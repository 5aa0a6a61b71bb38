/** `coldseal image dump`: an image as composefs-dump(5) text. */
import { defineCommand } from '../cli/command.ts';

export const imageDump = defineCommand({
  name: 'image dump',
  summary: 'Print images as dump text',
  description: `Prints composefs-dump(5) text that "image build --from-file" turns into the same image again.
Attributes are sorted by name, so the dumps of two images can be compared line by line.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    filter: { flag: '--filter <name>', help: 'only this name of the root directory', repeat: true },
  },
  examples: [{ run: 'coldseal image dump rootfs.cfs', note: 'Print everything an image says' }],
  async run({ args, options, output }) {
    const { loadImage } = await import('../image/load-image.ts');
    const { readTree } = await import('../image/read-tree.ts');
    const { printDump } = await import('../image/describe.ts');
    const { dumpEntries } = await import('../image/describe-json.ts');
    const { parseFilter } = await import('../image/filter.ts');
    const filter = parseFilter(options.filter);
    const images = [];
    for (const path of args) {
      const image = loadImage(path);
      const root = readTree(image, { filter });
      if (output.json)
        images.push({ image: path, version: image.version, entries: dumpEntries(root) });
      else for (const piece of printDump(root)) output.text(piece);
    }
    output.result({ images });
  },
});
