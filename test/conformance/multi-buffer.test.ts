/**
 * Several hashes at once with libipsec-mb: the digests of Node's crypto, and the offsets of the library's header. Both
 * with the version that this machine has and with Debian 13's.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fetchPackage } from '../../toolchain/host/debian-packages.ts';
import { nodeBlockHashers } from '../../toolchain/objects/block-hasher.ts';
import {
  IMB_JOB,
  IMB_MGR,
  IMB_NUMBERS,
  multiBufferHashers,
} from '../../toolchain/objects/multi-buffer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { areToolsRequired, requireTool, skipTest } from '../support/tools.ts';

const test = suite('multi-buffer');

interface Installation {
  /** The directory of the header. */
  readonly include: string;
  /** What to load; undefined for what coldseal finds by itself. */
  readonly libraries?: string[];
}

function installed(): Promise<Installation> {
  const include = '/usr/include';
  if (process.arch !== 'x64') skipTest('libipsec-mb is for x86-64');
  if (!existsSync(`${include}/intel-ipsec-mb.h`)) {
    const reason = 'intel-ipsec-mb.h not found (Debian package libipsec-mb-dev)';
    if (areToolsRequired()) throw new Error(`${reason}, and tools are required here`);
    skipTest(reason);
  }
  return Promise.resolve({ include });
}

async function debian13(): Promise<Installation> {
  if (process.arch !== 'x64') skipTest('libipsec-mb is for x86-64');
  const source = { suite: 'trixie', architecture: 'amd64' };
  try {
    const library = await fetchPackage(source, 'libipsec-mb2');
    const { directory } = await fetchPackage(source, 'libipsec-mb-dev');
    const path = `${library.directory}/usr/lib/x86_64-linux-gnu/libIPSec_MB.so.2`;
    return { include: `${directory}/usr/include`, libraries: [path] };
  } catch (error) {
    const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}

for (const find of [installed, debian13]) {
  test(`${find.name}: any number of messages of either length has the digests of Node’s crypto`, async () => {
    const make = multiBufferHashers((await find()).libraries);
    assert.ok(make !== undefined, 'the library is there and was not taken');
    for (const size of [256, 4096]) {
      const ours = make(size, 256);
      const judge = nodeBlockHashers('sha256')(size, 256);
      for (const count of [0, 1, 3, 4, 5, 15, 16, 17, 19, 20, 32, 127, 128, 129, 144, 255, 256]) {
        for (let i = 0; i < ours.messages.length; i++) {
          ours.messages[i] = (i * 7 + count + (i >> 6)) & 0xff;
        }
        judge.messages.set(ours.messages);
        for (const hasher of [ours, judge]) {
          hasher.digests.fill(0);
          hasher.run(count);
        }
        assert.ok(ours.digests.equals(judge.digests), `${count} messages of ${size}`);
      }
    }
  });

  test(`${find.name}: offsets and numbers are those of the header`, async () => {
    const { include } = await find();
    const gcc = requireTool('gcc', 'gcc');
    const dir = tempDir();
    try {
      const program = join(dir.path, 'offsets');
      writeFileSync(`${program}.c`, offsetsProgram());
      const compiled = spawnSync(gcc, [`-I${include}`, `${program}.c`, '-o', program]);
      assert.is(compiled.status, 0, compiled.stderr.toString());
      const printed = spawnSync(program).stdout.toString().trim().split('\n');
      const expected = Object.entries({ ...IMB_MGR, ...IMB_JOB, ...IMB_NUMBERS });
      assert.equal(
        printed,
        expected.map(([name, value]) => `${name} ${value}`),
      );
    } finally {
      dir.remove();
    }
  });
}

/** Prints what multi-buffer.ts knows of the header. Jobs come in an array of ours only from 2.0 on. */
function offsetsProgram(): string {
  const offset = (struct: string, name: string): string =>
    name === 'size'
      ? `printf("size %zu\\n", IMB_VERSION_NUM < 0x20000 ? 216 : sizeof(${struct}));`
      : `printf("${name} %zu\\n", offsetof(${struct}, ${name}));`;
  return [
    '#include <stddef.h>',
    '#include <stdio.h>',
    '#include <intel-ipsec-mb.h>',
    'int main(void) {',
    ...Object.keys(IMB_MGR).map((name) => offset('IMB_MGR', name)),
    ...Object.keys(IMB_JOB).map((name) => offset('IMB_JOB', name)),
    ...Object.keys(IMB_NUMBERS).map((name) => `printf("${name} %d\\n", (int)${name});`),
    '}\n',
  ].join('\n');
}

test('a library that is missing, or another one, is passed over', () => {
  assert.is(multiBufferHashers(['libcoldseal-none.so.1']), undefined);
  assert.is(multiBufferHashers(['libc.so.6']), undefined);
});

test.run();
