/** What the typical boot read from the storage, by stage, and what the board's storage would take for it: modelled. */
import type { EvidenceGroup, EvidenceStorage } from '../evidence.ts';
import { modelledNs, type Reads, readsOf } from '../modelled-storage.ts';
import { escapeHtml } from './escape.ts';
import { headRow } from './html.ts';
import { count, derivedTime } from './page-figures.ts';

/** The table; empty where nobody counted. */
export function storageTable(
  { candidate }: EvidenceGroup,
  storage: readonly EvidenceStorage[],
): string {
  const io = candidate.typical?.record.io ?? [];
  if (io.length === 0) return '';
  const total = readsOf(io);
  // A sum is this page's own.
  const isOwn = (value: number): string =>
    io.some(({ reads, readBytes }) => reads === value || readBytes === value)
      ? ''
      : ' class="derived"';
  const whole = (value: number): string => `<data${isOwn(value)} value="${value}">${value}</data>`;
  const cells = (reads: Reads): string =>
    `<td class="n" data-head="reads">${whole(reads.reads)}</td>` +
    `<td class="n" data-head="bytes">${whole(reads.readBytes)}</td>` +
    storage
      .map(
        (each) =>
          `<td class="n" data-head="${modelledHead(each)}">${derivedTime(modelledNs(each, reads))}</td>`,
      )
      .join('');
  const rows = io
    .filter(({ reads }) => reads > 0)
    .map((each) => `<tr><th scope="row">${escapeHtml(each.stage)}</th>${cells(each)}</tr>`);
  const heads: (string | readonly [string])[] = [
    'Stage',
    ['reads'],
    ['bytes'],
    ...storage.map(({ kind }) => [`modelled ms<br>${escapeHtml(kind)}`] as const),
  ];
  return (
    `<table class="stack"><caption>${count(total.reads, 'read')} of the typical boot, as the board ` +
    `counted them. ${sentence(storage)}</caption>${headRow(heads)}` +
    `<tbody>${rows.join('')}</tbody>` +
    `<tbody><tr><th scope="row">together</th>${cells(total)}</tr></tbody></table>`
  );
}

/** On a phone it stands before the figure. */
const modelledHead = ({ kind }: EvidenceStorage): string => escapeHtml(`modelled ms, ${kind}`);

function sentence(storage: readonly EvidenceStorage[]): string {
  if (storage.length === 0) {
    return 'The board file has no rate of a storage, so that nothing is modelled.';
  }
  const figures = storage.map(({ kind, bytesPerS, evidence, latencyNs }) => {
    const latency = latencyNs === null ? 'latency not known' : `${latencyNs / 1000} µs a read`;
    return escapeHtml(`${kind} at ${bytesPerS / 1e6} MB/s (${evidence}), ${latency}`);
  });
  return `Modelled, not measured, and in no total: ${figures.join('; ')}.`;
}
