/** `coldseal image objects`: what an object store must hold for some images. */
import { defineCommand } from '../cli/command.ts';

export const imageObjects = defineCommand({
  name: 'image objects',
  summary: 'List the objects that images refer to',
  description: 'Prints the paths of all objects of all images, sorted, each once.',
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    filter: { flag: '--filter <name>', help: 'only this name of the root directory', repeat: true },
  },
  examples: [{ run: 'coldseal image objects rootfs.cfs', note: 'List the objects of an image' }],
  async run({ args, options, output }) {
    const { loadImage } = await import('../image/load-image.ts');
    const { mergeObjects, objectPaths, readObjects } = await import('../image/objects.ts');
    const { parseFilter } = await import('../image/filter.ts');
    const { showBytes } = await import('../image/byte-string.ts');
    const { writeBytesOrText } = await import('../image/write-paths.ts');
    const filter = parseFilter(options.filter);
    const objects = mergeObjects(args.map((path) => readObjects(loadImage(path), filter)));
    if (!output.json) await writeBytesOrText(objectPaths(objects), output);
    output.result({
      objects: objects.map(({ path, digest, size }) => ({ path: showBytes(path), digest, size })),
    });
  },
});
