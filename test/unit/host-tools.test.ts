/** Outside programs: missing, failing, late, interrupted; with scripts in the place of apt and QEMU. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import type { VirtualMachine } from '../../toolchain/board/qemu.ts';
import { moduleDependencies } from '../../toolchain/disk/kernel-modules.ts';
import {
  aptConfiguration,
  type DebianSource,
  fetchNewest,
  fetchPackage,
  mirrorOf,
  parseCandidate,
} from '../../toolchain/host/debian-packages.ts';
import { locateTool, runTool, runToolToSuccess } from '../../toolchain/host/run-tool.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { skipTest } from '../support/tools.ts';

const test = suite('host tools');

let dir: TempDir;
const path = process.env['PATH']!;

test.before.each(() => {
  dir = tempDir();
  mkdirSync(join(dir.path, 'bin'));
  process.env['PATH'] = `${join(dir.path, 'bin')}:${path}`;
});
test.after.each(() => {
  process.env['PATH'] = path;
  dir.remove();
});

/** Puts a shell script in the place of a program. */
function fake(name: string, script: string): void {
  writeFileSync(join(dir.path, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test('a program that is missing, fails or takes too long', async () => {
  const settings = { debian: 'some-package' };
  const missing = expectCode(() => locateTool('no-such-program', 'it'), 'HOST_TOOL_MISSING');
  assert.match(missing.hint!, /Debian package it/);
  fake('bad', 'echo trouble >&2; exit 7');
  const failed = await expectCodeAsync(
    () => runToolToSuccess(['bad'], settings),
    'HOST_TOOL_FAILED',
  );
  assert.match(failed.message, /exited with 7/);
  assert.is(failed.hint, 'trouble');
  fake('slow', 'echo started; exec sleep 60');
  const late = await runTool(['slow'], { ...settings, timeoutMs: 200 });
  assert.equal([late.isLate, late.code, late.stdout.toString()], [true, -1, 'started\n']);
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  try {
    await runTool(['slow'], { ...settings, signal: abort.signal });
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, 'AbortError');
  }
});

const MACHINE: VirtualMachine = {
  architecture: 'x86_64',
  kernel: 'vmlinuz',
  initramfs: 'initramfs',
};

test('a board that fails or does not power off is an error with what it said', async () => {
  fake('qemu-system-x86_64', "printf 'hello\\r\\nworld\\r\\n'");
  const limits = { timeoutMs: 30_000 };
  assert.is((await bootMachine(MACHINE, limits)).console, 'hello\nworld\n');
  fake('qemu-system-x86_64', "printf 'half way\\n'; exec sleep 60");
  const late = await expectCodeAsync(
    () => bootMachine(MACHINE, { timeoutMs: 200 }),
    'HOST_BOARD_TIMEOUT',
  );
  assert.match(late.hint!, /half way/);
  fake('qemu-system-x86_64', "echo 'no such machine' >&2; exit 1");
  const failed = await expectCodeAsync(() => bootMachine(MACHINE, limits), 'HOST_TOOL_FAILED');
  assert.match(failed.hint!, /no such machine/);
});

test('the mirror is the first of Debian that the sources name', () => {
  for (const [sources, mirror] of [
    [[], 'http://deb.debian.org/debian'],
    [['deb http://a.example/debian bookworm main\n'], 'http://a.example/debian'],
    [
      ['deb [signed-by=/k arch=amd64] https://a.example/x/debian/ sid main'],
      'https://a.example/x/debian',
    ],
    [
      ['Types: deb\n# http://old.example/debian\nURIs: http://b.example/debian\n'],
      'http://b.example/debian',
    ],
    [['deb http://c.example/ubuntu noble main\n'], 'http://deb.debian.org/debian'],
    [
      ['URIs: http://d.example/debian-security\n', 'deb http://e.example/debian sid main'],
      'http://e.example/debian',
    ],
    [['# deb http://off.example/debian sid main\n'], 'http://deb.debian.org/debian'],
  ] as const) {
    assert.is(mirrorOf(sources), mirror, JSON.stringify(sources));
  }
});

test("apt's own configuration keeps the machine's proxy and nothing else", () => {
  const machine =
    'Acquire "";\nAcquire::http::Proxy "http://proxy:3128";\nAcquire::Languages "de";\n';
  const text = aptConfiguration('/c/arm64', 'arm64', machine);
  assert.match(text, /^Acquire::http::Proxy "http:\/\/proxy:3128";$/m);
  assert.match(text, /^Acquire::Languages "none";$/m);
  assert.not.match(text, /"de"/);
  assert.match(text, /^APT::Architectures \{ "arm64"; \};$/m);
});

const STANZA = (version: string): string => `Package: meta
Version: ${version}
Depends: linux-image-6.12.1-cloud (= 6.12.1-1) | other, libc6:any (>= 2)
Filename: pool/main/m/meta/meta_${version}_amd64.deb

Package: meta
Version: 0
`;

test('a candidate is what the first stanza says', () => {
  assert.equal(parseCandidate(STANZA('1'), 'meta'), {
    name: 'meta',
    version: '1',
    file: 'meta_1_amd64.deb',
    depends: ['linux-image-6.12.1-cloud', 'libc6'],
  });
  assert.is(parseCandidate('Package: other\n', 'meta'), undefined);
});

/** An apt whose network is up while the file `up` exists; it notes what it was asked. */
function fakeApt(source: DebianSource): void {
  const log = join(dir.path, 'log');
  fake('apt-config', '');
  fake(
    'apt-get',
    `echo "$@" >>${log}
[ -e ${dir.path}/up ] || { echo 'E: no network' >&2; exit 100; }
[ -e ${dir.path}/full-$1 ] && { cat ${dir.path}/full-$1 >&2; exit 100; }
[ "$1" = download ] && echo deb >found_${source.architecture}.deb
exit 0`,
  );
  fake('apt-cache', `[ "$3" = nothing ] && exit 100; sed "s/meta/$3/g" ${dir.path}/stanza`);
  fake(
    'dpkg-deb',
    `[ -e ${dir.path}/full-unpack ] && { cat ${dir.path}/full-unpack >&2; exit 2; }
mkdir "$3" && cp "$2" "$3/content"`,
  );
  writeFileSync(
    join(dir.path, 'stanza'),
    STANZA('1').replace('Depends: linux-image-6.12.1-cloud', 'Depends: kernel'),
  );
}

test('packages come from the network once, and then from the cache', async () => {
  if (!existsSync('/usr/share/keyrings/debian-archive-keyring.gpg'))
    skipTest('needs the keyring of Debian');
  const source = { suite: 'trixie', architecture: 'amd64', cache: join(dir.path, 'cache') };
  fakeApt(source);
  const offline = await expectCodeAsync(() => fetchPackage(source, 'meta'), 'HOST_NO_NETWORK');
  assert.match(offline.hint!, /no network/);
  writeFileSync(join(dir.path, 'up'), '');
  const [first, second] = await Promise.all([
    fetchNewest(source, 'meta'),
    fetchNewest(source, 'meta'),
  ]);
  assert.equal(first, second);
  assert.is(first.name, 'kernel');
  assert.is(readFileSync(join(first.directory, 'content'), 'utf8'), 'deb\n');
  const calls = readFileSync(join(dir.path, 'log'), 'utf8').trim().split('\n');
  assert.is(calls.filter((call) => call.startsWith('download')).length, 1);
  assert.ok(
    !readdirSync(join(source.cache, 'debian-trixie/amd64')).some((name) =>
      name.startsWith('unfinished'),
    ),
  );
  await expectCodeAsync(() => fetchPackage(source, 'nothing'), 'HOST_PACKAGE_MISSING');
});

/** The first row is what apt 2.6 printed on a full tmpfs; the others are a full cache and a full quota. */
const FULL: readonly [when: string, says: string][] = [
  ['update', 'E: Write error - write (28: No space left on device)\nE: Some index files failed'],
  ['download', "E: You don't have enough free space in /cache/archives/."],
  ['unpack', 'dpkg-deb: error: unable to write file: Disk quota exceeded'],
];

test('a full disk of the cache is told as that, and not as a network that is down', async () => {
  if (!existsSync('/usr/share/keyrings/debian-archive-keyring.gpg'))
    skipTest('needs the keyring of Debian');
  for (const [when, says] of FULL) {
    const source = {
      suite: 'trixie',
      architecture: 'amd64',
      cache: join(dir.path, `full.${when}`),
    };
    fakeApt(source);
    writeFileSync(join(dir.path, 'up'), '');
    writeFileSync(join(dir.path, `full-${when}`), says);
    const full = await expectCodeAsync(() => fetchPackage(source, 'meta'), 'HOST_NO_SPACE', when);
    assert.match(full.message, /the disk of the cache .* is full$/);
    assert.ok(full.hint!.startsWith(says.split('\n')[0]!), full.hint);
    const own = join(source.cache, 'debian-trixie');
    assert.not(existsSync(join(own, 'packages/meta_1_amd64')), 'nothing half-unpacked');
    rmSync(join(dir.path, `full-${when}`));
    await fetchPackage(source, 'meta');
  }
  // Any other trouble of dpkg-deb is its own.
  const source = { suite: 'trixie', architecture: 'amd64', cache: join(dir.path, 'broken') };
  writeFileSync(join(dir.path, 'full-unpack'), 'dpkg-deb: error: not a Debian format archive');
  await expectCodeAsync(() => fetchPackage(source, 'meta'), 'HOST_TOOL_FAILED');
  rmSync(join(dir.path, 'full-unpack'));
});

test('a module states its dependencies', () => {
  const module = Buffer.from('\0license=GPL\0depends=libcrc32c,some-other\0name=erofs\0');
  assert.equal(moduleDependencies(module), ['libcrc32c', 'some_other']);
  assert.equal(moduleDependencies(Buffer.from('\0depends=\0')), []);
  assert.equal(moduleDependencies(Buffer.from('')), []);
});

test.run();
