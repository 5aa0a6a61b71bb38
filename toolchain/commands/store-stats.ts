/** `coldseal store stats`: how many objects a store has, and what they take. */
import { defineCommand } from '../cli/command.ts';

export const storeStats = defineCommand({
  name: 'store stats',
  summary: 'Count the objects of a store and their bytes',
  args: [{ name: 'dir', help: 'object store' }],
  examples: [{ run: 'coldseal store stats objects', note: 'Show what is in a store' }],
  async run({ args: [dir], output }) {
    const { storeStatistics } = await import('../objects/statistics.ts');
    const stats = storeStatistics(dir);
    output.line(`objects     ${stats.objects}`);
    output.line(`bytes       ${stats.bytes}`);
    output.line(`on disk     ${stats.diskBytes}`);
    output.line(`with verity ${stats.withVerity}`);
    for (const { upTo, objects, bytes } of stats.sizes) {
      const size = upTo === 'any size' ? 'larger' : `up to ${upTo}`;
      output.line(`  ${size}: ${objects} objects, ${bytes} bytes`);
    }
    output.line(`stray       ${stats.strays}`);
    output.line(`left over   ${stats.leftovers}`);
    output.result(stats);
  },
});
