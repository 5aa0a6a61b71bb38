/**
 * fs-verity on Node: the kernel's measure, enable and read calls on an open file.
 *
 * Sources: include/uapi/linux/fsverity.h; the ioctl numbers are `_IOW('f', 133, 128 bytes)`, `_IOWR('f', 134, 4 bytes)`
 * and `_IOWR('f', 135, 40 bytes)` of the generic encoding that x86-64 and aarch64 share.
 */
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
  verityAlgorithmOfId,
} from '../../format/fsverity.ts';
import { SysError } from '../../sys-error.ts';
import type { KernelMeasurement } from '../../sys.ts';
import { libc } from './libc.ts';

const FS_IOC_ENABLE_VERITY = 0x40806685;
const FS_IOC_MEASURE_VERITY = 0xc0046686;
const FS_IOC_READ_VERITY_METADATA = 0xc0286687;
const MERKLE_TREE = 1n;
const DIGEST_SIZE_MAX = 64;

/** Errnos by which a file system says that it has no fs-verity at all. */
const UNSUPPORTED = new Set(['ENOTTY', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']);

const measureArgument = Buffer.alloc(4 + DIGEST_SIZE_MAX);
const enableArgument = Buffer.alloc(128);

/** What the kernel measures of an open file, or why it does not. */
export function measureVerity(fd: number): KernelMeasurement {
  const { ioctl, address, errnoName } = libc();
  measureArgument.fill(0).writeUInt16LE(DIGEST_SIZE_MAX, 2);
  if (ioctl(fd, FS_IOC_MEASURE_VERITY, address(measureArgument)) !== 0) {
    const errno = errnoName();
    if (errno === 'ENODATA') return { verity: 'not-enabled' };
    if (UNSUPPORTED.has(errno)) return { verity: 'unsupported' };
    throw new SysError('FS_IOC_MEASURE_VERITY', errno);
  }
  const id = measureArgument.readUInt16LE(0);
  const size = measureArgument.readUInt16LE(2);
  const algorithm = verityAlgorithmOfId(id);
  if (algorithm === undefined) {
    throw new SysError('FS_IOC_MEASURE_VERITY', 'EINVAL', `algorithm ${id}`);
  }
  return { verity: 'measured', algorithm, digest: measureArgument.toString('hex', 4, 4 + size) };
}

/**
 * Turns fs-verity on for a file opened read-only that nobody has open for writing. Returns false when the
 * file system cannot, true when it is on now (also when it was already).
 */
export function enableVerity(fd: number, algorithm: VerityAlgorithm): boolean {
  const { ioctl, address, errnoName } = libc();
  enableArgument.fill(0);
  enableArgument.writeUInt32LE(1, 0);
  enableArgument.writeUInt32LE(VERITY_ALGORITHMS[algorithm].id, 4);
  enableArgument.writeUInt32LE(VERITY_BLOCK_SIZE, 8);
  if (ioctl(fd, FS_IOC_ENABLE_VERITY, address(enableArgument)) === 0) return true;
  const errno = errnoName();
  if (errno === 'EEXIST') return true;
  if (UNSUPPORTED.has(errno)) return false;
  throw new SysError('FS_IOC_ENABLE_VERITY', errno);
}

/** Reads a file's whole Merkle tree into the kernel's cache; what the kernel hands over is dropped. */
export function readTree(fd: number): void {
  const { ioctl, address, errnoName } = libc();
  const dropped = Buffer.alloc(64 * 1024);
  const argument = Buffer.alloc(40);
  argument.writeBigUInt64LE(MERKLE_TREE, 0);
  argument.writeBigUInt64LE(BigInt(dropped.length), 16);
  argument.writeBigUInt64LE(address(dropped), 24);
  let count: number;
  do {
    count = ioctl(fd, FS_IOC_READ_VERITY_METADATA, address(argument));
    if (count < 0) throw new SysError('FS_IOC_READ_VERITY_METADATA', errnoName());
    argument.writeBigUInt64LE(argument.readBigUInt64LE(8) + BigInt(count), 8);
  } while (count > 0);
}
