/**
 * What a command is: one value that says its name, arguments, options, examples and what it does.
 *
 * Parsing, help, manual pages, completions and docs/reference/cli.md are all made from this value, and the types
 * that `run` receives are inferred from it, so an option is described once. Command files stay light: heavy modules are
 * imported inside `run`.
 */
import type { Output } from './output.ts';

/** One option. `flag` is `--name`, `--name <value>` or either with a short form in front (`-o, --name <value>`). */
export interface OptionSpec {
  readonly flag: string;
  readonly help: string;
  /** The value is a whole number within these bounds. */
  readonly integer?: { readonly min: number; readonly max: number };
  /** The option may be given more than once; the value is an array. */
  readonly repeat?: true;
  /** The command itself says what is wrong with an empty value. */
  readonly checksEmpty?: true;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  readonly default?: string | number;
}

/** One positional argument; a variadic one comes last. */
export interface ArgSpec {
  readonly name: string;
  readonly help: string;
  readonly optional?: true;
  readonly variadic?: true;
}

/** A command line that works as written in the fixture directory of test/support/example-fixture.ts. */
export interface Example {
  readonly run: string;
  readonly note: string;
  /** What the example needs beyond Node; a machine without it skips the example. */
  readonly needs?: 'root' | 'tools';
  /** A shell line that the test runs first; help does not show it. */
  readonly before?: string;
  /** The exit code, when the example shows a "no". */
  readonly exits?: number;
}

/** For `before`: the release of the fixture again, bootable and with its disk. */
export const RELEASE_WITH_DISK =
  'mkdir rootfs/dev rootfs/proc rootfs/run rootfs/sys rootfs/sbin && ' +
  'cp rootfs/usr/bin/hello rootfs/sbin/init && ' +
  'coldseal release BOOTSET.yaml --output release --force --quiet >/dev/null';

export type OptionTable = Readonly<Record<string, OptionSpec>>;

type ScalarOf<S extends OptionSpec> = S extends { choices: readonly (infer C)[] }
  ? C
  : S extends { integer: object }
    ? number
    : string;

type OptionValue<S extends OptionSpec> = S extends { flag: `${string}<${string}` }
  ? S extends { repeat: true }
    ? ScalarOf<S>[]
    : S extends { default: string | number }
      ? ScalarOf<S>
      : ScalarOf<S> | undefined
  : boolean;

/** The option values `run` receives: booleans, strings, numbers, unions of choices, arrays of repeated values. */
export type OptionValues<O extends OptionTable> = { readonly [K in keyof O]: OptionValue<O[K]> };

type ArgValue<A> = A extends { variadic: true; optional: true }
  ? string[]
  : A extends { variadic: true }
    ? [string, ...string[]]
    : A extends { optional: true }
      ? [string?]
      : [string];

/** The arguments `run` receives, in order: a tuple as long as the table says. */
export type ArgValues<A extends readonly ArgSpec[]> = A extends readonly [
  infer Head,
  ...infer Tail extends readonly ArgSpec[],
]
  ? [...ArgValue<Head>, ...ArgValues<Tail>]
  : [];

export interface CommandSpec<A extends readonly ArgSpec[], O extends OptionTable> {
  /** The verb path: `verify`, or `image build` for a verb of a group. */
  readonly name: string;
  readonly summary: string;
  /** Longer text: paragraphs separated by an empty line. */
  readonly description?: string;
  readonly args?: A;
  readonly options?: O;
  readonly examples: readonly Example[];
  /** Exit codes that mean something particular to this command. */
  readonly exitCodes?: Readonly<Record<number, string>>;
  /** Does the work. Returns nothing for success, or the exit code of a result that is a "no" and not an error. */
  run(context: {
    readonly args: ArgValues<A>;
    readonly options: OptionValues<O>;
    readonly output: Output;
  }): Promise<number | void>;
}

/** A command with the inferred types erased: what the parser, the help and the documentation work on. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly description: string | undefined;
  readonly args: readonly ArgSpec[];
  readonly options: OptionTable;
  readonly examples: readonly Example[];
  readonly exitCodes: Readonly<Record<number, string>>;
  readonly run: (
    args: readonly string[],
    options: Readonly<Record<string, unknown>>,
    output: Output,
  ) => Promise<number | void>;
}

/** Defines a command; `args` and `options` of `run` are typed from the tables. */
export function defineCommand<
  const A extends readonly ArgSpec[] = readonly [],
  // oxlint-disable-next-line no-empty-object-type -- a command without options has no option values
  const O extends OptionTable = {},
>(spec: CommandSpec<A, O>): Command {
  return {
    name: spec.name,
    summary: spec.summary,
    description: spec.description,
    args: spec.args ?? [],
    options: spec.options ?? {},
    examples: spec.examples,
    exitCodes: spec.exitCodes ?? {},
    // The parser has checked both against the tables, so this is the one place where they are trusted.
    run: (args, options, output) =>
      spec.run({
        args: [...args] as ArgValues<A>,
        options: options as OptionValues<O>,
        output,
      }),
  };
}

/** The parts of an option's flag text: `-o, --output <dir>` gives `o`, `output` and `dir`. */
export function parseFlag(flag: string): { short?: string; long: string; value?: string } {
  const match = /^(?:-(?<short>\w), )?--(?<long>[a-z][a-z0-9-]*)(?: <(?<value>[^<>]+)>)?$/.exec(
    flag,
  );
  if (match?.groups === undefined) throw new Error(`${flag}: expected "-x, --name <value>"`);
  const { short, long, value } = match.groups;
  return {
    long: long!,
    ...(short === undefined ? {} : { short }),
    ...(value === undefined ? {} : { value }),
  };
}
