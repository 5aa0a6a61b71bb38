/** Flashing: files and loop devices, asked and unasked, interrupted, and media that lie. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PARTITION } from '../../runtime/device-paths.ts';
import { checkDisk, diskExitCode } from '../../toolchain/disk/check-disk.ts';
import { chooseTarget, flashDisk } from '../../toolchain/disk/flash.ts';
import { openDisk, readBootFiles } from '../../toolchain/disk/open-disk.ts';
import { loadTrust } from '../../toolchain/sign/trust-file.ts';
import { type DiskLab, diskLab, flip } from '../support/disk-lab.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';
import { runTool } from '../support/file-systems.ts';
import { testPolicy } from '../support/manifests.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('flash');
const MIB = 1024 * 1024;
const base = tempDir();
let lab: DiskLab;

test.before(async () => {
  requireTool('e2fsck', 'e2fsprogs');
  lab = await diskLab(base.path);
});

const store = (): number =>
  lab.summary.partitions.find(({ name }) => name === PARTITION.STORE)!.offset;

function policy(): ReturnType<typeof testPolicy> {
  return testPolicy({
    anchors: loadTrust(lab.trust),
    roles: [1, 2, 3, 4],
    product: undefined,
    board: undefined,
  });
}

test('a flashed file is the image, and as sparse', async () => {
  const path = join(base.path, 'card.img');
  const stages = new Set<string>();
  const report = await flashDisk(lab.disk, chooseTarget(path, lab.summary.size, false), {
    onProgress: (stage) => stages.add(stage),
  });
  assert.equal([...stages], ['write', 'verify']);
  assert.ok(readFileSync(path).equals(readFileSync(lab.disk)));
  assert.ok(report.written < lab.summary.size / 2);
  assert.ok(statSync(path).blocks * 512 < lab.summary.size / 2);
  assert.is(
    codeOf(() => chooseTarget(path, 1, false)),
    'USAGE_OUTPUT_EXISTS',
  );
  assert.is(
    codeOf(() => chooseTarget('/dev/null', 1, true)),
    'USAGE_FLASH_TARGET',
  );
});

test('a medium that gives back other bytes is refused, and left without a table', async () => {
  const path = join(base.path, 'fake.img');
  const temporary = join(base.path, `.fake.img.${process.pid}.tmp`);
  const target = chooseTarget(path, lab.summary.size, false);
  const flash = flashDisk(lab.disk, target, {
    onProgress: (stage, done) => {
      if (stage === 'verify' && done === MIB) flip(temporary, store() + 5000);
    },
  });
  assert.is(await codeOfRejection(() => flash), 'HOST_FLASH_COMPARE');
  assert.is(statSync(path, { throwIfNoEntry: false }), undefined);
  assert.is(statSync(temporary, { throwIfNoEntry: false }), undefined);
});

/** A loop device over a file of some size. Needs root. */
function loopDevice(path: string, size: number): { device: string } & Disposable {
  requireRoot();
  writeFileSync(path, Buffer.alloc(size, 0xa5));
  const losetup = requireTool('losetup', 'mount');
  const device = runTool(losetup, ['--find', '--show', path]).trim();
  return { device, [Symbol.dispose]: () => void runTool(losetup, ['--detach', device]) };
}

test('a larger device gets its second table at its own end, and is refused while in use', async () => {
  const size = lab.summary.size + 5 * MIB;
  using loop = loopDevice(join(base.path, 'medium'), size);
  const target = chooseTarget(loop.device, lab.summary.size, false);
  const report = await flashDisk(lab.disk, target);
  assert.equal([report.targetBytes, report.imageBytes], [size, lab.summary.size]);
  const said = runTool(requireTool('sgdisk', 'gdisk'), ['--verify', loop.device]);
  assert.match(said, /No problems found/);
  assert.is(diskExitCode(await checkDisk(loop.device, { policy: policy() })), 0);
  using disk = openDisk(loop.device);
  assert.is(readBootFiles(disk).get('kernel')?.length, 8);
  assert.is(
    codeOf(() => chooseTarget(loop.device, size + 1, false)),
    'USAGE_TARGET_TOO_SMALL',
  );
  const other = requireTool('mount', 'mount');
  const place = join(base.path, 'mounted');
  mkdirSync(place);
  runTool(other, ['-o', `ro,loop,offset=${store()}`, '-t', 'ext4', lab.disk, place]);
  try {
    const source = runTool(requireTool('findmnt', 'util-linux'), ['-no', 'SOURCE', place]).trim();
    assert.is(
      codeOf(() => chooseTarget(source, 1, true)),
      'USAGE_DEVICE_IN_USE',
    );
  } finally {
    runTool(requireTool('umount', 'mount'), [place]);
  }
});

test('a device is overwritten after the right answer only', async () => {
  using loop = loopDevice(join(base.path, 'asked'), lab.summary.size);
  const line = `'${process.execPath}' '${CLI_PATH}' disk flash '${lab.disk}' ${loop.device}`;
  const flash = (answer: string): { status: number | null; said: string } => {
    const terminal = ['--quiet', '--return', '--command', line, '/dev/null'];
    const { status, stdout } = spawnSync(requireTool('script', 'bsdutils'), terminal, {
      input: answer,
    });
    return { status, said: stdout.toString() };
  };
  const unasked = spawnSync('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'] });
  assert.match(`${unasked.status} ${unasked.stderr.toString()}`, /^2 .*USAGE_NOT_CONFIRMED/s);
  const no = flash('yes\n');
  assert.is(no.status, 2, no.said);
  assert.match(no.said, /NOT removable/);
  assert.match(no.said, /USAGE_NOT_CONFIRMED/);
  assert.is(
    codeOf(() => openDisk(loop.device)),
    'FORMAT_GPT',
  );
  const yes = flash(`${basename(loop.device)}\n`);
  assert.is(yes.status, 0, yes.said);
  assert.match(yes.said, /flashed .* all compared/);
});

test('an interrupted flash leaves a medium without a partition table', async () => {
  using loop = loopDevice(join(base.path, 'halfway'), lab.summary.size + MIB);
  const target = chooseTarget(loop.device, lab.summary.size, false);
  await flashDisk(lab.disk, target);
  const stop = new AbortController();
  const stopped = flashDisk(lab.disk, target, {
    signal: stop.signal,
    onProgress: (_, done) => done > lab.summary.size / 2 && stop.abort(),
  });
  assert.is(
    await stopped.then(
      () => 'done',
      (error: Error) => error.name,
    ),
    'AbortError',
  );
  assert.is(
    codeOf(() => openDisk(loop.device)),
    'FORMAT_GPT',
  );
  const { status, stdout } = spawnSync(requireTool('sgdisk', 'gdisk'), ['--print', loop.device]);
  assert.not.match(`${status}${stdout.toString()}`, /coldseal/);
});

test.run();
