/** The kernel inside an x86 image: unpacked as its header says, refused when the header lies. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unpackKernel } from '../../toolchain/disk/unpack-kernel.ts';
import { codeOfRejection } from '../support/expect-code.ts';
import { fakeKernel } from '../support/fake-kernel.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('unpack-kernel');

const VMLINUX = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(100_000, 7)]);
const SETUP_SECTORS = 15;
const OFFSET = 0x2c4;

/** An image around a payload. */
function image(payload: Uint8Array, change: (bytes: Buffer) => void = () => undefined): Buffer {
  const header = Buffer.alloc((SETUP_SECTORS + 1) * 512 + OFFSET);
  fakeKernel('x86_64', '6.12.9-test').copy(header);
  header[0x1f1] = SETUP_SECTORS;
  header.writeUInt16LE(0x20f, 0x206);
  header.writeUInt32LE(OFFSET, 0x248);
  header.writeUInt32LE(payload.length, 0x24c);
  const bytes = Buffer.concat([header, payload, Buffer.alloc(64)]);
  change(bytes);
  return bytes;
}

/** As the kernel's build does it behind everything but gzip. */
function withSize(packed: Uint8Array, size: number): Buffer {
  const end = Buffer.alloc(4);
  end.writeUInt32LE(size);
  return Buffer.concat([packed, end]);
}

async function unpack(bytes: Uint8Array): Promise<Buffer> {
  using dir = tempDir();
  return await unpackKernel(bytes, dir.path);
}

test('what comes out is what was packed in, whatever packed it', async () => {
  assert.ok((await unpack(image(gzipSync(VMLINUX)))).equals(VMLINUX));
  using dir = tempDir();
  const path = join(dir.path, 'vmlinux');
  writeFileSync(path, VMLINUX);
  for (const [tool, flags, debian] of [
    ['zstd', ['-qc', '-22', '--ultra'], 'zstd'],
    ['lz4', ['-lqc'], 'lz4'],
    ['xz', ['-qc', '--check=crc32'], 'xz-utils'],
  ] as const) {
    const { stdout } = spawnSync(requireTool(tool, debian), [...flags, path]);
    const unpacked = await unpack(image(withSize(stdout, VMLINUX.length)));
    assert.ok(unpacked.equals(VMLINUX), tool);
  }
});

const PACKED = gzipSync(VMLINUX);
const REFUSED: readonly (readonly [what: string, bytes: Uint8Array, problem: RegExp])[] = [
  ['nothing', Buffer.alloc(0), /no bzImage/],
  ['no header', Buffer.alloc(4096), /no bzImage/],
  ['a kernel for ARM', fakeKernel('aarch64', '6.12.9-test'), /no bzImage/],
  ['an old protocol', image(PACKED, (b) => b.writeUInt16LE(0x207, 0x206)), /no bzImage/],
  ['no payload', image(PACKED, (b) => b.writeUInt32LE(0, 0x24c)), /payload has 0 bytes/],
  [
    'a payload beyond the end',
    image(PACKED, (b) => b.writeUInt32LE(1e9, 0x24c)),
    /1000000000 bytes/,
  ],
  [
    'an offset beyond the end',
    image(PACKED, (b) => b.writeUInt32LE(0xffff_ffff, 0x248)),
    /from 429/,
  ],
  ['an unknown compression', image(Buffer.from('PACKED KERNEL')), /unknown way \(5041434b4544\)/],
  [
    'damaged data',
    image(Buffer.concat([PACKED.subarray(0, 20), PACKED.subarray(-8)])),
    /gzip exited/,
  ],
  ['a size that is another', image(withSize(PACKED, 5)), /gzip exited|bytes came out, expected 5/],
  ['a size beyond reason', image(withSize(PACKED, 2 ** 31)), /2147483648 bytes, expected at most/],
  ['something else', image(gzipSync('a'.repeat(1000))), /no ELF file/],
];

for (const [what, bytes, problem] of REFUSED) {
  test(`refused: ${what}`, async () => {
    assert.is(await codeOfRejection(() => unpack(bytes)), 'FORMAT_KERNEL_PAYLOAD');
    const message = await unpack(bytes).catch((error: Error) => error.message);
    assert.match(String(message), problem);
  });
}

test.run();
