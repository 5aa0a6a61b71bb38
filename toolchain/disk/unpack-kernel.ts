/**
 * The kernel that is packed inside an x86 kernel image (bzImage), as the image's own code would unpack it.
 *
 * The header says where the packed kernel is. Its first bytes tell the compression, its last four the size of what
 * comes out; what comes out is the ELF file vmlinux without symbols, which machines with a PVH entry start directly.
 *
 * Source: Linux Documentation/arch/x86/boot.rst (payload_offset, payload_length), scripts/Makefile.lib (size_append).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { lastLines, runTool } from '../host/run-tool.ts';

const HEADER = { setupSectors: 0x1f1, magic: 0x202, version: 0x206, offset: 0x248, length: 0x24c };
const HEADER_BYTES = 0x250;
/** Since this version of the boot protocol the header has the two payload fields. */
const VERSION_MIN = 0x0208;
const SECTOR = 512;
/** Where the header says 0 sectors of set-up code, there are so many. */
const SETUP_SECTORS_OLD = 4;
const SIZE_BYTES = 4;
/** A kernel with everything built in and debugging on has a quarter of it. */
const KERNEL_BYTES_MAX = 512 * 1024 * 1024;

interface Format {
  readonly magic: string;
  readonly argv: readonly [string, ...string[]];
  readonly debian: string;
  /** gzip ends in the size by itself; behind the others the kernel's build has put it. */
  readonly hasOwnSize?: true;
}

const FORMATS: readonly Format[] = [
  { magic: '28b52ffd', argv: ['zstd', '-dcq'], debian: 'zstd' },
  { magic: '02214c18', argv: ['lz4', '-dcq'], debian: 'lz4' },
  { magic: '1f8b', argv: ['gzip', '-dc'], debian: 'gzip', hasOwnSize: true },
  { magic: 'fd377a58', argv: ['xz', '-dc'], debian: 'xz-utils' },
];

/** Unpacks an image, with a working file in a directory. Throws FORMAT_KERNEL_PAYLOAD, HOST_TOOL_*. */
export async function unpackKernel(
  image: Uint8Array,
  workDir: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  const payload = payloadOf(image);
  const start = payload.toString('hex', 0, 6);
  const format = FORMATS.find(({ magic }) => start.startsWith(magic));
  if (format === undefined) {
    const known = FORMATS.map(({ argv: [name] }) => name).join(', ');
    throw refuse(`it is packed in an unknown way (${start}), expected one of ${known}`);
  }
  const size = payload.readUInt32LE(payload.length - SIZE_BYTES);
  if (size > KERNEL_BYTES_MAX) {
    throw refuse(`it unpacks to ${size} bytes, expected at most ${KERNEL_BYTES_MAX}`);
  }
  const path = join(workDir, 'packed-kernel');
  writeFileSync(path, format.hasOwnSize === true ? payload : payload.subarray(0, -SIZE_BYTES));
  const { argv, debian } = format;
  const { code, stdout, stderr } = await runTool([...argv, path], { debian, signal });
  if (code !== 0) throw refuse(`${argv[0]} exited with ${code}`, lastLines(stderr));
  if (stdout.length !== size) {
    throw refuse(`${stdout.length} bytes came out, expected ${size}`);
  }
  if (stdout.toString('latin1', 0, 4) !== '\x7fELF') throw refuse('what came out is no ELF file');
  return stdout;
}

function payloadOf(image: Uint8Array): Buffer {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  const isImage =
    bytes.length >= HEADER_BYTES &&
    bytes.toString('latin1', HEADER.magic, HEADER.magic + 4) === 'HdrS' &&
    bytes.readUInt16LE(HEADER.version) >= VERSION_MIN;
  if (!isImage) throw refuse('it is no bzImage with a payload');
  const sectors = bytes[HEADER.setupSectors] || SETUP_SECTORS_OLD;
  const start = (sectors + 1) * SECTOR + bytes.readUInt32LE(HEADER.offset);
  const length = bytes.readUInt32LE(HEADER.length);
  if (length <= SIZE_BYTES || start + length > bytes.length) {
    throw refuse(
      `its payload has ${length} bytes from ${start} on, of ${bytes.length} in the file`,
    );
  }
  return bytes.subarray(start, start + length);
}

function refuse(problem: string, hint?: string): ColdsealError {
  return new ColdsealError('FORMAT_KERNEL_PAYLOAD', `Cannot unpack the kernel: ${problem}`, {
    hint: hint ?? 'leave virtual.unpack_kernel out: then the kernel unpacks itself',
  });
}
