/** What goes into an initramfs, what it must not weigh, and what of a kernel is refused before it is built in. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadBoard } from '../../toolchain/board/load.ts';
import {
  compressArchive,
  INITRAMFS_BYTES_MAX,
  initramfsArchive,
  initramfsName,
} from '../../toolchain/disk/initramfs.ts';
import { describeKernel, hasKernel, readBoardKernel } from '../../toolchain/disk/kernel.ts';
import { loadKernelModules } from '../../toolchain/disk/kernel-modules.ts';
import { devicePolicyOf, sealedPolicy } from '../../toolchain/disk/policy.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';
import { fakeKernel, fakeModule, KERNEL_BOARD, writeKernelBoard } from '../support/fake-kernel.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('initramfs');
const bytes = (text: string): Uint8Array => Buffer.from(text);
const PARTS = { init: bytes('ELF'), policy: bytes('policy'), trust: bytes('trust'), modules: [] };

/** Names of the entries of an archive. */
function namesIn(archive: Uint8Array): string[] {
  const text = Buffer.from(archive).toString('latin1');
  return [...text.matchAll(/070701[0-9a-f]{104}([^\0]+)\0/g)].map(([, name]) => name!);
}

test('the archive has what the runtime looks for, and nothing else', () => {
  assert.equal(namesIn(initramfsArchive(PARTS)), [
    'coldseal',
    'coldseal/policy.cbor',
    'coldseal/trust.cbor',
    'dev',
    'dev/console',
    'init',
    'proc',
    'run',
    'sys',
    'sysroot',
    'TRAILER!!!',
  ]);
  const modules = ['virtio_blk', 'erofs'].map((name) => ({ name, bytes: bytes(name) }));
  const names = namesIn(initramfsArchive({ ...PARTS, modules }));
  assert.equal(
    names.filter((name) => name.startsWith('coldseal/modules')),
    ['coldseal/modules', 'coldseal/modules/erofs.ko', 'coldseal/modules/virtio_blk.ko'],
  );
});

test('without modules it has a limit; modules do not count', () => {
  const room = INITRAMFS_BYTES_MAX - initramfsArchive({ ...PARTS, init: bytes('') }).length;
  const init = new Uint8Array(room);
  assert.is(initramfsArchive({ ...PARTS, init }).length, INITRAMFS_BYTES_MAX);
  const modules = [{ name: 'large', bytes: new Uint8Array(INITRAMFS_BYTES_MAX) }];
  initramfsArchive({ ...PARTS, init, modules });
  const over = new Uint8Array(room + 1);
  assert.is(
    codeOf(() => initramfsArchive({ ...PARTS, init: over })),
    'BUDGET_INITRAMFS',
  );
});

test('none leaves the archive as it is, and the name says the compression', async () => {
  const archive = initramfsArchive(PARTS);
  assert.is(await compressArchive(archive, 'none'), archive);
  assert.equal((['none', 'lz4', 'zstd'] as const).map(initramfsName), [
    'initramfs.cpio',
    'initramfs.cpio.lz4',
    'initramfs.cpio.zst',
  ]);
});

test('images of kernels say their architecture and release', () => {
  const x86 = fakeKernel('x86_64', '6.12.9-test');
  const arm = fakeKernel('aarch64', '6.12.9-test');
  assert.equal(describeKernel(x86), { arch: 'x86_64', release: '6.12.9-test' });
  assert.equal(describeKernel(arm), { arch: 'aarch64', release: '6.12.9-test' });
  assert.equal(describeKernel(gzipSync(arm)), { arch: 'aarch64', release: '6.12.9-test' });
  const zboot = Buffer.alloc(1024);
  zboot.write('MZ\0\0zimg');
  assert.equal(describeKernel(zboot), { arch: 'aarch64', release: undefined });
  for (const other of [
    bytes(''),
    Buffer.alloc(4096),
    gzipSync('x'.repeat(5000)),
    gzipSync(gzipSync(arm)),
  ]) {
    assert.is(describeKernel(other), undefined);
  }
  assert.is(describeKernel(gzipSync(arm).subarray(0, 100)), undefined);
});

test('a kernel from files comes with its modules, dependencies first', async () => {
  using dir = tempDir();
  const board = writeKernelBoard(dir.path);
  const kernel = await readBoardKernel(loadBoard(board, dir.path));
  assert.is(kernel.release, '6.12.9-test');
  assert.equal(kernel.origin, { kind: 'file', given: 'vmlinuz' });
  assert.equal(
    kernel.modules.map(({ name }) => name),
    ['virtio_blk', 'libcrc32c', 'erofs'],
  );
  assert.equal(kernel.modules[1]!.bytes, fakeModule([]));
  assert.is(kernel.sha256.length, 64);
});

const BAD: readonly (readonly [what: string, change: (dir: string) => void, problem: RegExp])[] = [
  [
    'no kernel',
    (dir) => writeFileSync(join(dir, 'vmlinuz'), 'text'),
    /is vmlinuz, which is no kernel image/,
  ],
  [
    'another architecture',
    (dir) => writeFileSync(join(dir, 'vmlinuz'), fakeKernel('aarch64', '6.12.9-test')),
    /a kernel for aarch64, expected one for x86_64/,
  ],
  [
    'an old kernel',
    (dir) => {
      const old = (text: string): string => text.replaceAll('6.12.9', '6.5.9');
      writeKernelBoard(dir, old(KERNEL_BOARD), '6.5.9-test');
    },
    /Linux 6\.5\.9-test, expected at least 6\.12/,
  ],
  [
    'modules of another kernel',
    (dir) => writeFileSync(join(dir, 'vmlinuz'), fakeKernel('x86_64', '6.12.8-test')),
    /kernel\.modules is for Linux 6\.12\.9-test, expected the modules of vmlinuz, 6\.12\.8-test/,
  ],
  [
    'a module that is not there',
    (dir) => writeKernelBoard(dir, KERNEL_BOARD.replace('erofs]', 'erofz]')),
    /kernel\.load\[1\] is erofz, which kernel 6\.12\.9-test does not have; did you mean erofs\?/,
  ],
  [
    'modules to load and no place to take them from',
    (dir) => writeKernelBoard(dir, KERNEL_BOARD.replace(/^ {2}modules:.*\n/m, '')),
    /kernel\.modules is missing/,
  ],
];

for (const [what, change, problem] of BAD) {
  test(`refused: ${what}`, async () => {
    using dir = tempDir();
    const board = writeKernelBoard(dir.path);
    change(dir.path);
    try {
      await readBoardKernel(loadBoard(board, dir.path));
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, problem);
      assert.is((error as { code?: string }).code, 'CONFIG_BOARD');
    }
  });
}

test('a dependency that is not there names the module that needs it', async () => {
  using dir = tempDir();
  const board = writeKernelBoard(dir.path);
  rmSync(join(dir.path, 'modules/6.12.9-test/kernel/libcrc32c.ko'));
  assert.is(
    await codeOfRejection(() => readBoardKernel(loadBoard(board, dir.path))),
    'HOST_NOT_FOUND',
  );
  const path = join(dir.path, 'none');
  const missing = { release: 'x', modules: path };
  assert.is(await codeOfRejection(() => loadKernelModules(missing, ['a'])), 'HOST_NOT_FOUND');
});

test('the policy says what the board file and the bootset say', () => {
  using dir = tempDir();
  const { value: board } = loadBoard(writeKernelBoard(dir.path), dir.path);
  assert.ok(hasKernel(board));
  const bootset = {
    product: 'demo',
    epochs: new Map([
      [1, 7],
      [9, 9],
    ]),
    minDenyVersion: 2,
  };
  const policy = devicePolicyOf(board, bootset, ['erofs']);
  assert.equal(policy, {
    product: 'demo',
    board: 'test-board',
    isProduction: false,
    algorithms: [-37],
    roles: [2],
    epochs: new Map([[1, 7]]),
    minDenyVersion: 2,
    verity: 'require',
    identity: { kind: 'smbios', vendor: 'QEMU', product: 'Standard PC' },
    modules: ['erofs'],
    storeDeadlineMs: 2000,
    slotCount: 2,
    triesMax: 3,
    onFailure: [{ action: 'restart', delayS: 5, max: 3 }, { action: 'halt' }],
    init: '/sbin/init',
    containerEngine: '/usr/bin/crun',
    containerDeadlineMs: 2000,
    containerOutput: 'file',
  });
  assert.ok(sealedPolicy(policy).length > 100);
  assert.is(
    codeOf(() => sealedPolicy({ ...policy, triesMax: 99 })),
    'CONFIG_BOARD_POLICY',
  );
});

test.run();
