/**
 * A writer to be killed: puts every file of a directory into a store, over and over with changed content.
 *
 * Bundled on its own by the test that starts it. Arguments: the store, the number of files, a seed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ObjectStore } from '../../toolchain/objects/store.ts';
import { measureFile } from '../../toolchain/objects/verity.ts';

const [store = '', count = '0', seed = '0'] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'coldseal-writer-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
const writer = new ObjectStore(store, { verifyExisting: true });
process.stdout.write('begun\n');
for (let i = 0; i < Number(count); i++) {
  const path = join(dir, 'file');
  const size = 100 + ((i * 7919) % 60_000);
  writeFileSync(path, Buffer.alloc(size, `${seed} ${i} `));
  writer.put({ path }, measureFile(path, 'sha256').digest, size);
  if (i % 25 === 24) writer.flush();
}
writer.finish();
process.stdout.write('finished\n');
