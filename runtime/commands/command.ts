/** What a command of the device is: operands in, facts out. main.ts reads the arguments and prints. */
import type { Engine } from '../engine.ts';

export interface CommandResult {
  /** One fact a line, for people. */
  readonly lines: readonly string[];
  /** The same for programs. */
  readonly result: unknown;
  /** 0 unless given. */
  readonly exitCode?: number;
  /** What is left to do when everything is printed; its result is the exit code then. */
  readonly after?: () => number;
}

export interface DeviceCommand {
  readonly name: string;
  /** What may follow the name, as help shows it. */
  readonly operands?: readonly string[];
  readonly about: () => string;
  readonly run: (engine: Engine, operands: readonly string[]) => CommandResult;
}

/** A line of two columns. */
export function fact(label: string, ...values: readonly unknown[]): string {
  return `${label.padEnd(16)} ${values.join(' ')}`;
}

/** Nanoseconds as milliseconds for people. */
export function ms(ns: number): string {
  return `${(ns / 1e6).toFixed(1)} ms`;
}
