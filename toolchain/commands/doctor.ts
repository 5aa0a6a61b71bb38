/** `coldseal doctor`: what this machine can do for composefs, feature by feature. */
import { defineCommand } from '../cli/command.ts';
import { FEATURE_NAMES } from '../host/features.ts';

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Tell what this machine can do, one line per feature',
  description: `Tries every kernel feature that mounting and storing use, and says yes, no, or
unknown with the reason. For what is missing it names the Linux version and the kernel option that
bring it, and what is different without it. Nothing is left behind. Without root, some features
cannot be tried.

fs-verity and reflinks belong to a file system, so they are tried in DIR (by default the current
directory).`,
  args: [{ name: 'dir', help: 'directory whose file system is looked at', optional: true }],
  options: {
    require: {
      flag: '--require <feature>',
      help: 'exit 6 unless the machine has this feature',
      choices: FEATURE_NAMES,
      repeat: true,
    },
  },
  examples: [
    { run: 'coldseal doctor', note: 'Look at this machine' },
    { run: 'coldseal doctor --require verity-intact', note: 'Refuse a kernel known not to work' },
  ],
  exitCodes: { 6: 'a required feature is missing or could not be tried' },
  async run({ args: [dir = '.'], options, output }) {
    const { describeFindings, probeFeatures, readKernelConfig } =
      await import('../host/probe-features.ts');
    const { FEATURES } = await import('../host/features.ts');
    const { release } = await import('node:os');
    const findings = await probeFeatures(dir);
    output.line(`Linux ${release()}`);
    for (const line of describeFindings(findings, readKernelConfig(release()))) output.line(line);
    const lacking = options.require.filter((name) => findings[name].status !== 'yes');
    if (lacking.length > 0) output.line(`required and not there: ${lacking.join(', ')}`);
    const features = FEATURE_NAMES.map((name) => ({ name, ...findings[name], ...FEATURES[name] }));
    const ok = lacking.length === 0;
    output.result({ kernel: release(), features, lacking }, { ok });
    return ok ? 0 : 6;
  },
});
