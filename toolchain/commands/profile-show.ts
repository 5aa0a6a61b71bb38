/** `coldseal profile show`: a profile for people, and what of it a release has. */
import { defineCommand } from '../cli/command.ts';

export const profileShow = defineCommand({
  name: 'profile show',
  summary: 'Print a boot profile, and what of it a release has',
  description: `Prints what FILE names in the order of the boot: stage of the first read, what was read of each file,
its name in the images. With DIR also how much of it that release has, by digest or by name: what
coldseal release --profile would place first and read ahead.`,
  args: [
    { name: 'file', help: 'profile that coldseal profile wrote; - is stdin' },
    { name: 'dir', help: 'release directory', optional: true },
  ],
  examples: [
    {
      before:
        'echo /usr/bin/hello | coldseal profile release --from-list - -o boot.profile --quiet >/dev/null',
      run: 'coldseal profile show boot.profile release',
      note: 'See what a release has of a profile',
    },
  ],
  exitCodes: { 4: 'the file is no profile, or of another schema' },
  async run({ args: [file, dir], output }) {
    const { readInput } = await import('../files/read-input.ts');
    const { matchProfile } = await import('../profile/match-profile.ts');
    const { parseProfile } = await import('../profile/profile-schema.ts');
    const { coverageText, profileLines } = await import('../profile/profile-text.ts');
    const { readReleaseContents } = await import('../profile/release-content.ts');
    const profile = parseProfile(readInput(file), file === '-' ? 'stdin' : file);
    const coverage =
      dir === undefined
        ? undefined
        : matchProfile(profile, readReleaseContents(dir).images).coverage;
    for (const line of profileLines(profile)) output.line(line);
    if (coverage !== undefined) output.line(`${dir} has ${coverageText(coverage)}`);
    output.result({ profile, ...(coverage && { coverage }) });
  },
});
