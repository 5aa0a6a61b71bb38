/** `coldseal image ls`: the names in images and what they refer to. */
import { defineCommand } from '../cli/command.ts';
import type { ListedEntry } from '../image/describe-json.ts';

export const imageLs = defineCommand({
  name: 'image ls',
  summary: 'List the entries of images',
  description: `One line for each entry: its path, then "/" for a directory, "-> TARGET" for a symlink, or
"@ PATH" for a file whose bytes are the object PATH. Bytes that are not printable are shown as \\xHH.

For an index of a tar archive it is "@ OFFSET", where the file begins in the archive, or the pieces of a sparse file
as AT:SIZE@OFFSET.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    filter: { flag: '--filter <name>', help: 'only this name of the root directory', repeat: true },
  },
  examples: [{ run: 'coldseal image ls rootfs.cfs', note: 'List an image' }],
  async run({ args, options, output }) {
    const { readAnyTree } = await import('../image/read-any-tree.ts');
    const { printListing } = await import('../image/describe.ts');
    const { listEntries } = await import('../image/describe-json.ts');
    const { parseFilter } = await import('../image/filter.ts');
    const filter = parseFilter(options.filter);
    const images = [];
    for (const image of args) {
      const { kind, root } = readAnyTree(image, filter);
      if (output.json) images.push({ image, kind, entries: entriesOf(kind, listEntries(root)) });
      else for (const piece of printListing(root)) output.text(piece);
    }
    output.result({ images });
  },
});

/** In an index, what a file refers to is no object. */
function entriesOf(kind: string, entries: readonly ListedEntry[]): readonly object[] {
  if (kind === 'composefs') return entries;
  return entries.map(({ object, ...entry }) =>
    object === undefined ? entry : { ...entry, inArchive: object },
  );
}
