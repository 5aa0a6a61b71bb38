/** A kernel's configuration against a board: every rule bites, and Debian's kernels get the report they deserve. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Board } from '../../toolchain/board/board-shape.ts';
import {
  checkKernel,
  type KernelFinding,
  RULES,
  type RuleClass,
} from '../../toolchain/board/check-kernel.ts';
import {
  type KernelConfig,
  parseKernelConfig,
  readKernelConfigFile,
} from '../../toolchain/board/kernel-config.ts';
import type { KernelRule } from '../../toolchain/board/kernel-rule.ts';
import { boardIds, loadBoard } from '../../toolchain/board/load.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('board-kernel');

const CLASSES = Object.keys(RULES) as RuleClass[];
const ALL = CLASSES.flatMap((name) => RULES[name].map((rule) => ({ name, rule })));
const shipped = (id: string): Board => loadBoard(id, ROOT).value;
const debian = (arch: string): KernelConfig =>
  readKernelConfigFile(join(ROOT, `test/vectors/kernel-configs/debian-cloud-${arch}.config`));
const names = (findings: readonly KernelFinding[], wanted: RuleClass): string[] =>
  findings
    .filter((finding) => finding.class === wanted)
    .map(({ option, is }) => `${option.replace('CONFIG_', '')}=${is}`);

test('a configuration is read as Kconfig writes it', () => {
  const text = [
    '# Linux/arm64 6.12.107 Kernel Configuration',
    'CONFIG_EXT4_FS=y',
    'CONFIG_EROFS_FS=m\r',
    '# CONFIG_KEXEC is not set',
    'CONFIG_LSM="lockdown,yama"',
    'CONFIG_NOT=n',
    'CONFIG_TWICE=y',
    '# CONFIG_TWICE is not set',
    '#CONFIG_COMMENT=y',
  ].join('\n');
  const { version, arch, options } = parseKernelConfig(text, 'x');
  assert.equal([version, arch], ['6.12', 'aarch64']);
  assert.equal(
    [...options],
    [
      ['EXT4_FS', 'y'],
      ['EROFS_FS', 'm'],
      ['LSM', '"lockdown,yama"'],
    ],
  );
  assert.is(parseKernelConfig('CONFIG_A=y\n', 'x').version, undefined);
  assert.is(
    parseKernelConfig('# Linux/x86 6.1.0-rc1 Kernel Configuration\nCONFIG_A=y', 'x').arch,
    'x86_64',
  );
});

test('plain and gzip are told apart by their bytes; anything else is refused', () => {
  using dir = tempDir();
  const path = join(dir.path, 'config');
  const write = (bytes: string | Uint8Array): string => {
    writeFileSync(path, bytes);
    return path;
  };
  assert.is(readKernelConfigFile(write(gzipSync('CONFIG_A=y\n'))).options.get('A'), 'y');
  assert.is(readKernelConfigFile(write('CONFIG_A=y\n')).options.get('A'), 'y');
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const refused = ['', 'hello\n', gzipSync(''), gzipSync('CONFIG_A=y\n').subarray(0, 20), bomb];
  for (const bytes of refused) {
    expectCode(() => readKernelConfigFile(write(bytes)), 'FORMAT_KERNEL_CONFIG');
  }
  expectCode(() => readKernelConfigFile(join(dir.path, 'missing')), 'HOST_NOT_FOUND');
});

test('rules are rows: an option once in a table, with a reason and a source', () => {
  for (const name of CLASSES) {
    const options = RULES[name].map(({ option }) => option);
    assert.equal([...new Set(options)], options, name);
  }
  for (const { rule } of ALL) {
    for (const option of [rule.option, ...(rule.or ?? [])])
      assert.match(option, /^[A-Z][A-Z0-9_]+$/);
    assert.ok(rule.why !== '' && !rule.why.endsWith('.'), rule.option);
    assert.ok(rule.source !== '', rule.option);
  }
});

/** Boards that between them bring every rule about. */
function manyBoards(): Board[] {
  const arm = shipped('qemu-aarch64');
  const bare = { ...arm, kernel: { ...arm.kernel, load: [] } };
  const storage = (kind: string): Board => ({ ...bare, storage: [{ kind }] });
  return [
    arm,
    shipped('qemu-x86_64'),
    shipped('qemu-microvm-x86_64'),
    { ...arm, production: true, ram_mb: { value: 8192, source: 'test', evidence: 'configured' } },
    { ...arm, boot_image: { container: 'none', compression: 'lz4' } },
    { ...arm, boot_image: { container: 'none', compression: 'zstd' } },
    ...boardIds().flatMap((id) => (id.startsWith('qemu-') ? [] : [shipped(id)])),
    storage('emmc-hs400'),
    storage('nvme'),
    storage('ufs-3.1'),
  ];
}

const BOARDS = manyBoards();

/** What the tables ask of a board, and everything that rules depend on. */
function perfect(board: Board): Map<string, string> {
  const options = new Map<string, string>();
  const applying = ALL.filter(({ rule }) => rule.when?.(board) !== false);
  for (const { rule } of applying) {
    if (rule.onlyWith !== undefined) options.set(rule.onlyWith, 'y');
    if (rule.wanted === 'on') options.set(rule.option, 'y');
  }
  return options;
}

const check = (board: Board, options: ReadonlyMap<string, string>): KernelFinding[] =>
  checkKernel(board, { version: '6.12', arch: board.arch, options });

test('a kernel that has it all has nothing against it', () => {
  for (const board of BOARDS) {
    const options = check(board, perfect(board)).map(({ option }) => option);
    assert.equal(options, [], board.id);
  }
});

function bites({ name, rule }: { name: RuleClass; rule: KernelRule }, board: Board): void {
  const options = perfect(board);
  for (const each of [rule.option, ...(rule.or ?? [])]) options.delete(each);
  if (rule.wanted === 'off') options.set(rule.option, 'y');
  const found = check(board, options).filter(({ option }) => option === `CONFIG_${rule.option}`);
  const wanted = found.find((finding) => finding.class === name);
  assert.ok(wanted !== undefined, `${rule.option} on ${board.id}`);
  const severity = name === 'function' && rule.isAdvice !== true ? 'problem' : 'warning';
  assert.is(wanted.severity, severity, rule.option);
  assert.is(wanted.is, rule.wanted === 'on' ? 'n' : 'y', rule.option);
  assert.ok(wanted.set.includes(`CONFIG_${rule.option}`), wanted.set);
  for (const other of rule.or ?? []) {
    const instead = check(board, new Map([...options, [other, 'y']]));
    assert.ok(!instead.some((each) => each.class === name && each.option === wanted.option), other);
  }
}

test('every rule bites on some board', () => {
  for (const row of ALL) {
    const boards = BOARDS.filter((board) => row.rule.when?.(board) !== false);
    assert.ok(boards.length > 0, `${row.rule.option} is about no board of this test`);
    for (const board of boards) bites(row, board);
  }
});

test('a module does when the board loads it, and costs time; otherwise it is missing', () => {
  const board = shipped('qemu-aarch64');
  const options = new Map([...perfect(board), ['EROFS_FS', 'm'], ['EXT4_FS', 'm']]);
  const findings = check(board, options);
  assert.equal(names(findings, 'function'), ['EXT4_FS=m']);
  assert.equal(names(findings, 'time'), ['EROFS_FS=m']);
  assert.is(findings[0]!.set, 'CONFIG_EXT4_FS=y, or list ext4 in kernel.load');
  const dashed = {
    ...board,
    kernel: { ...board.kernel, load: ['virtio-blk', 'erofs', 'overlay', 'ext4'] },
  };
  options.set('VIRTIO_BLK', 'm');
  assert.equal(names(check(dashed, options), 'function'), []);
});

test('a module that the kernel does not have is a problem', () => {
  const board = shipped('qemu-aarch64');
  const options = perfect(board);
  options.set('BLK_DEV_LOOP', 'n');
  const loading = { ...board, kernel: { ...board.kernel, load: ['loop', 'of_our_own'] } };
  const [finding] = check(loading, new Map([...options].filter(([, value]) => value !== 'n')));
  assert.equal([finding!.severity, finding!.option], ['problem', 'CONFIG_BLK_DEV_LOOP']);
});

test('a kernel for another architecture, too old, or known to be broken is a problem', () => {
  const board = shipped('qemu-aarch64');
  const options = perfect(board);
  const problems = (version: string | undefined, arch: string | undefined): string[] =>
    checkKernel(board, { version, arch, options }).map(({ is, set }) => `${is} -> ${set}`);
  assert.equal(problems('6.6', 'x86_64'), ['x86_64 -> ARCH=aarch64', '6.6 -> Linux 6.12']);
  assert.equal(problems('7.0', 'aarch64'), ['7.0 -> a later Linux']);
  assert.equal(problems(undefined, undefined), []);
});

test("Debian's cloud kernels work on the virtual boards, and this is what they cost", () => {
  const safety = [
    'KEXEC=y',
    'HIBERNATION=y',
    'DEVMEM=y',
    'PROC_KCORE=y',
    'PROC_MEM_ALWAYS_FORCE=y',
    'DEBUG_FS=y',
    'BLK_DEV_WRITE_MOUNTED=y',
  ];
  const time = ['VIRTIO_BLK=m', 'EROFS_FS=m', 'OVERLAY_FS=m'];
  const signed = ['MODULE_SIG_FORCE=n', 'LOCK_DOWN_KERNEL_FORCE_INTEGRITY=n'];
  const arm = checkKernel(shipped('qemu-aarch64'), debian('arm64'));
  assert.equal(names(arm, 'function'), []);
  assert.equal(names(arm, 'safety'), safety);
  assert.equal(names(arm, 'time'), ['CRYPTO_SHA2_ARM64_CE=m', ...time]);
  const x86 = checkKernel(shipped('qemu-x86_64'), debian('amd64'));
  assert.equal(names(x86, 'function'), []);
  assert.equal(names(x86, 'safety'), safety.toSpliced(1, 0, 'KEXEC_FILE=y'));
  assert.equal(names(x86, 'time'), ['CRYPTO_SHA256_SSSE3=m', ...time]);
  const microvm = checkKernel(shipped('qemu-microvm-x86_64'), debian('amd64'));
  assert.equal(names(microvm, 'function'), []);
  assert.ok(names(microvm, 'time').includes('VIRTIO_MMIO=m'));
  // Signatures that are kept could be enforced.
  const kept = names(microvm, 'safety');
  assert.equal(
    kept.filter((name) => signed.includes(name)),
    signed,
  );
  assert.ok(names(microvm, 'time').includes('CRYPTO_MANAGER_DISABLE_TESTS=n'));
});

test("Debian's cloud kernel is none for eMMC, and says so", () => {
  const findings = checkKernel(shipped('ti-am62x-sk'), debian('arm64'));
  const problems = findings.filter(({ severity }) => severity === 'problem');
  assert.ok(problems.some(({ option }) => option === 'CONFIG_MMC_BLOCK'));
  assert.is(findings.indexOf(problems.at(-1)!), problems.length - 1, 'problems come first');
});

test.run();
