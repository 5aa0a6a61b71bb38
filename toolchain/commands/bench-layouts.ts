/** `coldseal bench layouts`: one tree in the layouts that containers come in, side by side on a virtual board. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { Progress } from '../cli/progress.ts';
import { LAYOUT_IDS, type LayoutId } from '../layouts/layout-ids.ts';

const REDRAW_MS = 250;

export const benchLayouts = defineCommand({
  name: 'bench layouts',
  summary: 'Compare composefs with other layouts of the same tree',
  description: `Makes the tree DIR into composefs images, EROFS, squashfs, dm-verity, farms of links and an ext4
directory, boots each of them on a virtual board, and compares: the time to mount, to list the tree as ls -lR does, to
look at files at random and to read the start-up set, cold and warm; what the disk reads for it; how much of the disk
one image takes and five similar ones; how much of the page cache two containers on one base; and what is verified.

The board's clock counts instructions, so that the same tree gives the same times on every machine. A layout counts only
when the board has seen the same names, sizes and bytes as DIR has. Cold is a fresh boot. What a storage takes is
modelled apart, from the requests that were counted. docs/layouts.md has the method, and what it does not show.`,
  args: [{ name: 'dir', help: 'directory tree, such as the root file system of a container' }],
  options: {
    only: {
      flag: '--only <list>',
      help: `some of ${LAYOUT_IDS.join(', ')}; with commas between them (default: all)`,
    },
    board: {
      flag: '--board <id>',
      help: 'virtual board: identifier or file',
      default: 'qemu-aarch64',
    },
    storage: {
      flag: '--storage <id>',
      help: 'board whose storage is modelled: identifier or file',
      default: 'nxp-imx8mp-evk',
    },
    startup: {
      flag: '--startup <list>',
      help: 'file with the paths that a start reads (default: loader, libraries, init, shell)',
    },
    seed: {
      flag: '--seed <n>',
      help: 'seed of what is chosen at random',
      integer: { min: 0, max: 0xffff_ffff },
      default: 1,
    },
    runs: {
      flag: '--runs <n>',
      help: 'how often to boot, to see whether runs agree',
      integer: { min: 1, max: 100 },
      default: 1,
    },
    html: { flag: '--html <file>', help: 'write the page: one file, for people and archives' },
    json: { flag: '--json <file>', help: 'write all figures; - prints them' },
    force: { flag: '--force', help: 'replace outputs that are there' },
    timeout: {
      flag: '--timeout <s>',
      help: 'seconds of this machine that one boot may take',
      integer: { min: 1, max: 86_400 },
      default: 900,
    },
  },
  examples: [
    {
      run: 'coldseal bench layouts rootfs --only composefs,ext4',
      note: 'Compare two layouts of a small tree',
      needs: 'tools',
    },
  ],
  exitCodes: {
    6: 'a tool is missing, or a board did not do what it was told or saw another tree',
  },
  async run({ args: [dir], options, output }) {
    const { prepareLayoutOutputs, writeLayoutOutputs } = await import('../layouts/outputs.ts');
    const outputs = prepareLayoutOutputs(options);
    const { layoutsOf } = await import('../layouts/layouts.ts');
    const { measureLayouts } = await import('../layouts/measure.ts');
    const { layoutsTable } = await import('../layouts/text.ts');
    const { readInput } = await import('../files/read-input.ts');
    const layouts = layoutsOf(parseOnly(options.only));
    const { startup } = options;
    const progress = startProgress(output, layouts.length);
    const document = await measureLayouts(dir, {
      layouts,
      board: options.board,
      storage: options.storage,
      from: process.cwd(),
      startup:
        startup === undefined
          ? undefined
          : { path: startup, text: readInput(startup).toString('utf8') },
      seed: options.seed,
      runs: options.runs,
      timeoutMs: options.timeout * 1000,
      signal: output.interrupted,
      onProgress: progress.show,
    }).finally(() => progress.end());
    const written = writeLayoutOutputs(document, outputs);
    for (const line of layoutsTable(document, output.style)) output.line(line);
    for (const path of written) output.note(`wrote ${path}`);
    output.result(document);
  },
});

/** The identifiers of a list; all without one. */
export function parseOnly(list: string | undefined): ReadonlySet<LayoutId> {
  if (list === undefined) return new Set(LAYOUT_IDS);
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(LAYOUT_IDS as readonly string[]).includes(name));
  if (unknown === undefined) return new Set(names as LayoutId[]);
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot read the command line: --only has "${unknown}", expected ${LAYOUT_IDS.join(', ')}`,
  );
}

/** A line for each thing that is done; redrawn, so that its time moves. */
function startProgress(
  output: Output,
  total: number,
): { show: (doing: string, done: number) => void; end: () => void } {
  let bar: Progress | undefined;
  const timer = setInterval(() => bar?.update(0), REDRAW_MS);
  const close = (): void => {
    bar?.done();
    bar = undefined;
  };
  return {
    show: (doing, done) => {
      close();
      if (done < total)
        bar = output.progress(`${doing}, ${done} of ${total} done`, { unit: 'step' });
    },
    end: () => {
      clearInterval(timer);
      close();
    },
  };
}
