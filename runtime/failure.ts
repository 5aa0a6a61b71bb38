/**
 * What to do when no slot boots: the board's list, without what cannot or must not be done now. Pure.
 */
import type { BootNote } from './format/boot-record.ts';
import type { FailureAction } from './format/device-policy.ts';
import { ColdsealError } from './format/errors.ts';
import { explainSysError } from './sys-error.ts';

export interface FailureFacts {
  /** The store is mounted, this is the right board, and the root has not been switched. */
  readonly canRecover: boolean;
  /** Restarts by this policy since a slot last booted. */
  readonly restarts: number;
  readonly isProduction: boolean;
  /** A slot that has tries is left, but this boot is too far gone to change to it. */
  readonly canTryAgain: boolean;
  /** From the command line: instead of the list. */
  readonly override: 'halt' | 'power-off' | undefined;
}

/** Actions in the order they are tried; the last one is always to halt. */
export function planFailure(
  actions: readonly FailureAction[],
  facts: FailureFacts,
): FailureAction[] {
  // Tries bound these restarts, so they do not count.
  const again: FailureAction[] = facts.canTryAgain
    ? [{ action: 'restart', delayS: 0, max: Number.POSITIVE_INFINITY }]
    : [];
  const listed = actions.filter((action) => {
    switch (action.action) {
      case 'recovery':
        return facts.canRecover;
      case 'restart':
        return facts.restarts < action.max;
      case 'shell':
        return !facts.isProduction;
      case 'halt':
      case 'power-off':
        return true;
    }
  });
  const chosen =
    facts.override === undefined ? [...again, ...listed] : [{ action: facts.override }];
  return [...chosen, { action: 'halt' }];
}

/** Any error as a note: a reason code and a sentence. */
export function noteOf(error: unknown, doing = 'Cannot boot'): BootNote {
  const explained = explainSysError(error, doing);
  if (explained instanceof ColdsealError) {
    return { code: explained.code, message: explained.message };
  }
  const text = explained instanceof Error ? explained.message : String(explained);
  return { code: 'INTERNAL_BOOT', message: `${doing}: ${text}` };
}
