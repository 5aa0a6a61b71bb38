/**
 * The top of the page: the verdict in one sentence, what was asked, all groups side by side, and every check with its
 * answer. Whoever reads no further has not missed what decides.
 */
import type { Check, CheckState, Evidence, EvidenceGroup, SampleSet } from '../evidence.ts';
import { judgedTotals } from '../judge-compliance.ts';
import { isRealBoard } from '../measured-boot.ts';
import { escapeHtml } from './escape.ts';
import { empty, facts, headRow, section } from './html.ts';
import {
  checkFigure,
  classBadge,
  count,
  groupName,
  limitTime,
  ms,
  msBeside,
  percent,
  STATE_WORDS,
  time,
} from './page-figures.ts';
import { bar, extent, tag, timeScale, type TimeScale } from './svg.ts';
import { timeTable, type TimeRow } from './time-table.ts';
import { CLASS_WORDS } from './words.ts';

/** Each state has a shape of its own, so that none is told by colour alone. */
const ICONS: Readonly<Record<CheckState, string>> = {
  pass: '<circle cx="12" cy="12" r="11"/><path d="M6.5 12.5l3.8 3.8 7.2-8"/>',
  fail: '<path class="body" d="M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.500v-9z"/><path d="M8 8l8 8m0-8l-8 8"/>',
  inconclusive: '<path class="body" d="M12 .5L23.5 12 12 23.5.5 12z"/><path d="M7 12h10"/>',
  'bad-evidence':
    '<path class="body" d="M12 1.500L23.5 22H.5z"/><path d="M12 8.500v6.500m0 3.200h0"/>',
  noted: '<circle cx="12" cy="12" r="11"/><path d="M12 11v6.5m0-11h0"/>',
  'not-evaluated': '<circle class="hollow" cx="12" cy="12" r="10"/>',
};

/** The shape of a state, beside its word. */
export function stateMark(state: CheckState): string {
  return (
    `<span class="state ${state}"><svg class="icon" viewBox="0 0 24 24" width="18" height="18" ` +
    `aria-hidden="true">${ICONS[state]}</svg>${STATE_WORDS[state]}</span>`
  );
}

/** The verdict itself. */
export function verdictPart({ outcome, groups }: Evidence): string {
  const code = outcome.code === null ? '' : ` · reason <code>${escapeHtml(outcome.code)}</code>`;
  const [deciding] = groups;
  const evidenceClass = deciding === undefined ? '' : ` · ${classBadge(deciding.evidence)}`;
  const isReal = groups.some(({ evidence }) => isRealBoard(evidence));
  const notice = isReal || groups.length === 0 ? '' : virtualNotice();
  return (
    `<section class="verdict ${outcome.state}" aria-labelledby="verdict">` +
    `<h2 id="verdict" class="quiet">Verdict</h2>` +
    `<p class="word">${stateMark(outcome.state)}</p>` +
    `<p class="sentence">${escapeHtml(outcome.sentence)}</p>` +
    `<p class="codes">exit code ${outcome.exitCode}${code}${evidenceClass}</p></section>${notice}`
  );
}

/** Said at the top where all figures are virtual, otherwise with the groups whose figures are. */
export function virtualNotice(): string {
  return (
    '<p class="notice"><strong>Virtual figures.</strong> An emulated board counts instructions. It shows what ' +
    'changed between builds; it is no verdict about a real board.</p>'
  );
}

/** What was asked, of what. */
export function questionPart(evidence: Evidence): string {
  const { board, budget, settings, groups } = evidence;
  const [deciding] = groups;
  const { plan } = settings;
  const origins = {
    option: 'asked for with this report',
    run: 'fixed before the boots were run',
    board: 'the default of the board file',
  };
  const rows: [string, string][] = [
    ['Board', `<bdi>${escapeHtml(board.name)}</bdi> <code>${escapeHtml(board.id)}</code>`],
    ['Release', deciding === undefined ? '–' : releases(deciding.candidate)],
  ];
  const baseline = deciding?.baseline ?? null;
  if (baseline !== null) rows.push(['Baseline', releases(baseline)]);
  rows.push(
    [
      'Budget',
      `${time(budget.totalNs)} ms from <bdi>${escapeHtml(budget.start)}</bdi> ` +
        `to <bdi>${escapeHtml(budget.stop)}</bdi>` +
        (budget.reserveNs > 0 ? `, of which ${time(budget.reserveNs)} ms are kept in reserve` : ''),
    ],
    [
      'Plan',
      `${escapeHtml(plan.text)}: ${percent(plan.coverage)} of boots within the limit, with ` +
        `${percent(plan.confidence)} confidence; ${origins[plan.origin]}`,
    ],
  );
  const classes = [...new Set(groups.map((group) => group.evidence))];
  rows.push([
    'Evidence',
    classes.map((each) => `${classBadge(each)} ${CLASS_WORDS[each]}`).join('<br>') || 'none',
  ]);
  return section({ id: 'asked', title: 'What was asked', content: facts(rows) });
}

/** Names of an arm's releases, with the start of their identifiers. */
export function releases({ releases: all }: SampleSet): string {
  if (all.length === 0) return 'not recorded';
  return all
    .map(({ id, version }) => {
      const short =
        id === null ? '' : ` <code title="${escapeHtml(id)}">${escapeHtml(id.slice(0, 12))}</code>`;
      return `<bdi>${escapeHtml(version)}</bdi>${short}`;
    })
    .join(', ');
}

/** A budget more than so many boots away would leave no room for the boots. */
const BUDGET_FAR = 8;

/** All groups on one axis that begins at 0: how much is left, and what differs. */
export function overviewPart({ groups, budget, checks }: Evidence): string {
  if (groups.length === 0) {
    const content = empty('There are no boots, so there is nothing to judge.');
    return section({ id: 'groups', title: 'At a glance', content });
  }
  const ends = groups.flatMap(({ candidate: { total } }) =>
    total === null ? [] : [total.minNs, total.maxNs],
  );
  const [, slowest] = extent(ends);
  const isShown = slowest === 0 || budget.totalNs <= BUDGET_FAR * slowest;
  const end = isShown ? Math.max(slowest, budget.totalNs) : slowest;
  const scale = timeScale([0, end * 1.03], [0, 100]);
  const table = timeTable({
    id: 'overview',
    caption:
      'Boots of one class of evidence, kind of start and set of conditions are one group and are judged apart; the ' +
      'first one decides. The bar goes from the fastest to the slowest boot, solid up to p95; the upright line is ' +
      'the median. The answer is the worst one of its checks. Times in ms.',
    what: 'Group',
    heads: ['boots', 'median', 'p95', 'slowest', 'limit'],
    scale,
    poles: isShown
      ? [
          {
            at: scale(budget.totalNs),
            text: `budget ${ms(budget.totalNs)} ms`,
            class: 'mark-budget',
          },
        ]
      : [],
    sections: [
      {
        rows: groups.map((group, i) =>
          overviewRow(group, i, scale, budget.totalNs, worstOf(group, checks)),
        ),
      },
    ],
  });
  return section({ id: 'groups', title: 'At a glance', content: table });
}

/** The states that decide, worst first, and the others. */
const RANKS: readonly CheckState[] = [
  'fail',
  'bad-evidence',
  'inconclusive',
  'pass',
  'noted',
  'not-evaluated',
];

/** The worst answer about a group; null where nothing was asked. */
function worstOf(group: EvidenceGroup, checks: readonly Check[]): CheckState | null {
  const states = checks.filter((check) => check.group === group.id).map(({ state }) => state);
  return RANKS.find((state) => states.includes(state)) ?? null;
}

function overviewRow(
  group: EvidenceGroup,
  i: number,
  scale: TimeScale,
  budgetNs: number,
  worst: CheckState | null,
): TimeRow {
  const { candidate, limitNs } = group;
  const { total } = candidate;
  const never = judgedTotals(candidate).filter((ns) => ns === Infinity).length;
  const state = worst === null ? '' : stateMark(worst);
  const aside = never === 0 ? '' : `<span class="aside">${never} never ended</span>`;
  const row = {
    name: `${state} <a href="#g${i + 1}">${groupName(group)}</a> ${aside}`,
  };
  const limit = limitTime(limitNs, budgetNs);
  const boots = `<data value="${candidate.boots}">${candidate.boots}</data>`;
  if (total === null) return { ...row, bars: '', cells: [boots, '–', '–', '–', limit] };
  const { minNs, medianNs, p95Ns, maxNs } = total;
  const [least, middle, high, most] = [minNs, medianNs, p95Ns, maxNs].map((ns) => scale(ns));
  const bars =
    bar(least!, most!, { y: -3, height: 6, class: 'ghost' }) +
    bar(least!, high!, { y: -5, height: 10, class: 'range' }) +
    tag('line', {
      x1: `${middle!.toFixed(3)}%`,
      x2: `${middle!.toFixed(3)}%`,
      y1: -9,
      y2: 9,
      class: 'median',
    });
  const slowest = time(maxNs, msBeside(maxNs, limitNs));
  return {
    ...row,
    bars,
    cells: [
      boots,
      time(medianNs),
      time(p95Ns),
      maxNs > limitNs ? `<strong class="over">${slowest}</strong>` : slowest,
      limit,
    ],
  };
}

const KINDS: Readonly<Record<Check['kind'], string>> = {
  compliance: 'compliance',
  prediction: 'prediction',
  stage: 'stage',
  regression: 'regression',
  drift: 'drift',
  evidence: 'evidence',
};

/** Every question and its answer. */
export function checksPart({ checks, groups, budget }: Evidence): string {
  if (checks.length === 0) {
    const content = empty('No question could be asked of this evidence.');
    return section({ id: 'checks', title: 'Checks', content });
  }
  const places = new Map(groups.map((group, i) => [group.id, { group, i }]));
  const rows = checks.map((check) =>
    checkRow(check, places.get(check.group ?? ''), budget.totalNs),
  );
  const tally = (Object.keys(STATE_WORDS) as CheckState[])
    .map(
      (state) =>
        [
          STATE_WORDS[state].toLowerCase(),
          checks.filter((each) => each.state === state).length,
        ] as const,
    )
    .filter(([, n]) => n > 0)
    .map(([word, n]) => `${n} ${word}`);
  const content =
    `<table class="checks"><caption>${count(checks.length, 'question')}: ${tally.join(', ')}. ` +
    `The verdict is the worst answer; what is noted does not decide.</caption>` +
    headRow(['Answer', 'Question', 'Figures and reason']) +
    `<tbody>${rows.join('\n')}</tbody></table>`;
  return section({ id: 'checks', title: 'Checks', content, kind: 'answers' });
}

function checkRow(
  check: Check,
  place: { readonly group: EvidenceGroup; readonly i: number } | undefined,
  budgetNs: number,
): string {
  const where =
    place === undefined ? '' : ` · <a href="#g${place.i + 1}">${groupName(place.group)}</a>`;
  const code =
    check.code === null ? '' : `<p class="codes"><code>${escapeHtml(check.code)}</code></p>`;
  const figures = check.figures.map(
    (figure) => `<li><span>${escapeHtml(figure.name)}</span> ${checkFigure(figure, budgetNs)}</li>`,
  );
  const list = figures.length === 0 ? '' : `<ul class="figures">${figures.join('')}</ul>`;
  return (
    `<tr><td>${stateMark(check.state)}</td>` +
    `<th scope="row">${escapeHtml(check.title)}<span class="aside">${KINDS[check.kind]}${where}</span></th>` +
    `<td><p>${escapeHtml(check.sentence)}</p>${list}${code}</td></tr>`
  );
}
