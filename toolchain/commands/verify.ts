/**
 * `coldseal verify`: the device's own verification over a release directory, on the host; and over a file of signed
 * evidence, whose JSON can be taken out once it is verified.
 */
import { statSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { CoseAlgorithm } from '../../runtime/format/envelope.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { ReleaseReport } from '../sign/check-release.ts';
import type { EvidencePolicy } from '../sign/read-evidence.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';

const ROLES = ['production', 'development', 'factory', 'recovery'] as const;

export const verify = defineCommand({
  name: 'verify',
  summary: 'Verify a release, or signed evidence: signature, policy, every image and every object',
  description: `Trust is always given: --trust names a PEM file of root certificates or a trust bundle.

When PATH is a directory, it is a release. Runs the runtime's own verification over it (manifest.cose, images/,
objects/), then hashes every object and what the manifest binds for the bootloader (kernel, initramfs, command line,
devicetree), and refuses files that are not part of the release. It does not look into disk.img: coldseal disk check
does.

With --board the release must be for that board; where the board has a file, its signature algorithms and signer roles
apply, so a production board refuses development keys. Six results are reported apart: authenticity, role, integrity,
board, epoch and time. What was not asked for (no --board, no --min-epoch, boot mode) is reported as not evaluated. Boot
mode never looks at the clock; install mode does.

When PATH is a file, it is signed evidence of coldseal report. Verified means that these are the bytes that an evidence
key under the root has signed; the outcome of the evidence is shown and decides nothing here. --output writes the JSON
that was signed, after everything is verified. Certificates may have expired since; --mode install asks whether they
are valid today.`,
  args: [{ name: 'path', help: 'release directory, or file of signed evidence' }],
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
    output: {
      flag: '-o, --output <file>',
      help: 'write the JSON of verified evidence; - for stdout',
    },
    force: { flag: '--force', help: 'replace a FILE that exists' },
  },
  examples: [
    {
      run: 'coldseal verify release --trust keys/dev/root.cert.pem',
      note: 'Verify a release against the development root',
    },
    {
      run: 'coldseal verify report.cose --trust keys/dev/root.cert.pem -o report.json',
      note: 'Verify signed evidence and take its JSON out',
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
    const isEvidence = isOtherThanDirectory(args[0]);
    refuseUseless(args[0], isEvidence ? RELEASE_OPTIONS : EVIDENCE_OPTIONS, options);
    if (isEvidence) {
      const { loadTrust } = await import('../sign/trust-file.ts');
      const { readSmallFile } = await import('../sign/pem.ts');
      const { COSE_PS256 } = await import('../../runtime/format/envelope.ts');
      const policy: EvidencePolicy = {
        anchors: loadTrust(trust),
        algorithms: [COSE_PS256],
        denyList: deny === undefined ? undefined : readSmallFile(deny),
        now: options.mode === 'boot' ? undefined : Math.floor(Date.now() / 1000),
      };
      return runEvidence(args[0], policy, options, output);
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

/** Options that say nothing about the other thing that PATH may be. */
const RELEASE_OPTIONS = ['board', 'product', 'accept', 'minEpoch'] as const;
const EVIDENCE_OPTIONS = ['output', 'force'] as const;

type Given = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

function refuseUseless(path: string, useless: readonly string[], options: Given): void {
  const given = useless.find((name) => {
    const value = options[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  });
  if (given === undefined) return;
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const [is, goesWith] =
    useless === RELEASE_OPTIONS
      ? ['a file of evidence', 'a release directory']
      : ['a release', 'a file of evidence'];
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `Cannot use ${flag} with ${path}: it is ${is}, and the option goes with ${goesWith}`,
  );
}

/** What is not there is left to be missed as a release. */
function isOtherThanDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
  } catch (error) {
    throw explainSysError(error, `Cannot look at ${path}`);
  }
}

/** What the JSON begins with that is signed. */
const LEFT_BRACE = 0x7b;

/** Verifies evidence, and writes its JSON only when that has said yes. */
async function runEvidence(
  path: string,
  policy: EvidencePolicy,
  options: { readonly output: string | undefined; readonly force: boolean },
  output: Output,
): Promise<number> {
  const { refuseExisting, writeFileAtomically } = await import('../files/atomic-file.ts');
  const { readEvidenceFile } = await import('../sign/read-evidence.ts');
  const { checkEvidence, jsonEvidence, textEvidence } = await import('../sign/evidence-report.ts');
  const { output: target, force } = options;
  if (target === undefined && force) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot use --force without --output: there is nothing to replace',
    );
  }
  if (target !== undefined && target !== '-' && !force) refuseExisting(target);
  const bytes = readEvidenceFile(path);
  const report = checkEvidence(bytes, policy);
  const { evidence } = report;
  const isToStdout = target === '-' && evidence !== undefined;
  for (const line of textEvidence(report)) {
    if (isToStdout) output.note(line);
    else output.line(line);
  }
  if (evidence === undefined && bytes[0] === LEFT_BRACE) {
    output.warn(`${path} is JSON without a signature: report --sign writes FILE.cose beside it`);
  }
  if (evidence !== undefined && target !== undefined) {
    if (isToStdout) await output.raw(evidence.payload);
    else writeFileAtomically(target, evidence.payload, { force });
  }
  output.result(jsonEvidence(report), { ok: evidence !== undefined });
  return evidence === undefined ? 3 : 0;
}

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
