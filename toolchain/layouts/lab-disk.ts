/** The disk of a layout: a GPT and a partition for each file system, one megabyte apart. */
import { closeSync, ftruncateSync, openSync, statSync } from 'node:fs';
import { alignUp } from '../../runtime/format/bytes.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { readContent } from '../disk/content.ts';
import { ALIGNMENT, diskSizeFor, encodeGpt, type GptPartition, guidOf } from '../disk/gpt.ts';
import { writeAll } from '../disk/write-all.ts';

const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';
const guid = (number: number): Uint8Array =>
  guidOf(`00000000-0000-4000-8000-${String(number).padStart(12, '0')}`);

/** Writes a sparse disk image; the first partition is /dev/vda1. */
export function writeLabDisk(disk: string, fileSystems: readonly string[]): void {
  let offset = ALIGNMENT;
  const partitions = fileSystems.map((path, index): GptPartition => {
    const size = alignUp(statSync(path).size, ALIGNMENT);
    const start = offset;
    offset += size;
    return {
      name: `image-${index}`,
      type: guidOf(LINUX),
      guid: guid(index + 1),
      offset: start,
      size,
      attributes: 0n,
    };
  });
  const size = diskSizeFor(offset);
  let fd: number | undefined;
  try {
    const open = openSync(disk, 'w');
    fd = open;
    ftruncateSync(open, size);
    const { front, back } = encodeGpt({ guid: guid(0), partitions }, size);
    writeAll(open, front, 0);
    writeAll(open, back, size - back.length);
    partitions.forEach(({ offset: start }, index) => {
      readContent({ path: fileSystems[index]! }, (piece, at) => {
        if (!isZero(piece)) writeAll(open, piece, start + at);
      });
    });
  } catch (error) {
    throw explainSysError(error, `Cannot write ${disk}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Holes stay holes. */
function isZero(piece: Uint8Array): boolean {
  const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
  return bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1));
}
