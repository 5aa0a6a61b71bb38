/** A device policy as tests want it: every field has a value that is not its neighbour's. */
import type { DevicePolicy } from '../../runtime/format/device-policy.ts';

/** A policy; `changes` replace fields. */
export function testDevicePolicy(changes: Partial<DevicePolicy> = {}): DevicePolicy {
  return {
    product: 'demo',
    board: 'qemu-aarch64',
    isProduction: false,
    algorithms: [-37, -8],
    roles: [2, 3],
    epochs: new Map([
      [1, 7],
      [2, 0],
    ]),
    minDenyVersion: 3,
    verity: 'require',
    identity: { kind: 'devicetree', compatible: 'linux,dummy-virt' },
    modules: ['virtio_blk', 'ext4', 'erofs', 'overlay'],
    storeDeadlineMs: 2000,
    slotCount: 2,
    triesMax: 3,
    onFailure: [
      { action: 'recovery' },
      { action: 'restart', delayS: 5, max: 4 },
      { action: 'halt' },
    ],
    init: '/sbin/init',
    containerEngine: '/usr/bin/crun',
    containerDeadlineMs: 1500,
    containerOutput: 'file',
    ...changes,
  };
}
