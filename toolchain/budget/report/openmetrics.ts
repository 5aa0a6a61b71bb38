/**
 * A report as metrics, for the textfile collector of Prometheus' node_exporter.
 *
 * The text is valid as OpenMetrics 1.0 and in the older Prometheus format, which is the one that the collector reads:
 * it refuses the types `info` and `stateset` and every timestamp, so all of this are gauges. An info metric is a gauge
 * of 1, a state one gauge of 0 or 1 for each state. No label has a boot's number: a sample of a fleet is a build.
 * https://prometheus.io/docs/specs/om/open_metrics_spec
 */
import type { Check, Evidence, EvidenceGroup, Summary } from '../evidence.ts';
import { isStretch } from './ledger.ts';
import { plainText } from './plain-text.ts';
import { armsOf, evidenceDigest, exactText } from './words.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: string];

/** Samples of one name, which stand together. */
interface Family {
  readonly name: string;
  readonly unit?: 'seconds' | 'ratio';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const OUTCOMES = ['pass', 'fail', 'inconclusive', 'bad-evidence'] as const;
const CHECK_STATES = [
  ...OUTCOMES,
  'noted',
  'not-evaluated',
] as const satisfies readonly Check['state'][];

export function openMetrics(evidence: Evidence): string {
  const families = [
    ...ofReport(evidence),
    ...ofBudget(evidence),
    ...ofArms(evidence),
    ...ofResults(evidence),
  ];
  return `${families.flatMap(familyLines).join('\n')}\n# EOF\n`;
}

function ofReport(evidence: Evidence): Family[] {
  const { board, tool, settings, outcome, checks } = evidence;
  const of = { board: board.id };
  const info = {
    ...of,
    board_name: board.name,
    evidence_sha256: evidenceDigest(evidence),
    plan: settings.plan.text,
    seed: String(settings.seed),
    tool_version: tool.version,
  };
  return [
    {
      name: 'coldseal_boot_report_info',
      help: 'What the report was made from; always 1.',
      samples: [[info, '1']],
    },
    {
      name: 'coldseal_boot_verdict',
      help: 'The outcome of the report: 1 for the state that it is in.',
      samples: states(of, outcome.state, OUTCOMES),
    },
    {
      name: 'coldseal_boot_check',
      help: 'One question of the report: 1 for the state that its answer is in.',
      samples: checks.flatMap(({ id, group, kind, state }) =>
        states({ ...of, check: id, group: group ?? '', kind }, state, CHECK_STATES),
      ),
    },
  ];
}

function ofBudget({ board, budget, groups }: Evidence): Family[] {
  const of = { board: board.id };
  return [
    {
      name: 'coldseal_boot_budget_seconds',
      unit: 'seconds',
      help: "The board's budget, from start to stop event.",
      samples: [[{ ...of, start: budget.start, stop: budget.stop }, seconds(budget.totalNs)]],
    },
    {
      name: 'coldseal_boot_limit_seconds',
      unit: 'seconds',
      help: 'What totals are held against: the budget without the uncertainty of the clock.',
      samples: groups.map((group) => [groupLabels(of, group), seconds(group.limitNs)]),
    },
    {
      name: 'coldseal_boot_stage_budget_seconds',
      unit: 'seconds',
      help: 'Budget of a stage.',
      samples: budget.stages.map(({ name, ns }) => [{ ...of, stage: name }, seconds(ns)]),
    },
    {
      name: 'coldseal_boot_stretch_budget_seconds',
      unit: 'seconds',
      help: 'Budget of a stretch between two events.',
      samples: budget.stretches.map(({ name, ns }) => [{ ...of, stretch: name }, seconds(ns)]),
    },
  ];
}

function ofArms(evidence: Evidence): Family[] {
  const arms = evidence.groups.flatMap((group) =>
    armsOf(group).map(([arm, set]) => {
      return { set, labels: { ...groupLabels({ board: evidence.board.id }, group), arm } };
    }),
  );
  const columns = arms.flatMap(({ set, labels }) =>
    set.stages.map((column) => ({
      labels,
      column,
      isStretch: isStretch(column, evidence.budget),
    })),
  );
  const durations = (isWanted: boolean, label: 'stage' | 'stretch'): Sample[] =>
    columns
      .filter((one) => one.isStretch === isWanted)
      .flatMap(({ labels, column }) =>
        statistics({ ...labels, [label]: column.name }, column.summary),
      );
  return [
    {
      name: 'coldseal_boot_release_info',
      help: 'A release that was measured; always 1.',
      samples: arms.flatMap(({ set, labels }) =>
        set.releases.map(({ id, version }): Sample => {
          return [{ ...labels, version, release_id: id ?? '' }, '1'];
        }),
      ),
    },
    {
      name: 'coldseal_boot_boots',
      help: 'Boots that were measured.',
      samples: arms.map(({ set, labels }) => [labels, String(set.boots)]),
    },
    {
      name: 'coldseal_boot_unended_boots',
      help: 'Boots that never got to the stop event.',
      samples: arms.map(({ set, labels }) => [
        labels,
        String(set.totalsNs.filter((ns) => ns === null).length),
      ]),
    },
    {
      name: 'coldseal_boot_flags',
      help: 'Remarks on records that are not plausible.',
      samples: arms.map(({ set, labels }) => [labels, String(set.flags.length)]),
    },
    {
      name: 'coldseal_boot_total_seconds',
      unit: 'seconds',
      help: 'Time from start to stop event, declared constants included.',
      samples: arms.flatMap(({ set, labels }) => statistics(labels, set.total)),
    },
    {
      name: 'coldseal_boot_stage_seconds',
      unit: 'seconds',
      help: 'Time in a stage.',
      samples: durations(false, 'stage'),
    },
    {
      name: 'coldseal_boot_stretch_seconds',
      unit: 'seconds',
      help: 'Time between the two events of a stretch.',
      samples: durations(true, 'stretch'),
    },
  ];
}

function ofResults({ board, groups }: Evidence): Family[] {
  const labels = (group: EvidenceGroup): Labels => groupLabels({ board: board.id }, group);
  const judged = groups.flatMap((group) =>
    group.compliance === null ? [] : [{ labels: labels(group), result: group.compliance }],
  );
  const compared = groups.flatMap((group) =>
    group.regression === null ? [] : [{ labels: labels(group), result: group.regression }],
  );
  return [
    {
      name: 'coldseal_boot_exceedances',
      help: 'Boots of the plan that were over the limit or never ended.',
      samples: judged.map(({ labels, result }) => [labels, String(result.exceedances)]),
    },
    {
      name: 'coldseal_boot_proven_coverage_ratio',
      unit: 'ratio',
      help: "Share of boots that keeps to the limit with the plan's confidence.",
      samples: judged.map(({ labels, result }) => [labels, number(result.provenCoverage)]),
    },
    {
      name: 'coldseal_boot_bound_seconds',
      unit: 'seconds',
      help: "Time that the plan's share of boots keeps to with the plan's confidence.",
      samples: judged.flatMap(({ labels, result: { boundNs } }) =>
        boundNs === null ? [] : [[labels, seconds(boundNs)] as const],
      ),
    },
    {
      name: 'coldseal_boot_total_shift_seconds',
      unit: 'seconds',
      help: 'Total against the baseline; above 0 is slower.',
      samples: compared.map(({ labels, result }) => [labels, seconds(result.total.shiftNs)]),
    },
    {
      name: 'coldseal_boot_stage_shift_seconds',
      unit: 'seconds',
      help: 'Stage against the baseline; above 0 is slower.',
      samples: compared.flatMap(({ labels, result }) =>
        result.stages.map(({ name, shiftNs }): Sample => [
          { ...labels, stage: name },
          seconds(shiftNs),
        ]),
      ),
    },
  ];
}

function familyLines({ name, unit, help, samples }: Family): string[] {
  if (samples.length === 0) return [];
  // The same labels twice make a parser refuse the whole file; names that differ only in what cannot be printed do it.
  const lines = new Map<string, string>();
  for (const [labels, value] of samples) {
    const text = labelsText(labels);
    lines.set(text, `${name}${text} ${value}`);
  }
  return [
    `# TYPE ${name} gauge`,
    ...(unit === undefined ? [] : [`# UNIT ${name} ${unit}`]),
    `# HELP ${name} ${help}`,
    ...lines.values(),
  ];
}

/** An empty label is none: Prometheus takes both for the same. */
function labelsText(labels: Labels): string {
  const parts = Object.entries(labels)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escapeLabel(value: string): string {
  return plainText(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function groupLabels(of: Labels, { id, evidence }: EvidenceGroup): Labels {
  return { ...of, group: id, evidence };
}

function statistics(labels: Labels, summary: Summary | null): Sample[] {
  if (summary === null) return [];
  const { minNs, medianNs, p95Ns, maxNs } = summary;
  return Object.entries({ min: minNs, median: medianNs, p95: p95Ns, max: maxNs }).map(
    ([statistic, ns]) => [{ ...labels, statistic }, seconds(ns)] as const,
  );
}

function states(labels: Labels, is: string, all: readonly string[]): Sample[] {
  return all.map((state) => [{ ...labels, state }, state === is ? '1' : '0'] as const);
}

function seconds(ns: number): string {
  return exactText(ns, 9);
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : 'NaN';
}
