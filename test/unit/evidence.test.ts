/** Signed evidence: what is signed comes back, what must not pass does not, and what is shown of it. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { ascii, equalBytes, fromHex } from '../../runtime/format/bytes.ts';
import { encodeHead } from '../../runtime/format/cbor.ts';
import { concatBytes } from '../../runtime/format/concat.ts';
import { encodeDenyList } from '../../runtime/format/deny-list.ts';
import {
  COSE_PS256,
  decodeEnvelope,
  encodeEnvelope,
  encodeSigStructure,
  ENVELOPE_BYTES_MAX,
  EVIDENCE_ENVELOPE_BYTES_MAX,
} from '../../runtime/format/envelope.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { PURPOSE, PURPOSES } from '../../runtime/format/oids.ts';
import { verifyEnvelope, verifyManifest } from '../../runtime/verify.ts';
import { EVIDENCE_KIND } from '../../toolchain/budget/evidence.ts';
import { readEvidenceJson } from '../../toolchain/sign/evidence-json.ts';
import { checkEvidence, jsonEvidence, textEvidence } from '../../toolchain/sign/evidence-report.ts';
import { readEvidenceFile, verifyEvidence } from '../../toolchain/sign/read-evidence.ts';
import { attachSignature, planEnvelope, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { checkEvidenceSigner, signEvidence } from '../../toolchain/sign/sign-evidence.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { tempDir } from '../support/temp-dir.ts';
import { KEYS, testAnchor, testSigner } from '../support/test-pki.ts';

const test = suite('evidence');
const crypto = createNodeCrypto();
const trust = { anchors: [testAnchor()], algorithms: [COSE_PS256] } as const;
const signer = testSigner([PURPOSE.EVIDENCE]);
const NOW = { now: 1_800_000_000 };

/** Evidence as `report` writes it, as far as `verify` looks at it; `padding` makes it as long as a test wants. */
function evidence(change: object = {}, padding = 0): Uint8Array {
  const value = {
    kind: EVIDENCE_KIND,
    schema: 1,
    board: { id: 'qemu-aarch64', name: 'QEMU' },
    checks: [
      { id: 'virtual-cold/total', state: 'pass', code: null, sentence: '1.9 s of 2 s' },
      { id: 'drift', state: 'inconclusive', code: 'BUDGET_X', sentence: 'too few' },
    ],
    outcome: { state: 'inconclusive', sentence: 'not enough boots', exitCode: 5 },
    ...change,
  };
  return Buffer.from(`${JSON.stringify(value)}${' '.repeat(padding)}\n`);
}

const sign = (json: Uint8Array): Uint8Array => signEvidence(json, signer, NOW);
const good = sign(evidence());

// --- sizes ---

test('what is signed comes back byte for byte, whatever its size', () => {
  const empty = evidence().length;
  for (const size of [empty, 65_535, 65_536, 65_537, 200_000, 5_000_000]) {
    const json = evidence({}, size - empty);
    assert.is(json.length, size);
    const { payload, chain, facts } = verifyEvidence(sign(json), trust);
    assert.ok(equalBytes(payload, json), `${size}`);
    assert.equal([...chain.purposes], [PURPOSE.EVIDENCE]);
    assert.is(facts.board, 'qemu-aarch64');
  }
});

test('the payload is a private copy', () => {
  const bytes = sign(evidence());
  const { payload } = verifyEvidence(bytes, trust);
  bytes.fill(0);
  assert.ok(equalBytes(payload, evidence()));
});

test('of a file at most one byte more than allowed is read, and only of a file', () => {
  using dir = tempDir();
  const path = join(dir.path, 'e.cose');
  writeFileSync(path, good);
  assert.ok(equalBytes(readEvidenceFile(path), good));
  // A hole: nothing of it is on the disk.
  truncateSync(path, EVIDENCE_ENVELOPE_BYTES_MAX + 5);
  const read = readEvidenceFile(path);
  assert.is(read.length, EVIDENCE_ENVELOPE_BYTES_MAX + 1);
  expectCode(() => verifyEvidence(read, trust), 'FORMAT_ENVELOPE_SIZE');
  expectCode(() => readEvidenceFile(dir.path), 'USAGE_NOT_A_FILE');
  expectCode(() => readEvidenceFile('/dev/null'), 'USAGE_NOT_A_FILE');
  expectCode(() => readEvidenceFile(join(dir.path, 'no')), 'HOST_NOT_FOUND');
});

test('its cap is its own: larger than that of a device, and held by writer and reader', () => {
  const large = new Uint8Array(EVIDENCE_ENVELOPE_BYTES_MAX + 1);
  expectCode(() => verifyEvidence(large, trust), 'FORMAT_ENVELOPE_SIZE');
  assert.is(
    codeOf(() => verifyEvidence(large.subarray(1), trust)),
    'FORMAT_ENVELOPE',
  );
  const plan = planEnvelope('evidence', large, signer.describe());
  expectCode(() => attachSignature(plan, new Uint8Array(384)), 'CONFIG_ENVELOPE_SIZE');
  // Everything else keeps to 64 KiB, whatever its head says.
  const beyond = signEnvelope('evidence', new Uint8Array(ENVELOPE_BYTES_MAX), signer);
  expectCode(() => decodeEnvelope(beyond), 'FORMAT_ENVELOPE_SIZE');
  for (const kind of ['manifest', 'deny list', 'trust bundle'] as const) {
    expectCode(() => verifyEnvelope(beyond, kind, trust, crypto), 'FORMAT_ENVELOPE_SIZE');
  }
});

test('lengths have one form: the shortest', () => {
  const { protectedHeader, signature } = decodeEnvelope(good);
  /** An envelope whose payload has this head. */
  const withHead = (head: Uint8Array, payload: Uint8Array): Uint8Array =>
    concatBytes(
      Uint8Array.of(0xd2, 0x84),
      encodeHead(2, BigInt(protectedHeader.length)),
      protectedHeader,
      Uint8Array.of(0xa0),
      head,
      payload,
      encodeHead(2, BigInt(signature.length)),
      signature,
    );
  const read = (head: readonly number[], size: number): string =>
    codeOf(() =>
      decodeEnvelope(
        withHead(Uint8Array.from(head), new Uint8Array(size)),
        EVIDENCE_ENVELOPE_BYTES_MAX,
      ),
    );
  const table: readonly [head: readonly number[], size: number, code: string][] = [
    [[0x5a, 0, 1, 0, 0], 65_536, 'nothing was thrown'],
    [[0x59, 0xff, 0xff], 65_535, 'nothing was thrown'],
    [[0x5a, 0, 0, 0xff, 0xff], 65_535, 'FORMAT_ENVELOPE'],
    [[0x5a, 0, 0, 0, 23], 23, 'FORMAT_ENVELOPE'],
    [[0x59, 0, 255], 255, 'FORMAT_ENVELOPE'],
    [[0x58, 23], 23, 'FORMAT_ENVELOPE'],
    [[0x5b, 0, 0, 0, 0, 0, 1, 0, 0], 65_536, 'FORMAT_ENVELOPE'],
    [[0x5f], 65_536, 'FORMAT_ENVELOPE'],
    // Longer than the file, than the cap, and than 31 bits, where shifts would turn negative.
    [[0x5a, 0, 1, 0, 1], 65_536 - 700, 'FORMAT_ENVELOPE'],
    [[0x5a, 0x7f, 0xff, 0xff, 0xff], 65_536, 'FORMAT_ENVELOPE'],
    [[0x5a, 0x80, 0, 0, 0], 65_536, 'FORMAT_ENVELOPE'],
    [[0x5a, 0xff, 0xff, 0xff, 0xff], 65_536, 'FORMAT_ENVELOPE'],
  ];
  for (const [head, size, code] of table) assert.is(read(head, size), code, head.join(' '));
  // Cut off within the head.
  for (const head of [[0x58], [0x59, 1], [0x5a, 0, 1, 0]]) {
    const bytes = withHead(Uint8Array.from(head), new Uint8Array());
    const cut = bytes.subarray(0, bytes.length - 387);
    expectCode(() => decodeEnvelope(cut, EVIDENCE_ENVELOPE_BYTES_MAX), 'FORMAT_ENVELOPE');
  }
});

// --- what must not pass ---

test('a manifest is no evidence, and evidence is no manifest', () => {
  const all = testSigner(PURPOSES);
  const manifest = encodeManifest(testManifest());
  const judge = (envelope: Uint8Array): string | undefined =>
    verifyManifest({
      envelope,
      denyList: undefined,
      policy: testPolicy(),
      crypto,
      images: 'at-mount',
    }).reason?.code;
  assert.is(judge(signEnvelope('manifest', manifest, all)), undefined);
  expectCode(() => verifyEvidence(signEnvelope('manifest', manifest, all), trust), 'VERIFY_KIND');
  assert.is(judge(signEnvelope('evidence', manifest, all)), 'VERIFY_KIND');
  assert.is(judge(good), 'VERIFY_KIND');
  // With the content type of the one, and a signature over the label of the other.
  const forge = (as: 'manifest' | 'evidence', payload: Uint8Array): Uint8Array => {
    const plan = planEnvelope(as, payload, all.describe());
    const label = as === 'manifest' ? 'evidence' : 'manifest';
    const tbs = encodeSigStructure(label, plan.protectedHeader, payload);
    return encodeEnvelope(plan.protectedHeader, payload, all.sign(tbs));
  };
  expectCode(() => verifyEvidence(forge('evidence', evidence()), trust), 'VERIFY_SIGNATURE');
  assert.is(judge(forge('manifest', manifest)), 'VERIFY_SIGNATURE');
});

test('only a key for evidence signs evidence', () => {
  for (const purpose of PURPOSES.filter((each) => each !== PURPOSE.EVIDENCE)) {
    const other = testSigner([purpose]);
    expectCode(() => signEvidence(evidence(), other, NOW), 'CONFIG_KEY_ROLE');
    const plan = planEnvelope('evidence', evidence(), other.describe());
    const forged = encodeEnvelope(plan.protectedHeader, evidence(), other.sign(plan.tbs));
    expectCode(() => verifyEvidence(forged, trust), 'VERIFY_PURPOSE', `${purpose}`);
    expectCode(() => attachSignature(plan, other.sign(plan.tbs)), 'VERIFY_PURPOSE');
  }
});

test('a broken helper signs nothing', () => {
  const broken = { ...signer, sign: (tbs: Uint8Array) => signer.sign(tbs.subarray(1)) };
  expectCode(() => signEvidence(evidence(), broken, NOW), 'VERIFY_SIGNATURE');
});

test('trust is pinned, and only for what the anchor allows', () => {
  const stranger = { ...trust, anchors: [testAnchor(KEYS.other)] };
  expectCode(() => verifyEvidence(good, stranger), 'VERIFY_ANCHOR_UNKNOWN');
  expectCode(() => verifyEvidence(good, { ...trust, anchors: [] }), 'VERIFY_ANCHOR_UNKNOWN');
  const images = { ...trust, anchors: [testAnchor(KEYS.root, [PURPOSE.PRODUCTION])] };
  expectCode(() => verifyEvidence(good, images), 'VERIFY_CERT_EKU_NESTING');
  expectCode(
    () => verifyEvidence(good, { ...trust, algorithms: [] }),
    'VERIFY_ALGORITHM_NOT_ALLOWED',
  );
});

test('a key or a certificate on the deny list', () => {
  const denyList = (change: object): Uint8Array =>
    signEnvelope(
      'deny list',
      encodeDenyList({
        version: 1,
        keys: [],
        certificates: [],
        manifests: [],
        epochs: new Map(),
        ...change,
      }),
      testSigner([PURPOSE.DENY_LIST]),
    );
  const pin = fromHex(signer.describe().spkiSha256)!;
  const digest = crypto.sha256(signer.describe().chain[0]!);
  verifyEvidence(good, { ...trust, denyList: denyList({}) });
  const judge = (change: object): unknown =>
    verifyEvidence(good, { ...trust, denyList: denyList(change) });
  judge({ keys: [crypto.sha256(ascii('another'))] });
  expectCode(() => judge({ certificates: [digest] }), 'VERIFY_CERT_DENIED');
  expectCode(() => judge({ keys: [pin] }), 'VERIFY_KEY_DENIED');
  expectCode(() => verifyEvidence(good, { ...trust, denyList: good }), 'VERIFY_KIND');
});

test('dates are judged when somebody asks', () => {
  const { chain } = verifyEvidence(good, trust);
  const [leaf] = chain.certificates;
  const at = (now: number): string => codeOf(() => verifyEvidence(good, { ...trust, now }));
  assert.is(at(leaf!.notBefore), 'nothing was thrown');
  assert.is(at(leaf!.notAfter), 'nothing was thrown');
  assert.is(at(leaf!.notAfter + 1), 'VERIFY_CERT_EXPIRED');
  assert.is(at(leaf!.notBefore - 1), 'VERIFY_CERT_NOT_YET_VALID');
  assert.throws(
    () => verifyEvidence(good, { ...trust, now: leaf!.notAfter + 1 }),
    /^Cannot accept the evidence today: .*has expired$/,
  );
  const { notAfter, notBefore } = signer.describe();
  for (const now of [notAfter + 1, notBefore - 1]) {
    expectCode(() => checkEvidenceSigner(signer.describe(), { now }), 'CONFIG_KEY_EXPIRED');
  }
});

// --- the JSON inside ---

const NO_EVIDENCE: readonly [what: string, payload: Uint8Array][] = [
  ['nothing', new Uint8Array()],
  ['text', ascii('evidence')],
  ['half a document', evidence().subarray(0, 40)],
  ['two documents', concatBytes(evidence(), evidence())],
  ['null', ascii('null')],
  ['an array', ascii('[]')],
  ['no kind', ascii('{"schema":1}')],
  ['another kind', evidence({ kind: 'coldseal-boot-record' })],
  ['a kind in a list', evidence({ kind: [EVIDENCE_KIND] })],
  ['a kind of the prototype', ascii(`{"__proto__":{"kind":"${EVIDENCE_KIND}"}}`)],
  ['Latin-1', Buffer.from('{"kind":"coldseal-boot-evidence","x":"\xe9"}', 'latin1')],
  ['a byte order mark', concatBytes(Uint8Array.of(0xef, 0xbb, 0xbf), evidence())],
  ['UTF-16', Buffer.from(Buffer.from(evidence()).toString(), 'utf16le')],
];

test('a payload that is no evidence is neither signed nor accepted', () => {
  for (const [what, payload] of NO_EVIDENCE) {
    expectCode(() => sign(payload), 'FORMAT_EVIDENCE', what);
    const envelope = signEnvelope('evidence', payload, signer);
    expectCode(() => verifyEvidence(envelope, trust), 'FORMAT_EVIDENCE', what);
  }
});

test('it is looked at after the signature only', () => {
  const bytes = signEnvelope('evidence', ascii('no JSON'), signer);
  bytes[bytes.length - 1]! ^= 1;
  expectCode(() => verifyEvidence(bytes, trust), 'VERIFY_SIGNATURE');
});

test('a fact of another form is not known, and no error', () => {
  const none = { schema: null, board: null, outcome: null, verdicts: null };
  const table: readonly [change: object, facts: object][] = [
    [{}, {}],
    [{ board: undefined, outcome: undefined, checks: undefined, schema: undefined }, none],
    [{ board: 'qemu', outcome: 'pass', checks: {}, schema: '1' }, none],
    [{ board: null, outcome: null, checks: null, schema: null }, none],
    [{ board: { name: 'x' } }, { board: null }],
    [{ outcome: { state: 'pass' } }, { outcome: { state: 'pass', sentence: null } }],
    [{ checks: [] }, { verdicts: [] }],
    [{ checks: [{ id: 'a' }] }, { verdicts: null }],
    [
      { checks: [{ id: 'a', state: 'fail', code: 7 }] },
      { verdicts: [{ id: 'a', state: 'fail', code: null, sentence: null }] },
    ],
    [{ schema: 2, later: [1] }, { schema: 2 }],
  ];
  const usual = readEvidenceJson(evidence());
  assert.equal(usual.outcome, { state: 'inconclusive', sentence: 'not enough boots' });
  for (const [change, facts] of table) {
    assert.equal(
      readEvidenceJson(evidence(change)),
      { ...usual, ...facts },
      JSON.stringify(change),
    );
  }
});

// --- what is shown ---

test('the report in lines', () => {
  const lines = textEvidence(checkEvidence(good, trust));
  const { spkiSha256 } = signer.describe();
  assert.equal(lines, [
    `verified: boot evidence, ${evidence().length} bytes`,
    'board         qemu-aarch64',
    'outcome       inconclusive: not enough boots',
    'checks        2: 1 pass, 1 inconclusive',
    '              drift: inconclusive (BUDGET_X)',
    `payload       sha256 ${Buffer.from(crypto.sha256(evidence())).toString('hex')}`,
    `signed by     test leaf, key ${spkiSha256}, for evidence`,
    lines[7]!,
    'authenticity  pass',
    'time          not evaluated (VERIFY_TIME_NOT_ASKED)',
    'content       pass',
  ]);
  assert.match(lines[7]!, /^certificate {3}valid \d{4}-.*Z to \d{4}-.*Z$/);
});

test('controls in signed text do not reach a terminal', () => {
  const sentence = 'a\x1b[2J\nNOT verified\u202e\u2028x';
  const bytes = sign(
    evidence({
      board: { id: sentence },
      outcome: { state: sentence, sentence },
      checks: [{ id: sentence, state: sentence, code: sentence }],
    }),
  );
  for (const line of textEvidence(checkEvidence(bytes, trust))) {
    assert.not.match(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  }
});

/** Which check says no, and that nothing behind it is passed. */
const NOES: readonly [what: string, code: string, checks: readonly string[], run: () => object][] =
  [
    [
      'a stranger',
      'VERIFY_ANCHOR_UNKNOWN',
      ['fail', 'not-evaluated', 'not-evaluated'],
      () => jsonEvidence(checkEvidence(good, { ...trust, anchors: [] })),
    ],
    [
      'expired',
      'VERIFY_CERT_EXPIRED',
      ['pass', 'fail', 'not-evaluated'],
      () => jsonEvidence(checkEvidence(good, { ...trust, now: 9e9 })),
    ],
    [
      'no evidence',
      'FORMAT_EVIDENCE',
      ['pass', 'not-evaluated', 'fail'],
      () => jsonEvidence(checkEvidence(signEnvelope('evidence', ascii('{}'), signer), trust)),
    ],
  ];

test('the report for programs says which check said no', () => {
  for (const [what, code, checks, run] of NOES) {
    const report = run() as {
      verified: boolean;
      reason: { code: string };
      checks: Record<string, { status: string }>;
      evidence: unknown;
      payload: unknown;
      signers: unknown[];
    };
    assert.equal([report.verified, report.reason.code], [false, code], what);
    assert.equal(
      Object.values(report.checks).map(({ status }) => status),
      checks,
      what,
    );
    assert.equal([report.evidence, report.payload, report.signers], [null, null, []], what);
  }
});

test('a certificate of the chain that was made for evidence and images signs both', () => {
  // Purposes of one leaf may be several; kinds are still kept apart by their labels.
  const both = testSigner([PURPOSE.PRODUCTION, PURPOSE.EVIDENCE]);
  assert.is(verifyEvidence(signEvidence(evidence(), both, NOW), trust).chain.purposes.size, 2);
});

test.run();
