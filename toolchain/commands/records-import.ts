/** `coldseal records import`: logs that boards and their tools wrote, as records that a report can be made of. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { BootFacts } from '../budget/import/import-boots.ts';
import type { MeasuredBoot } from '../budget/measured-boot.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';

const MS = 1e6;

/** As in the registry of importers, which is not loaded for help; a test holds them together. */
export const FORMAT_CHOICES = [
  'auto',
  'boot-record',
  'kernel-log',
  'serial',
  'systemd',
  'bootstage',
  'bootstage-dt',
  'cbmem',
  'fpdt',
  'efi-loader',
  'logic-analyser',
] as const;

export const recordsImport = defineCommand({
  name: 'records import',
  summary: 'Turn logs of boots into records',
  description: `Reads what a board or its tools wrote about a boot, and writes a record of each boot as a line of JSON
that says when each stage began and ended, on which clock, who observed it, and what about it is not plausible.

LOG is a file, - for stdin, a directory such as a copy of /sys/firmware/acpi/fpdt/boot, or a tar archive of one. Its
kind is recognised by content: boot-record (/run/coldseal/boot.json), kernel-log (dmesg), serial (grabserial, tio, ts),
systemd (systemctl show, systemd-analyze), bootstage and bootstage-dt (U-Boot), cbmem (coreboot), fpdt (ACPI),
efi-loader (EFI variables), logic-analyser (sigrok, Logic 2). Without --merge each LOG is a boot of its own; with it all
are of one boot and are laid onto one clock.

A log that cannot be what it is given for is refused. A boot that can be read and cannot be true is kept, and its flags
say so: a report counts it as no evidence. docs/boot-records.md has the commands to run on the board, the event
dictionary of a product, and what to do about each flag.`,
  args: [{ name: 'log', help: 'file, directory, tar archive, or - for stdin', variadic: true }],
  options: {
    output: { flag: '-o, --output <file>', help: 'file of records, or - for stdout' },
    append: { flag: '--append', help: 'put the records behind those that are there' },
    force: { flag: '--force', help: 'replace a file that is there' },
    format: {
      flag: '--format <kind>',
      help: 'what the logs are',
      choices: FORMAT_CHOICES,
      default: 'auto',
    },
    board: { flag: '--board <id>', help: 'board that booted, as its board file calls it' },
    class: {
      flag: '--class <class>',
      help: 'class of evidence, where the log cannot know it',
      choices: ['virtual-wallclock', 'virtual', 'board-selfclock', 'board-serial', 'board-gpio'],
    },
    start: {
      flag: '--start <kind>',
      help: 'how the board came to boot; without it a report has no verdict',
      choices: ['cold', 'warm', 'reboot'],
    },
    specimen: {
      flag: '--specimen <name>',
      help: 'which of several boards, such as a serial number',
    },
    condition: {
      flag: '--condition <name=value>',
      help: 'what is judged apart, such as temperature=-30C',
      repeat: true,
    },
    releaseVersion: { flag: '--release-version <version>', help: 'what booted' },
    releaseId: { flag: '--release-id <id>', help: 'its identifier; needs --release-version' },
    measuredAt: { flag: '--measured-at <time>', help: 'UTC, as 2026-11-25T12:00:00Z' },
    dictionary: { flag: '--dictionary <file>', help: "events and stages of the product's own" },
    uncertaintyMs: {
      flag: '--uncertainty-ms <n>',
      help: 'what a time may be off, instead of what the kind of log implies',
      integer: { min: 0, max: 60_000 },
    },
    firmwareLimit: {
      flag: '--firmware-limit <s>',
      help: 'longer times before the kernel are flagged',
      integer: { min: 1, max: 86_400 },
      default: 60,
    },
    merge: { flag: '--merge', help: 'all logs are of one boot' },
    split: { flag: '--split', help: 'a log with several boots gives several records' },
  },
  examples: [
    {
      run: 'coldseal records import dmesg.txt --board demo --start cold -o measured.jsonl',
      note: 'Make a record of a kernel log',
      before:
        "printf '[    0.000000] Linux version 6.12\\n[    1.250000] Run /init as init process\\n' >dmesg.txt",
    },
  ],
  exitCodes: { 4: 'a log is not what it is given for; the reason code says why' },
  async run({ args: paths, options, output }) {
    const target = options.output;
    if (target === undefined) {
      throw new ColdsealError(
        'USAGE_MISSING_OPTION',
        'Cannot import without --output: expected a file',
        {
          hint: 'give -o FILE, or -o - for stdout',
        },
      );
    }
    const { checkOutput, recordLines, writeRecords } = await import('../budget/write-records.ts');
    refuseConflicts(paths, target, options, output);
    if (target !== '-') checkOutput(target, options);
    const facts = factsFrom(options);
    const { importBoots } = await import('../budget/import/import-boots.ts');
    const { readLog } = await import('../budget/import/read-log.ts');
    const { readDictionary } = await import('../budget/import/dictionary.ts');
    const dictionary =
      options.dictionary === undefined ? null : readDictionary(options.dictionary).value;
    const boots = importBoots(paths.map(readLog), {
      format: options.format,
      merge: options.merge,
      options: {
        dictionary,
        uncertaintyNs: options.uncertaintyMs === undefined ? null : options.uncertaintyMs * MS,
        firmwareLimitNs: options.firmwareLimit * 1000 * MS,
        split: options.split,
      },
      facts,
    });
    if (target === '-') output.text(recordLines(boots));
    else writeRecords(target, boots, options);
    const say = target === '-' ? output.note : output.line;
    for (const line of boots.flatMap(bootLines)) say(line);
    const unusable = boots.filter(({ flags }) => flags.some(({ isUnusable }) => isUnusable)).length;
    output.result({ written: target === '-' ? null : target, unusable, boots });
  },
});

interface Conflicting {
  readonly append: boolean;
  readonly force: boolean;
  readonly merge: boolean;
  readonly split: boolean;
}

function refuseConflicts(
  paths: readonly string[],
  target: string,
  { append, force, merge, split }: Conflicting,
  output: Output,
): void {
  const conflict = (message: string): never => {
    throw new ColdsealError('USAGE_OPTION_CONFLICT', `Cannot import: ${message}`);
  };
  if (append && force) conflict('--append keeps what is there, and --force replaces it');
  if (merge && split)
    conflict('--merge makes one boot of several logs, and --split several of one');
  if (target === '-' && append) conflict('--append needs a file, and -o - is stdout');
  if (target === '-' && output.json)
    conflict('--json prints the records itself, so -o - has no place');
  if (paths.filter((path) => path === '-').length > 1) conflict('- is given twice');
}

interface FactOptions {
  readonly board: string | undefined;
  readonly class: BootFacts['evidence'];
  readonly start: 'cold' | 'warm' | 'reboot' | undefined;
  readonly specimen: string | undefined;
  readonly condition: readonly string[];
  readonly releaseVersion: string | undefined;
  readonly releaseId: string | undefined;
  readonly measuredAt: string | undefined;
}

const TEXT_MAX = 512;

function factsFrom(options: FactOptions): BootFacts {
  const { board, specimen, releaseVersion, releaseId, measuredAt } = options;
  const texts = { board, specimen, 'release-version': releaseVersion, 'release-id': releaseId };
  for (const [name, value] of Object.entries(texts)) checkText(`--${name}`, value);
  if (releaseId !== undefined && releaseVersion === undefined) {
    throw new ColdsealError(
      'USAGE_MISSING_OPTION',
      'Cannot import with --release-id alone: expected --release-version too',
    );
  }
  return {
    board,
    evidence: options.class,
    start: options.start ?? null,
    specimen: specimen ?? null,
    conditions: conditionsFrom(options.condition),
    release:
      releaseVersion === undefined
        ? null
        : { id: releaseId ?? null, version: releaseVersion, builtAt: null },
    measuredAt: measuredAt === undefined ? null : timeFrom(measuredAt),
  };
}

function checkText(name: string, value: string | undefined): void {
  // oxlint-disable-next-line no-control-regex -- a record has names of one line
  if (
    value === undefined ||
    (value.length <= TEXT_MAX && !/[\u0000-\u001f\u007f-\u009f]/.test(value))
  )
    return;
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot import with this ${name}: expected one line of at most ${TEXT_MAX} characters`,
  );
}

function conditionsFrom(words: readonly string[]): Record<string, string> {
  const conditions: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const word of words) {
    const [, name, value] = /^([A-Za-z][\w.-]{0,60})=(.{1,200})$/.exec(word) ?? [];
    if (name === undefined || name in conditions) {
      throw new ColdsealError(
        'USAGE_BAD_VALUE',
        `Cannot import with --condition ${word}: expected name=value, each name once`,
      );
    }
    checkText('--condition', value);
    conditions[name] = value!;
  }
  return { ...conditions };
}

function timeFrom(text: string): string {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) && !Number.isNaN(Date.parse(text));
  if (isTime && new Date(text).toISOString() === text.replace('Z', '.000Z')) return text;
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot import with --measured-at ${text}: expected a time as 2026-11-25T12:00:00Z`,
  );
}

/** A line for a boot, and one for each flag. */
function bootLines(boot: MeasuredBoot): string[] {
  const { source, evidence, board, stages, units, events, outcome, reason, clock } = boot;
  const ends = [...stages.map(({ endNs }) => endNs ?? 0), ...events.map(({ atNs }) => atNs)];
  const seconds = (Math.max(0, ...ends) / 1e9).toFixed(3);
  const counts = `${stages.length} stages, ${units.length} units, ${events.length} events`;
  const failed = outcome === 'failed' ? `, failed: ${reason ?? 'no reason'}` : '';
  return [
    `${source.file}: ${source.format} of ${board}, ${evidence}, ${seconds} s since ${clock.zero}, ${counts}${failed}`,
    ...boot.flags.map(({ code, message, isUnusable }) => {
      return `  ${isUnusable ? 'unusable' : 'flag'}: ${message} (${code})`;
    }),
  ];
}
