/** Signatures of kernel modules: cut off exactly where the kernel would cut, kept otherwise, refused when damaged. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadBoard } from '../../toolchain/board/load.ts';
import { enforcingWord } from '../../toolchain/board/module-rules.ts';
import {
  type BoardKernel,
  findKernel,
  readBoardKernel,
  signatureProblems,
} from '../../toolchain/disk/kernel.ts';
import { stripModuleSignature } from '../../toolchain/disk/module-signature.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';
import { fakeModule, KERNEL_BOARD, writeKernelBoard } from '../support/fake-kernel.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('module-signature');

const MARK = '~Module signature appended~\n';
const MODULE = fakeModule(['libcrc32c']);
const SIGNATURE = Buffer.alloc(262, 0x30);
/** The last 40 bytes of libcrc32c.ko of Debian's 6.12.107 for arm64: 262 bytes of PKCS#7 are before them. */
const DEBIAN_TAIL = Buffer.from(
  '0000020000000000000001067e4d6f64756c65207369676e617475726520617070656e6465647e0a',
  'hex',
);
const SIGNED = Buffer.concat([MODULE, SIGNATURE, DEBIAN_TAIL]);

test("Debian's tail is a record and a mark, and both go with the signature", () => {
  assert.is(DEBIAN_TAIL.toString('latin1', 12), MARK);
  assertBytes(stripModuleSignature('m', SIGNED), MODULE);
});

test('a module without a signature stays as it is', () => {
  for (const unsigned of [
    MODULE,
    Buffer.alloc(0),
    Buffer.from('short'),
    Buffer.from(MARK.slice(1)),
  ]) {
    assert.is(stripModuleSignature('m', unsigned), unsigned);
  }
  // The mark counts at the very end only.
  const behind = Buffer.concat([SIGNED, Buffer.from([0])]);
  assert.is(stripModuleSignature('m', behind), behind);
});

test('of a module signed twice the last signature goes, as the kernel reads it', () => {
  const twice = Buffer.concat([SIGNED, SIGNATURE, DEBIAN_TAIL]);
  assertBytes(stripModuleSignature('m', twice), SIGNED);
});

/** A byte of the tail changed, or a length that cannot be. */
const DAMAGED: readonly (readonly [what: string, module: Uint8Array, problem: RegExp])[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((at) => {
    const module = Buffer.from(SIGNED);
    module[module.length - DEBIAN_TAIL.length + at]! ^= 1;
    return [`byte ${at}`, module, new RegExp(`byte ${at} of its record`)] as const;
  }),
  ['no signature', signed(0), /says 0 bytes/],
  ['nothing but a signature', signed(MODULE.length + SIGNATURE.length), /expected a part/],
  ['a signature before the file', signed(0xffff_ffff), /says 4294967295 bytes/],
  ['a mark alone', Buffer.from(MARK), /ends before the record/],
  ['half a record', Buffer.from(`12345678901${MARK}`), /ends before the record/],
  ['a record alone', DEBIAN_TAIL, /says 262 bytes of 0/],
];

function signed(length: number): Buffer {
  const module = Buffer.from(SIGNED);
  module.writeUInt32BE(length, module.length - MARK.length - 4);
  return module;
}

for (const [what, module, problem] of DAMAGED) {
  test(`refused: ${what}`, () => {
    assert.is(
      codeOf(() => stripModuleSignature('erofs', module)),
      'FORMAT_MODULE_SIGNATURE',
    );
    assert.throws(() => stripModuleSignature('erofs', module), problem);
  });
}

/** The kernel of a board whose modules are signed. */
async function kernelWith(setting: string, modules: Uint8Array = SIGNED): Promise<BoardKernel> {
  using dir = tempDir();
  const board = writeKernelBoard(dir.path, KERNEL_BOARD.replace('  load:', `${setting}  load:`));
  const kernel = join(dir.path, 'modules/6.12.9-test/kernel');
  mkdirSync(kernel, { recursive: true });
  writeFileSync(join(kernel, 'virtio_blk.ko'), modules);
  // With `await`, so that the directory is there until it has been read.
  return await readBoardKernel(loadBoard(board, dir.path));
}

test('a board keeps the signatures unless it says strip', async () => {
  for (const [setting, expected] of [
    ['', SIGNED],
    ['  module_signatures: keep\n', SIGNED],
    ['  module_signatures: strip\n', MODULE],
  ] as const) {
    const { modules } = await kernelWith(setting);
    const found = modules.find(({ name }) => name === 'virtio_blk');
    assertBytes(found!.bytes, expected);
  }
  const strip = '  module_signatures: strip\n';
  assert.is(await codeOfRejection(() => kernelWith(strip, signed(0))), 'FORMAT_MODULE_SIGNATURE');
});

const WORDS: readonly (readonly [commandLine: string, word: string | undefined])[] = [
  ['quiet', undefined],
  ['module.sig_enforce', 'module.sig_enforce'],
  ['a module.sig_enforce=1 b', 'module.sig_enforce=1'],
  ['module.sig-enforce=Y', 'module.sig-enforce=Y'],
  ['"module.sig_enforce=on"', 'module.sig_enforce=on'],
  ['module.sig_enforce=0', undefined],
  ['lockdown=integrity', 'lockdown=integrity'],
  ['lockdown=confidentiality', 'lockdown=confidentiality'],
  ['lockdown=none xlockdown=integrity', undefined],
];

test('a command line that enforces signatures is known, and refused with strip only', () => {
  for (const [commandLine, word] of WORDS) {
    assert.is(enforcingWord(commandLine), word, commandLine);
    using dir = tempDir();
    const text = (signatures: string): string =>
      KERNEL_BOARD.replace(/command_line: .*/, () => `command_line: '${commandLine}'`).replace(
        '  load:',
        `  module_signatures: ${signatures}\n  load:`,
      );
    loadBoard(writeKernelBoard(dir.path, text('keep')), dir.path);
    const board = writeKernelBoard(dir.path, text('strip'));
    if (word === undefined) loadBoard(board, dir.path);
    else {
      const expected = `kernel.module_signatures is strip, and ${word} on the command line refuses`;
      assert.throws(() => loadBoard(board, dir.path), new RegExp(expected.replaceAll('.', '\\.')));
    }
  }
});

test('a kernel that enforces signatures by itself is refused with strip only', async () => {
  using dir = tempDir();
  const path = writeKernelBoard(
    dir.path,
    KERNEL_BOARD.replace('  load:', '  module_signatures: strip\n  load:'),
  );
  const board = loadBoard(path, dir.path);
  const found = await findKernel(board, {});
  for (const option of [
    'MODULE_SIG_FORCE',
    'LOCK_DOWN_KERNEL_FORCE_INTEGRITY',
    'LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY',
  ]) {
    const config = join(dir.path, 'config');
    writeFileSync(config, `# a test\nCONFIG_${option}=y\n`);
    const [problem] = signatureProblems(board.value, { ...found, config });
    assert.match(problem!.message, `has CONFIG_${option}=y and loads signed modules only`);
    const kept = { ...board.value.kernel, module_signatures: 'keep' } as const;
    assert.equal(signatureProblems({ ...board.value, kernel: kept }, { ...found, config }), []);
    writeFileSync(config, `# a test\n# CONFIG_${option} is not set\n`);
    assert.equal(signatureProblems(board.value, { ...found, config }), []);
  }
});

test.run();
