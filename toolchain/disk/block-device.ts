/**
 * What a block device is and who uses it, asked of sysfs and the mount table.
 *
 * Used means: it, one of its partitions, or something stacked on them (LVM, dm-crypt, RAID) is mounted or swapped to.
 * So the disk that the system runs from is always in use. Whoever opens the device still asks for it exclusively: the
 * kernel has the last word. Source: Linux Documentation/ABI/testing/sysfs-block, proc_pid_mountinfo(5).
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { majorOf, minorOf } from '../../runtime/format/device-number.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';

export interface DeviceFacts {
  /** The kernel's name: `sdb`. */
  readonly name: string;
  readonly size: number;
  /** Vendor and model as the device says them; empty when it does not. */
  readonly model: string;
  readonly isRemovable: boolean;
  readonly isReadOnly: boolean;
  /** Bytes of the sectors that its partition table would be counted in. */
  readonly sectorSize: number;
  /** The disk that this is a partition of. */
  readonly partitionOf: string | undefined;
  /** Names of its partitions with their labels. */
  readonly partitions: readonly {
    readonly name: string;
    readonly label: string;
    readonly size: number;
  }[];
  /** Why it must not be written: `sdb1 is mounted on /media/card`. */
  readonly uses: readonly string[];
}

/** Where to look; tests have their own. */
export interface DeviceWorld {
  readonly sys: string;
  readonly mountinfo: string;
  readonly swaps: string;
}

const WORLD: DeviceWorld = {
  sys: '/sys',
  mountinfo: '/proc/self/mountinfo',
  swaps: '/proc/swaps',
};

const SYSFS_SECTOR = 512;

/** What is known about the block device with a device number. */
export function inspectDevice(device: number, world: DeviceWorld = WORLD): DeviceFacts {
  const number = `${majorOf(device)}:${minorOf(device)}`;
  const link = join(world.sys, 'dev/block', number);
  if (!existsSync(link)) {
    throw new ColdsealError(
      'HOST_DEVICE_UNKNOWN',
      `Cannot find out what block device ${number} is: expected ${link}`,
      { hint: 'mount /sys' },
    );
  }
  const dir = realpathSync(link);
  const isPartition = existsSync(join(dir, 'partition'));
  const partitions = readdirSync(dir).filter((name) => existsSync(join(dir, name, 'partition')));
  const parent = join(dir, '..');
  const text = (path: string): string => readText(join(isPartition ? parent : dir, path));
  return {
    name: nameOf(dir),
    size: Number(readText(join(dir, 'size'))) * SYSFS_SECTOR,
    model: `${text('device/vendor')} ${text('device/model')}`.trim(),
    isRemovable: text('removable') === '1',
    isReadOnly: readText(join(dir, 'ro')) === '1',
    sectorSize: Number(text('queue/logical_block_size')) || SYSFS_SECTOR,
    partitionOf: isPartition ? nameOf(realpathSync(parent)) : undefined,
    partitions: partitions.sort().map((name) => ({
      name,
      label: /^PARTNAME=(.*)$/m.exec(readText(join(dir, name, 'uevent')))?.[1] ?? '',
      size: Number(readText(join(dir, name, 'size'))) * SYSFS_SECTOR,
    })),
    uses: usesOf([dir, ...partitions.map((name) => join(dir, name))], world),
  };
}

/** Every use of some devices and of what is stacked on them. */
function usesOf(dirs: readonly string[], world: DeviceWorld): string[] {
  const mounts = mountsByDevice(world.mountinfo);
  const swaps = swapDevices(world.swaps);
  const uses: string[] = [];
  const seen = new Set<string>();
  const waiting = dirs.map((dir) => realpathSync(dir));
  for (let dir = waiting.pop(); dir !== undefined; dir = waiting.pop()) {
    if (seen.has(dir)) continue;
    seen.add(dir);
    const name = nameOf(dir);
    const number = readText(join(dir, 'dev'));
    for (const place of mounts.get(number) ?? []) uses.push(`${name} is mounted on ${place}`);
    if (swaps.has(number)) uses.push(`${name} is swap space`);
    const holders = join(dir, 'holders');
    for (const holder of existsSync(holders) ? readdirSync(holders).sort() : []) {
      uses.push(`${name} is part of ${holder}`);
      waiting.push(realpathSync(join(holders, holder)));
    }
  }
  return uses.sort();
}

/** Mount points by device number. Btrfs and others mount under a number of their own, so the source counts too. */
function mountsByDevice(path: string): Map<string, Set<string>> {
  const mounts = new Map<string, Set<string>>();
  const add = (number: string | undefined, place: string): void => {
    if (number === undefined) return;
    const places = mounts.get(number);
    if (places === undefined) mounts.set(number, new Set([place]));
    else places.add(place);
  };
  for (const line of readText(path).split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , number, , place] = before.split(' ');
    if (number === undefined || place === undefined) continue;
    const shown = unescapeOctal(place);
    add(number, shown);
    const source = after.split(' ')[1];
    if (source?.startsWith('/') === true) add(deviceNumber(unescapeOctal(source)), shown);
  }
  return mounts;
}

function swapDevices(path: string): Set<string> {
  const lines = readText(path).split('\n').slice(1);
  const numbers = lines.map((line) => deviceNumber(unescapeOctal(line.split(/\s/)[0]!)));
  return new Set(numbers.filter((number) => number !== undefined));
}

function deviceNumber(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isBlockDevice() !== true) return undefined;
  return `${majorOf(stat.rdev)}:${minorOf(stat.rdev)}`;
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function nameOf(dir: string): string {
  return dir.slice(dir.lastIndexOf('/') + 1);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    // An attribute that a kind of device does not have.
    return '';
  }
}
