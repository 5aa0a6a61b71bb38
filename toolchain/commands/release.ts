/** `coldseal release`: a signed release directory from a bootset. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand, RELEASE_WITH_DISK } from '../cli/command.ts';

export const release = defineCommand({
  name: 'release',
  summary: 'Build, sign and check every image of a bootset',
  description: `Builds the images that BOOTSET.yaml lists into one directory with a shared object store, signs the
manifest, reads everything back through the device's own verification, and only then gives the directory its name: DIR
has manifest.cose, images/, objects/, release.json (inputs, tools, options) and timings.json.

For a board whose file names its kernel, DIR also has what boots: kernel, initramfs.cpio (or .lz4, .zst), cmdline.txt,
dtb, all bound by the manifest, and disk.img, which coldseal disk flash writes. The release is in slot a; slot b is
empty unless --fallback names a release for it. What the board would refuse is refused here.

With --profile what a boot reads comes first on the disk, in its order, and the runtime reads it ahead: a cold boot of
the virtual boards then has half of its requests. No image changes; the initramfs names objects (docs/boot-order.md).

Refused: content without an fs-verity digest, a development key for a production board, anything the board file says the
board would not take. The same inputs give the same bytes, the signature and timings.json aside. The build time is
SOURCE_DATE_EPOCH, or else the newest modification time inside the images. disk.img carries the signature; made again
from one signed release it has the same bytes.`,
  args: [{ name: 'bootset', help: 'BOOTSET.yaml' }],
  options: {
    dir: { flag: '-o, --output <dir>', help: 'directory of the release; it must not exist' },
    keys: { flag: '--keys <dir>', help: 'directory of the signing key (default: as the bootset)' },
    board: { flag: '--board <id>', help: 'board, or path of a board file, instead of the bootset' },
    fallback: { flag: '--fallback <dir>', help: 'earlier release for slot b of the disk' },
    recovery: { flag: '--recovery <dir>', help: 'release that the board boots when no slot does' },
    profile: {
      flag: '--profile <file>',
      help: 'order the disk by what a boot reads, and read it ahead; coldseal profile writes it',
    },
    noReadAhead: { flag: '--no-read-ahead', help: 'with --profile: order the disk only' },
    noDisk: {
      flag: '--no-disk',
      help: 'no kernel, no initramfs, no disk: images and manifest only',
    },
    force: { flag: '--force', help: 'replace a release that is there' },
    threads: {
      flag: '--threads <n>',
      help: 'threads that hash and copy (default: processors)',
      integer: { min: 1, max: 256 },
    },
  },
  examples: [
    {
      run: 'coldseal release BOOTSET.yaml -o release --no-disk',
      note: 'Build and sign a release without a disk',
    },
    {
      run: 'coldseal release BOOTSET.yaml -o release --force --profile boot.profile',
      note: 'Order the disk by what a boot reads',
      needs: 'tools',
      before:
        `${RELEASE_WITH_DISK} && echo /usr/bin/hello | ` +
        'coldseal profile release --from-list - -o boot.profile --quiet >/dev/null',
    },
  ],
  exitCodes: {
    3: 'an object, the written release or a release for another slot is not what it should be',
    5: 'the initramfs is larger than a board may wait for',
  },
  async run({ args: [bootset], options, output }) {
    if (options.dir === undefined) {
      throw new ColdsealError(
        'USAGE_MISSING_OPTION',
        `Cannot release ${bootset}: expected -o DIR, the directory to write`,
      );
    }
    const { availableParallelism } = await import('node:os');
    const { buildRelease } = await import('../release/build-release.ts');
    const { textReport, jsonReport } = await import('../release/report.ts');
    const built = await buildRelease({
      bootset,
      output: options.dir,
      force: options.force,
      threads: options.threads ?? availableParallelism(),
      keys: options.keys,
      board: options.board,
      fallback: options.fallback,
      recovery: options.recovery,
      profile: options.profile,
      noReadAhead: options.noReadAhead,
      noDisk: options.noDisk,
      sourceDateEpoch: process.env['SOURCE_DATE_EPOCH'],
      startProgress: (label, unit = 'bytes') => output.progress(label, { unit }),
      onWarning: (text) => output.warn(text),
      signal: output.interrupted,
    });
    for (const line of textReport(built, options.dir)) output.line(line);
    output.result(jsonReport(built, options.dir));
  },
});
