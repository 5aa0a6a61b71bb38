/**
 * The directory that the examples of every command's help run in.
 *
 * It holds a small root file system and whatever the commands themselves make of it: an image, its object store, keys
 * and a release. A step whose command does not exist yet is left out.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Command } from '../../toolchain/cli/command.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { openEvidenceSigner } from '../../toolchain/sign/dev-keys.ts';
import { signEvidence } from '../../toolchain/sign/sign-evidence.ts';
import { bootOf, releaseOf } from './history-lab.ts';
import { cpioOf } from './cpio-writer.ts';
import { DockerWriter } from './docker-writer.ts';
import { OciWriter } from './oci-writer.ts';
import { CLI_PATH } from './run-cli.ts';
import { measuredBoots, OTHER_STAGE_MS } from './measured-boots.ts';
import { tarOf } from './tar-writer.ts';
import { tempDir, type TempDir } from './temp-dir.ts';

/** Made in this order by a command with its arguments; the examples of that same command do not find it. */
const STEPS: readonly (readonly [command: string, args: string, makes: string])[] = [
  ['image build', '--digest-store=objects rootfs rootfs.cfs', 'rootfs.cfs'],
  ['image build', '--digest-store=objects newer newer.cfs', 'newer.cfs'],
  ['image build', '--tar-index rootfs.tar rootfs.index', 'rootfs.index'],
  ['keys init', 'keys/dev', 'keys/dev'],
  ['release', 'BOOTSET.yaml --output release --no-disk', 'release'],
];

const ENTRIES: readonly (readonly [path: string, content: string])[] = [
  ['rootfs/etc/hostname', 'board\n'],
  ['rootfs/etc/os-release', 'NAME=Sample\n'],
  ['rootfs/usr/bin/hello', `#!/bin/sh\necho hello\n${'#'.repeat(8000)}\n`],
  ['rootfs/usr/share/data', 'data '.repeat(4000)],
  ['newer/etc/hostname', 'board\n'],
  ['newer/etc/os-release', 'NAME=Newer\n'],
  ['newer/usr/bin/hello', `#!/bin/sh\necho hello again\n${'#'.repeat(8000)}\n`],
  ['newer/usr/share/data', 'data '.repeat(4000)],
  [
    'BOOTSET.yaml',
    `product: demo
version: 1.0.0
board: qemu-x86_64
epochs: { 1: 1 }
images:
  - { name: root, role: system, source: { directory: rootfs } }
`,
  ],
  ['file_contexts', '/.*\tsystem_u:object_r:default_t:s0\n'],
  ['boots.jsonl', exampleBoots()],
  ['records.jsonl', exampleRecords({})],
  ['slower.jsonl', exampleRecords({ 'verify a': 24 })],
  ['tree.dump', '/ 0 40755 2 0 0 0 0.0 - - -\n/hello 6 100644 1 0 0 0 0.0 - hello\\n -\n'],
];

/** `rootfs` as archives and as the one layer of container images. */
function writeArchives(dir: string): void {
  const members = ENTRIES.filter(([path]) => path.startsWith('rootfs/'));
  const archive = tarOf(
    ...members.map(([path, content]) => ({ name: path.slice('rootfs/'.length), content })),
  );
  writeFileSync(join(dir, 'rootfs.tar'), archive);
  const layout = new OciWriter(join(dir, 'app.oci'));
  layout.writeIndex(layout.image([archive], { architecture: 'arm64' }));
  new DockerWriter().image([archive], { names: ['app:1.2'] }).write(join(dir, 'app.tar'));
  writeFileSync(join(dir, 'initramfs.cpio'), cpioOf({ name: 'init', content: '#!/bin/sh\n' }));
}

/** Two boots of the virtual ARM board, with other times for some stages. */
function exampleRecords(stageMs: Readonly<Record<string, number>>): string {
  const boots = measuredBoots(2, () => ({
    evidence: 'virtual',
    stageMs: { ...OTHER_STAGE_MS, ...stageMs },
  }));
  return boots.map((boot) => `${JSON.stringify(boot)}\n`).join('');
}

/** Four boots of two builds on a virtual board, and two on a real one in the cold; all different. */
function exampleBoots(): string {
  const virtual = [0, 1, 2, 3].map((i) =>
    bootOf(900_000_000 + i * 1000, { release: releaseOf(i >> 1), measuredAt: null }),
  );
  const cold = [0, 1].map((i) =>
    bootOf(1_400_000_000 + i * 7_000_000, {
      evidence: 'board-gpio',
      specimen: 'rig-1',
      conditions: { temperature: '-30C' },
      release: releaseOf(1),
      measuredAt: `2026-10-0${i + 1}T06:00:00Z`,
    }),
  );
  return [...virtual, ...cold].map((boot) => `${JSON.stringify(boot)}\n`).join('');
}

/** A release with a cache of its own compiles the engine first, and the machine may be busy. */
const RUN_MS_MAX = 10 * 60_000;

/** A prepared directory: `copy()` gives each example its own. */
export interface ExampleFixture {
  readonly dir: TempDir;
  /** A copy without what `command` itself makes. */
  copy(command: string): TempDir;
  /** Runs a shell line in a directory with `coldseal` in PATH; its mounts end with it when run as root. */
  run(line: string, cwd: string): { code: number; stdout: string; stderr: string };
}

/** Makes the fixture once; the commands decide which steps are possible. */
export function makeExampleFixture(commands: readonly Command[]): ExampleFixture {
  const dir = tempDir();
  const bin = tempDir();
  const wrapper = join(bin.path, 'coldseal');
  writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${CLI_PATH}' "$@"\n`);
  chmodSync(wrapper, 0o755);
  for (const [path, content] of ENTRIES) {
    mkdirSync(join(dir.path, path, '..'), { recursive: true });
    writeFileSync(join(dir.path, path), content);
  }
  for (const root of ['rootfs', 'newer']) {
    chmodSync(join(dir.path, root, 'usr/bin/hello'), 0o755);
    symlinkSync('usr/bin', join(dir.path, root, 'bin'));
  }
  writeArchives(dir.path);
  mkdirSync(join(dir.path, 'mnt'));
  const kernelConfig = 'test/vectors/kernel-configs/debian-cloud-arm64.config';
  cpSync(join(ROOT, kernelConfig), join(dir.path, 'kernel.config'));

  // Mounts of an example are private to it and go when its processes do; without the right to that, none can be made.
  const canIsolate =
    process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;
  const isolate = canIsolate ? ['unshare', '--mount'] : [];
  const run: ExampleFixture['run'] = (line, cwd) => {
    const [program, ...args] = [...isolate, 'bash', '-c', line];
    const env = {
      ...process.env,
      PATH: `${bin.path}:${process.env['PATH']}`,
      XDG_CACHE_HOME: join(cwd, 'cache'),
    };
    const result = spawnSync(program, args, { cwd, env, encoding: 'utf8', timeout: RUN_MS_MAX });
    return { code: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  };
  for (const [name, args] of STEPS) {
    if (!commands.some((command) => command.name === name)) continue;
    const line = `coldseal ${name} ${args}`;
    const { code, stderr } = run(line, dir.path);
    if (code !== 0)
      throw new Error(`Cannot prepare the examples: ${line} exited ${code}\n${stderr}`);
  }
  const keys = join(dir.path, 'keys/dev');
  if (existsSync(keys)) {
    const json = Buffer.from(JSON.stringify({ kind: 'coldseal-boot-evidence', schema: 1 }));
    writeFileSync(join(dir.path, 'report.cose'), signEvidence(json, openEvidenceSigner(keys)));
  }
  const copy = (command: string): TempDir => {
    const target = tempDir();
    cpSync(dir.path, target.path, {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
    });
    for (const [name, , made] of STEPS) {
      if (name === command) rmSync(join(target.path, made), { recursive: true, force: true });
    }
    return target;
  };
  return { dir, copy, run };
}
