/** Releases with a boot profile: where files are on the disk, what is sealed in to be read ahead, what is refused. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PARTITION } from '../../runtime/device-paths.ts';
import { Ext4Reader, type FoundFile } from '../../toolchain/disk/ext4-reader.ts';
import { openDisk, partitionOf, readPartition } from '../../toolchain/disk/open-disk.ts';
import { profileOfList } from '../../toolchain/profile/profile-list.ts';
import { encodeProfile } from '../../toolchain/profile/profile-schema.ts';
import { readReleaseContents } from '../../toolchain/profile/release-content.ts';
import { textReport } from '../../toolchain/release/report.ts';
import { bootLab } from '../support/boot-lab.ts';
import type { BootsetLab } from '../support/bootset-lab.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';

const test = suite('boot order');
const BLOCK = 4096;
/** An object that no release has. */
const GONE = {
  kind: 'object',
  digest: 'ab'.repeat(32),
  size: 1,
  names: ['root:/none'],
  stage: 'containers',
  ranges: [[0, 1]],
  treeBlocks: 0,
};

const readJson = (path: string): object => JSON.parse(readFileSync(path, 'utf8')) as object;

/** Of a release: its containers' program first, then its init. */
function makeProfile(lab: BootsetLab, lines: string, board = 'test-board'): string {
  const release = readReleaseContents(join(lab.path, 'out'));
  const { profile } = profileOfList(lines, 'list', release, board);
  const path = join(lab.path, 'boot.profile');
  writeFileSync(path, encodeProfile(profile));
  return path;
}

const LINES = 'app:/rootfs/bin/app\n/usr/sbin/init\napp:/config.json\n';

function storeOf(release: string): { files: FoundFile[]; reader: Ext4Reader; disk: Buffer } {
  const path = join(release, 'disk.img');
  using disk = openDisk(path);
  const store = partitionOf(disk, PARTITION.STORE);
  const reader = new Ext4Reader(readPartition(disk, store), store.size);
  return { files: reader.files(), reader, disk: readFileSync(path) };
}

/** The list in an initramfs that is not compressed. */
function sealedList(release: string): string[] | undefined {
  const text = readFileSync(join(release, 'initramfs.cpio'), 'latin1');
  const at = text.indexOf('coldseal/read-ahead\0');
  if (at < 0) return undefined;
  const content = text.slice(at + 'coldseal/read-ahead\0'.length).replace(/^\0+/, '');
  return content.split('\0')[0]!.split('\n');
}

test('a release with a profile: the same images, its files side by side, the list sealed in', async () => {
  using lab = bootLab();
  const plain = await lab.release();
  const profile = makeProfile(lab, LINES);
  const output = join(lab.path, 'ordered');
  const built = await lab.release({ output, profile });
  const { boot, manifest } = built;
  assert.equal(manifest.images, plain.manifest.images);
  const { files, reader } = storeOf(output);
  const names = boot!.order!.order;
  assert.is(names.length, 5);
  const blocks = names.flatMap((name) =>
    files
      .find(({ path }) => path === name)!
      .runs.flatMap(({ physical, count }) => Array.from({ length: count }, (_, i) => physical + i)),
  );
  assert.equal(
    blocks,
    blocks.map((_, index) => blocks[0]! + index),
  );
  const list = sealedList(output)!;
  assert.equal(
    list.slice(1).map((line) => line.split(' ')[0]!.replace('+', '')),
    names,
  );
  // Its first line covers the directories and the inodes that lead to them, where they really are.
  const numbers = list[0]!.trim().split(' ').map(Number);
  const isCovered = (block: number): boolean =>
    numbers.some((from, i) => {
      return i % 2 === 0 && from <= block * BLOCK && block * BLOCK < from + numbers[i + 1]!;
    });
  for (const { path, runs } of reader.directories) {
    const leads = path === '' || names.some((name) => name.startsWith(`${path}/`));
    if (leads) assert.ok(isCovered(runs[0]!.physical), path);
  }
  assert.ok(isCovered(reader.inodeTables[0]!.physical));
  const record = JSON.parse(readFileSync(join(output, 'release.json'), 'utf8')) as {
    boot: { order: { profileSha256: string; coverage: object; readAhead: { files: number } } };
  };
  const { order } = record.boot;
  assert.is(order.profileSha256, createHash('sha256').update(readFileSync(profile)).digest('hex'));
  assert.equal(order.coverage, boot!.order!.coverage);
  assert.is(order.readAhead.files, names.length + 1);
  const text = textReport(built, output).join('\n');
  assert.match(text, /^boot order {4}5 of 5 files .*, 100 %; \d.* are read ahead$/m);
});

test('the disk alone is ordered when nothing is to be read ahead', async () => {
  using lab = bootLab();
  await lab.release();
  const output = join(lab.path, 'ordered');
  const profile = makeProfile(lab, LINES);
  const { boot } = await lab.release({ output, profile, noReadAhead: true });
  assert.is(sealedList(output), undefined);
  assert.is(boot!.order!.readAhead, undefined);
  const same = ['initramfs.cpio', 'kernel'].map((name) =>
    readFileSync(join(output, name)).equals(readFileSync(join(lab.path, 'out', name))),
  );
  assert.equal(same, [true, true]);
  assert.not.ok(storeOf(output).disk.equals(storeOf(join(lab.path, 'out')).disk));
});

test('a profile of an older release serves a newer one by its names, and one of nothing is told', async () => {
  using lab = bootLab();
  await lab.release();
  const profile = makeProfile(lab, LINES);
  lab.write('bundle/rootfs/bin/app', 'newer '.repeat(600));
  const newer = await lab.release({ output: join(lab.path, 'newer'), profile });
  const { byDigest, byName, records } = newer.boot!.order!.coverage;
  // The program and the image that holds it are others now.
  assert.equal([records, byDigest, byName], [5, 3, 2]);
  const warnings: string[] = [];
  const other = { ...readJson(profile), records: [GONE] };
  writeFileSync(profile, JSON.stringify(other));
  const onWarning = (text: string): void => void warnings.push(text);
  await lab.release({ output: join(lab.path, 'none'), profile, onWarning });
  assert.equal(
    warnings.filter((text) => text.includes('profile')),
    ['the profile is of no use: the release has none of its 1 files'],
  );
});

test('a profile that cannot be used is refused before any work', async () => {
  using lab = bootLab();
  await lab.release();
  const output = join(lab.path, 'refused');
  const refused = (change: Parameters<BootsetLab['release']>[0]): Promise<string> =>
    codeOfRejection(() => lab.release({ output, ...change }));
  const profile = makeProfile(lab, LINES, 'qemu-aarch64');
  assert.is(await refused({ profile }), 'CONFIG_PROFILE_BOARD');
  assert.is(await refused({ profile: join(lab.path, 'BOOTSET.yaml') }), 'FORMAT_PROFILE');
  assert.is(await refused({ profile: join(lab.path, 'none') }), 'HOST_NOT_FOUND');
  assert.is(await refused({ profile, noDisk: true }), 'USAGE_OPTION_CONFLICT');
  assert.is(await refused({ noReadAhead: true }), 'USAGE_OPTION_CONFLICT');
});

test('a release that is none is refused by its record', async () => {
  using lab = bootLab();
  writeFileSync(join(lab.path, 'release.json'), '{"images": []}');
  assert.is(
    codeOf(() => readReleaseContents(lab.path)),
    'FORMAT_RELEASE_JSON',
  );
  writeFileSync(join(lab.path, 'release.json'), 'x');
  assert.is(
    codeOf(() => readReleaseContents(lab.path)),
    'FORMAT_RELEASE_JSON',
  );
});

test.run();
