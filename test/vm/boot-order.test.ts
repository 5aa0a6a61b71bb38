/**
 * A boot by a profile, on a real kernel: what a board reads is recorded, the same release is made again by it, and
 * boots with fewer requests, from the same images.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { traceRelease } from '../../toolchain/board/virtual.ts';
import { boardBootset, demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { encodeProfile } from '../../toolchain/profile/profile-schema.ts';
import { profileRelease } from '../../toolchain/profile/profile-release.ts';
import { bootsetLab, LAB_NOW } from '../support/bootset-lab.ts';
import { areToolsRequired, requireTool, skipTest } from '../support/tools.ts';

const test = suite('boot order');

/** Half of the reads are gone on the shipped boards; a third less must be, whatever the packages are. */
const READS_LEFT_MAX = 0.67;

async function boot(path: string, words: readonly string[] = []): Promise<BootRecord> {
  const { record } = await traceRelease(path, { from: path }, words);
  assert.is(record.outcome, 'booted');
  for (const { measured, fileVerity } of record.images) {
    assert.equal([measured, fileVerity], ['kernel-measured', 'required']);
  }
  return record;
}

for (const [architecture, emulator] of [
  ['aarch64', 'qemu-system-arm'],
  ['x86_64', 'qemu-system-x86'],
] as const) {
  test(`a profile of ${architecture} saves a third of the reads, and changes no image`, async () => {
    requireTool(`qemu-system-${architecture}`, emulator);
    const id = `qemu-${architecture}`;
    using lab = bootsetLab(boardBootset(id));
    await demoBoardSystem(lab.path, { architecture }).catch((error: unknown) => {
      const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
      if (!isMissing || areToolsRequired()) throw error;
      skipTest(error.message);
    });
    const make = (output: string, profile?: string) =>
      lab.release({ noDisk: false, now: LAB_NOW, output, profile, force: true });
    const [plain, ordered] = ['plain', 'ordered'].map((name) => join(lab.path, name));
    const first = await make(plain!);
    const profile = await profileRelease(plain!, { from: plain! });
    assert.is(profile.records[0]!.kind, 'signed');
    for (const wanted of ['debian:/usr/bin/crun', 'hello:/config.json']) {
      const isThere = profile.records.some(
        (each) => each.kind === 'object' && each.names.includes(wanted),
      );
      assert.ok(isThere, wanted);
    }
    const path = join(lab.path, 'boot.profile');
    writeFileSync(path, encodeProfile(profile));
    const second = await make(ordered!, path);
    assert.equal(second.manifest.images, first.manifest.images);
    assert.is(second.boot!.order!.coverage.byDigest, second.boot!.order!.coverage.records);
    const before = profile.requests!.total;
    const after = await boot(ordered!);
    const { readRequests, readBytes } = after.io!;
    const text = `${before.reads} reads of ${before.bytes} bytes became ${readRequests} of ${readBytes}`;
    assert.ok(readRequests <= before.reads * READS_LEFT_MAX, text);
    assert.ok(readBytes <= before.bytes * 1.1, text);
    assert.ok(after.stages.some(({ name }) => name === 'read-ahead'));
    // A profile of it would show what the boot needs, not what it was told to read.
    const without = await boot(ordered!, ['coldseal.read-ahead=off']);
    assert.ok(without.io!.readRequests > before.reads * 0.9, String(without.io!.readRequests));
    assert.not.ok(without.stages.some(({ name }) => name === 'read-ahead'));
  });
}

test.run();
