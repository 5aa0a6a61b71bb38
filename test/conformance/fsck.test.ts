/** An outside judge of images: fsck.erofs of erofs-utils reads what the writer wrote, and the reader agrees. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { findBrokenRules } from '../../runtime/format/restrict.ts';
import { SEED_DUMPS } from '../../toolchain/dev/fuzz/corpus.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { arbitraryTree } from '../support/arbitrary-tree.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';
import { v2Image } from '../support/v2-image.ts';

const test = suite('fsck.erofs');

/** Runs the judge and returns what it complains about, if anything. */
function complaint(fsck: string, path: string, bytes: Uint8Array): string | undefined {
  writeFileSync(path, bytes);
  const { status, stdout, stderr } = spawnSync(fsck, [path], { encoding: 'utf8' });
  return status === 0 && stderr === '' ? undefined : `exit ${status}\n${stdout}${stderr}`;
}

test('accepts the images of the corpus', () => {
  const fsck = requireTool('fsck.erofs', 'erofs-utils');
  using dir = tempDir();
  const path = join(dir.path, 'image');
  for (const text of SEED_DUMPS) {
    for (const version of [0, 1]) {
      const bytes = imageBytes(parseDump(Buffer.from(text)), { min: version, max: version });
      assert.is(complaint(fsck, path, bytes), undefined);
    }
  }
  assert.is(complaint(fsck, path, v2Image()), undefined, 'version 2');
});

test('accepts the images of random trees', () => {
  const fsck = requireTool('fsck.erofs', 'erofs-utils');
  using dir = tempDir();
  const path = join(dir.path, 'image');
  fc.assert(
    fc.property(arbitraryTree, fc.constantFrom(0, 1), (tree, version) => {
      const bytes = imageBytes(tree, { min: version, max: version });
      assert.is(complaint(fsck, path, bytes), undefined);
      assert.equal(findBrokenRules(openImage(bytes)), []);
    }),
    { numRuns: 100 },
  );
});

test.run();
