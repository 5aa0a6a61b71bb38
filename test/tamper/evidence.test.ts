/**
 * Attacks on signed evidence: every byte of header, chain and signature, the payload at every step, every truncation
 * at a boundary, and the command line. None verifies, each is refused by code, and nothing is written.
 *
 * The payload is longer than 64 KiB, so that its length has the form that only evidence has.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toHex } from '../../runtime/format/bytes.ts';
import {
  COSE_PS256,
  decodeEnvelope,
  encodeEnvelope,
  encodeSigStructure,
  EVIDENCE_ENVELOPE_BYTES_MAX,
} from '../../runtime/format/envelope.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { initDevKeys, openDevSigner, openEvidenceSigner } from '../../toolchain/sign/dev-keys.ts';
import { verifyEvidence } from '../../toolchain/sign/read-evidence.ts';
import { planEnvelope, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { signEvidence } from '../../toolchain/sign/sign-evidence.ts';
import { loadTrust } from '../../toolchain/sign/trust-file.ts';
import { codeOf } from '../support/expect-code.ts';
import { testManifest } from '../support/manifests.ts';
import { type CliResult, runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('tamper: evidence');
const base = tempDir();
const at = (name: string): string => join(base.path, name);
const NOW = Math.floor(Date.now() / 1000) - 60;
const OPTIONS = { notBefore: NOW, leafDays: 90, organization: 'Example', force: false };
const keys = at('keys');
initDevKeys(keys, OPTIONS);
const root = join(keys, 'root.cert.pem');
const policy = { anchors: loadTrust(root), algorithms: [COSE_PS256] } as const;

const JSON_BYTES = Buffer.from(
  JSON.stringify({
    kind: 'coldseal-boot-evidence',
    schema: 1,
    board: { id: 'qemu-x86_64' },
    outcome: { state: 'fail', sentence: 'too slow' },
    checks: [{ id: 'total', state: 'fail', code: 'BUDGET_TOTAL' }],
    samples: Array.from({ length: 12_000 }, (_, index) => 1e9 + index),
  }),
);
const signer = openEvidenceSigner(keys);
const good = signEvidence(JSON_BYTES, signer);
const envelope = decodeEnvelope(good, EVIDENCE_ENVELOPE_BYTES_MAX);

/** Where the parts begin: tag, array, head, protected header, empty map, head, payload, head, signature. */
const HEADER_AT = 5;
const HEADER_END = HEADER_AT + envelope.protectedHeader.length;
const PAYLOAD_AT = HEADER_END + 1 + 5;
const PAYLOAD_END = PAYLOAD_AT + JSON_BYTES.length;
const SIGNATURE_AT = PAYLOAD_END + 3;

const judge = (bytes: Uint8Array): string => codeOf(() => verifyEvidence(bytes, policy));

function refuse(bytes: Uint8Array, label: string): void {
  assert.match(judge(bytes), /^(VERIFY|FORMAT)_/, label);
}

function changed(offset: number, value: number): Uint8Array {
  const bytes = Uint8Array.from(good);
  bytes[offset] = value;
  return bytes;
}

test('the evidence under attack is good, and its parts are where the test looks for them', () => {
  assert.is(judge(good), 'nothing was thrown');
  assert.ok(JSON_BYTES.length > 65_536);
  const part = (from: number, to: number): string => toHex(good.subarray(from, to));
  assert.is(part(HEADER_AT, HEADER_END), toHex(envelope.protectedHeader));
  assert.is(part(PAYLOAD_AT, PAYLOAD_END), toHex(JSON_BYTES));
  assert.is(part(SIGNATURE_AT, good.length), toHex(envelope.signature));
});

test('every byte of heads, header, chain and signature: one bit, and all of them', () => {
  for (let offset = 0; offset < good.length; offset++) {
    if (offset === PAYLOAD_AT) offset = PAYLOAD_END;
    for (const value of [good[offset]! ^ (1 << (offset % 8)), 255 - good[offset]!]) {
      refuse(changed(offset, value), `byte ${offset} = ${value}`);
    }
  }
});

test('bytes all over the payload', () => {
  for (let offset = PAYLOAD_AT; offset < PAYLOAD_END; offset += 97) {
    assert.is(judge(changed(offset, good[offset]! ^ 1)), 'VERIFY_SIGNATURE', `byte ${offset}`);
  }
  // White space that JSON does not mind, and another order of the same facts.
  const spaced = Buffer.from(JSON.stringify(JSON.parse(JSON_BYTES.toString()), null, 1));
  const again = encodeEnvelope(envelope.protectedHeader, spaced, envelope.signature);
  assert.is(judge(again), 'VERIFY_SIGNATURE');
});

test('every truncation at a boundary and around it, and bytes before and after', () => {
  const boundaries = [0, 1, 2, HEADER_AT, HEADER_END, PAYLOAD_AT, PAYLOAD_END, SIGNATURE_AT];
  for (const boundary of [...boundaries, good.length]) {
    for (let length = Math.max(0, boundary - 6); length < boundary + 6; length++) {
      if (length < good.length) assert.is(judge(good.subarray(0, length)), 'FORMAT_ENVELOPE');
    }
  }
  for (let length = 0; length < good.length; length += 1009) refuse(good.subarray(0, length), '');
  for (const extra of [Uint8Array.of(0), Uint8Array.of(0x0a), good]) {
    assert.is(judge(Buffer.concat([good, extra])), 'FORMAT_ENVELOPE');
    assert.is(judge(Buffer.concat([extra, good])), 'FORMAT_ENVELOPE');
  }
});

/** Fields of the protected header by the bytes that stand there, and what replaces them. */
const FIELDS: readonly [what: string, from: string, to: string, code: string][] = [
  ['algorithm: ES256', '013824', '0126', 'VERIFY_ALGORITHM_NOT_ALLOWED'],
  ['algorithm: PS384', '013824', '013825', 'FORMAT_ENVELOPE_ALGORITHM'],
  ['crit: another label', '0282182118', '0282182218', 'FORMAT_ENVELOPE_CRIT'],
  ['content type', '6c2e65766964656e6365', '6c2e65766964656e6366', 'VERIFY_KIND'],
  ['content type of the old name', '2b6a736f6e', '2b63626f72', 'VERIFY_KIND'],
  ['chain: one more', '182183', '182184', 'FORMAT_ENVELOPE'],
  ['chain: one less', '182183', '182182', 'FORMAT_ENVELOPE'],
  ['thumbprint: algorithm', '1822822f5820', '1822822e5820', 'FORMAT_ENVELOPE'],
  ['thumbprint: length', '1822822f5820', '1822822f581f', 'FORMAT_ENVELOPE'],
];

test('each field of the header by its own code', () => {
  const hex = toHex(envelope.protectedHeader);
  for (const [what, from, to, code] of FIELDS) {
    assert.is(hex.split(from).length, 2, `${what}: the bytes stand there once`);
    const header = Buffer.from(hex.replace(from, to), 'hex');
    assert.is(judge(encodeEnvelope(header, JSON_BYTES, envelope.signature)), code, what);
  }
  const thumbprint = Uint8Array.from(envelope.protectedHeader);
  thumbprint[thumbprint.length - 1]! ^= 1;
  assert.is(judge(encodeEnvelope(thumbprint, JSON_BYTES, envelope.signature)), 'VERIFY_THUMBPRINT');
});

test('parts of two good envelopes do not make a third', () => {
  const other = decodeEnvelope(
    signEvidence(Buffer.from('{"kind":"coldseal-boot-evidence"}'), signer),
    EVIDENCE_ENVELOPE_BYTES_MAX,
  );
  const { protectedHeader, signature } = envelope;
  assert.is(judge(encodeEnvelope(protectedHeader, other.payload, signature)), 'VERIFY_SIGNATURE');
  assert.is(
    judge(encodeEnvelope(protectedHeader, JSON_BYTES, other.signature)),
    'VERIFY_SIGNATURE',
  );
});

// --- the command ---

const stranger = at('stranger');
initDevKeys(stranger, OPTIONS);
const past = at('past');
initDevKeys(past, { ...OPTIONS, notBefore: NOW - 365 * 86_400, leafDays: 1 });
const expiredSigner = openEvidenceSigner(past, { now: NOW - 365 * 86_400 });

/** Evidence that its image signer signed, against all rules. */
function signedByImageKey(): Uint8Array {
  const image = openDevSigner(keys);
  const plan = planEnvelope('evidence', JSON_BYTES, image.describe());
  return encodeEnvelope(plan.protectedHeader, JSON_BYTES, image.sign(plan.tbs));
}

/** Signed over another kind's label. */
function signedAsManifest(): Uint8Array {
  const plan = planEnvelope('evidence', JSON_BYTES, signer.describe());
  const tbs = encodeSigStructure('manifest', plan.protectedHeader, JSON_BYTES);
  return encodeEnvelope(plan.protectedHeader, JSON_BYTES, signer.sign(tbs));
}

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(at(name), bytes);
  return at(name);
}

const file = put('report.cose', good);
const expired = put(
  'expired.cose',
  signEvidence(JSON_BYTES, expiredSigner, { now: NOW - 365 * 86_400 }),
);
const manifest = signEnvelope(
  'manifest',
  encodeManifest(testManifest({ role: 2 })),
  openDevSigner(keys),
);
mkdirSync(at('release'));
writeFileSync(at('release/manifest.cose'), manifest);

const NOES: readonly [what: string, exit: number, code: string, args: () => string[]][] = [
  ['no trust', 2, 'USAGE_TRUST_REQUIRED', () => [file]],
  [
    'a wrong root',
    3,
    'VERIFY_ANCHOR_UNKNOWN',
    () => [file, '--trust', join(stranger, 'root.cert.pem')],
  ],
  [
    'a bit of the payload',
    3,
    'VERIFY_SIGNATURE',
    () => [put('x', changed(PAYLOAD_AT, 0)), '--trust', root],
  ],
  ['cut short', 3, 'FORMAT_ENVELOPE', () => [put('x', good.subarray(0, 70_000)), '--trust', root]],
  ['nothing', 3, 'FORMAT_ENVELOPE', () => [put('x', new Uint8Array()), '--trust', root]],
  ['the JSON itself', 3, 'FORMAT_ENVELOPE', () => [put('x', JSON_BYTES), '--trust', root]],
  ['a manifest', 3, 'VERIFY_KIND', () => [at('release/manifest.cose'), '--trust', root]],
  ['evidence as a release', 3, 'VERIFY_KIND', () => [evidenceAsRelease(), '--trust', root]],
  [
    'signed by the image key',
    3,
    'VERIFY_PURPOSE',
    () => [put('x', signedByImageKey()), '--trust', root],
  ],
  [
    'signed over another label',
    3,
    'VERIFY_SIGNATURE',
    () => [put('x', signedAsManifest()), '--trust', root],
  ],
  [
    'no evidence inside',
    3,
    'FORMAT_EVIDENCE',
    () => [put('x', signEnvelope('evidence', Buffer.from('{}'), signer)), '--trust', root],
  ],
  [
    'expired, when it is asked',
    3,
    'VERIFY_CERT_EXPIRED',
    () => [expired, '--trust', join(past, 'root.cert.pem'), '--mode', 'install'],
  ],
  [
    'a bad deny list',
    3,
    'VERIFY_KIND',
    () => [file, '--trust', root, '--deny', at('release/manifest.cose')],
  ],
  [
    'too large',
    3,
    'FORMAT_ENVELOPE_SIZE',
    () => [sparse(EVIDENCE_ENVELOPE_BYTES_MAX + 1), '--trust', root],
  ],
  ['a FIFO', 2, 'USAGE_NOT_A_FILE', () => [fifo(), '--trust', root]],
  ['a device', 2, 'USAGE_NOT_A_FILE', () => ['/dev/null', '--trust', root]],
  ['nothing there', 3, 'VERIFY_MANIFEST_MISSING', () => [at('absent.cose'), '--trust', root]],
  ...['--board=qemu-x86_64', '--product=demo', '--accept=development', '--min-epoch=1=1'].map(
    (flag): [string, number, string, () => string[]] => [
      `${flag} with evidence`,
      2,
      'USAGE_OPTION_CONFLICT',
      () => [file, '--trust', root, flag],
    ],
  ),
  [
    '--output with a release',
    2,
    'USAGE_OPTION_CONFLICT',
    () => [at('release'), '--trust', root, '-o', at('out')],
  ],
  [
    '--force with a release',
    2,
    'USAGE_OPTION_CONFLICT',
    () => [at('release'), '--trust', root, '--force'],
  ],
  ['--force alone', 2, 'USAGE_OPTION_CONFLICT', () => [file, '--trust', root, '--force']],
  ['an output that exists', 2, 'USAGE_OUTPUT_EXISTS', () => [file, '--trust', root, '-o', file]],
  [
    'an output in no directory',
    6,
    'HOST_NOT_FOUND',
    () => [file, '--trust', root, '-o', at('no/out')],
  ],
  ['bytes and a document', 2, 'USAGE_BYTES_WITH_JSON', () => [file, '--trust', root, '-o', '-']],
];

function evidenceAsRelease(): string {
  mkdirSync(at('fake'), { recursive: true });
  writeFileSync(
    at('fake/manifest.cose'),
    signEvidence(Buffer.from('{"kind":"coldseal-boot-evidence"}'), signer),
  );
  return at('fake');
}

function sparse(size: number): string {
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), size);
  return at('sparse');
}

function fifo(): string {
  rmSync(at('fifo'), { force: true });
  execFileSync('mkfifo', [at('fifo')]);
  return at('fifo');
}

interface Document {
  readonly ok: boolean;
  readonly error?: { readonly code: string };
  readonly result?: {
    readonly reason: { readonly code: string } | null;
    readonly verified: boolean;
    readonly evidence: { readonly board: string; readonly outcome: { readonly state: string } };
    readonly payload: { readonly bytes: number };
    readonly checks: Record<string, { readonly status: string }>;
  };
}

const documentOf = ({ stdout }: CliResult): Document => JSON.parse(stdout) as Document;

test('the command says no by code, and writes nothing', async () => {
  for (const [what, exit, code, args] of NOES) {
    const given = args();
    const before = readdirSync(base.path).sort();
    const wantsOutput = given.some((arg) => arg === '-o' || arg === '--force');
    const output =
      exit === 3 && !wantsOutput && !/release|there/.test(what) ? ['-o', at('out')] : [];
    const result = await runCli(['verify', '--json', ...given, ...output]);
    assert.is(result.code, exit, `${what}: ${result.stdout}${result.stderr}`);
    const document = documentOf(result);
    assert.is(document.ok, false, what);
    assert.is(document.error?.code ?? document.result?.reason?.code, code, what);
    assert.equal(readdirSync(base.path).sort(), before, `${what}: nothing is written`);
  }
  assert.ok(good.length === readFileSync(file).length, 'and nothing is replaced');
});

test('the command says yes, and gives the JSON that was signed', async () => {
  const verify = (...args: string[]): Promise<CliResult> =>
    runCli(['verify', file, '--trust', root, ...args]);
  const plain = await verify();
  assert.is(plain.code, 0, plain.stderr);
  assert.match(
    plain.stdout,
    /^verified: boot evidence, \d+ bytes\nboard {9}qemu-x86_64\noutcome {7}fail: too slow\n/,
  );
  const out = at('out.json');
  const written = await verify('-o', out, '--json');
  assert.is(written.code, 0, written.stderr);
  assert.ok(readFileSync(out).equals(JSON_BYTES));
  const { ok, result } = documentOf(written);
  assert.equal([ok, result!.verified, result!.evidence.board], [true, true, 'qemu-x86_64']);
  assert.equal(
    [result!.evidence.outcome.state, result!.payload.bytes],
    ['fail', JSON_BYTES.length],
  );
  assert.is((await verify('-o', out)).code, 2);
  writeFileSync(out, 'old');
  assert.is((await verify('-o', out, '--force')).code, 0);
  assert.ok(readFileSync(out).equals(JSON_BYTES));
  const piped = await verify('-o', '-');
  assert.ok(Buffer.from(piped.stdoutBytes).equals(JSON_BYTES), 'nothing but the JSON on stdout');
  assert.match(piped.stderr, /verified: boot evidence/);
  // A no writes nothing to stdout that a program could take for the JSON, and leaves an old file alone.
  const bad = put('bad.cose', changed(PAYLOAD_AT + 5, 0));
  const refused = await runCli(['verify', bad, '--trust', root, '-o', out, '--force']);
  assert.is(refused.code, 3);
  assert.match(refused.stdout, /^NOT verified: /);
  assert.ok(readFileSync(out).equals(JSON_BYTES));
  const nothing = await runCli(['verify', bad, '--trust', root, '-o', '-']);
  assert.is(nothing.code, 3);
  assert.not.match(nothing.stdout, /samples/);
});

test('evidence of an expired key is good, unless the time is asked for', async () => {
  const trust = ['--trust', join(past, 'root.cert.pem')];
  assert.is((await runCli(['verify', expired, ...trust])).code, 0);
  const asked = await runCli(['verify', file, '--trust', root, '--mode', 'install', '--json']);
  assert.is(asked.code, 0);
  assert.is(documentOf(asked).result!.checks['time']!.status, 'pass');
});

test('a link that a person gives is followed', async () => {
  symlinkSync(file, at('latest.cose'));
  assert.is((await runCli(['verify', at('latest.cose'), '--trust', root])).code, 0);
});

test('keys init adds the evidence signer to older keys', async () => {
  const older = at('older');
  initDevKeys(older, OPTIONS);
  for (const name of ['key', 'cert', 'chain']) rmSync(join(older, `evidence.${name}.pem`));
  const rootBefore = readFileSync(join(older, 'root.cert.pem'), 'utf8');
  assert.is((await runCli(['keys', 'init', older])).code, 2);
  const added = await runCli(['keys', 'init', older, '--add-evidence']);
  assert.is(added.code, 0, added.stderr);
  assert.match(added.stdout, /evidence\.cert\.pem\n/);
  assert.ok(existsSync(join(older, 'evidence.chain.pem')));
  assert.is(readFileSync(join(older, 'root.cert.pem'), 'utf8'), rootBefore);
});

test.run();
