/** OCI runtime bundles made of container images: users, config.json, places of mounts, and what is refused. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findNode } from '../../toolchain/image/find-node.ts';
import { nodeContent } from '../../toolchain/image/node-content.ts';
import { type Bundle, makeBundle } from '../../toolchain/release/bundle.ts';
import { loadBootset, type BootsetImage } from '../../toolchain/release/bootset.ts';
import { runtimeUser } from '../../toolchain/release/container-user.ts';
import type { RuntimeConfig } from '../../toolchain/release/runtime-config.ts';
import { bootsetLab, type BootsetLab } from '../support/bootset-lab.ts';
import { expectCode } from '../support/expect-code.ts';
import type { Json } from '../support/oci-writer.ts';
import { treeOfBytes } from '../support/tar-lab.ts';
import { tarOf, type TarMember } from '../support/tar-writer.ts';

const test = suite('containers of images');

let lab: BootsetLab;
test.before.each(() => {
  lab = bootsetLab();
});
test.after.each(() => lab.remove());

// --- users ---------------------------------------------------------------------------------------------

const PASSWD = `root:x:0:0:root:/root:/bin/sh
app:x:1000:100:App:/srv:/bin/sh
broken
twice:x:1001:101::/:/bin/sh
twice:x:1002:102::/:/bin/sh
1000:x:5:5::/:/bin/sh
bad:x:none:1::/:/bin/sh
`;
const GROUP = `root:x:0:
wheel:x:10:root,app
users:x:100:
video:x:44:other,app
odd:x:y:app
`;

const USERS: readonly (readonly [spec: string, expected: unknown])[] = [
  ['', { uid: 0, gid: 0, additionalGids: [10] }],
  ['root', { uid: 0, gid: 0, additionalGids: [10] }],
  ['0', { uid: 0, gid: 0, additionalGids: [10] }],
  ['app', { uid: 1000, gid: 100, additionalGids: [10, 44] }],
  ['1000', { uid: 1000, gid: 100, additionalGids: [10, 44] }],
  ['app:video', { uid: 1000, gid: 44 }],
  ['app:7', { uid: 1000, gid: 7 }],
  ['7', { uid: 7, gid: 0 }],
  ['7:8', { uid: 7, gid: 8 }],
  [':video', { uid: 0, gid: 44 }],
  ['twice', { uid: 1001, gid: 101 }],
  ['4294967294', { uid: 4294967294, gid: 0 }],
  ['none', 'user none'],
  ['bad', 'user bad'],
  ['-1', 'user -1'],
  ['4294967295', 'user 4294967295'],
  ['app:none', 'group none'],
  ['app:odd', 'group odd'],
];

test('users by number and by name', () => {
  for (const [spec, expected] of USERS) {
    const found = runtimeUser(spec, { passwd: PASSWD, group: GROUP });
    assert.equal('user' in found ? found.user : found.unknown, expected, spec);
  }
  const bare = { passwd: '', group: '' };
  assert.equal(runtimeUser('', bare), { user: { uid: 0, gid: 0 } });
  assert.equal(runtimeUser('root', bare), { unknown: 'user root' });
});

// --- bundles -------------------------------------------------------------------------------------------

const ROOTFS: readonly TarMember[] = [
  { name: 'bin/', type: '5', mode: 0o755 },
  { name: 'bin/tool', content: '#!/bin/sh', mode: 0o755 },
  { name: 'bin/data', content: 'no program', mode: 0o644 },
  { name: 'etc/passwd', content: PASSWD, mode: 0o644 },
  { name: 'etc/group', content: GROUP, mode: 0o644 },
  { name: 'usr/bin', type: '2', linkName: '../bin' },
  { name: 'volume/full', content: 'hidden' },
  { name: 'run/', type: '5', mode: 0o750 },
  { name: 'var/run', type: '2', linkName: '/run' },
  { name: 'nowhere', type: '2', linkName: '/missing' },
];
const IMAGE: Json = { os: 'linux', architecture: 'amd64', config: { Entrypoint: ['/bin/tool'] } };

/** The image `app` of a bootset with these settings. */
function appOf(container = ''): BootsetImage {
  lab.write('layout/index.json', '{}');
  const text = `product: demo
version: '1.0'
board: qemu-x86_64
epochs: { 1: 7 }
images:
  - { name: app, role: container, source: { oci: layout }, container: { ${container} } }
`;
  return loadBootset(lab.write('BOOTSET.yaml', text)).images[0]!;
}

interface Made extends Bundle {
  readonly config: RuntimeConfig;
  readonly bytes: Uint8Array;
  readonly warnings: readonly string[];
}

async function bundleOf(
  image: Json = IMAGE,
  container = '',
  members: readonly TarMember[] = ROOTFS,
): Promise<Made> {
  const store = join(lab.path, 'objects');
  mkdirSync(store, { recursive: true });
  const rootfs = await treeOfBytes(tarOf(...members), { inlineMax: 5000 });
  const warnings: string[] = [];
  const onWarning = (text: string): void => void warnings.push(text);
  const bundle = makeBundle(appOf(container), rootfs, { store, config: image, onWarning });
  const bytes = nodeContent(findNode(bundle.root, '/config.json')!, store);
  const config = JSON.parse(Buffer.from(bytes).toString()) as RuntimeConfig;
  return { ...bundle, config, bytes, warnings };
}

const withConfig = (config: Json): Json => ({
  ...IMAGE,
  config: { Cmd: ['/bin/tool'], ...config },
});

test('what an image says of its container is in config.json', async () => {
  const image = {
    ...IMAGE,
    author: 'someone',
    created: '2026-01-01T00:00:00Z',
    variant: 'v8',
    'os.version': '1',
    'os.features': ['a', 'b'],
    config: {
      Entrypoint: ['tool'],
      Cmd: ['--flag', 'ü'],
      Env: ['PATH=/usr/bin', 'A=1=2', 'B='],
      WorkingDir: '/srv/app/',
      User: 'app',
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      StopSignal: 'SIGINT',
      Labels: { 'z.label': 'z', 'org.opencontainers.image.author': 'label' },
      Volumes: { '/volume': {}, '/new/place/': {} },
    },
  };
  const { root, record, config, warnings, bytes } = await bundleOf(image);
  assert.equal(
    root.children!.map(({ name }) => name),
    ['config.json', 'rootfs'],
  );
  assert.equal(config.process.args, ['tool', '--flag', 'ü']);
  assert.equal(config.process.env, ['PATH=/usr/bin', 'A=1=2', 'B=']);
  assert.is(config.process.cwd, '/srv/app');
  assert.equal(config.process.user, { uid: 1000, gid: 100, additionalGids: [10, 44] });
  assert.equal(config['annotations'], {
    'org.opencontainers.image.architecture': 'amd64',
    'org.opencontainers.image.author': 'label',
    'org.opencontainers.image.created': '2026-01-01T00:00:00Z',
    'org.opencontainers.image.exposedPorts': '53/udp,80/tcp',
    'org.opencontainers.image.os': 'linux',
    'org.opencontainers.image.os.features': 'a,b',
    'org.opencontainers.image.os.version': '1',
    'org.opencontainers.image.stopSignal': 'SIGINT',
    'org.opencontainers.image.variant': 'v8',
    'z.label': 'z',
  });
  assert.equal(config['hostname'], 'app');
  assert.equal(record.volumes, ['/new/place', '/volume']);
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, /volume \/volume: it starts empty and hides 1 entries/);
  for (const path of ['srv/app', 'new/place', 'proc', 'sys', 'tmp', 'dev']) {
    const node = findNode(root, `/rootfs/${path}`)!;
    assert.equal([node.mode, node.uid, node.mtimeSec], [0o040755, 0, 0], path);
  }
  assert.is(findNode(root, '/rootfs/dev/shm'), undefined, 'a tmpfs is above it');
  assert.is(findNode(root, '/rootfs/run')!.mode, 0o040750, 'what is there stays');
  assert.equal((await bundleOf(image)).bytes, bytes, 'the same bytes again');
});

test('what nothing says has a default that keeps the container apart', async () => {
  const { config } = await bundleOf();
  assert.equal(config.process, {
    terminal: false,
    user: { uid: 0, gid: 0, additionalGids: [10] },
    args: ['/bin/tool'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    cwd: '/',
    capabilities: Object.fromEntries(
      ['bounding', 'effective', 'permitted'].map((set) => [
        set,
        ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
      ]),
    ),
    noNewPrivileges: true,
  });
  assert.equal(config['root'], { path: 'rootfs', readonly: true });
  assert.equal(
    config.mounts.map(({ destination }) => destination),
    '/proc /dev /sys /tmp /run /dev/pts /dev/shm /dev/mqueue /sys/fs/cgroup'.split(' '),
  );
  const { namespaces, maskedPaths } = config['linux'] as {
    namespaces: { type: string }[];
    maskedPaths: string[];
  };
  const types = namespaces.map(({ type }) => type);
  assert.equal(types, ['pid', 'mount', 'ipc', 'uts', 'cgroup', 'network']);
  assert.ok(maskedPaths.includes('/proc/kcore'));
});

test('the bootset has the last word', async () => {
  const { config, root } = await bundleOf(
    withConfig({ Entrypoint: ['/bin/none'], Env: ['A=1', 'B=2'], Volumes: { '/data': {} } }),
    `args: [/usr/bin/tool, x], env: { C: '3', A: one }, cwd: /work, user: 7, hostname: board,
     network: host, capabilities: [CAP_SYS_TIME, CAP_NET_RAW], omit_mounts: [/dev/mqueue],
     mounts: [{ destination: /data, source: /srv/data }, { destination: /tmp, type: tmpfs, options: [size=1m] }],
     resources: { memory_max: 1048576, pids_max: 9 }`,
  );
  assert.equal(config.process.args, ['/usr/bin/tool', 'x']);
  assert.equal(config.process.env.slice(1), ['A=one', 'B=2', 'C=3']);
  assert.is(config.process.cwd, '/work');
  assert.equal(config.process.user, { uid: 7, gid: 0 });
  const all = ['CAP_NET_RAW', 'CAP_SYS_TIME'];
  assert.equal(config.process.capabilities, {
    bounding: all,
    effective: all,
    permitted: all,
    inheritable: all,
    ambient: all,
  });
  assert.equal(config['hostname'], 'board');
  const mounts = new Map(config.mounts.map((each) => [each.destination, each]));
  assert.not.ok(mounts.has('/dev/mqueue'));
  assert.equal(mounts.get('/data'), {
    destination: '/data',
    type: 'bind',
    source: '/srv/data',
    options: ['rbind', 'nosuid', 'nodev'],
  });
  assert.equal(mounts.get('/tmp')!.options, ['size=1m']);
  const { resources, namespaces } = config['linux'] as { resources: unknown; namespaces: Json[] };
  assert.equal(resources, { memory: { limit: 1048576 }, pids: { limit: 9 } });
  assert.not.ok(namespaces.some(({ type }) => type === 'network'));
  assert.ok(findNode(root, '/rootfs/data'), 'a place for the mount');
  const { config: other } = await bundleOf(withConfig({ User: 'app' }));
  assert.equal(other.process.capabilities['effective'], [], 'a user has none');
});

test('mounts are made where symlinks of the image lead', async () => {
  const { root } = await bundleOf(
    IMAGE,
    `mounts: [{ destination: /var/run/app, type: tmpfs }, { destination: /usr/bin/data, source: /srv/file }]`,
  );
  assert.ok(findNode(root, '/rootfs/run/app'));
  assert.is(findNode(root, '/rootfs/usr/bin/data'), findNode(root, '/rootfs/bin/data'));
});

const REFUSED: readonly (readonly [
  label: string,
  code: string,
  image: Json,
  container?: string,
])[] = [
  ['no program', 'CONFIG_CONTAINER_ARGS', { ...IMAGE, config: {} }],
  ['no configuration at all', 'CONFIG_CONTAINER_ARGS', {}],
  ['an empty program', 'CONFIG_CONTAINER_ARGS', withConfig({ Entrypoint: [''] })],
  ['a program that is not there', 'CONFIG_CONTAINER_ARGS', IMAGE, 'args: [/bin/none]'],
  ['one that is not in PATH', 'CONFIG_CONTAINER_ARGS', IMAGE, 'args: [tool], env: { PATH: /sbin }'],
  ['one that is not executable', 'CONFIG_CONTAINER_ARGS', IMAGE, 'args: [/bin/data]'],
  ['a directory', 'CONFIG_CONTAINER_ARGS', IMAGE, 'args: [/bin]'],
  ['an unknown user', 'CONFIG_CONTAINER_USER', withConfig({ User: 'nobody' })],
  ['an unknown group', 'CONFIG_CONTAINER_USER', IMAGE, 'user: "1:none"'],
  [
    'a mount over a file',
    'CONFIG_CONTAINER_PATH',
    IMAGE,
    'mounts: [{ destination: /bin/tool, type: tmpfs }]',
  ],
  [
    'a mount below a file',
    'CONFIG_CONTAINER_PATH',
    IMAGE,
    'mounts: [{ destination: /bin/tool/x, source: /x }]',
  ],
  ['a mount behind a symlink to nothing', 'CONFIG_CONTAINER_PATH', IMAGE, 'cwd: /nowhere/x'],
  ['a volume over a file', 'CONFIG_CONTAINER_PATH', withConfig({ Volumes: { '/bin/data': {} } })],
  ['a mount over all', 'CONFIG_CONTAINER_PATH', IMAGE, 'mounts: [{ destination: /, type: tmpfs }]'],
  ['a volume over all', 'CONFIG_CONTAINER_PATH', withConfig({ Volumes: { '/': {} } })],
  ['a file to start in', 'CONFIG_CONTAINER_PATH', IMAGE, 'cwd: /bin/data'],
  ['a volume that leads up', 'FORMAT_OCI_CONFIG', withConfig({ Volumes: { '/a/../b': {} } })],
  ['a relative directory', 'FORMAT_OCI_CONFIG', withConfig({ WorkingDir: 'srv' })],
  ['an environment without =', 'FORMAT_OCI_CONFIG', withConfig({ Env: ['A'] })],
  ['words that are none', 'FORMAT_OCI_CONFIG', withConfig({ Entrypoint: '/bin/tool' })],
  ['labels that are none', 'FORMAT_OCI_CONFIG', withConfig({ Labels: { a: 1 } })],
];

test('what no engine could start is refused', async () => {
  for (const [label, code, image, container] of REFUSED) {
    const rootfs = await treeOfBytes(tarOf(...ROOTFS), { inlineMax: 5000 });
    const app = appOf(container);
    const make = (): Bundle => makeBundle(app, rootfs, { store: lab.path, config: image });
    expectCode(make, code, label);
  }
});

test('a program may come with a mount', async () => {
  const mounts = 'mounts: [{ destination: /opt, source: /opt }]';
  const { config } = await bundleOf(IMAGE, `args: [/opt/tool], ${mounts}`);
  assert.equal(config.process.args, ['/opt/tool']);
});

// --- settings ------------------------------------------------------------------------------------------

const SETTINGS: readonly (readonly [line: string, problem: RegExp])[] = [
  ['role: system, source: { directory: rootfs }, container: { args: [/x] }', /for role system/],
  [
    'role: container, source: { directory: bundle }, container: { args: [/x] }',
    /container\.bundle/,
  ],
  [
    'role: container, source: { oci: layout }, container: { bundle: as-is, cwd: / }',
    /container\.cwd/,
  ],
  ['role: container, source: { oci: layout }, container: { args: [] }', /container\.args/],
  ['role: container, source: { oci: layout }, container: { cwd: srv }', /container\.cwd/],
  ['role: container, source: { oci: layout }, container: { cwd: /a/.. }', /container\.cwd/],
  ['role: container, source: { oci: layout }, container: { env: { A=B: x } }', /container\.env/],
  ['role: container, source: { oci: layout }, container: { user: -1 }', /container\.user/],
  [
    'role: container, source: { oci: layout }, container: { capabilities: [net_raw] }',
    /capabilities/,
  ],
  ['role: container, source: { oci: layout }, container: { terminal: true }', /terminal/],
  ['role: container, source: { dump: dump }, container: { bundle: generate }', /container\.bundle/],
  ['role: container, source: { tar: a, ref: x }', /source\.ref/],
  [
    'role: container, source: { oci: layout, docker: layout }',
    /has 2 of directory, tar, cpio, oci, docker and dump/,
  ],
];

test('settings that make no sense', () => {
  lab.write('layout/index.json', '{}');
  lab.write('dump', '');
  for (const [line, problem] of SETTINGS) {
    const text = `product: demo
version: '1.0'
board: qemu-x86_64
epochs: { 1: 7 }
images:
  - { name: app, ${line} }
`;
    const path = lab.write('BOOTSET.yaml', text);
    const { message } = expectCode(() => loadBootset(path), 'CONFIG_BOOTSET', line);
    assert.match(message, problem, line);
  }
});

test('a directory can be the root file system of a container, when that is said', async () => {
  lab.write('bundle/bin/tool', '#!/bin/sh\n');
  const bootset = (container: string): string =>
    `product: demo
version: '1.0'
board: qemu-x86_64
epochs: { 1: 7 }
images:
  - { name: app, role: container, source: { directory: bundle }, container: { ${container} } }
`;
  lab.write('BOOTSET.yaml', bootset('bundle: as-is'));
  assert.not.ok(loadBootset(join(lab.path, 'BOOTSET.yaml')).images[0]!.makesBundle);
  lab.write(
    'BOOTSET.yaml',
    bootset('bundle: generate, args: [/opt/tool], mounts: [{ destination: /opt, source: /opt }]'),
  );
  const built = await lab.release();
  assert.ok(built.images[0]!.source.entries > 10, 'with the places of its mounts');
  const record = readFileSync(join(lab.path, 'out/release.json'), 'utf8');
  assert.match(record, /"configSha256": "[0-9a-f]{64}"/);
});

test.run();
