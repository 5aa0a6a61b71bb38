/**
 * What `verify` prints about a file of evidence: the same facts as text and as JSON.
 *
 * Verified means that the bytes are those that the signer signed. What the evidence says about a board, its outcome, is
 * shown beside it and decides nothing here: authentic evidence of a board that is too slow is verified.
 */
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { PASS, notEvaluated, type CheckResult } from '../../runtime/verify.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import type { EvidenceVerdict } from './evidence-json.ts';
import { type EvidencePolicy, type VerifiedEvidence, verifyEvidence } from './read-evidence.ts';
import { describeSigner, resultText } from './verify-report.ts';

/** The verdict over a file: evidence, or the reason why there is none. */
export interface EvidenceReport {
  readonly evidence: VerifiedEvidence | undefined;
  readonly reason: ColdsealError | undefined;
  /** Whether the dates of the certificates were judged. */
  readonly hasTime: boolean;
}

/** Verifies evidence. A "no" is in the report; only trouble of the host throws. */
export function checkEvidence(bytes: Uint8Array, policy: EvidencePolicy): EvidenceReport {
  const hasTime = policy.now !== undefined;
  try {
    return { evidence: verifyEvidence(bytes, policy), reason: undefined, hasTime };
  } catch (error) {
    if (!(error instanceof ColdsealError) || !/^(VERIFY|FORMAT)_/.test(error.code)) throw error;
    return { evidence: undefined, reason: error, hasTime };
  }
}

const CHECKS = ['authenticity', 'time', 'content'] as const;
type EvidenceCheck = (typeof CHECKS)[number];

/** Which check a code belongs to; everything up to the signature and the deny list is authenticity. */
function checkOfCode(code: string): EvidenceCheck {
  if (code === 'FORMAT_EVIDENCE') return 'content';
  return /^VERIFY_CERT_(EXPIRED|NOT_YET_VALID)$/.test(code) ? 'time' : 'authenticity';
}

/** One result each, in the order of the checks: nothing after the first no is passed. */
function checksOf({ reason, hasTime }: EvidenceReport): Record<EvidenceCheck, CheckResult> {
  const notReached = notEvaluated('VERIFY_NOT_REACHED', 'An earlier check said no');
  const notAsked = notEvaluated('VERIFY_TIME_NOT_ASKED', 'Evidence stays good when a key expires');
  const failed = reason === undefined ? CHECKS.length : CHECKS.indexOf(checkOfCode(reason.code));
  const resultAt = (at: number, passed: CheckResult): CheckResult => {
    if (at < failed) return passed;
    if (at > failed) return notReached;
    return { status: 'fail', code: reason!.code, message: reason!.message };
  };
  return {
    authenticity: resultAt(0, PASS),
    time: resultAt(1, hasTime ? PASS : notAsked),
    content: resultAt(2, PASS),
  };
}

/** The report in lines. The first says yes or no. */
export function textEvidence(report: EvidenceReport): string[] {
  const { evidence, reason } = report;
  const checks = Object.entries(checksOf(report)).map(
    ([name, result]) => `${name.padEnd(14)}${resultText(result)}`,
  );
  if (evidence === undefined) {
    return [`NOT verified: ${reason!.message}`, `reason code   ${reason!.code}`, ...checks];
  }
  const { payload, chain, facts } = evidence;
  const { name, pin, purposes, notBefore, notAfter } = describeSigner(chain);
  const { outcome, verdicts } = facts;
  return [
    `verified: boot evidence, ${payload.length} bytes`,
    `board         ${printable(facts.board ?? 'not named')}`,
    `outcome       ${outcome === null ? 'not named' : stated(outcome.state, outcome.sentence)}`,
    ...(verdicts === null ? [] : [`checks        ${countStates(verdicts)}`]),
    ...(verdicts ?? [])
      .filter(({ state }) => state !== 'pass')
      .map(({ id, state, code }) => {
        return `              ${printable(`${id}: ${state}${code === null ? '' : ` (${code})`}`)}`;
      }),
    `payload       sha256 ${payloadSha256(payload)}`,
    `signed by     ${name}, key ${pin}, for ${purposes.join(', ')}`,
    `certificate   valid ${notBefore} to ${notAfter}`,
    ...checks,
  ];
}

/** The report as the `result` of the JSON document. */
export function jsonEvidence(report: EvidenceReport): object {
  const { evidence, reason } = report;
  return {
    verified: evidence !== undefined,
    reason: reason === undefined ? null : { code: reason.code, message: reason.message },
    checks: checksOf(report),
    payload:
      evidence === undefined
        ? null
        : { bytes: evidence.payload.length, sha256: payloadSha256(evidence.payload) },
    evidence: evidence === undefined ? null : evidence.facts,
    signers: evidence === undefined ? [] : [describeSigner(evidence.chain)],
  };
}

const payloadSha256 = (payload: Uint8Array): string => toHex(createNodeCrypto().sha256(payload));

function stated(state: string, sentence: string | null): string {
  return printable(sentence === null ? state : `${state}: ${sentence}`);
}

/** `3: 2 pass, 1 fail`, in the order in which the states first occur. */
function countStates(verdicts: readonly EvidenceVerdict[]): string {
  const counts = new Map<string, number>();
  for (const { state } of verdicts) counts.set(state, (counts.get(state) ?? 0) + 1);
  const parts = [...counts].map(([state, count]) => `${count} ${state}`);
  return printable([`${verdicts.length}`, parts.join(', ')].filter(Boolean).join(': '));
}

/** Text of a file on a line of a terminal: controls would move the cursor, or make a line of their own. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
