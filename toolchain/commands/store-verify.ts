/** `coldseal store verify`: measures every object again. */
import { defineCommand } from '../cli/command.ts';

export const storeVerify = defineCommand({
  name: 'store verify',
  summary: 'Measure every object of a store again',
  description: `Reads every object of the store and compares its fs-verity digest with its name.
Damaged objects, files that do not belong into a store, and what interrupted writers left are
reported apart; only damage makes the answer no.

With --repair-from, a damaged object is replaced by a copy from another store, after that copy was
measured.`,
  args: [{ name: 'dir', help: 'object store' }],
  options: {
    repairFrom: {
      flag: '--repair-from <dir>',
      help: 'store to take good copies from',
      repeat: true,
    },
  },
  examples: [{ run: 'coldseal store verify objects', note: 'Verify an object store' }],
  exitCodes: { 3: 'an object is damaged and was not repaired' },
  async run({ args: [dir], options, output }) {
    const { checkStore } = await import('../objects/check-store.ts');
    const { showBytes } = await import('../image/byte-string.ts');
    const bar = output.progress('Measuring objects', { unit: 'bytes' });
    const report = await checkStore(dir, {
      repairFrom: options.repairFrom,
      onProgress: (done, total) => bar.update(done, total),
      signal: output.interrupted,
    }).finally(() => bar.done());
    const unrepaired = report.damaged.filter(({ repairedFrom }) => repairedFrom === undefined);
    for (const { path, problem, repairedFrom } of report.damaged) {
      const repaired = repairedFrom === undefined ? '' : `; repaired from ${repairedFrom}`;
      output.line(`damaged   ${path}: ${problem}${repaired}`);
    }
    for (const { path, problem } of report.strays) {
      output.line(`stray     ${showBytes(path)}: ${problem}`);
    }
    for (const path of report.leftovers) output.line(`leftover  ${showBytes(path)}`);
    output.line(
      `${report.objects} objects, ${report.bytes} bytes: ${unrepaired.length} damaged, ` +
        `${report.damaged.length - unrepaired.length} repaired, ` +
        `${report.strays.length} stray, ${report.leftovers.length} left over`,
    );
    const ok = unrepaired.length === 0;
    output.result(
      {
        ...report,
        strays: report.strays.map(({ path, problem }) => ({ path: showBytes(path), problem })),
        leftovers: report.leftovers.map(showBytes),
      },
      { ok },
    );
    return ok ? 0 : 3;
  },
});
