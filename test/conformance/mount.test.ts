/** Real mounts: the kernel shows the tree that the image was built from, and nothing is left afterwards. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeSys } from '../../runtime/engines/node/sys.ts';
import { listXattrs, lstatFast } from '../../runtime/engines/node/xattr.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { FsConfig, Sys } from '../../runtime/sys.ts';
import { mountImageFile, type MountOptions } from '../../toolchain/mount/mount-image.ts';
import { measureFile } from '../../toolchain/objects/verity.ts';
import { codeOf } from '../support/expect-code.ts';
import { machineState, makeFileSystem, runTool } from '../support/file-systems.ts';
import { runCli } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('mount');

let dir: TempDir;
let before: ReturnType<typeof machineState>;

/** Paths of one test directory with a tree, its image and its objects. */
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(async () => {
  requireRoot();
  before = machineState();
  dir = tempDir();
  makeTree(at('tree'));
  mkdirSync(at('mnt'));
  const built = await runCli([
    'image',
    'build',
    `--digest-store=${at('objects')}`,
    at('tree'),
    at('image'),
  ]);
  assert.is(built.code, 0, built.stderr);
});

test.after.each(() => {
  spawnSync('umount', ['--lazy', at('mnt')], { stdio: 'ignore' });
  dir.remove();
  // An unmounted loop device is let go of a moment later.
  spawnSync('udevadm', ['settle'], { stdio: 'ignore' });
  assert.equal(machineState(), before, 'mounts, loop devices, temporary directories');
});

function makeTree(root: string): void {
  mkdirSync(join(root, 'sub/deep'), { recursive: true });
  writeFileSync(join(root, 'big'), Buffer.alloc(300_000, 'big '));
  writeFileSync(join(root, 'inline'), 'short');
  writeFileSync(join(root, 'empty'), '');
  writeFileSync(join(root, 'sub/odd'), Buffer.alloc(4097, 7));
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/sub/`), Buffer.from([0x61, 0xff, 0x62])]),
    'bytes in a name',
  );
  writeFileSync(join(root, 'sub/a,b:c\\d e'), Buffer.alloc(100, 'x'));
  symlinkSync('sub/odd', join(root, 'link'));
  symlinkSync('x'.repeat(3000), join(root, 'sub/long-link'));
  linkSync(join(root, 'big'), join(root, 'sub/deep/hard'));
  for (let i = 0; i < 300; i++)
    writeFileSync(join(root, 'sub/deep', `file-${i}`), `${i} `.repeat(40));
  runTool('mknod', [join(root, 'null'), 'c', '1', '3']);
  runTool('mkfifo', ['-m', '0620', join(root, 'fifo')]);
  runTool('chown', ['12:34', join(root, 'big')]);
  runTool('chmod', ['4751', join(root, 'big')]);
  runTool('touch', ['-d', '@1234567890.123456789', join(root, 'sub/odd')]);
  runTool(requireTool('setfattr', 'attr'), ['-n', 'user.note', '-v', 'a value', join(root, 'big')]);
  runTool('setfattr', ['-n', 'user.empty', join(root, 'sub')]);
}

/** Everything that can be seen of a tree, by path; link counts and inode numbers are the image's own. */
function describeTree(root: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const visit = (path: string): void => {
    const full = `${Buffer.from(root).toString('latin1')}${path}`;
    const { mode, uid, gid, rdev, size, mtimeSec, mtimeNsec } = lstatFast(full);
    const kind = mode & 0o170000;
    const xattrs = listXattrs(full).sort(([a], [b]) => (a < b ? -1 : 1));
    const bytes = Buffer.from(full, 'latin1');
    const content = kind === 0o100000 ? readFileSync(bytes).toString('base64') : '';
    const isDirectory = kind === 0o040000;
    found[path] = [
      mode,
      uid,
      gid,
      rdev,
      isDirectory ? 0 : size,
      mtimeSec,
      mtimeNsec,
      xattrs,
      content,
    ];
    if (isDirectory) {
      for (const name of readdirSync(bytes, { encoding: 'latin1' }).sort())
        visit(`${path}/${name}`);
    }
  };
  visit('');
  return found;
}

function mountOptions(options: Partial<MountOptions> = {}): MountOptions {
  return {
    image: at('image'),
    dir: at('mnt'),
    basedir: [at('objects')],
    verity: 'off',
    ro: false,
    rw: false,
    ...options,
  };
}

function unmount(): void {
  runTool('umount', [at('mnt')]);
}

test('the kernel shows the tree that went in', () => {
  const result = mountImageFile(mountOptions());
  assert.is(result.imageDigest, 'not checked');
  assert.is(result.fileVerity, 'off');
  assert.equal(describeTree(at('mnt')), describeTree(at('tree')));
  assert.throws(() => writeFileSync(at('mnt/new'), ''), /EROFS/);
  unmount();
});

test('the command says what is enforced, and umount takes the mount away', async () => {
  const { digest } = measureFile(at('image'), 'sha256');
  const basedir = `--basedir=${at('objects')}`;
  const args = [at('image'), at('mnt'), basedir, `--digest=${digest}`, '--verity=if-supported'];
  const mounted = await runCli(['mount', ...args, '--json']);
  assert.is(mounted.code, 0, mounted.stderr);
  const { result } = JSON.parse(mounted.stdout) as { result: Record<string, unknown> };
  assert.ok(result['imageDigest'] === 'computed' || result['imageDigest'] === 'kernel-measured');
  const busy = spawn('sleep', ['60'], { cwd: at('mnt') });
  await once(busy, 'spawn');
  const refused = await runCli(['umount', at('mnt')]);
  busy.kill();
  await once(busy, 'exit');
  assert.is(refused.code, 6);
  assert.match(refused.stderr, /HOST_MOUNT_BUSY/);
  assert.is((await runCli(['umount', at('mnt')])).code, 0);
  const again = await runCli(['umount', at('mnt')]);
  assert.is(again.code, 2);
  assert.match(again.stderr, /USAGE_NOT_MOUNTED/);
  const text = await runCli(['mount', ...args]);
  assert.match(text.stdout, /^image digest {2}(computed|kernel-measured)$/m);
  assert.match(
    text.stdout,
    /^file verity {3}(required|objects have none|not supported by kernel)$/m,
  );
  unmount();
});

test('a wrong digest exits 3, and one that is no digest exits 2', async () => {
  const basedir = `--basedir=${at('objects')}`;
  for (const [digest, exitCode, code] of [
    ['00'.repeat(32), 3, 'VERIFY_IMAGE_DIGEST'],
    ['', 2, 'USAGE_BAD_DIGEST'],
    ['abc', 2, 'USAGE_BAD_DIGEST'],
    ['ab'.repeat(31), 2, 'USAGE_BAD_DIGEST'],
    ['xy'.repeat(32), 2, 'USAGE_BAD_DIGEST'],
  ] as const) {
    const options = [basedir, `--digest=${digest}`, '--verity=if-supported'];
    const { code: exit, stderr } = await runCli(['mount', at('image'), at('mnt'), ...options]);
    assert.is(exit, exitCode, digest);
    assert.ok(stderr.includes(code), stderr);
  }
});

test('verity=require is kept or refused, never weakened', () => {
  const { digest } = measureFile(at('image'), 'sha256');
  const code = codeOf(() => mountImageFile(mountOptions({ verity: 'require', digest })));
  if (code === 'nothing was thrown') {
    assert.equal(describeTree(at('mnt')), describeTree(at('tree')));
    unmount();
  } else {
    assert.ok(code === 'HOST_NO_VERITY' || code === 'VERIFY_IMAGE_NO_VERITY', code);
  }
  if (measureFile(at('image'), 'sha256').by === 'computed') {
    assert.is.not(code, 'nothing was thrown');
  }
});

test('objects are found in several directories on different file systems', async () => {
  using ext4 = makeFileSystem('ext4', dir.path, 32);
  using xfs = makeFileSystem('xfs', dir.path);
  using btrfs = makeFileSystem('btrfs', dir.path);
  const basedirs = [ext4, xfs, btrfs].map(({ path }, i) =>
    join(path, ['a,b', 'c:d', 'e\\f g'][i]!),
  );
  readdirSync(at('objects')).forEach((fanOut, i) => {
    cpSync(at('objects', fanOut), join(basedirs[i % 3]!, fanOut), { recursive: true });
  });
  rmSync(at('objects'), { recursive: true });
  for (const sys of Object.values(OLDER_KERNELS)) {
    mountImageFile(mountOptions({ basedir: basedirs }), sys());
    assert.equal(describeTree(at('mnt')), describeTree(at('tree')));
    unmount();
  }
  const { code, stdout } = await runCli([
    'mount',
    at('image'),
    at('mnt'),
    ...basedirs.map((path) => `--basedir=${path}`),
    '--verity=off',
  ]);
  assert.is(code, 0);
  assert.ok(stdout.includes('c:d'));
  unmount();
});

/** This kernel without something, so that every way of mounting is walked for real. */
const OLDER_KERNELS = {
  'as it is': () => createNodeSys(),
  'no EROFS from files': () =>
    refusing(
      (config, type) => (type === 'erofs' && config.kind === 'create' ? 'ENOTBLK' : undefined),
      1,
    ),
  'no descriptor layers': () => refusing((config) => (config.kind === 'fd' ? 'EINVAL' : undefined)),
  'no appended layers': () =>
    refusing((config) => ('key' in config && config.key.endsWith('+') ? 'EINVAL' : undefined)),
} as const satisfies Record<string, () => Sys>;

/** The system, with some options refused; `times` limits how often. */
function refusing(
  decide: (config: FsConfig, type: string) => string | undefined,
  times = Number.POSITIVE_INFINITY,
): Sys {
  const sys = createNodeSys();
  const types = new Map<number, string>();
  let left = times;
  return {
    ...sys,
    fsopen: (type) => {
      const context = sys.fsopen(type);
      types.set(context, type);
      return context;
    },
    fsconfig: (context, config) => {
      const errno = decide(config, types.get(context) ?? '');
      if (errno !== undefined && left-- > 0) throw new SysError('fsconfig', errno);
      sys.fsconfig(context, config);
    },
  };
}

for (const [name, sys] of Object.entries(OLDER_KERNELS)) {
  test(`a kernel with ${name} shows the same tree`, () => {
    const image = at('the, image: 1');
    renameSync(at('image'), image);
    const long = at('n'.repeat(200), 'm'.repeat(150));
    mkdirSync(long, { recursive: true });
    renameSync(at('objects'), join(long, 'objects'));
    const result = mountImageFile(mountOptions({ image, basedir: [join(long, 'objects')] }), sys());
    const isLoop = name === 'no EROFS from files';
    assert.is(result.image, isLoop ? 'loop device' : 'file');
    assert.equal(describeTree(at('mnt')), describeTree(at('tree')));
    unmount();
  });

  test(`a kernel with ${name} writes to an upper layer`, () => {
    mkdirSync(at('up,per'));
    mkdirSync(at('wo:rk'));
    const layers = { upperdir: at('up,per'), workdir: at('wo:rk') };
    mountImageFile(mountOptions(layers), sys());
    writeFileSync(at('mnt/new'), 'new');
    writeFileSync(at('mnt/big'), 'changed');
    rmSync(at('mnt/inline'));
    unmount();
    assert.equal(readdirSync(at('up,per')).sort(), ['big', 'inline', 'new']);
    mountImageFile(mountOptions({ ...layers, ro: true }), sys());
    assert.is(readFileSync(at('mnt/big'), 'utf8'), 'changed');
    assert.throws(() => writeFileSync(at('mnt/new2'), ''), /EROFS/);
    unmount();
    mountImageFile(mountOptions(), sys());
    assert.equal(describeTree(at('mnt')), describeTree(at('tree')), 'the image is untouched');
    unmount();
  });
}

test('ids are those of the user namespace', async () => {
  const holder = spawn('unshare', ['--user', 'sh', '-c', 'echo ready; exec sleep 60'], {
    stdio: 'pipe',
  });
  try {
    await once(holder.stdout, 'data');
    for (const map of ['uid_map', 'gid_map']) {
      writeFileSync(`/proc/${holder.pid}/${map}`, '0 100000 65536');
    }
    mountImageFile(mountOptions({ idmap: `/proc/${holder.pid}/ns/user` }));
    const { uid, gid } = lstatFast(at('mnt/big'));
    assert.equal([uid, gid], [100_012, 100_034]);
    assert.is(readFileSync(at('mnt/big')).length, 300_000);
    unmount();
  } finally {
    holder.kill('SIGKILL');
  }
});

test('what cannot be mounted is refused with a code, and nothing is left', () => {
  writeFileSync(at('junk'), Buffer.alloc(8192, 1));
  const image = readFileSync(at('image'));
  writeFileSync(at('cut'), image.subarray(0, 1100));
  for (const [options, code] of [
    [{ image: at('none') }, 'HOST_NOT_FOUND'],
    [{ image: at('junk') }, 'FORMAT_NOT_AN_IMAGE'],
    [{ image: at('cut') }, 'HOST_MOUNT_FAILED'],
    [{ image: at('tree') }, 'USAGE_NOT_A_FILE'],
    [{ dir: at('nowhere') }, 'HOST_NOT_FOUND'],
    [{ basedir: [] }, 'USAGE_MOUNT_OPTIONS'],
    [{ basedir: [at('nowhere')] }, 'HOST_NOT_FOUND'],
    [{ basedir: [at('image')] }, 'HOST_NOT_FOUND'],
    [{ upperdir: at('tree') }, 'USAGE_MOUNT_OPTIONS'],
    [{ rw: true }, 'USAGE_MOUNT_OPTIONS'],
    [{ ro: true, rw: true }, 'USAGE_MOUNT_OPTIONS'],
    [{ idmap: at('nowhere') }, 'HOST_NOT_FOUND'],
    [{ idmap: at('image') }, 'HOST_MOUNT_FAILED'],
  ] as const) {
    for (const sys of [OLDER_KERNELS['as it is'], OLDER_KERNELS['no EROFS from files']]) {
      assert.is(
        codeOf(() => mountImageFile(mountOptions(options), sys())),
        code,
        JSON.stringify(options),
      );
    }
  }
});

/** What C mount.composefs 1.0.8 prints on stderr, first line, for these arguments. All exit 1. */
const DROP_IN: readonly [args: string[], message: string][] = [
  [[], 'No source path specified'],
  [['img'], 'No mount path specified'],
  [['img', 'mnt'], 'No object dirs specified'],
  [['-x', 'img', 'mnt'], "mount.composefs: invalid option -- 'x'"],
  [['-t', 'ext4', 'img', 'mnt'], "mount.composefs: Unsupported fs type 'ext4'"],
  [['-o', 'foo', 'img', 'mnt'], 'mount.composefs: Unsupported option foo'],
  [['-o', 'basedir=/a,', 'img', 'mnt'], 'mount.composefs: Unsupported option '],
  [['-o', 'noverity', 'img', 'mnt'], 'mount.composefs: Unsupported option noverity'],
  [['-o', 'basedir', 'img', 'mnt'], 'mount.composefs: No value specified for basedir option'],
  [['-o', 'idmap', 'img', 'mnt'], 'mount.composefs: No value specified for idmap option'],
  [
    ['-o', 'basedir=', 'img', 'mnt'],
    'mount.composefs: Value for basedir option has incorrect format',
  ],
  [
    ['-o', 'basedir=/a::/b', 'img', 'mnt'],
    'mount.composefs: Value for basedir option has incorrect format',
  ],
  [
    ['-o', 'basedir=/a,upperdir=/u', 'img', 'mnt'],
    'mount.composefs: Both workdir and upperdir must be specified if used',
  ],
  [
    ['-o', 'basedir=/a', 'nope', 'mnt'],
    'mount.composefs: Failed to open nope: No such file or directory',
  ],
  [
    ['-o', 'basedir=/a,idmap=/nope', 'img', 'mnt'],
    'mount.composefs: Failed to open userns /nope: No such file or directory',
  ],
  [
    ['-o', 'basedir=/a', 'junk', 'mnt'],
    'mount.composefs: Failed to mount composefs junk: Invalid argument',
  ],
  [
    ['-o', 'basedir=/a', 'tree', 'mnt'],
    'mount.composefs: Failed to mount composefs tree: Is a directory',
  ],
  [
    ['-o', 'basedir=/a,digest=zz', 'img', 'mnt'],
    'mount.composefs: Failed to mount composefs img: Invalid argument',
  ],
  [
    ['-o', 'basedir=/nope', 'img', 'mnt'],
    'mount.composefs: Failed to mount composefs img: No such file or directory',
  ],
  [
    ['-o', 'basedir=objects', 'img', 'nowhere'],
    'mount.composefs: Failed to mount composefs img: No such file or directory',
  ],
];

test('the drop-in says what C mount.composefs says', async () => {
  renameSync(at('image'), at('img'));
  writeFileSync(at('junk'), 'x');
  for (const [args, message] of DROP_IN) {
    const { code, stderr } = await runCli(['mount.composefs', ...args], { cwd: dir.path });
    assert.equal([code, stderr.split('\n')[0]], [1, message], args.join(' '));
  }
  const help = await runCli(['mount.composefs', '-h']);
  assert.is(help.code, 0);
  assert.match(help.stderr, /^usage: mount\.composefs /);
});

test('the drop-in does not take an empty digest for no digest', async () => {
  const { code, stderr } = await runCli(
    ['mount.composefs', '-o', 'basedir=objects,digest=', 'image', 'mnt'],
    { cwd: dir.path },
  );
  assert.equal(
    [code, stderr.trim()],
    [1, 'mount.composefs: Failed to mount composefs image: Invalid argument'],
  );
});

test('the drop-in mounts, with escapes in its options', async () => {
  renameSync(at('objects'), at('o,b:j'));
  const options = 'ro,basedir=none:o\\,b\\:j,tryverity';
  mkdirSync(at('none'));
  const { code, stderr } = await runCli(['mount.composefs', 'image', '-o', options, 'mnt'], {
    cwd: dir.path,
  });
  assert.equal([code, stderr], [0, '']);
  assert.equal(describeTree(at('mnt')), describeTree(at('tree')));
  unmount();
});

test.run();
