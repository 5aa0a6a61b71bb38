/** `coldseal image diff`: what differs between two images or dumps, why, and what would align them. */
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { Diff, DiffGroup, DiffSide } from '../image/diff-groups.ts';
import type { Difference } from '../image/diff.ts';

const EXIT_DIFFERENT = 3;
/** Differences shown of each group without --all. */
const EXAMPLES = 3;

export const imageDiff = defineCommand({
  name: 'image diff',
  summary: 'Explain the differences between two images',
  description: `Compares A and B entry by entry and groups what differs by its likely cause: modification
times, extended attributes, hardlinks, the inline limit, the format version, and so on. Where an option of "image build"
would align the two, the group says which. Images with the same tree are compared byte by byte.

A and B are images, or dumps as "image dump" prints them; - is stdin. Of each group three differences are shown, or
all of them with --all.`,
  args: [
    { name: 'a', help: 'image or dump' },
    { name: 'b', help: 'image or dump' },
  ],
  options: { all: { flag: '--all', help: 'show every difference' } },
  examples: [
    {
      run: 'coldseal image diff rootfs.cfs newer.cfs',
      note: 'Explain what changed between two builds',
      exits: EXIT_DIFFERENT,
    },
    {
      run: 'coldseal image diff --all rootfs.cfs copy.cfs',
      note: 'Prove that two images are the same',
      before: 'cp rootfs.cfs copy.cfs',
    },
  ],
  exitCodes: { 0: 'nothing differs', [EXIT_DIFFERENT]: 'something differs' },
  async run({ args: [a, b], options, output }) {
    const { diffSides } = await import('../image/diff-groups.ts');
    const { showBytes } = await import('../image/byte-string.ts');
    const sideA = await readSide(a);
    const diff = diffSides(sideA, await readSide(b));
    const limit = options.all ? Infinity : EXAMPLES;
    const show = ({ path, attribute, a, b }: Difference): ShownDifference => ({
      path: showBytes(path),
      attribute,
      a,
      b,
    });
    printText(diff, a, b, limit, show, output);
    const isSame = diff.groups.length === 0;
    const groups = diff.groups.map(({ cause, title, entries, setting, align, differences }) => ({
      cause,
      title,
      entries,
      setting: setting ?? null,
      align: align ?? null,
      differences: differences.slice(0, limit).map(show),
      omitted: Math.max(0, differences.length - limit),
    }));
    const { differing, entriesA, entriesB } = diff;
    output.result({ a, b, same: isSame, differing, entriesA, entriesB, groups }, { ok: isSame });
    return isSame ? 0 : EXIT_DIFFERENT;
  },
});

interface ShownDifference {
  readonly path: string;
  readonly attribute: string;
  readonly a: string;
  readonly b: string;
}

/** A dump begins with the line of its root. */
async function readSide(path: string): Promise<DiffSide> {
  const { readInput } = await import('../files/read-input.ts');
  const bytes = readInput(path);
  if (bytes[0] === 0x2f) {
    const { parseDump } = await import('../image/dumpfile.ts');
    const { namingFile } = await import('../files/name-file.ts');
    return { root: namingFile(`Cannot use dump ${path}`, () => parseDump(bytes)) };
  }
  const { readTree } = await import('../image/read-tree.ts');
  const { imageFrom } = await import('../image/load-image.ts');
  const image = imageFrom(bytes, path);
  return { root: readTree(image), image };
}

function printText(
  { groups, differing, entriesA, entriesB }: Diff,
  a: string,
  b: string,
  limit: number,
  show: (difference: Difference) => ShownDifference,
  output: Output,
): void {
  if (groups.length === 0) {
    output.line(`${a} and ${b} are the same: ${entriesA} entries`);
    return;
  }
  output.line(`A ${a}: ${entriesA} entries`);
  output.line(`B ${b}: ${entriesB} entries, ${differing} differ`);
  for (const group of groups) printGroup(group, limit, show, output);
}

function printGroup(
  { title, entries, align, setting, differences }: DiffGroup,
  limit: number,
  show: (difference: Difference) => ShownDifference,
  output: Output,
): void {
  const isWhole = differences[0]!.path === '';
  output.line('');
  output.line(output.style.bold(isWhole ? title : `${entries} × ${title}`));
  for (const difference of differences.slice(0, limit)) {
    const { path, attribute, a, b } = show(difference);
    output.line(`  ${path === '' ? '' : `${path}  `}${attribute}: ${a} → ${b}`);
  }
  if (differences.length > limit) {
    output.line(`  … ${differences.length - limit} more (--all shows them)`);
  }
  if (setting !== undefined) output.line(`  recipe: ${setting}`);
  if (align !== undefined) output.line(`  to align: ${align}`);
}
