/**
 * Which board this is, as the hardware says: a release for another one must not boot, whatever the policy says.
 *
 * The first `compatible` of the device tree, or vendor and product of SMBIOS. What cannot be read does not match.
 */
import { toByteString } from './format/bytes.ts';
import type { BoardIdentity } from './format/device-policy.ts';
import { ColdsealError } from './format/errors.ts';
import { readSmallFile } from './read-file.ts';
import type { SysFiles } from './sys.ts';

const COMPATIBLE = '/sys/firmware/devicetree/base/compatible';
const SMBIOS = '/sys/class/dmi/id';
const TEXT_MAX = 4096;

/** Throws VERIFY_BOARD_IDENTITY unless this is the board. */
export function checkIdentity(sys: SysFiles, expected: BoardIdentity): void {
  const read = (path: string): string => toByteString(readSmallFile(sys, path, TEXT_MAX));
  let wanted: string;
  let found: string;
  try {
    if (expected.kind === 'devicetree') {
      wanted = expected.compatible;
      found = read(COMPATIBLE).split('\0')[0]!;
    } else {
      const parts = ['sys_vendor', 'product_name'].map((name) => read(`${SMBIOS}/${name}`).trim());
      wanted = [expected.vendor, expected.product].join(' / ');
      found = parts.join(' / ');
    }
  } catch (cause) {
    throw new ColdsealError('VERIFY_BOARD_IDENTITY', 'Cannot tell which board this is', { cause });
  }
  if (found === wanted) return;
  throw new ColdsealError(
    'VERIFY_BOARD_IDENTITY',
    `Cannot boot on ${found}: this initramfs is for ${wanted}`,
  );
}
