/** `coldseal profile`: what a boot reads, in its order, for `release --profile`. */
import type { BootReleaseOptions } from '../board/virtual.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { Profile } from '../profile/profile-schema.ts';

export const profile = defineCommand({
  name: 'profile',
  summary: 'Record what a boot reads, in its order',
  description: `Boots the disk of the release DIR once on its virtual board, as coldseal boot --io does, and writes down
which objects, images and signed files of the store were read until the last early container was heard, in the order of
the first read: their digests, names in the images, ranges of bytes. coldseal release --profile FILE puts them side by
side on the disk, in this order, and has the runtime read them ahead. Nothing of DIR is changed, and what DIR reads
ahead itself is left out.

A release that has changed since takes what it still has of a profile: objects by their digest or else by their path in
an image.

--from-list makes a profile of what was found out on a real board, for example with fatrace: one line for each file, in
its order, as an fs-verity digest, IMAGE:/path, or /path of the root image. Nothing is booted then.`,
  args: [{ name: 'dir', help: 'release directory; with a disk.img, unless a list is given' }],
  options: {
    output: { flag: '-o, --output <file>', help: 'where to write the profile' },
    force: { flag: '--force', help: 'replace an existing output' },
    board: {
      flag: '--board <id>',
      help: 'board, or path of a board file, instead of the recorded',
    },
    list: { flag: '--from-list <file>', help: 'take this list instead of booting; - is stdin' },
    timeout: {
      flag: '--timeout <s>',
      help: 'seconds of this machine that the boot may take',
      integer: { min: 1, max: 86_400 },
      default: 300,
    },
  },
  examples: [
    {
      run: 'coldseal profile release -o boot.profile',
      note: 'Boot once and keep what it reads',
      // The release of the examples has no disk, since its system holds nothing that could boot.
      exits: 2,
    },
    {
      run: 'echo /usr/bin/hello | coldseal profile release --from-list - -o boot.profile',
      note: 'Make a profile of a list',
    },
  ],
  exitCodes: {
    4: 'the release or its disk is malformed',
    6: 'QEMU is missing, or the requests could not be counted',
  },
  async run({ args: [dir], options, output }) {
    const { refuseExisting, writeFileAtomically } = await import('../files/atomic-file.ts');
    const { encodeProfile } = await import('../profile/profile-schema.ts');
    const { profileLines } = await import('../profile/profile-text.ts');
    const { output: path, force, board } = options;
    if (path !== undefined && !force) refuseExisting(path);
    const made =
      options.list === undefined
        ? await traced(dir, { board, timeoutMs: options.timeout * 1000 }, output)
        : await listed(dir, options.list, board, output);
    const written = path === undefined ? [] : [path];
    if (path !== undefined) writeFileAtomically(path, encodeProfile(made), { force });
    for (const line of profileLines(made)) output.line(line);
    if (path !== undefined) output.line(`written in ${path}`);
    output.result({ profile: made, written });
  },
});

async function traced(
  dir: string,
  settings: Pick<BootReleaseOptions, 'board' | 'timeoutMs'>,
  output: Output,
): Promise<Profile> {
  const { profileRelease } = await import('../profile/profile-release.ts');
  const progress = output.progress('Booting', { unit: 'step' });
  const { interrupted: signal } = output;
  const options = { ...settings, from: process.cwd(), signal };
  return profileRelease(dir, options).finally(() => progress.done());
}

async function listed(
  dir: string,
  file: string,
  given: string | undefined,
  output: Output,
): Promise<Profile> {
  const { loadBoard } = await import('../board/load.ts');
  const { readInput } = await import('../files/read-input.ts');
  const { profileOfList } = await import('../profile/profile-list.ts');
  const { readReleaseContents } = await import('../profile/release-content.ts');
  const from = file === '-' ? 'stdin' : file;
  const text = readInput(file).toString('utf8');
  const release = readReleaseContents(dir);
  const board = given === undefined ? release.boards[0]! : loadBoard(given, process.cwd()).value.id;
  const { profile: made, unknown } = profileOfList(text, from, release, board);
  if (unknown.length > 0) {
    output.warn(`${unknown.length} lines name no file of ${dir}, such as ${unknown[0]}`);
  }
  return made;
}
