/**
 * The page of a comparison: one HTML file without scripts that asks nobody for anything. Charts first, then tables,
 * then where the figures are from. Style, charts and escaping are those of the boot report; the same document gives the
 * same bytes.
 */
import { createHash } from 'node:crypto';
import { escapeHtml, escapeJson } from '../budget/report/escape.ts';
import { facts, headRow, section } from '../budget/report/html.ts';
import { time } from '../budget/report/page-figures.ts';
import { PAGE_STYLE } from '../budget/report/page-style.ts';
import { bar, extent, legend, timeScale } from '../budget/report/svg.ts';
import { timeTable, type TimeRow } from '../budget/report/time-table.ts';
import { formatBytes } from '../cli/progress.ts';
import { ratioRows, referenceOf } from './ratios.ts';
import { documentText, type Figure, type LayoutResult, type LayoutsDocument } from './result.ts';
import { agreement, ms, signedBytes, storageLine, times } from './text.ts';

/** Nothing is fetched and nothing runs; the one style sheet is known by its digest. */
function policy(): string {
  const digest = createHash('sha256').update(PAGE_STYLE).digest('base64');
  return `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
}

/** The whole page. */
export function layoutsPage(document: LayoutsDocument): string {
  const name = escapeHtml(document.tree.name);
  const head = [
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy()}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<meta name="referrer" content="no-referrer">',
    `<title>Layouts: ${name}</title>`,
    `<style>${PAGE_STYLE}</style>`,
  ];
  const body = [
    `<header><p class="kind">Layouts of one tree</p><h1><bdi>${name}</bdi></h1>` +
      `<p class="subject">${subject(document)}</p>${contents()}</header>`,
    '<main>',
    lead(document),
    ...CHARTS.map((chart) => chartPart(document, chart)),
    readsPart(document),
    roomPart(document),
    verifiedPart(document),
    ratioPart(document),
    methodPart(document),
    '</main>',
    `<footer><p>Made by ${escapeHtml(document.tool.name)} ${escapeHtml(document.tool.version)}. ` +
      'This file fetches nothing and runs nothing.</p></footer>',
    `<script type="application/json" id="layouts">${escapeJson(documentText(document))}</script>`,
  ];
  return (
    `<!doctype html>\n<html lang="en">\n<head>\n${head.join('\n')}\n</head>\n<body>\n` +
    `${body.join('\n')}\n</body>\n</html>\n`
  );
}

function subject({ tree, board, layouts }: LayoutsDocument): string {
  return (
    `${tree.files} files of ${formatBytes(tree.bytes)} in ${layouts.length} layouts on ` +
    `<code>${escapeHtml(board.id)}</code>`
  );
}

const PARTS: readonly (readonly [id: string, title: string])[] = [
  ['list', 'Listing the tree'],
  ['startup', 'Reading the start-up set'],
  ['stat', 'Looking at files'],
  ['mount', 'Mounting'],
  ['reads', 'What the disk read'],
  ['room', 'Room'],
  ['verified', 'What is verified'],
  ['published', 'Beside published figures'],
  ['method', 'Method'],
];

function contents(): string {
  const items = PARTS.map(([id, title]) => `<li><a href="#${id}">${title}</a></li>`);
  return `<nav aria-label="Contents"><ul>${items.join('')}</ul></nav>`;
}

function part(id: string, content: string): string {
  const title = PARTS.find(([each]) => each === id)![1];
  return section({ id, title, content });
}

function lead({ runs }: LayoutsDocument): string {
  return (
    '<div class="verdict"><p>Times are those of an emulated processor on which one instruction takes one ' +
    'nanosecond, with a disk that answers at once: they say how much work a layout is, not how long a board takes. ' +
    `Cold is after a fresh boot, warm the same again. ${escapeHtml(capital(agreement(runs)))}.</p></div>`
  );
}

// --- charts --------------------------------------------------------------------------------------------

interface Chart {
  readonly id: string;
  readonly about: string;
  readonly of: (layout: LayoutResult) => { readonly cold: Figure; readonly warm?: Figure };
}

const CHARTS: readonly Chart[] = [
  {
    id: 'list',
    about: 'What <code>ls -lR</code> asks: every name, its attributes, ACL and target.',
    of: ({ list }) => list,
  },
  {
    id: 'startup',
    about: 'Each file of the start-up set opened and read once, then again.',
    of: ({ startup }) => startup,
  },
  {
    id: 'stat',
    about: 'Files chosen at random, each looked at once by its path.',
    of: ({ stat }) => stat,
  },
  {
    id: 'mount',
    about: 'From a device to the tree, with everything that the layout checks before.',
    of: ({ mount }) => ({ cold: mount }),
  },
];

function chartPart(document: LayoutsDocument, { id, about, of }: Chart): string {
  const { layouts } = document;
  const reference = referenceOf(layouts);
  const figures = layouts.map(of);
  const hasWarm = figures.some(({ warm }) => warm !== undefined);
  const [, longest] = extent(figures.flatMap(({ cold, warm }) => [cold.ns, warm?.ns ?? 0]));
  const scale = timeScale([0, Math.max(longest, 1)], [0, 100]);
  const rows = layouts.map((layout): TimeRow => {
    const { cold, warm } = of(layout);
    const base = reference === undefined ? undefined : of(reference).cold.ns;
    return {
      name: escapeHtml(layout.title),
      bars:
        warm === undefined
          ? bar(0, scale(cold.ns), { y: -7, height: 14, class: 'time' })
          : bar(0, scale(cold.ns), { y: -8, height: 9, class: 'time' }) +
            bar(0, scale(warm.ns), { y: 2, height: 6, class: 'time other' }),
      cells: [
        time(cold.ns, ms(cold)),
        ...(hasWarm ? [warm === undefined ? '' : time(warm.ns, ms(warm))] : []),
        ...(base === undefined ? [] : [times(cold.ns / base)]),
      ],
    };
  });
  const heads = hasWarm ? ['cold', 'warm'] : ['ms'];
  const table = timeTable({
    id: `chart-${id}`,
    caption: `${about} Times in ms${ratioCaption(reference)}.`,
    what: 'Layout',
    heads: [...heads, ...(reference === undefined ? [] : ['ratio'])],
    scale,
    poles: [],
    sections: [{ rows }],
  });
  const keys = [
    { key: 'time', shape: 'box', text: 'cold' },
    { key: 'time other', shape: 'box', text: 'warm' },
  ] as const;
  return part(id, (hasWarm ? legend(keys) : '') + table);
}

function ratioCaption(reference: LayoutResult | undefined): string {
  return reference === undefined
    ? ''
    : `; the ratio is of cold times, to ${escapeHtml(reference.title)}`;
}

// --- tables --------------------------------------------------------------------------------------------

interface Column {
  readonly head: string;
  /** Markup. */
  readonly of: (layout: LayoutResult) => string;
  readonly isText?: true;
}

function table(
  layouts: readonly LayoutResult[],
  caption: string,
  columns: readonly Column[],
): string {
  const heads = columns.map(({ head, isText }) =>
    isText === true ? escapeHtml(head) : ([escapeHtml(head)] as const),
  );
  const rows = layouts.map((layout) => {
    const cells = columns.map(
      ({ head, of, isText }) =>
        `<td${isText === true ? '' : ' class="n"'} data-head="${escapeHtml(head)}">${of(layout)}</td>`,
    );
    return `<tr><th scope="row">${escapeHtml(layout.title)}</th>${cells.join('')}</tr>`;
  });
  return (
    `<table class="stack"><caption>${caption}</caption>${headRow(['Layout', ...heads])}` +
    `<tbody>${rows.join('\n')}</tbody></table>`
  );
}

const data = (value: number, text: string): string => `<data value="${value}">${text}</data>`;
const bytes = (value: number): string => data(value, formatBytes(value));

/** What was cold in a boot of its own, in the order of the page. */
const COLD: readonly (readonly [what: string, of: (layout: LayoutResult) => Figure])[] = [
  ['Listing the tree', ({ list }) => list.cold],
  ['Reading the start-up set', ({ startup }) => startup.cold],
  ['Looking at files', ({ stat }) => stat.cold],
  ['Mounting', ({ mount }) => mount],
];

function readsPart(document: LayoutsDocument): string {
  const { layouts, storage } = document;
  const tables = COLD.map(([what, of]) => {
    const modelled: Column = {
      head: 'modelled ms',
      of: (layout) => {
        const ns = of(layout).modelledNs ?? 0;
        return time(ns, ms({ ns }));
      },
    };
    return table(layouts, `${what}, cold.`, [
      { head: 'reads', of: (layout) => data(of(layout).reads, String(of(layout).reads)) },
      { head: 'bytes', of: (layout) => bytes(of(layout).readBytes) },
      ...(storage === null ? [] : [modelled]),
    ]);
  });
  const about =
    '<p>Requests as the board counted them and QEMU saw them. ' +
    `${escapeHtml(capital(storageLine(document)))}.</p>`;
  return part('reads', about + tables.join('\n'));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function roomPart({ layouts, images }: LayoutsDocument): string {
  const caption =
    `On the disk: one image, and ${images.count} similar ones, each with ${images.changed} other and ` +
    `${images.added} more files. In the page cache: what reading the start-up set added, and what reading the same ` +
    'of a second image on the same base added after it. Build times are of the machine that made this page.';
  return part(
    'room',
    table(layouts, caption, [
      { head: 'build s', of: ({ buildMs }) => data(buildMs, (buildMs / 1000).toFixed(1)) },
      { head: '1 image', of: (layout) => bytes(layout.bytes.one) },
      { head: `${images.count} images`, of: (layout) => bytes(layout.bytes.all) },
      { head: 'page cache', of: ({ cache }) => data(cache.first, signedBytes(cache.first)) },
      { head: 'second image', of: ({ cache }) => data(cache.other, signedBytes(cache.other)) },
    ]),
  );
}

function verifiedPart({ layouts }: LayoutsDocument): string {
  const caption = 'Modes, owners and times as the board saw them, compared with the tree.';
  return part(
    'verified',
    table(layouts, caption, [
      {
        head: 'metadata',
        of: ({ keepsMetadata }) => (keepsMetadata ? 'kept' : 'not all'),
        isText: true,
      },
      {
        head: 'verified metadata',
        of: ({ verifiesMetadata }) => escapeHtml(verifiesMetadata),
        isText: true,
      },
      { head: 'verified data', of: ({ verifiesData }) => escapeHtml(verifiesData), isText: true },
    ]),
  );
}

function ratioPart({ layouts }: LayoutsDocument): string {
  const reference = referenceOf(layouts);
  const rows = new Map(ratioRows(layouts).map((row) => [row.id, row]));
  if (reference === undefined) {
    return part('published', '<p class="empty">Neither composefs nor EROFS was measured.</p>');
  }
  const caption =
    `<code>ls -lR</code> as a multiple of ${escapeHtml(reference.title)}. The published figures are of another ` +
    'tree on a developer’s machine through loop devices, and of the composefs that was a file system of the kernel.';
  const ratio = (value: number | undefined): string =>
    value === undefined ? '–' : data(Number(value.toFixed(4)), times(value));
  return part(
    'published',
    table(layouts, caption, [
      { head: 'cold', of: ({ id }) => ratio(rows.get(id)?.cold) },
      { head: 'published, cold', of: ({ id }) => ratio(rows.get(id)?.published?.cold) },
      { head: 'warm', of: ({ id }) => ratio(rows.get(id)?.warm) },
      { head: 'published, warm', of: ({ id }) => ratio(rows.get(id)?.published?.warm) },
    ]),
  );
}

function methodPart(document: LayoutsDocument): string {
  const { board, startup, tree, statFiles, seed } = document;
  const paths = startup.paths.map((path) => `<li><code>${escapeHtml(path)}</code></li>`).join('');
  return part(
    'method',
    facts([
      [
        'Board',
        escapeHtml(
          `${board.id}: ${board.emulator}, ${board.machine}, ${board.cpu}, ${board.memoryMiB} MiB`,
        ),
      ],
      ['Kernel', escapeHtml(board.kernel)],
      [
        'Tree',
        `${tree.files} files, ${tree.directories} directories, ${tree.links} links, ${tree.others} others; ` +
          `every layout has shown the board the sum <code>${escapeHtml(tree.sum)}</code> of names, sizes and bytes`,
      ],
      ['Chosen by', `seed ${seed}; ${statFiles} files looked at`],
      [
        'Start-up set',
        `${startup.paths.length} files of ${formatBytes(startup.bytes)}, by ${escapeHtml(startup.from)}`,
      ],
    ]) + `<ul>${paths}</ul>`,
  );
}
