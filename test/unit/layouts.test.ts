/** Comparing layouts without a board: trees and variants, what is chosen, reports and their damage, refusals. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskRequest } from '../../toolchain/board/io-trace.ts';
import { parseOnly } from '../../toolchain/commands/bench-layouts.ts';
import { chooseRandom, chooseStartup } from '../../toolchain/layouts/choose-files.ts';
import { BOOTS, guestPlan } from '../../toolchain/layouts/guest-plan.ts';
import { countSteps, parseGuestReport } from '../../toolchain/layouts/guest-report.ts';
import { LAYOUT_IDS } from '../../toolchain/layouts/layout-ids.ts';
import { type Layout, LAYOUTS, layoutsOf, type Made } from '../../toolchain/layouts/layouts.ts';
import { FARM_STORE, farmImage, makeFarm } from '../../toolchain/layouts/make-farm.ts';
import { measureLayouts } from '../../toolchain/layouts/measure.ts';
import { bootLayout, type BootSettings, type Trees } from '../../toolchain/layouts/run-boots.ts';
import { readEntries, sumTree, type TreeEntry, WordSum } from '../../toolchain/layouts/tree.ts';
import { chooseChanges, makeVariants, stageTree } from '../../toolchain/layouts/variants.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('layouts');

const SECONDS = 1_700_000_000;

/** Forty files in two directories, a link, and a name that is no text. */
function makeTree(root: string): void {
  for (const directory of ['usr/bin', 'etc']) mkdirSync(join(root, directory), { recursive: true });
  for (let i = 0; i < 40; i++) {
    const path = join(root, i % 2 === 0 ? 'usr/bin' : 'etc', `file-${i}`);
    writeFileSync(path, `${i} `.repeat(i * 50));
    if (i % 4 === 0) chmodSync(path, 0o755);
  }
  writeFileSync(Buffer.from(`${root}/etc/\xff`, 'latin1'), 'odd');
  symlinkSync('usr/bin', join(root, 'bin'));
  for (const path of ['usr/bin', 'usr', 'etc', '']) utimesSync(join(root, path), SECONDS, SECONDS);
}

const pathsOf = (entries: readonly TreeEntry[]): string[] => entries.map(({ path }) => path);

// --- trees ---------------------------------------------------------------------------------------------

test('a tree is read in the order of its bytes, a directory before what is in it', () => {
  using dir = tempDir();
  makeTree(dir.path);
  const paths = pathsOf(readEntries(dir.path));
  assert.is(paths.length, 45);
  assert.equal(paths.slice(0, 3), ['/bin', '/etc', '/etc/file-1']);
  assert.is(paths.indexOf('/etc/\xff') + 1, paths.indexOf('/usr'));
});

test('whatever differs in a tree changes a sum of it', () => {
  using dir = tempDir();
  const changes: readonly (readonly [
    what: 'content' | 'metadata',
    change: (root: string) => void,
  ])[] = [
    ['content', (root) => writeFileSync(join(root, 'etc/file-1'), 'x'.repeat(100))],
    ['content', (root) => writeFileSync(join(root, 'etc/file-1'), '')],
    ['content', (root) => writeFileSync(join(root, 'etc/more'), '')],
    ['content', (root) => symlinkSync('elsewhere', join(root, 'etc/link'))],
    ['metadata', (root) => chmodSync(join(root, 'etc/file-1'), 0o600)],
    ['metadata', (root) => utimesSync(join(root, 'etc/file-1'), 5, 5)],
  ];
  const seen = new Set<string>();
  changes.forEach(([what, change], i) => {
    const root = join(dir.path, String(i));
    mkdirSync(root);
    makeTree(root);
    for (const { path, kind } of readEntries(root)) {
      if (kind === 'file') utimesSync(Buffer.from(`${root}${path}`, 'latin1'), SECONDS, SECONDS);
    }
    const before = sumTree(root, readEntries(root));
    change(root);
    const after = sumTree(root, readEntries(root));
    assert.is.not(after[what], before[what], String(i));
    if (what === 'metadata') assert.is(after.content, before.content);
    seen.add(`${after.content} ${after.metadata}`);
  });
  assert.is(seen.size, changes.length);
});

test('a sum counts words, the last one filled up with zeros', () => {
  const sumOf = (...pieces: string[]): string => {
    const sum = new WordSum();
    for (const piece of pieces) sum.add(Buffer.from(piece, 'latin1'));
    return sum.text();
  };
  assert.is(sumOf(), '811c9dc59747b28c');
  assert.is(sumOf('abcdef'), sumOf('abcdef\0\0'));
  assert.is(sumOf('abcd', 'ef'), sumOf('abcdef'));
  assert.is.not(sumOf('abcd', 'efgh'), sumOf('efgh', 'abcd'));
});

test('variants change and add a twentieth of the files, never the base, and keep times', async () => {
  using dir = tempDir();
  const source = join(dir.path, 'source');
  mkdirSync(source);
  makeTree(source);
  const work = join(dir.path, 'work');
  mkdirSync(work);
  const staged = await stageTree(source, work);
  assert.equal(sumTree(staged.root, staged.entries), sumTree(source, readEntries(source)));
  const base = new Set(['/etc/file-1', '/usr/bin/file-0']);
  const variants = await makeVariants(staged, work, { seed: 7, base });
  assert.is(variants.length, 4);
  variants.forEach(({ root, entries }, index) => {
    const { changed, added } = chooseChanges(staged.entries, index + 1, { seed: 7, base });
    assert.equal([changed.length, added.length], [2, 2]);
    assert.is(entries.length, staged.entries.length + 2);
    const was = new Map(staged.entries.map((entry) => [entry.path, entry]));
    const other = entries.filter(({ path, size }) => was.get(path)?.size !== size);
    assert.equal(
      pathsOf(other.filter(({ kind }) => kind === 'file')).sort(),
      [...pathsOf(changed), ...pathsOf(added).map((path) => `${path}.variant-${index + 1}`)].sort(),
    );
    assert.ok(pathsOf(changed).every((path) => !base.has(path)));
    for (const path of ['etc', 'usr/bin']) {
      assert.is(Math.floor(lstatSync(join(root, path)).mtimeMs / 1000), SECONDS);
    }
    const { mode, mtime } = entries.find(({ path }) => path === changed[0]!.path)!;
    assert.equal([mode, mtime], [changed[0]!.mode, changed[0]!.mtime]);
  });
  // The tree itself shares its files with the variants, and is as it was.
  assert.equal(
    sumTree(staged.root, readEntries(staged.root)),
    sumTree(source, readEntries(source)),
  );
  const again = chooseChanges([...staged.entries].reverse(), 1, { seed: 7, base });
  assert.equal(
    pathsOf(again.changed),
    pathsOf(chooseChanges(staged.entries, 1, { seed: 7, base }).changed),
  );
});

test('a farm has each file once, and a link to it wherever it is', async () => {
  using dir = tempDir();
  makeTree(join(dir.path, 'tree'));
  const root = join(dir.path, 'tree');
  const image = { holder: dir.path, root, entries: readEntries(root) };
  const hard = join(dir.path, 'hard');
  await makeFarm([image, image], hard, 'hard', undefined);
  const [first, second] = [0, 1].map((index) =>
    lstatSync(join(hard, farmImage(index), 'etc/file-1')),
  );
  assert.is(first!.ino, second!.ino);
  const expected = sumTree(root, image.entries);
  assert.equal(sumTree(join(hard, farmImage(1)), readEntries(join(hard, farmImage(1)))), expected);
  const symbolic = join(dir.path, 'symbolic');
  await makeFarm([image], symbolic, 'symbolic', undefined);
  const links = readEntries(join(symbolic, farmImage(0)));
  assert.is(links.filter(({ target }) => target.startsWith(`${FARM_STORE}/`)).length, 41);
  assert.equal(
    links.filter(({ kind }) => kind === 'file'),
    [],
  );
});

// --- what is chosen ------------------------------------------------------------------------------------

const entry = (path: string, more: Partial<TreeEntry> = {}): TreeEntry => ({
  path,
  kind: 'file',
  size: 10,
  mode: 0o100644,
  uid: 0,
  gid: 0,
  mtime: 0,
  device: 0,
  target: '',
  ...more,
});
const link = (path: string, target: string): TreeEntry => entry(path, { kind: 'link', target });
const directory = (path: string): TreeEntry => entry(path, { kind: 'directory' });

test('the start-up set is loader, C library, init and shell, whatever their order', () => {
  const entries = [
    '/etc/passwd',
    '/usr/bin/bash',
    '/usr/lib/x/libc.so.6',
    '/usr/lib/x/ld-linux-aarch64.so.1',
    '/usr/lib/systemd/systemd',
    '/usr/share/doc/libc.so.6.txt',
  ].map((path) => entry(path));
  const { from, files } = chooseStartup(entries);
  assert.is(from, 'names');
  assert.equal(pathsOf(files), [
    '/usr/lib/x/ld-linux-aarch64.so.1',
    '/usr/lib/x/libc.so.6',
    '/usr/lib/systemd/systemd',
    '/usr/bin/bash',
  ]);
  assert.equal(chooseStartup([...entries].reverse()).files, files);
});

test('a tree of other things gets its largest programs, or its largest files', () => {
  const programs = Array.from({ length: 20 }, (_, i) =>
    entry(`/p${i}`, { size: i, mode: 0o100755 }),
  );
  const found = chooseStartup([...programs, entry('/data', { size: 1000 })]);
  assert.is(found.from, 'largest programs');
  assert.equal(
    pathsOf(found.files),
    Array.from({ length: 16 }, (_, i) => `/p${19 - i}`),
  );
  assert.equal(pathsOf(chooseStartup([entry('/a'), entry('/b', { size: 11 })]).files), [
    '/b',
    '/a',
  ]);
});

test('a list is followed through links, and refused when it leads to no file', () => {
  const entries = [
    directory('/usr'),
    directory('/usr/sbin'),
    entry('/usr/sbin/init'),
    link('/sbin', 'usr/sbin'),
    link('/start', '/sbin/../sbin/init'),
    link('/loop', 'loop'),
  ];
  const choose = (text: string): string[] =>
    pathsOf(chooseStartup(entries, { path: 'list', text }).files);
  assert.equal(choose('# first\n\nsbin/init\n/start\n'), ['/usr/sbin/init']);
  for (const text of ['', '# nothing\n', '/usr\n', '/missing\n', '/loop\n', '/start/x\n']) {
    expectCode(() => choose(text), 'CONFIG_STARTUP_LIST');
  }
});

test('the random files depend on seed and paths alone, and a list can hold them', () => {
  const entries = Array.from({ length: 1500 }, (_, i) => entry(`/f${i}`));
  const chosen = chooseRandom(entries, 1);
  assert.is(chosen.length, 1000);
  assert.equal(pathsOf(chooseRandom([...entries].reverse(), 1)), pathsOf(chosen));
  assert.not.equal(pathsOf(chooseRandom(entries, 2)), pathsOf(chosen));
  assert.equal(chooseRandom([entry('/a\nb'), directory('/d')], 1), []);
});

test('--only has identifiers, and all of them are the default', () => {
  assert.equal([...parseOnly(undefined)], [...LAYOUT_IDS]);
  assert.equal([...parseOnly('ext4, erofs')], ['ext4', 'erofs']);
  assert.equal(
    layoutsOf(parseOnly('ext4,erofs')).map(({ id }) => id),
    ['erofs', 'ext4'],
  );
  for (const list of ['', 'ext5', 'ext4,,erofs']) {
    expectCode(() => parseOnly(list), 'USAGE_BAD_VALUE');
  }
});

test('the table has every layout once, in order, those of one source together', () => {
  assert.equal(
    LAYOUTS.map(({ id }) => id),
    [...LAYOUT_IDS],
  );
  const runs = LAYOUTS.filter(({ source }, i) => source !== LAYOUTS[i - 1]?.source);
  assert.is(new Set(LAYOUTS.map(({ source }) => source)).size, runs.length);
});

// --- reports -------------------------------------------------------------------------------------------

const STEP = '@@step mount 1200 1,4096,0,0 3,12288,0,0 0 0';
const REPORT = [
  STEP,
  '@@cache mounted 100 20',
  '@@check /a 5 0123456789abcdef fedcba9876543210',
  '@@end 3',
];

test('a report is read, whatever the kernel prints between its lines', () => {
  const console = ['[0.1] boot', REPORT[0], 'a line of somebody', ...REPORT.slice(1), ''].join(
    '\n',
  );
  const { steps, caches, sums } = parseGuestReport(console, 'x');
  assert.is(steps.get('mount')!.ns, 1200);
  assert.is(steps.get('mount')!.to.readBytes, 12_288);
  assert.equal(caches.get('mounted'), { cached: 102_400, buffers: 20_480 });
  assert.equal(sums.get('/a'), {
    entries: 5,
    content: '0123456789abcdef',
    metadata: 'fedcba9876543210',
  });
});

const DAMAGED: Readonly<Record<string, readonly string[]>> = {
  nothing: [],
  'no end': REPORT.slice(0, 3),
  'a line less': [...REPORT.slice(0, 2), '@@end 3'],
  'a line twice': [STEP, ...REPORT.slice(0, 3), '@@end 4'],
  'a line after the end': [...REPORT, '@@cache later 1 1'],
  'a line cut short': [STEP.slice(0, -6), ...REPORT.slice(1)],
  'a line run into': [`${STEP}[0.2] kernel`, ...REPORT.slice(1)],
  'an unknown line': ['@@what', ...REPORT.slice(0, 2), '@@end 3'],
  'a negative time': [STEP.replace('1200', '-1200'), ...REPORT.slice(1)],
  'a fault': [STEP, '@@fault cannot mount /a: Invalid argument'],
};

test('a damaged report is refused, and a fault is told', () => {
  for (const [name, lines] of Object.entries(DAMAGED)) {
    const error = expectCode(
      () => parseGuestReport(lines.join('\n'), 'EROFS'),
      'HOST_LAYOUT_REPORT',
    );
    assert.match(error.message, /^Cannot measure EROFS: /, name);
  }
  const fault = expectCode(
    () => parseGuestReport(DAMAGED['a fault']!.join('\n'), 'EROFS'),
    'HOST_LAYOUT_REPORT',
  );
  assert.match(fault.message, 'the board cannot mount /a: Invalid argument');
});

test('what a step read is what QEMU saw, or nothing is said', () => {
  const report = parseGuestReport(REPORT.join('\n'), 'x');
  const read = (bytes: number): DiskRequest => ({ kind: 'read', bytes, offset: 0 });
  const trace = { firmware: [], kernel: [4096, 4096, 4096].map(read) };
  const { reads, readBytes } = countSteps(report, trace).get('mount')!;
  assert.equal([reads, readBytes], [2, 8192]);
  for (const kernel of [
    [4096, 4096, 512],
    [4096, 4096],
    [512, 4096, 4096],
  ]) {
    expectCode(
      () => countSteps(report, { firmware: [], kernel: kernel.map(read) }),
      'HOST_IO_COUNT',
    );
  }
});

// --- boots ---------------------------------------------------------------------------------------------

const MADE: Made = { files: [], bytes: 0, stored: [], tables: [] };
const SUMS = [1, 2].map((entries) => ({
  entries,
  content: `${entries}`.repeat(16),
  metadata: `${entries}`.repeat(16),
}));
const TREES: Trees = {
  entries: [entry('/a')],
  startup: [entry('/a')],
  random: [entry('/a')],
  sums: SUMS,
};

/** Plays a board that does everything it is told in no time; `change` may lie about it. */
function settingsOf(change: (line: string) => string = (line) => line): BootSettings {
  const say = (line: string): string[] => {
    const [verb, name = ''] = line.split(' ');
    if (verb === 'step') return [`@@step ${name} 1000 0,0,0,0 0,0,0,0 1 10`];
    if (verb === 'cache') return [`@@cache ${name} 10 1`];
    if (verb !== 'check') return [];
    const { entries, content, metadata } = SUMS[name === '/a' ? 0 : 1]!;
    return [`@@check ${name} ${entries} ${content} ${metadata}`];
  };
  return {
    trees: TREES,
    storage: null,
    runs: 2,
    timeoutMs: 1000,
    board: {
      facts: {} as BootSettings['board']['facts'],
      modules: ['/modules/erofs.ko'],
      boot: ({ files }) => {
        const lines = files['/plan']!.split('\n').flatMap(say).map(change);
        const console = [...lines, `@@end ${lines.length}`].join('\n');
        return Promise.resolve({ console, trace: { firmware: [], kernel: [] } });
      },
    },
  };
}

const EROFS: Layout = LAYOUTS.find(({ id }) => id === 'erofs')!;
const BUILT = { made: MADE, disk: 'disk', buildMs: 1.4, bytes: { one: 1, all: 5 } };

test('a layout that shows the right trees has a result', async () => {
  const { result, difference } = await bootLayout(EROFS, BUILT, settingsOf());
  assert.is(difference, 0);
  assert.equal([result.id, result.buildMs, result.keepsMetadata], ['erofs', 1, true]);
  assert.equal(result.mount, { ns: 1000, reads: 0, readBytes: 0, modelledNs: null });
});

test('runs that differ say by how much', async () => {
  let boots = 0;
  const later = settingsOf((line) => {
    const isSecond = boots++ > 12 && line.startsWith('@@step cold ');
    return isSecond ? line.replace(' 1000 ', ' 1010 ') : line;
  });
  const { difference } = await bootLayout(EROFS, BUILT, later);
  assert.is(difference, 0.01);
});

test('a layout that shows another tree is refused, each way it can', async () => {
  const lies: Readonly<Record<string, (line: string) => string>> = {
    'another byte in the first image': (line) => line.replace('/a 1 1111', '/a 1 0111'),
    'another byte in the second image': (line) => line.replace('/b 2 2222', '/b 2 0222'),
    'an entry less': (line) => line.replace('/a 1 1', '/a 0 1'),
    'an entry that was not met': (line) => line.replace(/^(@@step cold .*) 1 10$/, '$1 0 10'),
    'a byte that was not read': (line) => line.replace(/^(@@step other .*) 1 10$/, '$1 1 9'),
  };
  for (const [name, change] of Object.entries(lies)) {
    const error = await expectCodeAsync(
      () => bootLayout(EROFS, BUILT, settingsOf(change)),
      'HOST_LAYOUT_TREE',
    );
    assert.match(error.message, 'Cannot compare EROFS', name);
  }
  const other = settingsOf((line) => line.replace(/ 1{16}$/, ' 0000000000000000'));
  assert.is((await bootLayout(EROFS, BUILT, other)).result.keepsMetadata, false);
});

test('every plan mounts before it looks, and sums what it has shown last', () => {
  const facts = { sectors: 8, dataBlocks: 1, hashStart: 1, rootHash: '0'.repeat(64) };
  const image = { digest: '0'.repeat(64), objects: new Map() };
  const made = { ...MADE, stored: [image, image], tables: [facts, facts] };
  for (const layout of LAYOUTS) {
    for (const boot of BOOTS) {
      const lines = guestPlan(boot, layout, made, ['/modules/a.ko']).trimEnd().split('\n');
      assert.equal(lines.slice(0, 2), ['module /modules/a.ko', 'step mount']);
      assert.ok(
        lines.every((line) => Buffer.byteLength(line) < 4096),
        layout.id,
      );
      const steps = lines.filter((line) => line.startsWith('step ')).length;
      assert.is(lines.filter((line) => line === 'end').length, steps);
      const sums = lines.slice(-2).filter((line) => line.startsWith('check '));
      assert.is(sums.length, boot === 'read' ? 2 : 0);
    }
  }
});

// --- refusals before anything is made ------------------------------------------------------------------

const measuring = (dir: string, more: object): (() => Promise<unknown>) => {
  const options = {
    layouts: LAYOUTS,
    board: 'qemu-aarch64',
    storage: 'nxp-imx8mp-evk',
    from: '/',
    seed: 1,
    runs: 1,
    timeoutMs: 1000,
    ...more,
  };
  return () => measureLayouts(dir, options);
};

test('all tools that are missing are named at once, with the command that installs them', async () => {
  using dir = tempDir();
  const path = process.env['PATH'];
  process.env['PATH'] = dir.path;
  try {
    const layouts = layoutsOf(new Set(['squashfs-lz4', 'erofs']));
    const error = await expectCodeAsync(measuring(dir.path, { layouts }), 'HOST_TOOL_MISSING');
    assert.match(error.message, 'mkfs.erofs');
    assert.match(error.message, 'mksquashfs');
    assert.match(
      error.hint!,
      /^sudo apt-get install -y --no-install-recommends coreutils erofs-utils squashfs-tools;/,
    );
  } finally {
    process.env['PATH'] = path;
  }
});

test('a board that QEMU does not play, and what is no directory, are refused', async () => {
  using dir = tempDir();
  const layouts = layoutsOf(new Set(['composefs']));
  await expectCodeAsync(
    measuring(dir.path, { layouts, board: 'nxp-imx8mp-evk' }),
    'CONFIG_BOARD_NOT_VIRTUAL',
  );
  writeFileSync(join(dir.path, 'file'), '');
  await expectCodeAsync(measuring(join(dir.path, 'file'), { layouts }), 'USAGE_NOT_A_DIRECTORY');
  await expectCodeAsync(measuring(join(dir.path, 'none'), { layouts }), 'HOST_NOT_FOUND');
  await expectCodeAsync(measuring(dir.path, { layouts, storage: 'none' }), 'CONFIG_BOARD_UNKNOWN');
  assert.is(readFileSync(join(dir.path, 'file'), 'utf8'), '');
});

test.run();
