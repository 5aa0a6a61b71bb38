/**
 * `coldseal mark-good`: the system says that the booted release works. Fills up its tries, makes its slot the active
 * one, and moves the floors of epochs, deny list and time forward. Doing it twice changes nothing more.
 */
import { toHex } from '../format/bytes.ts';
import { ColdsealError } from '../format/errors.ts';
import type { SlotState } from '../format/slot-state.ts';
import { markGood, type Slot, slotFacts } from '../slots.ts';
import { saveState } from '../state-partition.ts';
import { requireSlot } from './booted.ts';
import { type DeviceCommand, fact } from './command.ts';
import type { MarkGoodResult } from './documents.ts';

export const markGoodCommand: DeviceCommand = {
  name: 'mark-good',
  about: () => 'keep the booted release: its slot is active from now on, older epochs are refused',
  run: (engine) => {
    const { slot, sealed, partition, problems, accepted } = requireSlot(engine);
    if (slot === 'recovery') {
      throw new ColdsealError(
        'USAGE_MARK_GOOD',
        'Cannot mark the recovery image good: it is no slot',
      );
    }
    if (partition.path === undefined) throw problems[0]!;
    const { releaseId, epochs, builtAt } = accepted.manifest;
    const { denyVersion } = accepted;
    const before = partition.state;
    const good = { slot, releaseId, epochs, builtAt, denyVersion };
    const after = markGood(before, good, sealed.policy.triesMax);
    const changes = changesOf(stateFacts(before, slot), stateFacts(after, slot));
    if (changes.length > 0) saveState(engine.sys, engine.crypto, partition, after);
    return {
      lines: [
        ...problems.map(({ code, message }) => fact('note', `${code}:`, message)),
        fact(`slot ${slot}`, 'good'),
        ...changes.map(({ name, from, to }) => fact(name, from, '->', to)),
        ...(changes.length > 0 ? [] : ['nothing changed']),
      ],
      result: { slot, changes } satisfies MarkGoodResult,
    };
  },
};

type Facts = ReadonlyMap<string, string>;

/** What a person may see change. */
function stateFacts(state: SlotState, slot: Slot): Facts {
  const { tries, isGood, release } = slotFacts(state, slot);
  return new Map([
    ['active slot', state.active === 2 ? 'b' : 'a'],
    ['release', release.every((byte) => byte === 0) ? 'none' : toHex(release)],
    ['good', isGood ? 'yes' : 'no'],
    ['tries', `${tries}`],
    ['latch', state.latch === 0 ? 'open' : 'closed'],
    ['restarts', `${state.restarts}`],
    ['deny list', `${state.denyVersion}`],
    ['time floor', `${state.timeFloor}`],
    ...[...state.epochs].map(([domain, epoch]) => [`epoch ${domain}`, `${epoch}`] as const),
  ]);
}

interface Change {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

function changesOf(before: Facts, after: Facts): Change[] {
  return [...after].flatMap(([name, to]) => {
    const from = before.get(name) ?? 'none';
    return from === to ? [] : { name, from, to };
  });
}
