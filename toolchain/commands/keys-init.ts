/** `coldseal keys init`: the development PKI. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import { parseTime } from '../config/utc-time.ts';

export const keysInit = defineCommand({
  name: 'keys init',
  summary: 'Make development keys: root, intermediate, image signer and evidence signer',
  description: `Makes four RSA-3072 keys and their certificates in DIR (keys/dev by default), private keys with
mode 0600. The root allows development and nothing of production, so no production board accepts what they sign. The
image signer signs releases; the evidence signer signs reports and nothing else.

Keys made before there was an evidence signer get one with --add-evidence, which leaves all other files as they are;
with --force it replaces the evidence signer, for example when it has expired.

Prints the pin of each key (SHA-256 of its public key); the root's is what devices trust.`,
  args: [{ name: 'dir', help: 'directory of the keys (default: keys/dev)', optional: true }],
  options: {
    force: { flag: '--force', help: 'replace the keys that are there' },
    addEvidence: {
      flag: '--add-evidence',
      help: 'add an evidence signer to the keys of DIR, and change nothing else',
    },
    days: {
      flag: '--days <n>',
      help: 'life of the signing leaves in days (default: 90)',
      integer: { min: 1, max: 1825 },
    },
    notBefore: {
      flag: '--not-before <time>',
      help: 'start of validity, such as 2026-01-01T00:00:00Z (default: now)',
    },
    organization: {
      flag: '--organization <name>',
      help: 'organization in the certificates (default: coldseal development)',
    },
  },
  examples: [
    { run: 'coldseal keys init keys/dev', note: 'Make development keys' },
    {
      run: 'coldseal keys init keys/dev --add-evidence',
      note: 'Let older keys sign reports',
      before: 'coldseal keys init keys/dev --quiet >/dev/null && rm keys/dev/evidence.*',
    },
  ],
  async run({ args, options, output }) {
    const { addEvidenceKey, DEV_KEYS_DIR, DEV_LEAF_DAYS, initDevKeys } =
      await import('../sign/dev-keys.ts');
    const { showKeys } = await import('../sign/show-keys.ts');
    const dir = args[0] ?? DEV_KEYS_DIR;
    const make = options.addEvidence ? addEvidenceKey : initDevKeys;
    make(dir, {
      notBefore: options.notBefore === undefined ? thisMinute() : notBeforeTime(options.notBefore),
      leafDays: options.days ?? DEV_LEAF_DAYS,
      organization: checkOrganization(options.organization ?? 'coldseal development'),
      force: options.force,
    });
    const files = showKeys([dir]);
    for (const { file, certificates } of files.filter(({ chain }) => chain === undefined)) {
      output.line(`${certificates[0]!.spkiSha256}  ${file}`);
    }
    const made = options.addEvidence
      ? 'added an evidence signer to the keys'
      : 'made development keys';
    output.note(`${made} in ${dir}; verify with --trust ${dir}/root.cert.pem`);
    output.result({ dir, files });
  },
});

/** X.520 allows 64 characters, and other tools refuse certificates with more. */
const ORGANIZATION_LENGTH_MAX = 64;

function checkOrganization(name: string): string {
  if (name.length <= ORGANIZATION_LENGTH_MAX && /^[^\p{C}\ufffd]+$/u.test(name)) return name;
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot use --organization ${JSON.stringify(name)}: expected 1 to ${ORGANIZATION_LENGTH_MAX} printable characters`,
  );
}

/** Now, rounded down to the minute: a clock that is a little behind still finds the keys valid. */
function thisMinute(): number {
  return Math.floor(Date.now() / 60_000) * 60;
}

function notBeforeTime(text: string): number {
  const seconds = parseTime(text);
  if (seconds !== undefined) return seconds;
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot use --not-before ${text}: expected a time such as 2026-01-01T00:00:00Z`,
  );
}
