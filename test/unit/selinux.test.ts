/** SELinux policies: patterns, the order of lines, substitutions, and what is refused. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toHex } from '../../runtime/format/bytes.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { openPolicy } from '../../toolchain/image/open-policy.ts';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../../toolchain/image/tree.ts';
import { CostError, Matcher } from '../../toolchain/selinux/matcher.ts';
import { parsePattern } from '../../toolchain/selinux/pattern.ts';
import { LabelPolicy, type PolicyFile } from '../../toolchain/selinux/policy.ts';
import { readPolicyFiles } from '../../toolchain/selinux/read-policy.ts';
import { expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('selinux');

type Files = Partial<Record<PolicyFile, string>>;

function policy(file_contexts: string, others: Files = {}): LabelPolicy {
  const files = Object.entries({ file_contexts, ...others }).map(
    ([name, text]) => [name as PolicyFile, Buffer.from(text, 'latin1')] as const,
  );
  return new LabelPolicy({ name: 'p', files: new Map(files) });
}

function isMatch(pattern: string, text: string): boolean {
  const matcher = new Matcher();
  matcher.add(parsePattern(pattern));
  return matcher.match(text).length > 0;
}

/** A pattern, what it matches, and what it does not. */
const PATTERNS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['/a', ['/a'], ['/', '/aa', '/b', 'x/a']],
  ['/.', ['/a', '/\n', '/\xff'], ['/', '/ab']],
  ['/a.*', ['/a', '/a/b/c', '/a\n'], ['/b']],
  ['/a?b+c*', ['/b', '/abbcc'], ['/a', '/c']],
  ['/(a|bc|)d', ['/ad', '/bcd', '/d'], ['/bd', '/acd']],
  ['/(?:ab)*', ['/', '/abab'], ['/aba']],
  ['/a{2}', ['/aa'], ['/a', '/aaa']],
  ['/a{2,}', ['/aa', '/aaaa'], ['/a']],
  ['/a{1,3}', ['/a', '/aaa'], ['/', '/aaaa']],
  ['/a{0}b', ['/b'], ['/ab']],
  ['/(a{2}){2}', ['/aaaa'], ['/aa', '/aaa']],
  ['/a+?b*?', ['/a', '/aabb'], ['/b']],
  ['/[a-c]', ['/a', '/b', '/c'], ['/d', '/-']],
  ['/[^/]+', ['/a', '/\n'], ['/a/b', '/']],
  ['/[]a]', ['/]', '/a'], ['/b']],
  ['/[^]a]', ['/b'], ['/]', '/a']],
  ['/[a\\]b-]', ['/]', '/-'], ['/c', '/\\']],
  ['/[-a.*]', ['/-', '/.', '/*'], ['/b']],
  ['/[a-]', ['/-', '/a'], ['/b']],
  ['/[[:digit:]x]+', ['/1x2'], ['/a', '/:']],
  ['/[[:upper:]-]', ['/A', '/-'], ['/a']],
  ['/[[]', ['/['], ['/a']],
  ['/\\.\\*\\\\', ['/.*\\'], ['/a']],
  ['/\\d\\w\\s', ['/1_ '], ['/a_ ']],
  ['/\\D', ['/a', '/\xff'], ['/1']],
  ['/[\\d-]', ['/7', '/-'], ['/a']],
  ['^/a$', ['/a', '/a\n'], ['/a\n\n', '/b']],
  ['/a\\$', ['/a$'], ['/a']],
  ['/a\\\\$', ['/a\\'], ['/a$']],
  ['/%{ID}{x', ['/%{ID}{x'], ['/%ID']],
  ['/a}b]c', ['/a}b]c'], ['/abc']],
];

test('patterns match whole paths, as PCRE2 says', () => {
  for (const [pattern, yes, no] of PATTERNS) {
    for (const text of yes) assert.ok(isMatch(pattern, text), `${pattern} matches ${text}`);
    for (const text of no) assert.not(isMatch(pattern, text), `${pattern} does not match ${text}`);
  }
});

/** What is refused, by a part of what is said about it. */
const UNSUPPORTED: readonly (readonly [string, RegExp])[] = [
  ['/a(?=b)', /has \(\?=, which is not supported/],
  ['/a(?!b)', /not supported/],
  ['/(?i)a', /not supported/],
  ['/(?<n>a)', /not supported/],
  ['/(*UTF)a', /not supported/],
  ['/(a)\\1', /has \\1/],
  ['/\\bfoo', /has \\b/],
  ['/\\x41', /has \\x/],
  ['/\\Qa\\E', /has \\Q/],
  ['/a++', /possessive/],
  ['/a*+', /possessive/],
  ['/a**', /repeats a repetition/],
  ['/a{2}{3}', /repeats a repetition/],
  ['/a|/b', /outside of parentheses/],
  ['/*|a', /outside of parentheses/],
  ['*a', /nothing before it/],
  ['/(+a)', /nothing before it/],
  ['/a{,3}', /has \{ that may be/],
  ['/({2})', /has \{ that may be/],
  ['/a{', /has \{ that may be/],
  ['/a{3,2}', /lower number first/],
  ['/a{5000}', /at most 4095/],
  ['/(a', /lacks a closing/],
  ['/a)', /too many/],
  ['/[a', /lacks a \]/],
  ['/[]', /lacks a \]/],
  ['/[[:foo:]]', /not known/],
  ['/[[.a.]]', /not known/],
  ['/[b-a]', /in order/],
  ['/[\\d-z]', /in order/],
  ['/[a-[:digit:]]', /ends in a class/],
  ['/a\\', /ends in a backslash/],
  ['/a^b', /within/],
  ['/a$b', /within/],
  [`/${'('.repeat(33)}a${')'.repeat(33)}`, /nests deeper/],
  ['/(((a{1000}){1000}){1000})', /repeats too much/],
  ['/x\\-y/z', /first directory has a backslash/],
  ['/usr/?', /repeats the slash/],
  ['/usr/{0}x', /repeats the slash/],
];

test('what is no plain set of texts is refused with the line, and never guessed', () => {
  for (const [pattern, message] of UNSUPPORTED) {
    const { message: text } = expectCode(
      () => policy(`# comment\n\n${pattern}\tu:r:t:s0\n`),
      'CONFIG_SELINUX_POLICY',
      pattern,
    );
    assert.match(text, message, pattern);
    assert.match(text, /^Cannot use p\/file_contexts:3: /);
  }
});

const LINES: readonly (readonly [string, RegExp])[] = [
  ['/a', /a pattern alone/],
  ['/a -- u:r:t extra', /4 fields/],
  ['/a -x u:r:t', /file type -x/],
  ['/a u:r', /expected a context/],
  ['/a <<NONE>>', /expected a context/],
  ['/\xe4 u:r:t', /not ASCII/],
  ['/a u:r:\x01', /not ASCII/],
  [`/${'a'.repeat(70_000)} u:r:t`, /too long/],
  ['/a\0b u:r:t', /NUL/],
  ['/a u:r:t\n/a u:r:x', /another context than p\/file_contexts:1/],
  ['/a u:r:t\n/a -d u:r:x', /another context/],
];

test('lines that are none are refused', () => {
  for (const [lines, message] of LINES) {
    const { message: text } = expectCode(
      () => policy(`${lines}\n`),
      'CONFIG_SELINUX_POLICY',
      lines,
    );
    assert.match(text, message);
  }
  for (const subs of ['/a', '/a /b /c', 'a /b', `/a /${'b'.repeat(1100)}`]) {
    expectCode(
      () => policy('', { 'file_contexts.subs': subs }),
      'CONFIG_SELINUX_POLICY',
      subs.slice(0, 20),
    );
  }
  // The same line twice, or for two types, is no contradiction; a local file may overrule.
  policy('/a u:r:t\n/a u:r:t\n/b -d u:r:x\n/b -- u:r:y\n', { 'file_contexts.local': '/a u:r:z\n' });
});

test('the last line that fits counts, exact ones before all, and types decide', () => {
  const labels = policy(
    [
      '/x/exact u:r:exact',
      '/x/.* u:r:first',
      '/x/..* u:r:second',
      '/x/.*d -d u:r:directory',
      '/x/l.* -l u:r:link',
      '/x/p -p u:r:pipe',
      '/x/none.* <<none>>',
      '/x/a\\.b u:r:escaped',
      '  /y(/.*)?\t--\tu:r:tabs:s0-s15:c0.c1023  ',
      '',
    ].join('\n'),
    {
      'file_contexts.homedirs': '/x/home u:r:home\n/x/late u:r:homedirs\n',
      'file_contexts.local': '/x/late u:r:local\n/x/exac. u:r:pattern\n',
    },
  );
  for (const [path, mode, expected] of [
    ['/x/exact', S_IFREG, 'exact'],
    ['/x/any', S_IFREG, 'second'],
    ['/x/old', S_IFDIR, 'directory'],
    ['/x/old', S_IFREG, 'second'],
    ['/x/link', S_IFLNK | 0o777, 'link'],
    ['/x/p', S_IFIFO, 'pipe'],
    ['/x/p', S_IFREG, 'second'],
    ['/x/nonesuch', S_IFREG, undefined],
    ['/x/a.b', S_IFREG, 'escaped'],
    ['/x/home', S_IFREG, 'home'],
    ['/x/late', S_IFREG, 'local'],
    ['/x', S_IFDIR, undefined],
    ['/y/z', S_IFREG, 'tabs:s0-s15:c0.c1023'],
    ['/y', S_IFDIR, undefined],
  ] as const) {
    const context = expected && `u:r:${expected}`;
    assert.is(labels.contextOf(path, mode), context, path);
  }
});

test('paths are rewritten by the local substitutions first, then by those of the distribution', () => {
  const labels = policy('/(.*)? u:r:root\n/usr(/.*)? u:r:usr\n/opt(/.*)? u:r:opt\n', {
    'file_contexts.subs': '# comment\n/srv /mine\n/a /b\n/a /opt\n/whole /\n',
    'file_contexts.subs_dist': '/mine /usr\n/lib /usr/lib\n/usr/lib /opt\n',
  });
  for (const [path, expected] of [
    ['/srv', 'usr'],
    ['/srv/x', 'usr'],
    ['/srvx', 'root'],
    ['/lib/x', 'usr'],
    ['/usr/lib/x', 'opt'],
    ['/a/x', 'opt'],
    ['/whole/usr/x', 'usr'],
    ['/x', 'root'],
  ] as const) {
    assert.is(labels.contextOf(path, S_IFREG), `u:r:${expected}`, path);
  }
});

test('the digest is that of what sha256sum prints', () => {
  const files = { 'file_contexts.local': '/b u:r:t\n', 'file_contexts.subs': '/c /b\n' } as const;
  const line = (name: string, text: string): string =>
    `${createHash('sha256').update(text).digest('hex')}  ${name}\n`;
  const sums = [
    line('file_contexts', '/a u:r:t\n'),
    line('file_contexts.local', files['file_contexts.local']),
    line('file_contexts.subs', files['file_contexts.subs']),
  ].join('');
  const expected = createHash('sha256').update(sums).digest('hex');
  assert.is(toHex(policy('/a u:r:t\n', files).sha256), expected);
});

test('patterns that take engines exponential time take a step for each byte', () => {
  const labels = policy(
    ['/(a|a)*b', '/(a*)*c', '/(.*)*(.*)*(.*)*d', '/(a|aa)+e'].map((p) => `${p} u:r:t\n`).join(''),
  );
  for (let i = 0; i < 200; i++) labels.contextOf(`/${'a'.repeat(2000)}${i}`, S_IFREG);
  assert.ok(labels.work < 100_000, `${labels.work} steps`);
});

test('a policy without an end is refused, by counting and not by a clock', () => {
  const matcher = new Matcher();
  // Each byte of a path leads to another state of a thousand, and there are too many to keep.
  for (let i = 0; i < 20; i++) matcher.add(parsePattern(`/.*a.{2000}${'b'.repeat(i)}c`));
  const path = (i: number): string =>
    Array.from({ length: 4000 }, (_, at) => ((i * 7919 + at * at) % 3 === 0 ? 'a' : 'b')).join('');
  assert.throws(
    () => {
      for (let i = 0; ; i++) matcher.match(`/${path(i)}`);
    },
    (error: unknown) => error instanceof CostError,
  );
  const many = Array.from({ length: 60 }, (_, i) => `/${i}(a{200}){200} u:r:t\n`).join('');
  expectCode(() => policy(many), 'CONFIG_SELINUX_POLICY');
});

test('where a policy is: a file, its directory, the directory of its type', () => {
  using dir = tempDir();
  const files = join(dir.path, 'default/contexts/files');
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, 'file_contexts'), '/a u:r:t\n');
  writeFileSync(join(files, 'file_contexts.local'), '/b u:r:u\n');
  const place = (...parts: string[]): string => join(dir.path, ...parts);
  const digests = [
    place('default'),
    place('default/contexts/files'),
    place('default/contexts/files/file_contexts'),
  ].map((path) => toHex(new LabelPolicy(readPolicyFiles(path)).sha256));
  assert.is(new Set(digests).size, 1);
  assert.is(readPolicyFiles(place('default')).files.size, 2);
  expectCode(() => readPolicyFiles(dir.path), 'CONFIG_SELINUX_MISSING');
  expectCode(() => readPolicyFiles(place('none')), 'HOST_NOT_FOUND');
});

const config = (text: string): string =>
  `/etc/selinux/config ${text.length} 100644 1 0 0 0 0.0 - ${text} -`;
const IMAGE = [
  '/ 0 40755 3 0 0 0 0.0 - - -',
  '/etc 0 40755 3 0 0 0 0.0 - - -',
  '/etc/selinux 0 40755 3 0 0 0 0.0 - - -',
  config('SELINUXTYPE=mine'),
  '/etc/selinux/mine 0 40755 3 0 0 0 0.0 - - -',
  '/etc/selinux/mine/contexts 0 40755 3 0 0 0 0.0 - - -',
  '/etc/selinux/mine/contexts/files 0 40755 3 0 0 0 0.0 - - -',
  '/etc/selinux/mine/contexts/files/file_contexts 8 100644 1 0 0 0 0.0 - /a\\x20u:r:t -',
  '/etc/selinux/mine/contexts/files/file_contexts.local 0 100644 1 0 0 0 0.0 - - -',
];
const treeOf = (lines: readonly string[]): ReturnType<typeof parseDump> =>
  parseDump(Buffer.from(`${lines.join('\n')}\n`));

test("an image's own policy is that of its SELINUXTYPE", () => {
  const places = { algorithm: 'sha256', store: undefined, directory: undefined } as const;
  const labels = openPolicy('image', treeOf(IMAGE), places);
  assert.is(labels!.contextOf('/a', S_IFREG), 'u:r:t');
  const refused = (code: string, change: (line: string) => string[]): void => {
    expectCode(() => openPolicy('image', treeOf(IMAGE.flatMap(change)), places), code);
  };
  const isConfig = (line: string): boolean => line.startsWith('/etc/selinux/config');
  refused('CONFIG_SELINUX_MISSING', (line) => (isConfig(line) ? [] : [line]));
  refused('CONFIG_SELINUX_MISSING', (line) => (line.includes('files/file_c') ? [] : [line]));
  refused('CONFIG_SELINUX_POLICY', (line) =>
    line.includes('file_contexts ')
      ? [line.replace('8 100644', '0 40755').replace('/a\\x20u:r:t', '-')]
      : [line],
  );
  refused('CONFIG_SELINUX_POLICY', (line) =>
    line.includes('file_contexts ')
      ? [line.replace('8 100644', '99999999 100644').replace('- /a\\x20u:r:t -', 'x - -')]
      : [line],
  );
  // A file that nothing keeps.
  const outside = IMAGE.map((line) =>
    line.includes('file_contexts ')
      ? line
          .replace('8 100644', '99 100644')
          .replace('- /a\\x20u:r:t -', `aa/bb - ${'a'.repeat(64)}`)
      : line,
  );
  expectCode(() => openPolicy('image', treeOf(outside), places), 'CONFIG_SELINUX_MISSING');
  using dir = tempDir();
  mkdirSync(join(dir.path, 'aa'));
  writeFileSync(join(dir.path, 'aa/bb'), 'something else');
  const changed = { ...places, store: dir.path };
  expectCode(() => openPolicy('image', treeOf(outside), changed), 'HOST_FILE_CHANGED');
});

test.run();
