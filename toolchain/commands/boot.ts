/** `coldseal boot`: a release on its virtual board, each stage of the boot against the budget. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { VirtualBoot } from '../board/virtual.ts';
import type { Prediction } from '../budget/calibration.ts';

const REDRAW_MS = 250;

export const boot = defineCommand({
  name: 'boot',
  summary: 'Boot a release on its virtual board and time each stage',
  description: `Boots the disk of the release DIR in QEMU: kernel, initramfs and command line from its boot partition,
machine, processor and memory from the board file. The clock of the board counts instructions (one is one nanosecond),
so that the same release gives the same times on every machine; nothing of DIR is changed. The runtime reports its boot
record through a port and the board switches itself off.

With --runs the boot is repeated, and the record says whether the runs agree within 0.5 %. --out keeps every record as a
line of boot-records.jsonl, and the consoles. Figures of a virtual board compare releases; whether a real board keeps
its budget is measured on that board (docs/boot-time.md).

With --io one boot more counts what each stage reads from the disk and writes to it; QEMU's trace of the same boot must
agree with the board's own counters. What the storages of the board file would take for it is printed apart, as
modelled. --calibration predicts the time of a real board by what qa calibrate has fitted; it counts as well.

--shell boots without measuring, with the console on this terminal (Ctrl-A X ends QEMU): a shell is what the system
image offers there, or what on_failure of a development board gives. --timeout counts only where stdin is no terminal.`,
  args: [{ name: 'dir', help: 'release directory with a disk.img' }],
  options: {
    runs: {
      flag: '--runs <n>',
      help: 'how often to boot',
      integer: { min: 1, max: 1000 },
      default: 1,
    },
    out: { flag: '--out <dir>', help: 'append the records to DIR/boot-records.jsonl' },
    board: {
      flag: '--board <id>',
      help: 'board, or path of a board file, instead of the recorded',
    },
    io: { flag: '--io', help: 'boot once more, untimed, and count the requests of the disk' },
    calibration: {
      flag: '--calibration <file>',
      help: 'predict a real board by what qa calibrate wrote; counts as --io does',
    },
    console: { flag: '--console', help: 'show the console while the board boots' },
    shell: { flag: '--shell', help: 'boot to a console on this terminal instead of measuring' },
    timeout: {
      flag: '--timeout <s>',
      help: 'seconds of this machine that one boot may take',
      integer: { min: 1, max: 86_400 },
      default: 300,
    },
  },
  examples: [
    {
      run: 'coldseal boot release --runs 2 --out records',
      note: 'Boot twice and keep the records',
      // The release of the examples has no disk, since its system holds nothing that could boot.
      exits: 2,
    },
  ],
  exitCodes: {
    3: 'the board refused to boot the release; the reason code says why',
    5: 'the boot was over its budget',
    6: 'QEMU is missing, the board never reported, or its requests could not be counted',
  },
  async run({ args: [dir], options, output }) {
    const { bootRelease, bootShell } = await import('../board/virtual.ts');
    const common = {
      board: options.board,
      from: process.cwd(),
      signal: output.interrupted,
      timeoutMs: options.timeout * 1000,
    };
    if (options.shell) {
      refuseWithShell(options, output);
      return (await bootShell(dir, common)) === 0 ? 0 : 6;
    }
    const { bootTable, agreementText } = await import('../board/boot-table.ts');
    const { keptBoot, writeJournal } = await import('../board/boot-journal.ts');
    const predictor = await predictorOf(options.calibration);
    const isCounted = options.io || predictor !== undefined;
    const total = options.runs + (isCounted ? 1 : 0);
    const progress = startProgress(output, options.console ? 0 : total);
    const boots = await bootRelease(dir, {
      ...common,
      runs: options.runs,
      countIo: isCounted,
      onRun: (run) => progress.show(run - 1),
      onCount: () => progress.show(options.runs),
      onCountFailed: (timed) => {
        if (options.out === undefined) return;
        const [journal] = writeJournal(options.out, timed);
        output.note(`The timed boots are in ${journal}, without counts`);
      },
      onConsole: options.console ? (text) => output.errorText(text) : undefined,
    })
      .then((all) => (progress.show(total), all))
      .finally(() => progress.end());
    const predicted = predictor?.(boots.at(-1)!);
    const written = options.out === undefined ? [] : writeJournal(options.out, boots);
    for (const line of bootTable(boots.at(-1)!, output.style)) output.line(line);
    output.line(agreementText(boots));
    for (const line of predicted?.lines ?? []) output.line(line);
    if (written[0] !== undefined) output.line(`records in ${written[0]}`);
    const exitCode = exitCodeOf(boots);
    output.result(
      {
        boots: boots.map(keptBoot),
        written,
        ...(predicted && { prediction: predicted.prediction }),
      },
      { ok: exitCode === 0 },
    );
    return exitCode;
  },
});

interface Predicted {
  readonly prediction: Prediction;
  readonly lines: readonly string[];
}

/** What a calibration says of a boot; nothing of one that failed. The file is read before anything boots. */
async function predictorOf(
  path: string | undefined,
): Promise<((boot: VirtualBoot) => Predicted | undefined) | undefined> {
  if (path === undefined) return undefined;
  const { parseCalibration, predict } = await import('../budget/calibration.ts');
  const { predictionLines } = await import('../budget/calibration-table.ts');
  const { countedBoot } = await import('../budget/read-counted.ts');
  const { readInput } = await import('../files/read-input.ts');
  const calibration = parseCalibration(readInput(path).toString('utf8'), path);
  return (boot) => {
    if (boot.record.outcome !== 'booted') return undefined;
    const prediction = predict(calibration, countedBoot(boot));
    return { prediction, lines: predictionLines(prediction) };
  };
}

function refuseWithShell(
  {
    runs,
    out,
    console,
    io,
    calibration,
  }: {
    runs: number;
    out: string | undefined;
    console: boolean;
    io: boolean;
    calibration: string | undefined;
  },
  output: Output,
): void {
  const option = [
    runs > 1 ? '--runs' : undefined,
    io ? '--io' : undefined,
    calibration === undefined ? undefined : '--calibration',
    out === undefined ? undefined : '--out',
    console ? '--console' : undefined,
    output.json ? '--json' : undefined,
  ].find((name) => name !== undefined);
  if (option === undefined) return;
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `Cannot use ${option} with --shell: nothing is measured on a terminal`,
  );
}

/** Redraws while QEMU runs, so that the remaining time moves. */
function startProgress(
  output: Output,
  runs: number,
): { show: (done: number) => void; end: () => void } {
  if (runs === 0) return { show: () => undefined, end: () => undefined };
  // One boot takes as long as it takes: there is nothing to count.
  const counted = { unit: 'entries', total: runs } as const;
  const bar = output.progress('Booting', runs === 1 ? { unit: 'step' } : counted);
  let done = 0;
  const timer = setInterval(() => bar.update(done), REDRAW_MS);
  return {
    show: (count) => bar.update((done = count)),
    end: () => {
      clearInterval(timer);
      bar.done();
    },
  };
}

/** A boot that was refused outweighs one that was late. */
function exitCodeOf(boots: readonly VirtualBoot[]): number {
  if (boots.some(({ record }) => record.outcome !== 'booted')) return 3;
  return boots.some(({ times }) => times.isOver) ? 5 : 0;
}
