/**
 * The trend over builds: median, p95 and slowest of each, oldest first, with the budget and the builds at which the
 * level changed. Builds stand at equal distances: what counts is their order.
 */
import { line } from 'd3-shape';
import type { DriftResult, EvidenceBuild } from '../evidence.ts';
import { escapeHtml, shorten, visible } from './escape.ts';
import { empty } from './html.ts';
import { chanceText, count, ms, time } from './page-figures.ts';
import {
  across,
  CURVE_WIDTH,
  domainOf,
  fixed,
  flagpoles,
  heightTicks,
  label,
  legend,
  picture,
  stretched,
  tag,
  timeScale,
  yAxis,
  type LegendItem,
} from './svg.ts';

const HEIGHT_PX = 200;
const BELOW_PX = 24;
/** Two of them stand below the plot of a phone. */
const VERSION_MAX = 14;

/** The chart and its sentences; a sentence where there is only one build. */
export function trendChart(
  builds: readonly EvidenceBuild[],
  drift: DriftResult | null,
  budgetNs: number,
  id: string,
): string {
  if (builds.length < 2) return empty('One build is no trend.');
  const changes = changedBuilds(drift);
  const x = (i: number): number => ((i + 0.5) / builds.length) * 100;
  const poles = changes.map(({ at, letter }) => ({
    at: (at / builds.length) * 100,
    text: letter,
    class: 'mark-change',
  }));
  const flags = flagpoles(poles, HEIGHT_PX);
  const top = flags.heightPx + 6;
  const bottom = flags.heightPx + HEIGHT_PX;
  const values = builds.flatMap(({ medianNs, maxNs }) => [medianNs, maxNs]);
  const y = timeScale(domainOf(values, [budgetNs], 2), [bottom, top]);
  const isShown = budgetNs <= (y.domain()[1] ?? 0);
  const at = (pick: (build: EvidenceBuild) => number): [number, number][] =>
    builds.map((build, i) => [(x(i) / 100) * CURVE_WIDTH, y(pick(build))]);
  const curves =
    stroke(
      at(({ medianNs }) => medianNs),
      'curve',
    ) +
    stroke(
      at(({ p95Ns }) => p95Ns),
      'curve p95',
    ) +
    points(
      at(({ medianNs }) => medianNs),
      'dot candidate',
    ) +
    points(
      at(({ maxNs }) => maxNs),
      'dot slowest',
    );
  const content =
    badRange(drift, builds.length, top, bottom) +
    yAxis(heightTicks(y)) +
    (isShown
      ? tag('line', {
          x1: '0%',
          x2: '100%',
          y1: y(budgetNs),
          y2: y(budgetNs),
          class: 'mark-budget',
        })
      : '') +
    flags.svg +
    stretched(0, bottom, curves) +
    versions(builds, x, bottom);
  const chart = picture({
    id,
    title: 'Total over builds',
    description:
      `${count(builds.length, 'build')}, the median from ${ms(builds[0]!.medianNs)} ms ` +
      `to ${ms(builds.at(-1)!.medianNs)} ms. ${plain(drift)}`,
    heightPx: bottom + BELOW_PX,
    content,
  });
  return legend(legendOf(budgetNs, isShown, drift)) + chart + sentences(builds, drift);
}

/** Builds at which a level changes, each with its letter. */
function changedBuilds(drift: DriftResult | null): { at: number; letter: string }[] {
  const at = [...new Set((drift?.changes ?? []).map((change) => change.at))].sort((a, b) => a - b);
  return at.map((build, i) => ({ at: build, letter: letterOf(i) }));
}

/** A, B … Z, A2, B2 … */
function letterOf(i: number): string {
  const round = Math.floor(i / 26);
  return String.fromCharCode(65 + (i % 26)) + (round === 0 ? '' : String(round + 1));
}

function stroke(at: readonly [number, number][], name: string): string {
  return tag('path', { d: line().digits(1)([...at]) ?? '', class: name });
}

function points(at: readonly [number, number][], name: string): string {
  const d = at.map(([x, y]) => `M${fixed(x, 1)} ${fixed(y, 1)}h0`).join('');
  return tag('path', { d, class: name });
}

function badRange(drift: DriftResult | null, n: number, top: number, bottom: number): string {
  const firstBad = drift?.firstBad ?? null;
  if (firstBad === null) return '';
  const { from, to } = firstBad;
  return tag('rect', {
    x: across((from / n) * 100),
    width: across(((to + 1 - from) / n) * 100),
    y: top,
    height: bottom - top,
    class: 'bad-range',
  });
}

function versions(
  builds: readonly EvidenceBuild[],
  x: (i: number) => number,
  bottom: number,
): string {
  const name = (i: number): string => shorten(visible(builds[i]!.version), VERSION_MAX);
  const y = bottom + 16;
  const first = label(name(0), { x: across(x(0)), dx: -4, y, class: 'tick' });
  const last = builds.length - 1;
  return tag(
    'g',
    { class: 'labels' },
    first + label(name(last), { x: across(x(last)), dx: 4, y, class: 'tick end' }),
  );
}

function plain(drift: DriftResult | null): string {
  if (drift === null) return '';
  switch (drift.state) {
    case 'drift':
      return 'The level changed.';
    case 'none':
      return 'No change of the level was found.';
    case 'not-enough':
      return 'Too few builds to find a change of the level.';
  }
}

function legendOf(budgetNs: number, isShown: boolean, drift: DriftResult | null): LegendItem[] {
  const items: LegendItem[] = [
    { key: 'curve', shape: 'line', text: 'median' },
    { key: 'curve p95', shape: 'line', text: 'p95' },
    { key: 'dot slowest', shape: 'square', text: 'slowest' },
    {
      key: 'mark-budget',
      shape: 'line',
      text: `budget ${time(budgetNs)} ms${isShown ? '' : ' (above the picture)'}`,
    },
  ];
  if (drift !== null && drift.changes.length > 0) {
    items.push({ key: 'mark-change', shape: 'line', text: 'the level changes' });
  }
  if ((drift?.firstBad ?? null) !== null)
    items.push({ key: 'bad-range', shape: 'box', text: 'first bad build' });
  return items;
}

function sentences(builds: readonly EvidenceBuild[], drift: DriftResult | null): string {
  if (drift === null) return '';
  const version = (i: number): string =>
    `build <bdi>${escapeHtml(builds[i]?.version ?? 'unknown')}</bdi> (${i + 1} of ${builds.length})`;
  const letters = new Map(changedBuilds(drift).map(({ at, letter }) => [at, letter]));
  const changes = drift.changes.map(
    ({ at, of, beforeNs, afterNs, p }) =>
      `<li><b>${letters.get(at) ?? ''}</b>: with ${version(at)} the ${of} goes from ` +
      `${time(beforeNs)} ms to ${time(afterNs)} ms (${chanceText(p)}).</li>`,
  );
  const { firstBad } = drift;
  const bad =
    firstBad === null
      ? ''
      : firstBad.from === firstBad.to
        ? `<p>The first bad build is ${version(firstBad.from)}.</p>`
        : `<p>The first bad build is one from ${version(firstBad.from)} to ${version(firstBad.to)}.</p>`;
  const list = changes.length === 0 ? '' : `<ul class="changes">${changes.join('')}</ul>`;
  return `<p>${plain(drift)}</p>${list}${bad}`;
}
