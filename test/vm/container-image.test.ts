/**
 * A container image that umoci made, with an image for each kind of machine in one layout, on real boards: each takes
 * its own, and the bundle that was made of it prints its first output, below everything that such a bundle mounts.
 */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { type BoardArchitecture, emulatorOf } from '../../toolchain/board/qemu.ts';
import { bootRelease } from '../../toolchain/board/virtual.ts';
import { demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { type BootsetLab, bootsetLab } from '../support/bootset-lab.ts';
import { runTool } from '../support/file-systems.ts';
import type { Json } from '../support/oci-writer.ts';
import { areToolsRequired, requireRoot, requireTool, skipTest } from '../support/tools.ts';

const test = suite('container images on boards');

const GO_ARCHITECTURES: Readonly<Record<BoardArchitecture, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
};

/** Of the container's own user, in its own words: one line, for the board stops at the first output. */
const SCRIPT = `echo "$GREETING from $(uname -m), $(id -u):$(id -g) in $(pwd),\
 $(grep -c ' / erofs ro' /proc/mounts) root, $(hostname), caps $(grep CapEff /proc/self/status | cut -f 2),\
 $(touch /tmp/x && echo tmp) $(touch /data/x 2>/dev/null && echo data || echo no data)\
 $(touch /x 2>/dev/null || echo sealed)"`;

function addImage(layout: string, tree: string, busybox: string, architecture: string): void {
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'etc'));
  copyFileSync(busybox, join(tree, 'bin/busybox'));
  for (const name of ['cut', 'grep', 'hostname', 'id', 'sh', 'touch', 'uname']) {
    symlinkSync('busybox', join(tree, 'bin', name));
  }
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n');
  const image = ['--image', `${layout}:${architecture}`];
  runTool('umoci', ['new', ...image]);
  runTool('umoci', ['insert', ...image, tree, '/']);
  runTool('umoci', [
    'config',
    ...image,
    `--architecture=${architecture}`,
    '--os=linux',
    '--config.entrypoint=/bin/sh',
    '--config.entrypoint=-c',
    `--config.cmd=${SCRIPT}`,
    '--config.env=GREETING=hello',
    '--config.user=app',
    '--config.workingdir=/srv/app',
    '--config.volume=/data',
  ]);
}

/** One index for both, as registries have it: umoci leaves the machine to the configuration. */
function writeMachines(layout: string): void {
  const path = join(layout, 'index.json');
  const index = JSON.parse(readFileSync(path, 'utf8')) as { manifests: Json[] };
  const manifests = index.manifests.map(({ annotations, ...each }) => {
    const architecture = (annotations as Json)['org.opencontainers.image.ref.name'];
    return { ...each, platform: { os: 'linux', architecture } };
  });
  writeFileSync(path, JSON.stringify({ ...index, manifests }));
}

async function makeSystem(lab: BootsetLab, architecture: BoardArchitecture): Promise<string> {
  try {
    return (await demoBoardSystem(join(lab.path, architecture), { architecture })).rootfs;
  } catch (error) {
    const code = error instanceof ColdsealError ? error.code : '';
    if (code !== 'HOST_NO_NETWORK' || areToolsRequired()) throw error;
    return skipTest((error as Error).message);
  }
}

for (const architecture of ['aarch64', 'x86_64'] as const) {
  test(`an image of two machines starts on ${architecture}`, async () => {
    requireRoot();
    requireTool('umoci', 'umoci');
    const { name, debian } = emulatorOf(architecture);
    requireTool(name, debian);
    using lab = bootsetLab();
    const layout = join(lab.path, 'layout');
    runTool('umoci', ['init', '--layout', layout]);
    for (const each of ['aarch64', 'x86_64'] as const) {
      const busybox = join(await makeSystem(lab, each), 'usr/bin/busybox');
      addImage(layout, join(lab.path, `tree-${each}`), busybox, GO_ARCHITECTURES[each]);
    }
    writeMachines(layout);
    const bootset = lab.write(
      'BOOTSET.yaml',
      `product: demo
version: '1.0'
board: qemu-${architecture}
epochs: { 1: 1 }
images:
  - { name: debian, role: system, source: { directory: ${architecture}/rootfs } }
  - name: app
    role: container
    start: early
    source: { oci: layout }
    container: { env: { GREETING: good day } }
`,
    );
    await lab.release({ bootset, noDisk: false });
    const [boot] = await bootRelease(join(lab.path, 'out'), { from: lab.path });
    assert.match(
      boot!.console,
      new RegExp(
        `^app: good day from ${architecture}, 1000:1000 in /srv/app, \\d root, app, caps 0{16}, tmp no data sealed`,
        'm',
      ),
    );
    assert.is(boot!.record.outcome, 'booted');
    const record = readFileSync(join(lab.path, 'out/release.json'), 'utf8');
    assert.match(record, /"volumes": \[\s*"\/data"\s*\]/);
  });
}

test.run();
