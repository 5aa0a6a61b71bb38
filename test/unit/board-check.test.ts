/** What `board check`, `board show` and `board list` say about boards, shipped and changed ones. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Board } from '../../toolchain/board/board-shape.ts';
import { checkBoardFile } from '../../toolchain/board/check-board-file.ts';
import { checkPolicy } from '../../toolchain/board/check-policy.ts';
import { describeBoard } from '../../toolchain/board/describe-board.ts';
import { boardIds, loadBoard } from '../../toolchain/board/load.ts';
import { boardCheck } from '../../toolchain/commands/board-check.ts';
import { boardList } from '../../toolchain/commands/board-list.ts';
import { boardShow } from '../../toolchain/commands/board-show.ts';
import type { Command } from '../../toolchain/cli/command.ts';
import type { Output } from '../../toolchain/cli/output.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('board-check');

const BASE = loadBoard('qemu-aarch64', ROOT).value;
const WARNED = checkPolicy(BASE).map(({ path, message }) => `${path} ${message}`);

type Change = (board: Board) => Partial<Board>;

/** A change of the virtual ARM board, and the warning that it brings. */
const WARNINGS: readonly [name: string, change: Change, warning: string][] = [
  ['no kernel', noKernel, 'kernel has neither package nor image'],
  [
    'an old kernel without loop',
    kernel({ min_version: '6.6' }),
    'kernel.min_version is 6.6: EROFS takes a loop',
  ],
  ['a broken kernel', kernel({ min_version: '7.0' }), 'kernel.min_version is 7.0'],
  ['a slow engine', () => ({ engine: 'node' }), 'engine is node'],
  ['a talking kernel', kernel({ command_line: 'panic=-1' }), 'kernel.command_line lacks quiet'],
  [
    'a kernel that never restarts',
    kernel({ command_line: 'quiet' }),
    'kernel.command_line lacks panic=',
  ],
  [
    'a debugged kernel',
    kernel({ command_line: 'quiet panic=1 initcall_debug' }),
    'kernel.command_line turns on debugging',
  ],
  [
    'protections off in production',
    (board) => ({ production: true, ...kernel({ command_line: 'quiet panic=1 nokaslr' })(board) }),
    'kernel.command_line turns off a protection',
  ],
  [
    'a kernel without some of its parts in production',
    (board) => ({
      production: true,
      ...kernel({ command_line: 'quiet panic=1 initcall_blacklist=a' })(board),
    }),
    'kernel.command_line leaves parts of the kernel out',
  ],
  [
    'modules that root can replace in production',
    () => ({ production: true }),
    'kernel.module_signatures is strip: only the boot chain vouches for the modules, the kernel is tainted (E), and ' +
      'it cannot run with module.sig_enforce or lockdown, and root can load',
  ],
  [
    'unchecked files',
    ({ verity }) => ({ verity: { ...verity, mode: 'if-supported' } }),
    'verity.mode is if-supported',
  ],
  [
    'a backend that nobody uses',
    () => ({ rollback: { backend: 'tpm', source: 'test' } }),
    'rollback.backend is tpm, which',
  ],
  ['one slot', ({ slots }) => ({ slots: { ...slots, count: 1 } }), 'slots.count is 1'],
  [
    'nothing signed before the runtime',
    () => ({ production: true }),
    'boot_image.container is none on a production',
  ],
  [
    'a chain that verifies nothing',
    () => ({ production: true }),
    'boot_chain names no stage that verifies',
  ],
  ['output in production', () => ({ production: true }), 'containers.output is console'],
  ['a virtual product', () => ({ production: true }), 'virtual is there on a production board'],
  [
    'stages beyond the total',
    ({ budget }) => ({ budget: { ...budget, total_ms: 500 } }),
    'budget has 256 ms of stages and 484',
  ],
  [
    'no budgets',
    ({ budget }) => ({ budget: { ...budget, stages: {} } }),
    'budget.stages are not set',
  ],
  [
    'storage without a figure',
    () => ({ virtual: undefined }),
    'storage[0] (virtio-blk) has no speed',
  ],
  [
    'storage that was not measured',
    () => ({ storage: [slow(66)] }),
    'storage[0] (qspi-nor) was not measured',
  ],
  ['no storage', () => ({ storage: [] }), 'storage is not known'],
  ['no processor', () => ({ cpu: [] }), 'cpu is not known'],
  ['no memory', () => ({ virtual: undefined }), 'ram_mb is not known'],
  ['no times', () => ({ boot_chain: [] }), 'boot_chain[].ms is not known'],
  [
    'a machine without SMBIOS',
    () => loadBoard('qemu-microvm-x86_64', ROOT).value,
    'smbios cannot be read on microvm',
  ],
];

function noKernel(board: Board): Partial<Board> {
  return { kernel: { ...board.kernel, package: undefined } };
}

function kernel(settings: Partial<Board['kernel']>): Change {
  return (board) => ({ kernel: { ...board.kernel, ...settings } });
}

function slow(mbPerSecond: number): Board['storage'][number] {
  const ceiling = { value: mbPerSecond, source: 'test', evidence: 'estimated' } as const;
  return { kind: 'qspi-nor', ceiling_mb_s: ceiling };
}

for (const [name, change, warning] of WARNINGS) {
  test(`warns about ${name}`, () => {
    const said = checkPolicy({ ...BASE, ...change(BASE) });
    const lines = said.map(({ path, message }) => `${path} ${message}`);
    assert.ok(
      lines.some((line) => line.startsWith(warning)),
      lines.join('\n'),
    );
    assert.ok(!WARNED.some((line) => line.startsWith(warning)), 'the board as shipped has it too');
  });
}

test('the shipped virtual ARM board is warned about what it is: a development board', () => {
  assert.equal(
    checkPolicy(BASE).map(({ path }) => path),
    ['kernel.module_signatures', 'rollback.backend', 'on_failure'],
  );
});

test('storage that cannot deliver the files in time is told, with the time it takes', () => {
  const board: Board = { ...BASE, storage: [slow(66)] };
  const said = (bytes: number): string[] =>
    checkPolicy(board, [{ path: 'kernel', bytes }])
      .filter(({ path }) => path === 'storage[0]')
      .map(({ message }) => message);
  assert.is(said(21_000_000).length, 1);
  assert.match(
    said(160_000_000)[1]!,
    /takes 2425 ms for 160000000 bytes at 66 MB\/s.* leaves 1744 ms/,
  );
});

test('every shipped board is sound, and one without a kernel does not pretend to have one', () => {
  for (const id of boardIds()) {
    const file = loadBoard(id, ROOT);
    const { problems, settings } = checkBoardFile(file);
    assert.is(problems, 0, id);
    const hasKernel = file.value.kernel.package !== undefined;
    assert.is(
      settings.some(({ path }) => path === 'kernel'),
      !hasKernel,
      id,
    );
    assert.is(hasKernel, id.startsWith('qemu-'), id);
  }
});

const BENCH = `id: bench
name: Bench
arch: aarch64
compatible: ['vendor,bench']
production: false
signing: { roles: [development] }
epochs: [{ domain: 1, name: system }]
kernel: { min_version: '6.12', source: test, image: Image, modules: modules, dtb: ../board.dtb }
erofs: { formats: [0, 1], source: test }
verity: {}
`;

test('files that the board names must be there; they count from the board file', () => {
  using dir = tempDir();
  const path = join(dir.path, 'bench.yaml');
  writeFileSync(path, BENCH);
  writeFileSync(join(dir.path, 'Image'), '');
  const { problems, settings } = checkBoardFile(loadBoard(path, '/'));
  assert.is(problems, 2);
  assert.equal(
    settings.filter(({ severity }) => severity === 'problem').map(({ path: at }) => at),
    ['kernel.modules', 'kernel.dtb'],
  );
  const named = { images: [join(dir.path, 'nothing')] };
  expectCode(() => checkBoardFile(loadBoard(path, '/'), named), 'HOST_NOT_FOUND');
});

test('a board is shown with every setting, and figures with their evidence in one column', () => {
  const lines = describeBoard(loadBoard('ti-am62x-sk', ROOT).value);
  const find = (path: string): string => lines.find((line) => line.startsWith(`${path} `)) ?? '';
  assert.match(find('slots.count'), /^slots\.count +2$/);
  assert.match(
    find('on_failure'),
    / {2}recovery, then restart after 5 s \(3 times at most\), then halt$/,
  );
  assert.match(find('ram_mb'), / {2}2048 +device-tree: U-Boot devicetree k3-am625-sk$/);
  assert.match(find('budget'), /716 ms known before the runtime/);
  const columns = ['ram_mb', 'cpu[0].mhz', 'boot_chain[0].ms'].map((path) =>
    find(path).search(/ (?:vendor|device-tree):/),
  );
  assert.is(new Set(columns).size, 1);
});

/** Runs a command with an output that keeps what it is told. */
async function run(
  command: Command,
  args: string[],
  options: object = {},
): Promise<{ code: number; lines: string[]; result: Record<string, unknown>; ok: boolean }> {
  const lines: string[] = [];
  let result: unknown;
  let ok = true;
  const output = {
    line: (text: string) => void lines.push(text),
    warn: (text: string) => void lines.push(`warning: ${text}`),
    result: (value: unknown, details?: { ok?: boolean }) => {
      result = value;
      ok = details?.ok ?? true;
    },
  } as unknown as Output;
  const code = (await command.run(args, { image: [], ...options }, output)) ?? 0;
  return { code, lines, result: result as Record<string, unknown>, ok };
}

test('board check exits 2 for problems, and with --strict for warnings', async () => {
  const config = join(ROOT, 'test/vectors/kernel-configs/debian-cloud-arm64.config');
  const fine = await run(boardCheck, ['qemu-aarch64'], { config });
  assert.equal([fine.code, fine.ok], [0, true]);
  assert.match(fine.lines.at(-1)!, /^qemu-aarch64: 0 problems, \d+ warnings$/);
  assert.ok(fine.lines.some((line) => line.includes('set CONFIG_EROFS_FS=y')));
  const strict = await run(boardCheck, ['qemu-aarch64'], { strict: true });
  assert.equal([strict.code, strict.ok], [2, false]);
  const wrong = await run(boardCheck, ['qemu-x86_64'], { config });
  assert.equal([wrong.code, wrong.ok], [2, false]);
  assert.ok((wrong.result['problems'] as number) > 0);
});

test('board check fetches only what a board names, and not beside a given configuration', async () => {
  const refused: readonly [string, object][] = [
    ['ti-am62x-sk', { fetch: true }],
    ['qemu-aarch64', { fetch: true, config: 'kernel.config' }],
  ];
  for (const [id, options] of refused) {
    await expectCodeAsync(() => run(boardCheck, [id], options), 'USAGE_OPTION_CONFLICT', id);
  }
});

test('board list shows every board; board show gives its settings and digest', async () => {
  const { lines, result, code } = await run(boardList, []);
  assert.is(code, 0);
  assert.equal(
    lines.map((line) => line.split(' ')[0]),
    boardIds(),
  );
  assert.is((result['boards'] as unknown[]).length, lines.length);
  assert.equal(
    lines.filter((line) => line.length > 100),
    [],
    'it fits a terminal of 100 columns',
  );
  const columns = (id: string): string[] | undefined =>
    lines.find((line) => line.startsWith(`${id} `))?.split(/ {2,}/);
  assert.equal(columns('qemu-x86_64'), [
    'qemu-x86_64',
    'x86_64',
    'development',
    'QEMU',
    'QEMU q35, x86-64',
  ]);
  assert.equal(columns('ti-am62x-sk')?.slice(1, 4), ['aarch64', 'production', '-']);
  const shown = await run(boardShow, ['qemu-aarch64']);
  assert.match(String(shown.result['sha256']), /^[0-9a-f]{64}$/);
  assert.equal((shown.result['board'] as Board).virtual, BASE.virtual);
});

test('a broken board beside the good ones is told, and the good ones listed', async () => {
  using dir = tempDir();
  const { mkdirSync } = await import('node:fs');
  mkdirSync(join(dir.path, 'board-configs'));
  writeFileSync(join(dir.path, 'board-configs/broken.yaml'), 'id: broken\n');
  const before = process.cwd();
  process.chdir(dir.path);
  try {
    const { code, lines, ok } = await run(boardList, []);
    assert.equal([code, ok], [2, false]);
    assert.match(lines.at(-1)!, /^warning: CONFIG_BOARD: Cannot read broken.yaml/);
    assert.is(lines.filter((line) => /^[a-z]+-/.test(line)).length, boardIds().length);
  } finally {
    process.chdir(before);
  }
});

test.run();
