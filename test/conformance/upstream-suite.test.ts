/**
 * The drop-in tools as the test scripts of composefs use the C ones: from a shell, by name, through one-line
 * wrappers in PATH.
 *
 * The cases are those of test-checksums.sh, test-should-fail.sh, test-units.sh and test-dump-filtered.sh; the
 * checksums in INPUTS are the ones that project pins for the same inputs.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertBytes } from '../support/assert-bytes.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { findTool, requireTool } from '../support/tools.ts';

const test = suite('upstream-suite');

const bin = tempDir();
for (const tool of ['mkcomposefs', 'composefs-info', 'composefs-dump', 'mount.composefs']) {
  const wrapper = join(bin.path, tool);
  writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${CLI_PATH}' ${tool} "$@"\n`);
  chmodSync(wrapper, 0o755);
}

interface ShellResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function shell(line: string, dir: TempDir, env: NodeJS.ProcessEnv = {}): ShellResult {
  const PATH = `${bin.path}:${process.env['PATH']}`;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line], {
    cwd: dir.path,
    env: { ...process.env, ...env, PATH },
    encoding: 'latin1',
  });
  return { code: status ?? -1, stdout, stderr };
}

/** Runs a line that has to succeed and returns what it printed. */
function output(line: string, dir: TempDir): string {
  const { code, stdout, stderr } = shell(line, dir);
  assert.is(code, 0, `${line}\n${stderr}`);
  return stdout;
}

const ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -\n';
const OLD_ROOT = '/ 4096 40555 2 0 0 0 1633950376.0 - - -\n';
const SPECIAL = [
  '/ 4096 40555 2 0 0 0 1633950376.0 - - - trusted.foo1=bar-1 user.foo2=bar-2',
  '/blockdev 0 60777 1 0 0 107690 1633950376.0 - - - trusted.bar=bar-2',
  '/chardev 0 20777 1 0 0 10769 1633950376.0 - - - trusted.foo=bar-2',
  '/escaped 0 100777 1 0 0 0 1633950376.0 - - - trusted.overlay.redirect=/foo\\n user.foo=bar-2',
  '/fifo 0 10777 1 0 0 0 1633950376.0 - - - trusted.bar=bar-2',
  '/inline 15 100777 1 0 0 0 1633950376.0 - FOOBAR\\nINAFILE\\n - user.foo=bar-2',
  `/large 4096 100777 1 0 0 0 1633950376.0 - ${'\\xde\\xad'.repeat(2048)} -`,
  '/regular 4711 100777 1 0 0 0 1633950376.0 ab/cd - ' + '0123456789abcdef'.repeat(4),
  '/subdir 4096 40755 2 0 0 0 1633950376.0 - - -',
  '/subdir/regular 0 @120000 - - - - 0.0 /regular - -',
  '/symlink 7 120777 1 0 0 0 1633950376.0 /target - -',
  '/whiteout 0 20777 1 0 0 0 1633950376.0 - - - user.foo=bar-2',
]
  .map((line) => `${line}\n`)
  .join('');

/** Dumps with the SHA-256 of their images; an empty one is not pinned anywhere. */
const INPUTS: readonly (readonly [name: string, text: string, sha256: string])[] = [
  [
    'a big file',
    `${ROOT}/bigfile 9000000000000000 100777 1 0 0 0 0.0 - - -\n`,
    '475838479da68b086445eca1f12dd30fc4513f3f88c66b40b58fd70f7495ea27',
  ],
  [
    'a big file with an attribute',
    `${ROOT}/bigfile 9001899274941000 100777 1 0 0 0 0.0 - - - user.foo=\n`,
    '5bdb37d78dcf03b4ab1adc9a2d5212d3d95213b41628939f5fe3769f93d927cc',
  ],
  [
    'no newline at the end',
    '/ 4096 40555 222 0 0 10 0.0 - - - trusted.foo1=bar-1 user.foo2=bar-2\n' +
      '/a 0 100644 1 0 0 0 0.0 - - -\n/b 0 100644 1 0 0 0 0.0 - - -',
    '99f02c3c63d0c4c14be6f63e87250adafc0e173a12354f50d9ba7cd320deeca7',
  ],
  [
    'a whiteout with a size',
    `${ROOT}/chardev 1 20777 1 0 0 0 0.0 - - -\n`,
    '3e7ca8195f29cfd0583ed761c8eead21892ef0ec61d1402aa7f7d84ef8316947',
  ],
  [
    'long symlinks',
    `${OLD_ROOT}/big-but-not-max-link 5 120777 1 0 0 0 0.0 ${'a'.repeat(4070)} - -\n` +
      `/max-link 5 120777 1 0 0 0 0.0 ${'a'.repeat(4095)} - -\n`,
    '6747c908f88fc6c18626027f204159f3c2a6225b45e4de2f2d5ebf969bf5f24a',
  ],
  ['every kind of entry', SPECIAL, ''],
];

/** Dumps that must be refused with exit status 1. */
const SHOULD_FAIL: readonly (readonly [name: string, text: string])[] = [
  ['long-link', `${ROOT}/a 5 120777 1 0 0 0 0.0 ${'a'.repeat(4096)} - -\n`],
  ['empty-xattr-key', `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - =v\n`],
  ['long-xattr-key', `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - ${'k'.repeat(256)}=v\n`],
  ['long-xattr-value', `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - k=${'v'.repeat(65536)}\n`],
  ['long-xattrs', `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - k=${'v'.repeat(32749)}\n`],
  ['too-big', `${ROOT}/a 9007199254740993 100644 1 0 0 0 0.0 - - -\n`],
  ['no-ftype', `${ROOT}/a 0 644 1 0 0 0 0.0 - - -\n`],
  ['empty-name', `${ROOT}/d 0 40755 2 0 0 0 0.0 - - -\n/d/ 0 100644 1 0 0 0 0.0 - - -\n`],
  ['empty-link-name', `${ROOT}/a 0 120777 1 0 0 0 0.0  - -\n`],
  ['dot-name', `${ROOT}/. 0 100644 1 0 0 0 0.0 - - -\n`],
  ['dotdot-name', `${ROOT}/.. 0 100644 1 0 0 0 0.0 - - -\n`],
  ['dir-hardlink', `${ROOT}/rootlink 4096 @40555 2 0 0 0 0.0 / - -\n`],
  ['self-hardlink', `${ROOT}/a 0 @120000 - - - - 0.0 /a - -\n`],
  ['big-inline', `${ROOT}/a 5001 100644 1 0 0 0 0.0 - ${'c'.repeat(5001)} -\n`],
];

test('checksums: images are those that are pinned, sound, and written again the same', () => {
  const fsck = findTool('fsck.erofs');
  for (const [name, text, sha256] of INPUTS) {
    using dir = tempDir();
    writeFileSync(join(dir.path, 'in.dump'), text, 'latin1');
    output('mkcomposefs --from-file in.dump out.cfs', dir);
    if (sha256 !== '') assert.is(output('sha256sum out.cfs', dir).slice(0, 64), sha256, name);
    if (fsck !== undefined) output(`${fsck} out.cfs`, dir);
    output('composefs-dump out.cfs again.cfs && cmp out.cfs again.cfs', dir);
    output('composefs-info dump out.cfs | mkcomposefs --from-file - piped.cfs', dir);
    output('cmp out.cfs piped.cfs', dir);
    output('mkcomposefs --from-file - - < in.dump | cmp out.cfs', dir);
  }
});

test('a dump that comes slowly through a pipe is read to its end', () => {
  using dir = tempDir();
  const digest = output('mkcomposefs --from-file --print-digest-only - < /dev/null || true', dir);
  assert.is(digest, '');
  const slow = `(printf '${ROOT.trimEnd()}'; sleep 0.5; echo) | mkcomposefs --from-file --print-digest-only -`;
  assert.match(output(slow, dir), /^8f589e8f/);
});

test('checksums: every format version', () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'in.dump'), SPECIAL);
  const version = (options: string): number => {
    output(`mkcomposefs ${options} --from-file in.dump out.cfs`, dir);
    return readFileSync(join(dir.path, 'out.cfs')).readUInt32LE(12);
  };
  // The tree has a whiteout.
  for (const [options, expected] of [
    ['', 1],
    ['--min-version=0', 0],
    ['--max-version=0', 0],
    ['--max-version=1', 1],
    ['--min-version=1', 1],
    ['--min-version=1 --max-version=0', 1],
    ['--min-version=0 --max-version=1', 1],
  ] as const) {
    assert.is(version(options), expected, options);
  }
});

test('should-fail: exit status 1, a line on stderr, nothing on stdout, no image', () => {
  for (const [name, text] of SHOULD_FAIL) {
    using dir = tempDir();
    writeFileSync(join(dir.path, 'in.dump'), text);
    for (const env of [{}, { CFS_PARSE_STRICT: '' }]) {
      const { code, stdout, stderr } = shell('mkcomposefs --from-file in.dump out.cfs', dir, env);
      assert.is(code, 1, name);
      assert.is(stdout, '', name);
      assert.match(stderr, /^mkcomposefs: Cannot read dump line [0-9]+, column [0-9]+: [^\n]+\n$/);
      assert.is(output('ls -A', dir), 'in.dump\n', name);
    }
  }
});

test('CFS_PARSE_STRICT refuses what is taken without it', () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'in.dump'), ROOT.trimEnd());
  const line = 'mkcomposefs --from-file --print-digest-only in.dump';
  assert.is(shell(line, dir).code, 0);
  const { code, stderr } = shell(line, dir, { CFS_PARSE_STRICT: '1' });
  assert.is(code, 1);
  assert.match(stderr, /newline/);
});

test('units: small files are stored in the image, large ones as objects', () => {
  for (const [size, objects] of [
    [4, 0],
    [64, 0],
    [65, 1],
    [1024, 1],
  ] as const) {
    using dir = tempDir();
    mkdirSync(join(dir.path, 'root'));
    mkdirSync(join(dir.path, 'objects'));
    writeFileSync(join(dir.path, 'root/a-file'), Buffer.alloc(size));
    output('mkcomposefs --digest-store=objects root test.cfs', dir);
    assert.is(output('find objects -type f', dir).split('\n').length - 1, objects, String(size));
    assert.is(output('composefs-info objects test.cfs', dir).split('\n').length - 1, objects);
    assert.is(output('composefs-info missing-objects --basedir=objects test.cfs', dir), '');
  }
});

test('units: an image without the expected digest is not mounted', () => {
  requireTool('mount', 'mount');
  using dir = tempDir();
  for (const name of ['root', 'objects', 'mnt']) mkdirSync(join(dir.path, name));
  writeFileSync(join(dir.path, 'root/a-file'), 'foo\n');
  output('mkcomposefs --digest-store=objects root test.cfs', dir);
  const { code, stderr } = shell(
    `mount.composefs -o basedir=objects,digest=${'a'.repeat(64)} test.cfs mnt`,
    dir,
  );
  assert.is.not(code, 0);
  assert.match(stderr, /Image has (no|wrong) fs-verity|Operation not permitted/);
});

test('units: measure-file', () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'test.txt'), 'hello world\n');
  writeFileSync(join(dir.path, 'test2.txt'), 'foo bar baz\n');
  assert.is(
    output('composefs-info measure-file test.txt test2.txt', dir),
    '37061ef2ac4c21bec68489b56138c5780306a4ad7fe6676236ecdf2c9027cd92\n' +
      '91e7d88cb7bc9cf6d8db3b0ecf89af4abf204bef5b3ade5113d5b62ef374e70b\n',
  );
});

test('dump-filtered: only the names asked for, and the root', () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'in.dump'), SPECIAL);
  output('mkcomposefs --from-file in.dump out.cfs', dir);
  const filters = '--filter=chardev --filter=inline --filter=whiteout';
  const lines = output(`composefs-info ${filters} dump out.cfs`, dir).split('\n');
  assert.is(lines.length, 5);
  for (const [i, line] of [
    /^\/ [0-9]+ 40555 .*trusted\.foo1/,
    /^\/chardev 0 20777/,
    /^\/inline 15 100777.*FOOBAR/,
    /^\/whiteout 0 20777/,
    /^$/,
  ].entries()) {
    assert.match(lines[i]!, line);
  }
});

test('an image replaces its predecessor whole, with its permissions, through a symlink', () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'good.dump'), ROOT);
  writeFileSync(join(dir.path, 'bad.dump'), `${ROOT}/a x\n`);
  writeFileSync(join(dir.path, 'old.cfs'), 'old');
  chmodSync(join(dir.path, 'old.cfs'), 0o664);
  output('ln -s old.cfs link.cfs', dir);
  assert.is(shell('umask 077; mkcomposefs --from-file bad.dump link.cfs', dir).code, 1);
  assert.is(output('cat old.cfs', dir), 'old');
  output('umask 077; mkcomposefs --from-file good.dump link.cfs', dir);
  output('test -L link.cfs', dir);
  assert.is(output('stat -c %a old.cfs', dir), '664\n');
  output('umask 077; mkcomposefs --from-file good.dump new.cfs', dir);
  assert.is(output('stat -c %a new.cfs', dir), '600\n');
  const at = (name: string): Uint8Array => readFileSync(join(dir.path, name));
  assertBytes(at('old.cfs'), at('new.cfs'));
  assert.is(output('ls -A', dir), 'bad.dump\ngood.dump\nlink.cfs\nnew.cfs\nold.cfs\n');
  output('mkcomposefs --from-file good.dump /dev/null && test -c /dev/null', dir);
});

const USAGE = /^Usage: mkcomposefs \[OPTIONS\] SOURCE IMAGE\nOptions:\n( {2}--[^\n]+\n)+$/;

test('command lines: exit status, stream and text of the C tool', () => {
  using dir = tempDir();
  mkdirSync(join(dir.path, 'd'));
  writeFileSync(join(dir.path, 't.dump'), ROOT);
  const empty = '8f589e8f57ecb88823736b0d857ddca1e1068a23e264fad164b28f7038eb3682\n';
  const one = '14a26c957c84f6eb774b91205476adc13196c7c33b9dd97d08d43725ecb90b63\n';
  for (const [args, stdout, stderr] of [
    ['--from-file t.dump --print-digest-only', empty, ''],
    ['t.dump --print-digest-o --from', empty, ''],
    ['--print-digest-only --from-file -- t.dump', empty, ''],
    ['--print-digest --from-file t.dump out.cfs', empty, ''],
    ['--print-digest-only --from-file - < t.dump', empty, ''],
    ["--min-version ' +1' --print-digest-only --from-file t.dump", one, ''],
    ['--min-v=4294967297 --print-digest-only --from-file t.dump', one, ''],
    ['--skip-xattrs --user-xattrs --print-digest-only --from-file t.dump', empty, ''],
    ['', '', /^No source path specified\nUsage: /],
    ['d', '', /^No destination path specified\nUsage: /],
    ['d x y', '', /^Too many arguments\nUsage: /],
    ['d x -- --use-epoch', '', /^Too many arguments\nUsage: /],
    [
      'd x --print-digest-only',
      '',
      /^Cannot specify destination path with --print-digest-only\nUsage: /,
    ],
    ["'' x", '', 'mkcomposefs: Empty source path specified\n'],
    ['--help', '', USAGE],
    ['-x d x', '', USAGE],
    ['-C d x', '', USAGE],
    ['--print d x', '', USAGE],
    ['--from-file=1 t.dump x', '', USAGE],
    ['--threads', '', 'option needs a value\n'],
    ['--threads= d x', '', 'Invalid threads count \n'],
    ['--threads=0 d x', '', 'Invalid threads count 0\n'],
    ['--threads=4294967295 d x', '', 'Invalid threads count -1\n'],
    ['--min-version=1x d x', '', 'Invalid min version 1x\n'],
    ['--max-version= d x', '', 'Invalid max version \n'],
    ['--min-version=2 d x', '', 'mkcomposefs: cannot write file: Invalid argument\n'],
    ['--max-version=-1 d x', '', 'mkcomposefs: cannot write file: Invalid argument\n'],
    ['t.dump x', '', 'mkcomposefs: cannot write file: Not a directory\n'],
    ['nope x', '', 'mkcomposefs: error accessing nope: No such file or directory\n'],
    ['--skip-xattrs --user-xattrs d x', '', 'mkcomposefs: error accessing d: Invalid argument\n'],
    ['--from-file nope x', '', 'mkcomposefs: open `nope`: No such file or directory\n'],
    ['d no/x', '', 'mkcomposefs: failed to open output file: No such file or directory\n'],
    ['d d', '', 'mkcomposefs: failed to open output file: Is a directory\n'],
    [
      '--from-file t.dump /dev/full',
      '',
      'mkcomposefs: cannot write file: No space left on device\n',
    ],
  ] as const) {
    const result = shell(`mkcomposefs ${args}`, dir);
    assert.is(result.code, stdout === '' ? 1 : 0, `${args}\n${result.stderr}`);
    assert.is(result.stdout, stdout, args);
    if (typeof stderr === 'string') assert.is(result.stderr, stderr, args);
    else assert.match(result.stderr, stderr, args);
  }
  assert.is(output('ls -A', dir), 'd\nout.cfs\nt.dump\n');
});

test('an image is not written to a terminal', () => {
  const script = requireTool('script', 'bsdutils');
  using dir = tempDir();
  writeFileSync(join(dir.path, 't.dump'), ROOT);
  const { code, stdout } = shell(
    `'${script}' -qec 'mkcomposefs --from-file t.dump -' /dev/null`,
    dir,
  );
  assert.is(code, 1);
  assert.match(stdout, /stdout is a tty\. {2}Refusing to use it/);
});

test('an object store inside the source is refused', () => {
  using dir = tempDir();
  mkdirSync(join(dir.path, 'd'));
  writeFileSync(join(dir.path, 'd/big'), 'x'.repeat(100));
  const { code, stderr } = shell('mkcomposefs --digest-store=d/objects d x', dir);
  assert.is(code, 1);
  assert.match(stderr, /lies inside the source/);
});

test.run();
