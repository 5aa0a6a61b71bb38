/** `coldseal board check`: what is wrong with a board, and what is left to be desired. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Board } from '../board/board-shape.ts';
import type { BoardReport } from '../board/check-board-file.ts';
import type { KernelFinding } from '../board/check-kernel.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { ConfigFile } from '../config/config-file.ts';

export const boardCheck = defineCommand({
  name: 'board check',
  summary: 'Check a board file, and a kernel configuration against it',
  description: `Checks that the file is valid, that the files it names are there, and warns about what its
policy leaves open, such as a single slot, or stages that take longer than the budget.

With --config, a kernel's configuration is checked against the board: what is missing for it to
work (a problem), what costs safety, and what costs time, each with the reason, the source and what
to set. The file may be a .config, Debian's /boot/config-*, or /proc/config.gz. With --fetch it is the
one of the Debian package that the board names, which is fetched unless the cache has it.

With --image, the time that storage takes to deliver these files is held against the budget.`,
  args: [{ name: 'board', help: 'identifier, or path of a board file' }],
  options: {
    config: { flag: '--config <file>', help: 'configuration of its kernel, plain or gzip' },
    fetch: { flag: '--fetch', help: "take the configuration from the board's kernel package" },
    image: {
      flag: '--image <file>',
      help: 'file the boot reads whole, such as kernel or initramfs',
      repeat: true,
    },
    strict: { flag: '--strict', help: 'exit 2 for warnings too' },
  },
  examples: [
    { run: 'coldseal board check qemu-x86_64', note: 'Check a board' },
    {
      run: 'coldseal board check qemu-aarch64 --config kernel.config',
      note: 'Check a kernel against a board',
    },
  ],
  exitCodes: { 2: 'there are problems, or warnings with --strict' },
  async run({ args: [reference], options, output }) {
    const { loadBoard } = await import('../board/load.ts');
    const { checkBoardFile } = await import('../board/check-board-file.ts');
    const file = loadBoard(reference, process.cwd());
    const { image: images, strict } = options;
    const config = options.fetch
      ? await fetchedConfig(file, options.config, output)
      : options.config;
    const report = checkBoardFile(file, { config, images });
    printReport(file.value.id, report, output);
    const ok = report.problems === 0 && (!strict || report.warnings === 0);
    output.result({ board: file.value.id, path: file.path, ...report }, { ok });
    return ok ? 0 : 2;
  },
});

/** The configuration in the kernel package of a board. */
async function fetchedConfig(
  board: ConfigFile<Board>,
  given: string | undefined,
  output: Output,
): Promise<string> {
  if (given !== undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot use --fetch with --config: expected one of them',
    );
  }
  const { kernel, id } = board.value;
  if (kernel.package === undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use --fetch with board ${id}: expected kernel.package in its file`,
      { hint: 'give its configuration with --config' },
    );
  }
  const { findKernel } = await import('../disk/kernel.ts');
  const { config } = await findKernel(board, { signal: output.interrupted });
  if (config !== undefined) return config;
  throw new ColdsealError(
    'HOST_NOT_FOUND',
    `Cannot find the configuration of ${kernel.package.name}: expected boot/config-* in the package`,
  );
}

function printReport(id: string, report: BoardReport, output: Output): void {
  for (const { severity, path, message } of report.settings) {
    output.line(`${severity}  ${path} ${message}`);
  }
  const { kernel } = report;
  if (kernel !== undefined) {
    output.line(`Linux ${kernel.version ?? 'of unknown version'}, ${kernel.config}`);
    for (const finding of kernel.findings) printFinding(finding, output);
  }
  output.line(`${id}: ${report.problems} problems, ${report.warnings} warnings`);
}

function printFinding(finding: KernelFinding, output: Output): void {
  const { severity, option, is, why, source, set } = finding;
  output.line(`${severity}  ${finding.class.padEnd(8)}  ${option} is ${is}: ${why}`);
  output.line(`         set ${set}  (${source})`);
}
