/** fsverity-utils as judge of our digests: both algorithms, every size where the tree changes shape. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { measureFile } from '../../toolchain/objects/verity.ts';
import { runTool } from '../support/file-systems.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('fsverity digest');

const SIZES = [0, 1, 4095, 4096, 4097, 8192, 524_287, 524_288, 524_289, 1_000_000, 3_000_001];

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`${algorithm} digests are those of fsverity-utils`, () => {
    const tool = requireTool('fsverity', 'fsverity');
    using dir = tempDir();
    const files = SIZES.map((size) => {
      const path = join(dir.path, String(size));
      writeFileSync(path, Buffer.alloc(size, `${size} and more `));
      return path;
    });
    const printed = runTool(tool, ['digest', '--compact', `--hash-alg=${algorithm}`, ...files]);
    const ours = files.map((path) => measureFile(path, algorithm).digest);
    assert.equal(printed.trim().split('\n'), ours);
  });
}

test.run();
