/** What may be overwritten: facts about a device from a made-up sysfs, and what is refused because of them. */
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makedev } from '../../runtime/format/device-number.ts';
import { createOutput } from '../../toolchain/cli/output.ts';
import { deviceLines, diskFlash } from '../../toolchain/commands/disk-flash.ts';
import {
  type DeviceFacts,
  type DeviceWorld,
  inspectDevice,
} from '../../toolchain/disk/block-device.ts';
import { chooseTarget } from '../../toolchain/disk/flash.ts';
import { codeOf } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('disk: what may be flashed');

/** Attributes by path below /sys, and the links by device number. */
function worldOf(dir: string, mountinfo: string): DeviceWorld {
  const sys = join(dir, 'sys');
  const write = (path: string, text: string): void => {
    mkdirSync(join(sys, path, '..'), { recursive: true });
    writeFileSync(join(sys, path), `${text}\n`);
  };
  const device = (path: string, number: string, sectors: number): void => {
    write(`${path}/dev`, number);
    write(`${path}/size`, String(sectors));
    write(`${path}/ro`, '0');
    mkdirSync(join(sys, path, 'holders'), { recursive: true });
    mkdirSync(join(sys, 'dev/block'), { recursive: true });
    symlinkSync(join(sys, path), join(sys, 'dev/block', number));
  };
  device('devices/usb/sdb', '8:16', 2_000_000);
  write('devices/usb/sdb/removable', '1');
  write('devices/usb/sdb/device/vendor', 'Example ');
  write('devices/usb/sdb/device/model', 'Card Reader');
  device('devices/usb/sdb/sdb1', '8:17', 1_000_000);
  write('devices/usb/sdb/sdb1/partition', '1');
  write('devices/usb/sdb/sdb1/uevent', 'DEVNAME=sdb1\nPARTNAME=photos');
  device('devices/pci/sda', '8:0', 4_000_000);
  device('devices/pci/sda/sda1', '8:1', 3_000_000);
  write('devices/pci/sda/sda1/partition', '1');
  device('devices/virtual/dm-0', '253:0', 3_000_000);
  symlinkSync(join(sys, 'devices/virtual/dm-0'), join(sys, 'devices/pci/sda/sda1/holders/dm-0'));
  const paths = { mountinfo: join(dir, 'mountinfo'), swaps: join(dir, 'swaps') };
  writeFileSync(paths.mountinfo, mountinfo);
  writeFileSync(paths.swaps, 'Filename Type Size Used Priority\n');
  return { sys, ...paths };
}

test('a device is described with what is on it', () => {
  using dir = tempDir();
  const facts = inspectDevice(makedev(8, 16), worldOf(dir.path, ''));
  assert.equal(facts, {
    name: 'sdb',
    size: 1_024_000_000,
    model: 'Example Card Reader',
    isRemovable: true,
    isReadOnly: false,
    sectorSize: 512,
    partitionOf: undefined,
    partitions: [{ name: 'sdb1', label: 'photos', size: 512_000_000 }],
    uses: [],
  });
  assert.equal(deviceLines('/dev/sdb', facts), [
    '/dev/sdb: Example Card Reader, 976.6 MiB, removable',
    '  sdb1  488.3 MiB  photos',
  ]);
});

test('a partition names its disk', () => {
  using dir = tempDir();
  const { name, partitionOf, model } = inspectDevice(makedev(8, 17), worldOf(dir.path, ''));
  assert.equal([name, partitionOf, model], ['sdb1', 'sdb', 'Example Card Reader']);
});

test('a mounted partition, or what is stacked on one, makes the whole disk used', () => {
  using dir = tempDir();
  const world = worldOf(
    dir.path,
    '30 1 8:17 / /media/my\\040card rw - vfat /dev/none rw\n31 1 253:0 / / rw - ext4 /dev/none rw\n',
  );
  assert.equal(inspectDevice(makedev(8, 16), world).uses, ['sdb1 is mounted on /media/my card']);
  // The system's disk: the root is on LVM, on a partition of it.
  assert.equal(inspectDevice(makedev(8, 0), world).uses, [
    'dm-0 is mounted on /',
    'sda1 is part of dm-0',
  ]);
});

test('a device that sysfs does not know is refused', () => {
  using dir = tempDir();
  const world = worldOf(dir.path, '');
  assert.is(
    codeOf(() => inspectDevice(makedev(9, 9), world)),
    'HOST_DEVICE_UNKNOWN',
  );
});

const FACTS: DeviceFacts = {
  name: 'sdb',
  size: 1000,
  model: '',
  isRemovable: false,
  isReadOnly: false,
  sectorSize: 512,
  partitionOf: undefined,
  partitions: [],
  uses: [],
};

/** A block device that every Linux machine has, never opened here; skipped where there is none. */
const BLOCK_DEVICE = ['/dev/loop0', '/dev/ram0', '/dev/sda', '/dev/vda', '/dev/nvme0n1'].find(
  (path) => statSync(path, { throwIfNoEntry: false })?.isBlockDevice() === true,
);

test('targets are refused for each reason', () => {
  if (BLOCK_DEVICE === undefined) return;
  const choose = (facts: Partial<DeviceFacts>, size: number, force: boolean): string => {
    return codeOf(() => chooseTarget(BLOCK_DEVICE, size, force, () => ({ ...FACTS, ...facts })));
  };
  const cases = [
    [{}, 1000, false, 'nothing was thrown'],
    [{}, 1001, true, 'USAGE_TARGET_TOO_SMALL'],
    [{ uses: ['sdb1 is mounted on /'] }, 1, true, 'USAGE_DEVICE_IN_USE'],
    [{ sectorSize: 4096 }, 1, true, 'USAGE_FLASH_TARGET'],
    [{ isReadOnly: true }, 1, true, 'USAGE_FLASH_TARGET'],
    [{ partitionOf: 'sdb' }, 1, false, 'USAGE_FLASH_TARGET'],
    [{ partitionOf: 'sdb' }, 1, true, 'nothing was thrown'],
  ] as const;
  for (const [facts, size, force, code] of cases) {
    assert.is(choose(facts, size, force), code, JSON.stringify(facts));
  }
});

test('what is no disk is not flashed', async () => {
  using dir = tempDir();
  const image = join(dir.path, 'image');
  writeFileSync(image, 'no disk');
  const quiet = {
    write: (_: unknown, done: () => void): boolean => (done(), true),
    on: () => undefined,
  };
  const { output } = createOutput(
    { json: false, quiet: true, color: 'never' },
    {
      stdout: quiet,
      stderr: quiet,
      env: {},
      nowMs: () => 0,
      interrupted: () => new AbortController().signal,
    },
  );
  const run = (): Promise<number | void> =>
    diskFlash.run([image, join(dir.path, 'card')], { yes: false, force: false }, output);
  const code = await run().then(
    () => '',
    (error: { code: string }) => error.code,
  );
  assert.is(code, 'FORMAT_GPT');
});

test.run();
