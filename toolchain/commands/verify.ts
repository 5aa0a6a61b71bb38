/** `coldseal verify`: the device's own verification over a release directory, on the host. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { CoseAlgorithm } from '../../runtime/format/envelope.ts';
import type { ReleaseReport } from '../sign/check-release.ts';
import { defineCommand } from '../cli/command.ts';

const ROLES = ['production', 'development', 'factory', 'recovery'] as const;

export const verify = defineCommand({
  name: 'verify',
  summary: 'Verify a release: signature, policy, every image and every object',
  description: `Runs the runtime's own verification over DIR (manifest.cose, images/, objects/), then hashes every
object and what the manifest binds for the bootloader (kernel, initramfs, command line, devicetree), and refuses files
that are not part of the release. It does not look into disk.img: coldseal disk check does. Trust is always given:
--trust names a PEM file of root certificates or a trust bundle.

With --board the release must be for that board; where the board has a file, its signature algorithms and signer roles
apply, so a production board refuses development keys. Six results are reported apart: authenticity, role, integrity,
board, epoch and time. What was not asked for (no --board, no --min-epoch, boot mode) is reported as not evaluated. Boot
mode never looks at the clock; install mode does.`,
  args: [{ name: 'dir', help: 'release directory' }],
  options: {
    trust: { flag: '--trust <file>', help: 'PEM roots or trust bundle to verify against' },
    board: { flag: '--board <id>', help: 'board the release must be for: identifier or file' },
    product: { flag: '--product <name>', help: 'product the release must be for' },
    accept: {
      flag: '--accept <role>',
      help: 'signer role to accept (default: what the trust file allows)',
      choices: ROLES,
      repeat: true,
    },
    minEpoch: {
      flag: '--min-epoch <domain=n>',
      help: 'lowest epoch of a rollback domain',
      repeat: true,
    },
    deny: { flag: '--deny <file>', help: 'signed deny list' },
    mode: {
      flag: '--mode <mode>',
      help: 'rules of a boot or of an installation',
      choices: ['boot', 'install'],
      default: 'boot',
    },
  },
  examples: [
    {
      run: 'coldseal verify release --trust keys/dev/root.cert.pem',
      note: 'Verify a release against the development root',
    },
  ],
  exitCodes: { 3: 'the answer is no; the reason code says why' },
  async run({ args, options, output }) {
    const { trust, deny } = options;
    if (trust === undefined) {
      throw new ColdsealError(
        'USAGE_TRUST_REQUIRED',
        `Cannot verify ${args[0]} without --trust FILE`,
        {
          hint: 'development keys are verified with --trust keys/dev/root.cert.pem',
        },
      );
    }
    const { checkRelease } = await import('../sign/check-release.ts');
    const { loadTrust } = await import('../sign/trust-file.ts');
    const { readSmallFile } = await import('../sign/pem.ts');
    const { objectsOfImage } = await import('../image/objects.ts');
    const { COSE_ALGORITHMS } = await import('../../runtime/format/envelope.ts');
    const { installTime } = await import('../../runtime/install-time.ts');
    const algorithmsOf = (names: readonly string[]): CoseAlgorithm[] =>
      [...COSE_ALGORITHMS].filter(([, { name }]) => names.includes(name)).map(([id]) => id);
    const board = options.board === undefined ? undefined : await boardPolicy(options.board);
    const asked = options.accept.length === 0 ? ROLES : options.accept;
    // The board's file can only be tightened by --accept.
    const roles = asked.filter((role) => board?.roles.includes(role) !== false);
    const bar = output.progress('Hashing objects', { unit: 'bytes' });
    const report = await checkRelease(args[0], {
      policy: {
        anchors: loadTrust(trust),
        algorithms: algorithmsOf(board?.algorithms ?? ['PS256']),
        roles: roles.map((role) => (ROLES.indexOf(role) + 1) as 1 | 2 | 3 | 4),
        product: options.product,
        board: board?.id,
        epochs: parseEpochs(options.minEpoch),
        denyVersion: 0,
        checkTime:
          options.mode === 'boot'
            ? undefined
            : installTime({ now: Math.floor(Date.now() / 1000), isTrusted: true }),
      },
      denyList: deny === undefined ? undefined : readSmallFile(deny),
      objectsOfImage,
      onProgress: (done, total) => bar.update(done, total),
      signal: output.interrupted,
    }).finally(() => bar.done());
    const { textReport, jsonReport } = await import('../sign/verify-report.ts');
    for (const line of textReport(report)) output.line(line);
    output.result(jsonReport(report), { ok: report.verdict.ok });
    return exitCodeOf(report);
  },
});

/** The largest epoch a manifest can have. */
const UINT32_MAX = 0xffff_ffff;

interface BoardPolicy {
  readonly id: string;
  readonly roles: readonly (typeof ROLES)[number][];
  readonly algorithms: readonly string[];
}

/** What a board's file asks for. A name without a file is compared with the manifest and asks for nothing more. */
async function boardPolicy(reference: string): Promise<BoardPolicy> {
  const { loadBoard } = await import('../board/load.ts');
  try {
    const { id, signing } = loadBoard(reference, process.cwd()).value;
    return { id, ...signing };
  } catch (error) {
    if (!(error instanceof ColdsealError) || error.code !== 'CONFIG_BOARD_UNKNOWN') throw error;
    return { id: reference, roles: ROLES, algorithms: ['PS256'] };
  }
}

function exitCodeOf(report: ReleaseReport): number {
  return report.verdict.ok ? 0 : 3;
}

function parseEpochs(texts: readonly string[]): Map<number, number> {
  const epochs = new Map<number, number>();
  for (const text of texts) {
    const match = /^(\d{1,10})=(\d{1,10})$/.exec(text);
    const [domain, epoch] = [Number(match?.[1]), Number(match?.[2])];
    if (!(domain <= UINT32_MAX && epoch <= UINT32_MAX)) {
      throw new ColdsealError(
        'USAGE_BAD_VALUE',
        `Cannot use --min-epoch ${text}: expected DOMAIN=N, two whole numbers from 0 to ${UINT32_MAX}`,
      );
    }
    epochs.set(domain, epoch);
  }
  return epochs;
}
