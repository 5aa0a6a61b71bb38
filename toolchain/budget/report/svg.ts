/**
 * What the charts are drawn with. An SVG is text that is put together here; d3 only does arithmetic.
 *
 * Across, places are per cent of the width, down they are pixels: so a chart fills whatever it stands in, from a phone
 * to paper, and its letters keep their size. Curves are drawn in a nested picture that is stretched. All numbers are
 * rounded to a fixed number of digits: the same evidence gives the same bytes.
 */
import { scaleLinear, type ScaleLinear } from 'd3-scale';
import { escapeHtml } from './escape.ts';

/** The narrowest plot area: a phone of 360 pixels without its margins. Labels keep apart there too. */
export const PLOT_WIDTH_MIN = 250;
const FONT_PX = 12;
/** The stretched picture of curves and dots is so wide. */
export const CURVE_WIDTH = 1000;

/** A number with at most so many digits, the same text on every machine. */
export function fixed(value: number, digits = 2): string {
  return String(Number(value.toFixed(digits)) + 0);
}

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; its attributes are escaped, its content is markup. */
export function tag(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [` ${key}="${typeof value === 'number' ? fixed(value) : escapeHtml(value)}"`],
  );
  return content === ''
    ? `<${name}${written.join('')}/>`
    : `<${name}${written.join('')}>${content}</${name}>`;
}

/** A place across, as an attribute. */
export function across(percent: number): string {
  return `${fixed(percent, 3)}%`;
}

/** Text in a chart. */
export function label(text: string, attributes: Attributes): string {
  return tag('text', attributes, escapeHtml(text));
}

/** A bar from one place across to another; never too thin to be seen. */
export function bar(
  fromPercent: number,
  toPercent: number,
  shape: { readonly y: number; readonly height: number; readonly class: string },
): string {
  return tag('rect', {
    x: across(fromPercent),
    y: shape.y,
    width: across(Math.max(0.15, toPercent - fromPercent)),
    height: shape.height,
    class: shape.class,
  });
}

/** A vertical line. */
export function upright(
  percent: number,
  y1: number | string,
  y2: number | string,
  name: string,
): string {
  return tag('line', { x1: across(percent), x2: across(percent), y1, y2, class: name });
}

/** An estimate that is rather too wide: system fonts differ. */
export function textWidth(text: string): number {
  let em = 0;
  for (const c of text)
    em += /[\u1100-\u11ff\u2e80-\uffef\u{10000}-\u{10ffff}]/u.test(c) ? 1.1 : 0.6;
  return em * FONT_PX;
}

export interface Tick {
  /** Place on the axis, in the scale's range. */
  readonly at: number;
  readonly text: string;
}

export type TimeScale = ScaleLinear<number, number>;

/** A scale from nanoseconds to per cent across, or to pixels. */
export function timeScale(
  domainNs: readonly [number, number],
  range: readonly [number, number],
): TimeScale {
  return scaleLinear().domain(domainNs).range(range);
}

/** Ticks across, in milliseconds at sensible steps, so few that their labels keep apart at the smallest width. */
export function timeTicks(scale: TimeScale, widthPx = PLOT_WIDTH_MIN): Tick[] {
  const [from, to] = scale.range() as [number, number];
  const pxOf = (length: number): number => (length / Math.abs(to - from)) * widthPx;
  return chooseTicks(scale, (gap, widest) => pxOf(gap) >= widest + 8);
}

/** What the margin left of a plot has room for; the style sheet has it. */
const MARGIN_LABEL_PX = 58;

/** Ticks upwards, with room between their lines and with labels that fit into the margin. */
export function heightTicks(scale: TimeScale): Tick[] {
  return chooseTicks(scale, (gap, widest) => gap >= 18 && widest <= MARGIN_LABEL_PX);
}

const TICKS_MAX = 8;

/** The most ticks that fit, by the distance of two and the width of the longest label. */
function chooseTicks(scale: TimeScale, fits: (gap: number, widestPx: number) => boolean): Tick[] {
  const [from, to] = scale.domain() as [number, number];
  const inMs = scaleLinear().domain([from / 1e6, to / 1e6]);
  let ticks: Tick[] = [];
  for (let n = TICKS_MAX; n >= 1; n--) {
    const values = inMs.ticks(n);
    const step = values.length < 2 ? 1 : values[1]! - values[0]!;
    const digits = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
    ticks = values.map((value) => ({ at: scale(value * 1e6), text: value.toFixed(digits) }));
    const widest = Math.max(...ticks.map(({ text }) => textWidth(text)));
    const gap = ticks.length < 2 ? Infinity : Math.abs(ticks[1]!.at - ticks[0]!.at);
    if (fits(gap, widest)) return ticks;
  }
  return ticks.slice(0, 1);
}

/** Part of the data's range that stays free at each end. */
const PADDING = 0.06;
/** A mark so many ranges away from the data would press the data flat; it is named at the edge instead. */
const FAR = 6;

/** The range of some times with room around them, and with those marks that are not too far away. */
export function domainOf(
  timesNs: readonly number[],
  marksNs: readonly number[],
  far = FAR,
): readonly [number, number] {
  const all = timesNs.length === 0 ? marksNs : timesNs;
  const [low, high] = extent(all);
  // Boots that all took the same still need an axis with a length.
  const range = Math.max(high - low, Math.abs(high) * 0.002, 1e5);
  const near = marksNs.filter((at) => at >= low - far * range && at <= high + far * range);
  const [from, to] = extent([...near, low, high]);
  const room = Math.max(to - from, range) * PADDING;
  return [from - room, to + room];
}

/** Least and largest. Not Math.min(...values): there may be more values than a call takes. */
export function extent(values: readonly number[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 0] : [low, high];
}

/** The lanes above a plot that its labels stand in. */
const LANE_PX = 16;

export interface Flagpole {
  /** Per cent across. */
  readonly at: number;
  readonly text: string;
  /** Of the line. */
  readonly class: string;
}

interface Label {
  readonly pole: Flagpole;
  /** Labels are on the side where there is more room. */
  readonly isLeft: boolean;
  readonly from: number;
  readonly to: number;
}

interface Placed extends Label {
  /** Counted from the plot upwards. */
  readonly lane: number;
  /** The line goes up to the label; otherwise it ends with the plot. */
  readonly isRaised: boolean;
}

/** Vertical lines with labels on top: no label lies on another one, no line goes through a label, at any width. */
export function flagpoles(
  poles: readonly Flagpole[],
  bottomPx: number,
  widthPx = PLOT_WIDTH_MIN,
): { readonly svg: string; readonly heightPx: number } {
  const placed = placeLabels(poles.map((pole) => labelOf(pole, widthPx)));
  const lanes = placed.reduce((most, { lane }) => Math.max(most, lane + 1), 0);
  const heightPx = lanes * LANE_PX;
  const svg = placed.map(({ pole, isLeft, lane, isRaised }) => {
    const y = heightPx - lane * LANE_PX - 4;
    const place = { x: across(pole.at), dx: isLeft ? -5 : 5, y };
    return (
      upright(pole.at, isRaised ? y - 9 : heightPx, heightPx + bottomPx, pole.class) +
      label(pole.text, { ...place, class: isLeft ? 'label end' : 'label' })
    );
  });
  return { svg: tag('g', { class: 'labels' }, svg.join('')), heightPx };
}

function labelOf(pole: Flagpole, widthPx: number): Label {
  const isLeft = pole.at > 50;
  const width = ((textWidth(pole.text) + 10) / widthPx) * 100;
  const [from, to] = isLeft ? [pole.at - width, pole.at] : [pole.at, pole.at + width];
  return { pole, isLeft, from, to };
}

/**
 * A label stands above every line that it passes over, so those are placed first: what is placed later can only be
 * higher. Where two would have to be above each other, lines end with the plot, and each label has a lane of its own.
 */
function placeLabels(labels: readonly Label[]): Placed[] {
  const covers = (a: Label, b: Label): boolean =>
    a !== b &&
    b.pole.at >= a.from &&
    b.pole.at <= a.to &&
    (b.pole.at !== a.pole.at || isBefore(a, b));
  const isBefore = (a: Label, b: Label): boolean => labels.indexOf(a) < labels.indexOf(b);
  const placed: Placed[] = [];
  let rest = [...labels];
  while (rest.length > 0) {
    const next = rest.find((each) => !rest.some((other) => covers(each, other)));
    if (next === undefined) return labels.map((each, lane) => ({ ...each, lane, isRaised: false }));
    rest = rest.filter((each) => each !== next);
    const below = placed.filter((other) => covers(next, other));
    let lane = below.reduce((least, other) => Math.max(least, other.lane + 1), 0);
    const isTaken = (): boolean =>
      placed.some((other) => other.lane === lane && next.to >= other.from && next.from <= other.to);
    while (isTaken()) lane++;
    placed.push({ ...next, lane, isRaised: true });
  }
  return placed;
}

/** A picture in the picture that is stretched to the plot area; strokes keep their width. */
export function stretched(topPx: number, heightPx: number, content: string): string {
  return tag(
    'svg',
    {
      x: 0,
      y: topPx,
      width: '100%',
      height: heightPx,
      viewBox: `0 0 ${CURVE_WIDTH} ${fixed(heightPx)}`,
      preserveAspectRatio: 'none',
      class: 'stretched',
    },
    content,
  );
}

export interface Picture {
  /** Unique in the page. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly heightPx: number;
  readonly content: string;
}

/** A whole chart: an image with a name and a description for those who do not see it. */
export function picture({ id, title, description, heightPx, content }: Picture): string {
  const names = `${id}-title ${id}-desc`;
  const about =
    tag('title', { id: `${id}-title` }, escapeHtml(title)) +
    tag('desc', { id: `${id}-desc` }, escapeHtml(description));
  const svg = tag(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      id,
      role: 'img',
      'aria-labelledby': names,
      width: '100%',
      height: heightPx,
    },
    about + content,
  );
  return `<div class="plot">${svg}</div>`;
}

/** Lines across the plot with their labels in the left margin; the top one can be left to a title. */
export function yAxis(ticks: readonly Tick[]): string {
  const lines = ticks.map(({ at }) =>
    tag('line', { x1: '0%', x2: '100%', y1: at, y2: at, class: 'grid' }),
  );
  const texts = ticks.map(({ at, text }) => label(text, { x: -8, y: at + 4, class: 'tick end' }));
  return lines.join('') + tag('g', { class: 'labels' }, texts.join(''));
}

/** Labels below the plot, and lines upwards. */
export function xAxis(ticks: readonly Tick[], topPx: number, bottomPx: number): string {
  const lines = ticks.map(({ at }) => upright(at, topPx, bottomPx, 'grid'));
  const texts = ticks.map(({ at, text }) =>
    label(text, { x: across(at), y: bottomPx + 16, class: 'tick middle' }),
  );
  return lines.join('') + tag('g', { class: 'labels' }, texts.join(''));
}

/** One entry of a legend: how it is drawn, and what it says. */
export interface LegendItem {
  /** Classes of the sample; `line` items are drawn as lines. */
  readonly key: string;
  readonly shape: 'box' | 'line' | 'dot' | 'square' | 'hollow' | 'cross' | 'ring';
  /** Markup. */
  readonly text: string;
}

/** What the marks of a chart mean. */
export function legend(items: readonly LegendItem[]): string {
  const rows = items.map(
    ({ key, shape, text }) =>
      `<li><svg class="key" width="22" height="12" aria-hidden="true">${SAMPLES[shape](key)}</svg>` +
      `<span>${text}</span></li>`,
  );
  return `<ul class="legend">${rows.join('')}</ul>`;
}

const SAMPLES: Readonly<Record<LegendItem['shape'], (key: string) => string>> = {
  box: (key) => tag('rect', { x: 1, y: 1, width: 20, height: 10, class: key }),
  line: (key) => tag('line', { x1: 0, x2: 22, y1: 6, y2: 6, class: key }),
  dot: (key) => tag('path', { d: 'M11 6h0', class: key }),
  square: (key) => tag('path', { d: 'M11 6h0', class: key }),
  hollow: (key) =>
    tag('path', { d: 'M11 6h0', class: key }) + tag('path', { d: 'M11 6h0', class: 'dot hole' }),
  cross: (key) => tag('path', { d: crossAt(11, 6), class: key }),
  ring: (key) => tag('circle', { cx: 11, cy: 6, r: 5, class: key }),
};

function crossAt(x: number, y: number): string {
  return `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`;
}

/** The shapes of single marks, to be used by name with `x` in per cent. */
export function markShapes(id: string): string {
  return tag(
    'defs',
    {},
    tag('path', { id: `${id}-cross`, d: crossAt(0, 0), class: 'cross' }) +
      tag('circle', { id: `${id}-ring`, r: 6, class: 'ring' }),
  );
}
