/** The demo's board system, made of Debian's packages: complete, small, and the same every time. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { START } from '../../runtime/format/manifest-image.ts';
import type { BoardArchitecture } from '../../toolchain/board/qemu.ts';
import { boardBootset, type BoardSystem, demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { loadBootset } from '../../toolchain/release/bootset.ts';
import { tempDir } from '../support/temp-dir.ts';
import { areToolsRequired, requireTool, skipTest } from '../support/tools.ts';

const test = suite('the system of the demo boards');

/** What the sealed tree may weigh: 7 MB now. */
const BYTES_MAX = 8_000_000;

const MACHINE: Readonly<Record<BoardArchitecture, string>> = {
  x86_64: 'Advanced Micro Devices X86-64',
  aarch64: 'AArch64',
};

for (const architecture of ['x86_64', 'aarch64'] as const) {
  test(`${architecture}: small, complete, and twice the same`, async () => {
    using dir = tempDir();
    const system = await makeSystem(join(dir.path, 'one'), architecture);
    assert.ok(sizeOf(system.rootfs) < BYTES_MAX, `${sizeOf(system.rootfs)} bytes`);
    for (const program of ['usr/bin/crun', 'usr/bin/busybox']) {
      assertRunnable(system.rootfs, program, architecture);
    }
    assert.match(readFileSync(join(system.rootfs, 'etc/os-release'), 'utf8'), /trixie/);
    const init = realpathSync(join(system.rootfs, 'sbin/init'));
    assert.is(init, realpathSync(join(system.rootfs, 'usr/bin/busybox')));
    for (const bundle of Object.values(system.bundles)) {
      assert.equal(
        readFileSync(join(bundle, 'rootfs/bin/busybox')),
        readFileSync(join(system.rootfs, 'usr/bin/busybox')),
      );
    }
    writeFileSync(join(dir.path, 'one/BOOTSET.yaml'), boardBootset(`qemu-${architecture}`));
    const { images } = loadBootset(join(dir.path, 'one/BOOTSET.yaml'));
    assert.equal(
      images.map(({ name, start }) => [name, start]),
      [
        ['debian', START.NONE],
        ['hello', START.EARLY],
        ['later', START.NORMAL],
      ],
    );
    const again = await makeSystem(join(dir.path, 'two'), architecture);
    rmSync(join(dir.path, 'one/BOOTSET.yaml'));
    assert.equal(describeTree(join(dir.path, 'two')), describeTree(join(dir.path, 'one')));
    assert.equal(again.packages, system.packages);
  });
}

async function makeSystem(path: string, architecture: BoardArchitecture): Promise<BoardSystem> {
  try {
    return await demoBoardSystem(path, { architecture });
  } catch (error) {
    const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}

/** A program of the right machine, whose loader and libraries are in the tree. */
function assertRunnable(rootfs: string, program: string, architecture: BoardArchitecture): void {
  const readelf = requireTool('readelf', 'binutils');
  const paths = pathsBelow(rootfs);
  const seen = new Set<string>();
  const check = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const { stdout } = spawnSync(readelf, ['-hdl', '--wide', path], { encoding: 'utf8' });
    assert.match(stdout, MACHINE[architecture], path);
    for (const [, interpreter] of stdout.matchAll(/interpreter: (\S+)\]/g)) {
      assert.ok(existsSync(join(rootfs, interpreter!)), interpreter);
    }
    for (const [, name] of stdout.matchAll(/\(NEEDED\).*\[(\S+)\]/g)) {
      const library = paths.find((each) => basename(each) === name);
      if (library === undefined) assert.unreachable(`${path} needs ${name}`);
      else check(join(rootfs, library));
    }
  };
  check(join(rootfs, program));
}

/** Everything that ends up in an image, a line each. */
function describeTree(root: string): string[] {
  return pathsBelow(root).map((path) => {
    const full = join(root, path);
    const stat = lstatSync(full);
    const content = stat.isSymbolicLink() ? readlinkSync(full) : stat.isFile() ? digest(full) : '';
    return `${stat.mode.toString(8)} ${stat.mtimeMs} ${path} ${content}`;
  });
}

const digest = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/** Without following links to directories. */
function pathsBelow(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => relative(root, join(parentPath, name))).sort();
}

function sizeOf(root: string): number {
  return pathsBelow(root).reduce((sum, path) => sum + lstatSync(join(root, path)).size, 0);
}

test.run();
