/**
 * Whether to colour, and the few styles used.
 *
 * Five rules, the first that applies decides: `--color=always|never`; `NO_COLOR` non-empty or `TERM=dumb` is off;
 * `FORCE_COLOR` non-empty is on; otherwise a terminal is on and anything else off.
 */
import { styleText } from 'node:util';

export type ColorMode = 'auto' | 'always' | 'never';
type StyleName = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Style = Readonly<Record<StyleName, (text: string) => string>>;

/** The decision of the five rules for one stream. */
export function decideColor(
  mode: ColorMode,
  env: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean {
  if (mode !== 'auto') return mode === 'always';
  const isSet = (name: string): boolean => (env[name] ?? '') !== '';
  if (isSet('NO_COLOR') || env['TERM'] === 'dumb') return false;
  if (isSet('FORCE_COLOR')) return true;
  return isTerminal;
}

/** The styles, or functions that change nothing when `enabled` is false. */
export function createStyle(enabled: boolean): Style {
  // Newer Nodes would look at the stream and the environment themselves; the decision has been made here.
  const style = (name: StyleName) => (text: string) =>
    enabled ? styleText(name, text, { validateStream: false }) : text;
  return {
    bold: style('bold'),
    dim: style('dim'),
    red: style('red'),
    green: style('green'),
    yellow: style('yellow'),
    cyan: style('cyan'),
  };
}
