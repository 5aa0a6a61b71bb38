/** `coldseal keys show`: what certificates say, and whether they form a chain. */
import { defineCommand } from '../cli/command.ts';

export const keysShow = defineCommand({
  name: 'keys show',
  summary: 'Show the roles, pins and validity of certificates',
  description: `Shows each certificate of the PEM files named, or of the *.cert.pem and *.chain.pem files of a
directory. A file with several certificates is checked as a chain by the rules of the device: leaf first, root last.`,
  args: [
    {
      name: 'path',
      help: 'PEM file or key directory (default: keys/dev)',
      variadic: true,
      optional: true,
    },
  ],
  examples: [{ run: 'coldseal keys show keys/dev', note: 'Show the development keys' }],
  exitCodes: { 3: 'a file with several certificates is not a good chain' },
  async run({ args, output }) {
    const { DEV_KEYS_DIR } = await import('../sign/dev-keys.ts');
    const { showKeys } = await import('../sign/show-keys.ts');
    const files = showKeys(args.length === 0 ? [DEV_KEYS_DIR] : args);
    for (const { file, certificates, chain } of files) {
      output.line(chain === undefined ? file : `${file}: chain ${chain}`);
      for (const shown of certificates) {
        const marks = [shown.isIssuer ? 'issuer' : 'leaf', shown.key, ...shown.purposes];
        if (shown.isPublished) marks.push('PRIVATE KEY IS PUBLIC');
        output.line(`  ${shown.name}`);
        output.line(`    pin    ${shown.spkiSha256}`);
        output.line(`    for    ${marks.join(', ')}`);
        output.line(`    valid  ${shown.notBefore} to ${shown.notAfter}`);
      }
    }
    const ok = files.every(({ chain }) => chain === undefined || chain === 'ok');
    output.result({ files }, { ok });
    return ok ? 0 : 3;
  },
});
