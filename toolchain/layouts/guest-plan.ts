/**
 * What the probe is told to do in each boot of a layout: the plans, a command on each line (probe/probe.c).
 *
 * Everything that is to be cold has a boot of its own. The last boot also shows what the page cache holds when two
 * images share a base, and sums both trees at its end, where it disturbs no figure.
 */
import { EAGER_LIST, type Layout, type Made } from './layouts.ts';

export const BOOTS = ['list', 'stat', 'read'] as const;
export type BootName = (typeof BOOTS)[number];

/** Names of steps in the report. */
export const STEP = {
  mount: 'mount',
  mountOther: 'mount-other',
  cold: 'cold',
  warm: 'warm',
  other: 'other',
} as const;

/** Where the first image and a similar one are mounted. */
export const FIRST = '/a';
export const OTHER = '/b';
export const LISTS = { stat: '/stat', startup: '/startup', eager: EAGER_LIST } as const;

/** Moments at which the page cache is looked at. */
export const CACHE = {
  mounted: 'mounted',
  first: 'first',
  otherMounted: 'other-mounted',
  other: 'other',
} as const;

/** The plan of one boot: `modules` are paths in the initramfs, in the order in which they are loaded. */
export function guestPlan(
  boot: BootName,
  layout: Layout,
  made: Made,
  modules: readonly string[],
): string {
  const step = (name: string, lines: readonly string[]): string[] => [
    `step ${name}`,
    ...lines,
    'end',
  ];
  const body = {
    list: () => [...step(STEP.cold, [`list ${FIRST}`]), ...step(STEP.warm, [`list ${FIRST}`])],
    stat: () => {
      const look = [`stat ${FIRST} ${LISTS.stat}`];
      return [...step(STEP.cold, look), ...step(STEP.warm, look)];
    },
    read: () => [
      `cache ${CACHE.mounted}`,
      ...step(STEP.cold, [`read ${FIRST} ${LISTS.startup}`]),
      `cache ${CACHE.first}`,
      ...step(STEP.warm, [`read ${FIRST} ${LISTS.startup}`]),
      ...step(STEP.mountOther, layout.mount(made, 1, OTHER)),
      `cache ${CACHE.otherMounted}`,
      ...step(STEP.other, [`read ${OTHER} ${LISTS.startup}`]),
      `cache ${CACHE.other}`,
      ...[FIRST, OTHER].map((root) => `check ${root} ${layout.linksTo ?? ''}`),
    ],
  };
  const lines = [
    ...modules.map((path) => `module ${path}`),
    ...step(STEP.mount, layout.mount(made, 0, FIRST)),
    ...body[boot](),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
