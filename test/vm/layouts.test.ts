/**
 * `bench layouts` on the virtual ARM board, with every layout: each has shown the board the tree that it was made from,
 * shares what it is to share, and checks what it says that it checks. A layout that did not mount, or shows another
 * tree, has no figures.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LAYOUT_IDS, type LayoutId } from '../../toolchain/layouts/layout-ids.ts';
import { type Layout, LAYOUTS } from '../../toolchain/layouts/layouts.ts';
import { measureLayouts } from '../../toolchain/layouts/measure.ts';
import {
  layoutsDocument,
  type LayoutResult,
  type LayoutsDocument,
} from '../../toolchain/layouts/result.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { areToolsRequired, requireTool, skipTest } from '../support/tools.ts';

const test = suite('layouts in a virtual board');

const SECONDS = 1_700_000_000;
const FILE_BYTES = 100_000;

/** Bytes that nothing can make smaller. */
function noise(number: number, size: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(number);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

function makeTree(root: string): void {
  for (const path of ['usr/bin', 'usr/lib', 'etc/empty']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  for (let i = 0; i < 40; i++) {
    const path = join(root, i < 20 ? 'usr/lib' : 'etc', `file-${i}`);
    writeFileSync(path, noise(i, i * 500));
  }
  for (const [i, path] of ['usr/lib/ld-linux-aarch64.so.1', 'usr/bin/bash'].entries()) {
    writeFileSync(join(root, path), noise(100 + i, FILE_BYTES));
    chmodSync(join(root, path), 0o755);
  }
  // What the boards must see as it is: equal files, an odd name, long and short links, a directory without entries.
  for (const name of ['same-1', 'same-2']) writeFileSync(join(root, 'etc', name), noise(1, 5000));
  writeFileSync(Buffer.from(`${root}/etc/\xff name`, 'latin1'), 'odd');
  symlinkSync('usr/bin', join(root, 'bin'));
  symlinkSync('x'.repeat(200), join(root, 'etc/long'));
  for (const path of [
    'etc/same-1',
    'etc/same-2',
    'etc/empty',
    'usr/bin',
    'usr/lib',
    'usr',
    'etc',
  ]) {
    utimesSync(join(root, path), SECONDS, SECONDS);
  }
}

let document: LayoutsDocument;
let page: string;
const dir = tempDir();
const tree = join(dir.path, 'tree');

test.before(() => {
  requireTool('qemu-system-aarch64', 'qemu-system-arm');
  requireTool('aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu');
  requireTool('xz', 'xz-utils');
  for (const { source } of LAYOUTS) {
    for (const [tool, debian] of source.tools) requireTool(tool, debian);
  }
  mkdirSync(tree);
  makeTree(tree);
  const [json, html] = ['layouts.json', 'layouts.html'].map((name) => join(dir.path, name));
  const args = ['bench', 'layouts', tree, '--json', json!, '--html', html!];
  const { status, stderr } = spawnSync(process.execPath, [CLI_PATH, ...args], { encoding: 'utf8' });
  if (stderr.includes('HOST_NO_NETWORK') && !areToolsRequired()) skipTest(stderr);
  assert.is(status, 0, stderr);
  document = layoutsDocument.parse(JSON.parse(readFileSync(json!, 'utf8')));
  page = readFileSync(html!, 'utf8');
});

test.after(() => dir.remove());

function resultOf(id: LayoutId): LayoutResult {
  return document.layouts.find((each) => each.id === id)!;
}

test('every layout has shown the same tree and has figures', () => {
  assert.equal(
    document.layouts.map(({ id }) => id),
    [...LAYOUT_IDS],
  );
  assert.equal(document.startup.paths, ['/usr/lib/ld-linux-aarch64.so.1', '/usr/bin/bash']);
  for (const { id, mount, list, stat, startup, other } of document.layouts) {
    for (const { ns } of [mount, other, list.warm, stat.warm, startup.warm]) assert.ok(ns > 0, id);
    for (const { cold, warm } of [list, stat]) assert.ok(cold.ns > warm.ns, id);
    assert.ok(mount.reads > 0, id);
    assert.is(list.warm.reads + stat.warm.reads + startup.warm.reads, 0, id);
    assert.ok(page.includes(id), id);
  }
});

test('modes, owners and times are kept where a layout can', () => {
  const lost = document.layouts.filter(({ keepsMetadata }) => !keepsMetadata).map(({ id }) => id);
  assert.equal(lost, ['symlinks']);
});

test('the start-up set is read from the disk once, and at mount where it is read ahead of time', () => {
  for (const { id, startup, mount } of document.layouts) {
    const isEager = id.startsWith('composefs-eager');
    const read = isEager ? mount.readBytes : startup.cold.readBytes;
    assert.ok(read >= 2 * FILE_BYTES, id);
    if (isEager) assert.ok(startup.cold.readBytes < FILE_BYTES, id);
  }
  const { mount } = resultOf('composefs-eager-all');
  assert.ok(mount.readBytes > 2 * resultOf('composefs-eager').mount.readBytes);
});

test('a second image on the same base costs what it does not share', () => {
  const sharing = new Set<LayoutId>(
    LAYOUTS.flatMap(({ id, source }) => (source.isShared ? [id] : [])),
  );
  for (const { id, bytes, cache } of document.layouts) {
    if (sharing.has(id)) {
      assert.ok(bytes.all < 3 * bytes.one, id);
      assert.ok(cache.other < FILE_BYTES, id);
    } else {
      assert.ok(bytes.all > 4 * bytes.one, id);
      assert.ok(cache.other >= 2 * FILE_BYTES, id);
    }
  }
});

const options = (layout: Layout): Parameters<typeof measureLayouts>[1] => ({
  layouts: [layout],
  board: 'qemu-aarch64',
  storage: 'nxp-imx8mp-evk',
  from: dir.path,
  seed: 1,
  runs: 1,
  timeoutMs: 300_000,
});

const layoutOf = (id: LayoutId): Layout => LAYOUTS.find((each) => each.id === id)!;

/** The layout with a byte of a file changed on its disk: the odd one out among so many noisy ones. */
function damaged(id: LayoutId): Layout {
  const layout = layoutOf(id);
  const { make } = layout.source;
  return {
    ...layout,
    source: {
      ...layout.source,
      make: async (job) => {
        const made = await make(job);
        const bytes = readFileSync(made.files[0]!);
        const at = bytes.indexOf(noise(30, 64));
        if (at < 0) throw new Error('no such bytes on the disk');
        const fd = openSync(made.files[0]!, 'r+');
        writeSync(fd, Buffer.from([bytes[at]! ^ 1]), 0, 1, at);
        closeSync(fd);
        return made;
      },
    },
  };
}

test('a layout that cannot be mounted, or has another byte, has no figures', async () => {
  const unmountable = { ...layoutOf('ext4'), mount: layoutOf('erofs').mount };
  const fault = await expectCodeAsync(
    () => measureLayouts(tree, options(unmountable)),
    'HOST_LAYOUT_REPORT',
  );
  assert.match(fault.message, /the board cannot mount \/a: /);
  await expectCodeAsync(() => measureLayouts(tree, options(damaged('erofs'))), 'HOST_LAYOUT_TREE');
});

test('what verifies refuses the same byte by itself', async () => {
  for (const id of ['composefs', 'dm-verity'] as const) {
    const error = await expectCodeAsync(
      () => measureLayouts(tree, options(damaged(id))),
      'HOST_LAYOUT_REPORT',
    );
    assert.match(error.message, /the board cannot read .*: Input\/output error/, id);
  }
});

test.run();
