/** Boots of earlier builds out of a history, for the trend of a report. */
import { withHistory } from '../history/open.ts';
import { historyPlace } from '../history/place.ts';
import { eachRecord } from '../history/query.ts';
import type { MeasuredBoot } from './measured-boot.ts';

export interface HistoryBoot {
  /** Its identifier in the history (toolchain/history/identity.ts). */
  readonly id: string;
  readonly boot: MeasuredBoot;
}

/** Every boot of a history. Throws FORMAT_HISTORY, HOST_NOT_FOUND, HOST_HISTORY_SERVER… */
export async function readHistory(place: string): Promise<HistoryBoot[]> {
  const boots: HistoryBoot[] = [];
  await withHistory(historyPlace(place, {}), 'read', (history) =>
    eachRecord(history, {}, (id, text) =>
      boots.push({ id, boot: JSON.parse(text) as MeasuredBoot }),
    ),
  );
  return boots;
}
