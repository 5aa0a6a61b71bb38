/**
 * The fs-verity descriptor, as far as composefs uses it: no salt, no built-in signature, blocks of 4096 bytes.
 *
 * Apart from fsverity.ts, so that what only asks for an algorithm's digest size does not carry the record to a device.
 */
import { always8, always32, byteArray, struct, u64, u8, zeros } from './struct.ts';

/** What is hashed last: its hash is the fs-verity digest. */
export const FsverityDescriptor = struct(
  'fs-verity descriptor',
  256,
  'Linux fs/verity/fsverity_private.h, struct fsverity_descriptor',
  {
    version: [0x00, always8(1, 'descriptor version')],
    hash_algorithm: [0x01, u8('1 SHA-256, 2 SHA-512')],
    log_blocksize: [0x02, always8(12, 'log2 of the block size')],
    salt_size: [0x03, always8(0, 'no salt')],
    sig_size: [0x04, always32(0, 'no built-in signature')],
    data_size: [0x08, u64('size of the file')],

    root_hash: [
      0x10,
      byteArray(64, 'root of the Merkle tree, zero padded; all zero for an empty file'),
    ],
    salt: [0x50, zeros(32, 'salt: zero')],
    reserved: [0x70, zeros(144)],
  },
);
