/**
 * The evidence file: one line of JSON, written from evidence and read back to be judged again.
 *
 * Everything that answers are made from is checked when it is read; the answers in the file are not believed but made
 * anew, and so are the figures of columns and their budgets. `report` compares the two, so that a figure in a file that
 * does not follow from its samples is found.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { firstProblem } from '../config/explain-issue.ts';
import { summaryOf } from './collect.ts';
import {
  type Evidence,
  EVIDENCE_KIND,
  EVIDENCE_SCHEMA,
  type EvidenceBudget,
  type SampleSet,
} from './evidence.ts';
import type { JudgeInput } from './judge.ts';
import { EVIDENCE_CLASSES, MEASURED_BOOT, START_KINDS } from './measured-boot.ts';
import { parsePlan } from './statistics/plan.ts';

/** The text of an evidence file. The same evidence has the same bytes. */
export function evidenceText(evidence: Evidence): string {
  return `${JSON.stringify(evidence)}\n`;
}

const text = z.string().max(1024);
const ns = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const part = z.number().min(0).max(1);
const count = z.int().min(0).max(1_000_000);
const index = z.int().min(-1).max(1_000_000);
const named = z.array(z.strictObject({ name: text, ns }));

const budget = z.strictObject({
  start: text,
  stop: text,
  totalNs: ns.min(1),
  reserveNs: ns,
  stages: named,
  stretches: z.array(z.strictObject({ name: text, from: text, to: text, ns })),
  constants: z.array(
    z.strictObject({
      name: text,
      from: text,
      to: text,
      ns,
      uncertaintyNs: ns,
      source: text,
      evidence: text,
    }),
  ),
});

const settings = z.strictObject({
  plan: z.strictObject({
    text,
    coverage: part,
    confidence: part,
    exceedances: count,
    boots: count,
    origin: z.enum(['option', 'run', 'board']),
  }),
  seed: z.int().min(0).max(0xffff_ffff),
  alpha: part,
  totalMarginNs: ns,
  stageMargin: z.strictObject({ absoluteNs: ns, relative: part }),
  tolerance: z.strictObject({ absoluteNs: ns, relative: part, stages: named }),
});

const summary = z
  .strictObject({ n: count, minNs: ns, medianNs: ns, p95Ns: ns, maxNs: ns })
  .nullable();

const samples = z
  .strictObject({
    releases: z.array(z.strictObject({ id: text.nullable(), version: text })),
    specimens: z.array(text),
    boots: count,
    releaseOf: z.array(index),
    specimenOf: z.array(index),
    measuredAt: z.array(text.nullable()),
    totalsNs: z.array(ns.nullable()),
    stages: z.array(
      z.strictObject({
        name: text,
        durationsNs: z.array(ns.nullable()),
        summary,
        budgetNs: ns.nullable(),
      }),
    ),
    total: summary,
    flags: z.array(
      z.strictObject({
        boot: count,
        flag: z.strictObject({ code: text, message: text, isUnusable: z.boolean() }),
      }),
    ),
    typical: z.strictObject({ boot: count, record: MEASURED_BOOT }).nullable(),
  })
  .superRefine((set, context) => {
    const columns = [set.releaseOf, set.specimenOf, set.measuredAt, set.totalsNs];
    const isEven = [...columns, ...set.stages.map(({ durationsNs }) => durationsNs)].every(
      ({ length }) => length === set.boots,
    );
    const fault = (message: string): void =>
      context.addIssue({ code: 'custom', message, path: [], input: set });
    if (!isEven) fault('has columns of different lengths, expected one entry for each boot');
    const boots = [...set.flags.map(({ boot }) => boot), set.typical?.boot ?? -1];
    const isWhole =
      boots.every((boot) => boot < set.boots) &&
      set.releaseOf.every((each) => each < set.releases.length) &&
      set.specimenOf.every((each) => each < set.specimens.length);
    if (!isWhole) fault('names a boot, a release or a specimen that it does not have');
  });

const group = z.object({
  id: text,
  evidence: z.enum(EVIDENCE_CLASSES),
  start: z.enum(START_KINDS).nullable(),
  conditions: z.record(text, text),
  candidate: samples,
  baseline: samples.nullable(),
  constants: budget.shape.constants,
  uncertaintyNs: ns.nullable(),
});

const evidenceInput = z.object({
  kind: z.literal(EVIDENCE_KIND),
  schema: z.literal(EVIDENCE_SCHEMA),
  tool: z.strictObject({ name: z.literal('coldseal'), version: text }),
  board: z.strictObject({ id: text, name: text }),
  budget,
  settings,
  storage: z.array(
    z.strictObject({
      kind: text,
      bytesPerS: z.number().positive().max(Number.MAX_SAFE_INTEGER),
      evidence: text,
      latencyNs: ns.nullable(),
    }),
  ),
  sources: z.array(
    z.strictObject({
      file: text,
      sha256: text,
      format: text,
      arm: z.enum(['candidate', 'baseline', 'history']),
      boots: count,
    }),
  ),
  groups: z.array(group).min(1).max(1000),
  builds: z.array(
    z.strictObject({
      id: text.nullable(),
      version: text,
      builtAt: z.int().min(0).nullable(),
      boots: count,
      medianNs: ns,
      p95Ns: ns,
      maxNs: ns,
      stages: z.array(z.strictObject({ name: text, medianNs: ns })),
    }),
  ),
  drift: z.unknown(),
});

/** What an evidence file was judged from. `path` is for messages. Throws FORMAT_EVIDENCE. */
export function parseEvidence(value: unknown, path: string): JudgeInput {
  const parsed = evidenceInput.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    throw new ColdsealError(
      'FORMAT_EVIDENCE',
      `Cannot read the evidence ${path}: ${firstProblem(parsed.error, evidenceInput, 'it')}`,
      { hint: 'expected a file that report --json wrote' },
    );
  }
  const { kind: _, schema: __, drift, ...input } = parsed.data;
  requireCounted(input, path);
  return {
    ...input,
    settings: { ...input.settings, plan: againPlan(input.settings.plan, path) },
    groups: input.groups.map((each) => ({
      ...each,
      candidate: withFigures(each.candidate, input.budget, path),
      baseline: each.baseline === null ? null : withFigures(each.baseline, input.budget, path),
    })),
    hasBaseline: input.sources.some(({ arm }) => arm === 'baseline'),
    hasHistory: drift !== null,
  };
}

/** The figures and budgets of columns, made from the columns and the budget, as when they were collected. */
function withFigures(
  set: SampleSet,
  { stages, stretches }: EvidenceBudget,
  path: string,
): SampleSet {
  const own = set.stages.length - stretches.length;
  const isWhole =
    stretches.every(({ name }, index) => set.stages[own + index]?.name === name) &&
    stages.every(({ name }) => set.stages.slice(0, own).some((column) => column.name === name));
  if (!isWhole) {
    throw new ColdsealError(
      'FORMAT_EVIDENCE',
      `Cannot read the evidence ${path}: a stage or stretch of the budget has no column`,
      { hint: 'expected a file that report --json wrote' },
    );
  }
  const budgets = new Map(stages.map((stage) => [stage.name, stage.ns]));
  return {
    ...set,
    stages: set.stages.map(({ name, durationsNs }, index) => ({
      name,
      durationsNs,
      summary: summaryOf(durationsNs),
      budgetNs: stretches[index - own]?.ns ?? budgets.get(name) ?? null,
    })),
    total: summaryOf(set.totalsNs),
  };
}

type Input = z.output<typeof evidenceInput>;
type PlanInput = Input['settings']['plan'];

function refusal(path: string, problem: string, cause?: unknown): ColdsealError {
  return new ColdsealError('FORMAT_EVIDENCE', `Cannot read the evidence ${path}: ${problem}`, {
    hint: 'the file was changed after report --json wrote it',
    cause,
  });
}

/** Every boot of the files is in a group. A baseline may have boots of a kind that the candidate lacks. */
function requireCounted(
  { sources, groups }: Pick<Input, 'sources' | 'groups'>,
  path: string,
): void {
  const listed = sources
    .filter(({ arm }) => arm === 'candidate')
    .reduce((sum, { boots }) => sum + boots, 0);
  const grouped = groups.reduce((sum, { candidate }) => sum + candidate.boots, 0);
  if (listed === grouped) return;
  throw refusal(path, `its sources have ${listed} boots, and its groups ${grouped}`);
}

/** How many boots a plan takes follows from its text. */
function againPlan({ text: planned, origin }: PlanInput, path: string): PlanInput {
  try {
    return { text: planned, ...parsePlan(planned), origin };
  } catch (error) {
    throw refusal(path, `settings.plan.text is ${JSON.stringify(planned)}, expected a plan`, error);
  }
}
