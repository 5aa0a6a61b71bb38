/** `coldseal reasons [CODE]`: what a reason code in a record or a log means. */
import { ColdsealError, exitCodeOf } from '../format/errors.ts';
import { type DeviceCommand, fact } from './command.ts';
import type { ReasonResult } from './documents.ts';

export const reasonsCommand: DeviceCommand = {
  name: 'reasons',
  operands: ['[CODE]'],
  about: () => 'what a reason code means; all of them without one',
  run: ({ reasons }, [code]) => {
    const all = reasons?.();
    if (all === undefined) {
      throw new ColdsealError(
        'HOST_NO_REASONS',
        'Cannot explain reason codes: this runtime was built without',
      );
    }
    if (code === undefined) {
      const lines = Object.entries(all).map(([name, text]) => `${name}: ${text}`);
      return { lines, result: all };
    }
    const text = Object.hasOwn(all, code) ? all[code] : undefined;
    if (text === undefined) {
      throw new ColdsealError('USAGE_REASON_CODE', `Cannot explain ${code}: no such reason code`, {
        hint: 'coldseal reasons lists all of them',
      });
    }
    const exitCode = exitCodeOf(code);
    const lines = [fact('code', code), fact('meaning', text), fact('exit code', exitCode)];
    return { lines, result: { code, text, exitCode } satisfies ReasonResult };
  },
};
