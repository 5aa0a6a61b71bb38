/** `coldseal disk flash`: writes a disk to a device or a file, after asking. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { DeviceFacts } from '../disk/block-device.ts';
import { defineCommand, RELEASE_WITH_DISK } from '../cli/command.ts';
import { formatBytes } from '../cli/progress.ts';

export const diskFlash = defineCommand({
  name: 'disk flash',
  summary: 'Write a disk to a memory card, another device or a file',
  description: `Writes DISK to TARGET, reads everything back and compares it. The partition table is wiped first and
written last, so that a medium which was pulled out half-way does not boot. On a medium larger than the image, the
second partition table goes to its real end.

A device is written after a question that says what it is and what is on it; scripts answer with --yes. A device is
refused when it or a part of it is mounted or otherwise in use, so the system's own disk always is; no flag changes
that. --force replaces a file that exists, and lets TARGET be a partition.`,
  args: [
    { name: 'disk', help: 'disk image, as release writes it' },
    { name: 'target', help: 'block device or file' },
  ],
  options: {
    yes: { flag: '-y, --yes', help: 'do not ask before a device is overwritten' },
    force: { flag: '--force', help: 'replace a file that exists; write into a partition' },
  },
  examples: [
    {
      run: 'coldseal disk flash release/disk.img card.img',
      note: 'Copy a disk to a file, sparse and compared',
      needs: 'tools',
      before: RELEASE_WITH_DISK,
    },
  ],
  async run({ args: [image, path], options, output }) {
    const { chooseTarget, flashDisk } = await import('../disk/flash.ts');
    const { openDisk } = await import('../disk/open-disk.ts');
    const size = ((): number => {
      using disk = openDisk(image);
      return disk.size;
    })();
    const target = chooseTarget(path, size, options.force);
    if (target.kind === 'device' && !options.yes) {
      await confirm(path, target.facts, output.interrupted, (line) => output.note(line));
    }
    const bars = new Map<string, ReturnType<typeof output.progress>>();
    const report = await flashDisk(image, target, {
      signal: output.interrupted,
      onProgress: (stage, done, total) => {
        let bar = bars.get(stage);
        if (bar === undefined) {
          bars.forEach((earlier) => earlier.done());
          bar = output.progress(stage === 'write' ? 'Writing' : 'Comparing', { unit: 'bytes' });
          bars.set(stage, bar);
        }
        bar.update(done, total);
      },
    }).finally(() => bars.forEach((bar) => bar.done()));
    const [all, written] = [formatBytes(report.imageBytes), formatBytes(report.written)];
    output.line(`flashed ${path}: ${all}, ${written} of them written, all compared`);
    output.result({ target: path, kind: target.kind, ...report });
  },
});

async function confirm(
  path: string,
  facts: DeviceFacts,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<void> {
  const { ask, canAsk } = await import('../cli/ask.ts');
  if (!canAsk()) {
    throw new ColdsealError(
      'USAGE_NOT_CONFIRMED',
      `Cannot overwrite ${path} without being told to`,
      {
        hint: 'scripts give --yes',
      },
    );
  }
  for (const line of deviceLines(path, facts)) note(line);
  const answer = await ask(`Overwrite all of it? Type "${facts.name}" to go on: `, signal);
  if (answer.trim() === facts.name) return;
  throw new ColdsealError(
    'USAGE_NOT_CONFIRMED',
    `Cannot overwrite ${path}: the answer was not "${facts.name}"`,
  );
}

/** What a person needs to see before saying yes. */
export function deviceLines(path: string, facts: DeviceFacts): string[] {
  const { model, size, isRemovable, partitions } = facts;
  const kind = isRemovable ? 'removable' : 'NOT removable';
  return [
    `${path}: ${model === '' ? 'a device without a name' : model}, ${formatBytes(size)}, ${kind}`,
    ...(partitions.length === 0 ? ['  no partitions on it'] : []),
    ...partitions.map(({ name, label, size: bytes }) => {
      return `  ${name}  ${formatBytes(bytes)}${label === '' ? '' : `  ${label}`}`;
    }),
  ];
}
