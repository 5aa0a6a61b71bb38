/**
 * What signed evidence says of itself: the few facts that `verify` shows, out of the JSON that was signed.
 *
 * Only the kind is required. The rest belongs to the report that wrote it and may change with its schema, so that a
 * fact which is not there in the known form is null and never an error. Read only what is authentic: nothing here is
 * looked at before the signature is good.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { EVIDENCE_KIND } from '../budget/evidence.ts';

/** One question that was put to the evidence. */
export interface EvidenceVerdict {
  readonly id: string;
  /** `pass`, `fail`, `inconclusive` and so on, as the report has it. */
  readonly state: string;
  readonly code: string | null;
  readonly sentence: string | null;
}

export interface EvidenceFacts {
  readonly schema: number | null;
  readonly board: string | null;
  readonly outcome: { readonly state: string; readonly sentence: string | null } | null;
  /** Null: not there in the known form. */
  readonly verdicts: readonly EvidenceVerdict[] | null;
}

/** Absent, null and of another type are the same here: not known. */
const known = <T extends z.ZodType>(schema: T): z.ZodCatch<z.ZodNullable<T>> =>
  schema.nullable().catch(null);

const verdict = z.object({
  id: z.string(),
  state: z.string(),
  code: known(z.string()),
  sentence: known(z.string()),
});

const facts = z.object({
  schema: known(z.number()),
  board: known(z.object({ id: z.string() })),
  outcome: known(z.object({ state: z.string(), sentence: known(z.string()) })),
  checks: known(z.array(verdict)),
});

/** The facts of a payload; throws FORMAT_EVIDENCE when it is not boot evidence in JSON. */
export function readEvidenceJson(payload: Uint8Array): EvidenceFacts {
  const value = parse(payload);
  const kind =
    typeof value === 'object' && value !== null ? (value as { kind?: unknown }).kind : undefined;
  if (kind !== EVIDENCE_KIND) {
    throw refusal(`expected an object whose kind is ${EVIDENCE_KIND}`);
  }
  const { schema, board, outcome, checks } = facts.parse(value);
  return { schema, board: board?.id ?? null, outcome, verdicts: checks };
}

function parse(payload: Uint8Array): unknown {
  try {
    // Fatal: a byte that is no UTF-8 must not be read as another one than it is. A byte order mark is no JSON.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    throw refusal(error instanceof TypeError ? 'it is not UTF-8' : 'it is not JSON', error);
  }
}

function refusal(problem: string, cause?: unknown): ColdsealError {
  return new ColdsealError('FORMAT_EVIDENCE', `Cannot read the evidence: ${problem}`, {
    hint: 'signed evidence is made by coldseal report with --json and --sign',
    cause,
  });
}
