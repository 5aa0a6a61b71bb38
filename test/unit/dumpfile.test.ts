/** Dumps: every refusal with its code, line and column, what only lenient reading takes, and what arrives. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { buildImage } from '../../toolchain/image/build.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { walkTree, type TreeNode } from '../../toolchain/image/tree.ts';

const test = suite('dumpfile');

const ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -\n';
const DIGEST = 'ab'.repeat(32);

function parse(text: string, lenient = false): TreeNode {
  return parseDump(Buffer.from(text, 'latin1'), { lenient });
}

/** `CODE line:column` of a refusal, or `accepted`. */
function verdict(text: string, lenient = false): string {
  try {
    parse(text, lenient);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    const place = /line (\d+), column (\d+)/.exec(error.message);
    return `${error.code} ${place === null ? '-' : `${place[1]}:${place[2]}`}`;
  }
}

function digestOf(text: string, lenient = false): string {
  return buildImage(parse(text, lenient)).digest;
}

function file(name: string, fields: Partial<Record<string, string>> = {}, xattrs = ''): string {
  const all: Record<string, string | undefined> = {
    size: '5',
    mode: '100644',
    nlink: '1',
    uid: '0',
    gid: '0',
    rdev: '0',
    mtime: '0.0',
    payload: 'ab/cd',
    content: '-',
    digest: DIGEST,
    ...fields,
  };
  return `${[name, ...Object.values(all)].join(' ')}${xattrs}\n`;
}

const none = { payload: '-', digest: '-' };
const inline = { ...none, content: 'hello' };
const symlink = { ...none, mode: '120777', payload: 'there' };
const directory = { ...none, mode: '40755', nlink: '2' };
const device = { ...none, mode: '20644', size: '0', rdev: '1280' };
const link = (target: string, mode = '@100644'): string => `/l 0 ${mode} - - - - - ${target} - -\n`;

/** Refused by both ways of reading. The text follows ROOT, so its lines count from 2. */
const REFUSED: readonly (readonly [label: string, text: string, verdict: string])[] = [
  // What the C tool's own list of bad dumps has.
  [
    'inline content over 5000 bytes',
    file('/a', { ...none, size: '5001', content: 'c'.repeat(5001) }),
    'FORMAT_DUMP_CONTENT 2:30',
  ],
  ['a directory with a second name', link('/', '@40755'), 'FORMAT_DUMP_HARDLINK 2:6'],
  ['a hardlink to the root', link('/'), 'FORMAT_DUMP_HARDLINK 2:24'],
  [
    'a hardlink to a directory',
    `${file('/d', directory)}${link('/d')}`,
    'FORMAT_DUMP_HARDLINK 3:24',
  ],
  ['a hardlink to itself', link('/l'), 'FORMAT_DUMP_HARDLINK 2:24'],
  ['the name .', file('/.'), 'FORMAT_DUMP_NAME 2:1'],
  ['the name ..', file('/..'), 'FORMAT_DUMP_NAME 2:1'],
  ['the name .., escaped', file('/\\x2e\\x2e'), 'FORMAT_DUMP_NAME 2:1'],
  ['an empty name', file('/d/', directory), 'FORMAT_DUMP_NAME 2:1'],
  ['a name of 256 bytes', file(`/${'n'.repeat(256)}`), 'FORMAT_DUMP_NAME 2:1'],
  ['a symlink to nothing', file('/a', { ...symlink, payload: '-' }), 'FORMAT_DUMP_PAYLOAD 2:25'],
  [
    'a symlink of 4096 bytes',
    file('/a', { ...symlink, payload: 't'.repeat(4096), size: '0' }),
    'FORMAT_DUMP_PAYLOAD 2:25',
  ],
  ['an empty xattr key', file('/a', inline, ' =v'), 'FORMAT_DUMP_XATTR 2:35'],
  [
    'an xattr key of 256 bytes',
    file('/a', inline, ` x=1 ${'k'.repeat(256)}=v`),
    'FORMAT_DUMP_XATTR 2:39',
  ],
  [
    'an xattr value of 65536 bytes',
    file('/a', inline, ` k=${'v'.repeat(65536)}`),
    'FORMAT_DUMP_XATTR 2:35',
  ],
  [
    'xattrs of more than 32767 bytes',
    file('/a', inline, ` k=${'v'.repeat(32748)}`),
    'FORMAT_DUMP_XATTR 2:35',
  ],
  ['no file type', file('/a', { mode: '644' }), 'FORMAT_DUMP_MODE 2:6'],
  ['an unknown file type', file('/a', { mode: '110644' }), 'FORMAT_DUMP_MODE 2:6'],
  ['too big a file', file('/a', { size: '9007199254740993' }), 'FORMAT_DUMP_SIZE 2:4'],

  // What C takes by mistake, into bytes that nobody wrote (decision 0003).
  ['a short digest', file('/a', { digest: 'abcd' }), 'FORMAT_DUMP_DIGEST 2:33'],
  ['a digest of 65 digits', file('/a', { digest: `${DIGEST}a` }), 'FORMAT_DUMP_DIGEST 2:33'],
  ['a digest of no digits', file('/a', { digest: 'z'.repeat(64) }), 'FORMAT_DUMP_DIGEST 2:33'],
  ['a bad GID beside a UID', file('/a', { uid: '7', gid: 'x' }), 'FORMAT_DUMP_NUMBER 2:17'],
  ['a bad RDEV beside a UID', file('/a', { uid: '7', rdev: '-' }), 'FORMAT_DUMP_NUMBER 2:19'],
  [
    'a size that wraps around',
    file('/a', { size: '18446744073709551615' }),
    'FORMAT_DUMP_SIZE 2:4',
  ],
  ['an escaped NUL in a path', file('/a\\x00b'), 'FORMAT_DUMP_NUL 2:1'],
  ['an escaped NUL in a payload', file('/a', { payload: 'x\\x00' }), 'FORMAT_DUMP_NUL 2:25'],
  ['an escaped NUL in a target', link('/a\\x00'), 'FORMAT_DUMP_NUL 2:24'],
  ['an escaped NUL in an xattr key', file('/a', inline, ' k\\x00=v'), 'FORMAT_DUMP_NUL 2:35'],
  [
    'a hardlink that leads into a ring',
    '/1 0 @100644 - - - - - /2 - -\n/2 0 @100644 - - - - - /3 - -\n/3 0 @100644 - - - - - /2 - -\n',
    'FORMAT_DUMP_HARDLINK 2:24',
  ],

  // Lines and fields.
  ['an empty line', '\n', 'FORMAT_DUMP_FIELDS 2:1'],
  ['a NUL byte in a name', file('/a\0'), 'FORMAT_DUMP_NUL 2:3'],
  ['a NUL byte in content', file('/a', { ...inline, content: 'hel\0o' }), 'FORMAT_DUMP_NUL 2:30'],
  ['an escape that is none', file('/a\\q'), 'FORMAT_DUMP_ESCAPE 2:3'],
  ['a cut escape', file('/a', { payload: 'ab\\x4' }), 'FORMAT_DUMP_ESCAPE 2:27'],
  ['a cut escape in content', file('/a', { ...inline, content: '\\' }), 'FORMAT_DUMP_ESCAPE 2:27'],
  ['a bad escape in an xattr', file('/a', inline, ' k=v\\'), 'FORMAT_DUMP_ESCAPE 2:38'],
  ['an xattr without =', file('/a', inline, ' k'), 'FORMAT_DUMP_XATTR 2:35'],
  ['two spaces before an xattr', file('/a', inline, '  k=v'), 'FORMAT_DUMP_XATTR 2:35'],

  // Paths.
  ['no parent', file('/q/a'), 'FORMAT_DUMP_PARENT 2:1'],
  [
    'a parent that comes later',
    `${file('/d/a')}${file('/d', directory)}`,
    'FORMAT_DUMP_PARENT 2:1',
  ],
  ['a parent that is a file', `${file('/f')}${file('/f/a')}`, 'FORMAT_DUMP_PARENT 3:1'],
  [
    'a parent that is a hardlink',
    `${file('/f')}${link('/f')}${file('/l/a')}`,
    'FORMAT_DUMP_PARENT 4:1',
  ],
  ['the parent .', file('/./a'), 'FORMAT_DUMP_PARENT 2:1'],
  ['the same file twice', file('/a') + file('/b') + file('/a'), 'FORMAT_DUMP_DUPLICATE 4:1'],
  ['the same directory twice', file('/a', directory).repeat(2), 'FORMAT_DUMP_DUPLICATE 3:1'],
  ['a file and a directory', file('/a') + file('/a', directory), 'FORMAT_DUMP_DUPLICATE 3:1'],
  ['a file and a hardlink', file('/l') + link('/l'), 'FORMAT_DUMP_DUPLICATE 3:1'],
  ['the root twice', ROOT, 'FORMAT_DUMP_DUPLICATE 2:1'],

  // Numbers.
  ['a SIZE that is none', file('/a', { size: 'x' }), 'FORMAT_DUMP_NUMBER 2:4'],
  ['an unset SIZE', file('/a', { size: '-' }), 'FORMAT_DUMP_NUMBER 2:4'],
  ['a fraction', file('/a', { nlink: '1.0' }), 'FORMAT_DUMP_NUMBER 2:13'],
  ['a hexadecimal number', file('/a', { uid: '0x1' }), 'FORMAT_DUMP_NUMBER 2:15'],
  ['a MODE that is not octal', file('/a', { mode: '100648' }), 'FORMAT_DUMP_NUMBER 2:6'],
  ['an MTIME without a dot', file('/a', { mtime: '5' }), 'FORMAT_DUMP_MTIME 2:21'],
  ['an MTIME without seconds', file('/a', { mtime: '.5' }), 'FORMAT_DUMP_MTIME 2:21'],
  ['an MTIME without nanoseconds', file('/a', { mtime: '5.' }), 'FORMAT_DUMP_MTIME 2:21'],
  ['an MTIME of three parts', file('/a', { mtime: '5.6.7' }), 'FORMAT_DUMP_MTIME 2:21'],
  ['an MTIME of words', file('/a', { mtime: 'now.0' }), 'FORMAT_DUMP_MTIME 2:21'],

  // Data.
  ['content of another size', file('/a', { ...inline, size: '4' }), 'FORMAT_DUMP_SIZE 2:4'],
  [
    'a payload of 4096 bytes',
    file('/a', { payload: 'p'.repeat(4096) }),
    'FORMAT_DUMP_PAYLOAD 2:25',
  ],

  // Hardlinks.
  ['a hardlink to nothing', link('/q'), 'FORMAT_DUMP_HARDLINK 2:24'],
  ['a hardlink without a target', link('-'), 'FORMAT_DUMP_HARDLINK 2:24'],
  ['a hardlink without a mode', link('/', '@'), 'FORMAT_DUMP_NUMBER 2:6'],
  ['a hardlink without a type', link('/', '@644'), 'FORMAT_DUMP_MODE 2:6'],
  ['a ring of two', link('/m') + link('/l').replace('/l', '/m'), 'FORMAT_DUMP_HARDLINK 2:24'],
];

/** Refused by strict reading only: mkcomposefs takes it, and means one image by it. */
const STRICT_ONLY: readonly (readonly [
  label: string,
  text: string,
  verdict: string,
  same: string,
])[] = [
  ['no slash at the start', file('a'), 'FORMAT_DUMP_PATH 2:1', file('/a')],
  ['two slashes at the start', file('//a'), 'FORMAT_DUMP_PARENT 2:1', file('/a')],
  [
    'two slashes inside',
    file('/d', directory) + file('/d//a'),
    'FORMAT_DUMP_PARENT 3:1',
    file('/d', directory) + file('/d/a'),
  ],
  [
    'no newline at the end',
    file('/a').trimEnd(),
    `FORMAT_DUMP_NEWLINE 2:${file('/a').length}`,
    file('/a'),
  ],
  [
    'three fields fewer',
    '/a 0 100644 1 0 0 0 0.0\n',
    'FORMAT_DUMP_FIELDS 2:24',
    '/a 0 100644 1 0 0 0 0.0 - - -\n',
  ],
  [
    'empty fields',
    '/a 0 100644 1 0 0 0 0.0   \n',
    'FORMAT_DUMP_FIELDS 2:25',
    '/a 0 100644 1 0 0 0 0.0 - - -\n',
  ],
  ['a space at the end', file('/a', inline, ' '), 'FORMAT_DUMP_XATTR 2:35', file('/a', inline)],
  [
    'a space behind the xattrs',
    file('/a', inline, ' k=v '),
    'FORMAT_DUMP_XATTR 2:39',
    file('/a', inline, ' k=v'),
  ],
  [
    'an xattr given twice',
    file('/a', inline, ' k=1 x=y k=2'),
    'FORMAT_DUMP_XATTR 2:43',
    file('/a', inline, ' k=2 x=y'),
  ],
  ['a plus sign', file('/a', { uid: '+7' }), 'FORMAT_DUMP_NUMBER 2:15', file('/a', { uid: '7' })],
  [
    'a minus sign',
    file('/a', { uid: '-1' }),
    'FORMAT_DUMP_NUMBER 2:15',
    file('/a', { uid: '4294967295' }),
  ],
  [
    'a tab before a number',
    file('/a', { gid: '\t7' }),
    'FORMAT_DUMP_NUMBER 2:17',
    file('/a', { gid: '7' }),
  ],
  [
    'a UID above 32 bits',
    file('/a', { uid: '4294967303' }),
    'FORMAT_DUMP_NUMBER 2:15',
    file('/a', { uid: '7' }),
  ],
  [
    'a UID above 64 bits',
    file('/a', { uid: '9'.repeat(30) }),
    'FORMAT_DUMP_NUMBER 2:15',
    file('/a', { uid: '4294967295' }),
  ],
  [
    'an NLINK above 32 bits',
    file('/a', { nlink: '4294967297' }),
    'FORMAT_DUMP_NUMBER 2:13',
    file('/a'),
  ],
  ['a MODE above 16 bits', file('/a', { mode: '1100644' }), 'FORMAT_DUMP_MODE 2:6', file('/a')],
  ['a MODE of 17 bits', file('/a', { mode: '300644' }), 'FORMAT_DUMP_MODE 2:6', file('/a')],
  ['a device number on a file', file('/a', { rdev: '5' }), 'FORMAT_DUMP_NUMBER 2:19', file('/a')],
  [
    'nanoseconds of a second and more',
    file('/a', { mtime: '1.4294967296' }),
    'FORMAT_DUMP_MTIME 2:21',
    file('/a', { mtime: '1.0' }),
  ],
  [
    'an MTIME with a plus sign',
    file('/a', { mtime: '+1.2' }),
    'FORMAT_DUMP_MTIME 2:21',
    file('/a', { mtime: '1.2' }),
  ],
  [
    'an MTIME above 64 bits',
    file('/a', { mtime: `${'9'.repeat(30)}.0` }),
    'FORMAT_DUMP_MTIME 2:21',
    file('/a', { mtime: '-1.0' }),
  ],
  [
    'a SIZE above 64 bits on a device',
    file('/a', { ...device, size: '18446744073709551616' }),
    'FORMAT_DUMP_SIZE 2:4',
    file('/a', { ...device, size: '18446744073709551615' }),
  ],
  [
    'a symlink of another size',
    file('/a', { ...symlink, size: '77' }),
    'FORMAT_DUMP_SIZE 2:4',
    file('/a', symlink),
  ],
  [
    'a symlink with content',
    file('/a', { ...symlink, content: 'hello' }),
    'FORMAT_DUMP_PAYLOAD 2:31',
    file('/a', symlink),
  ],
  [
    'a symlink with a digest',
    file('/a', { ...symlink, digest: 'zz' }),
    'FORMAT_DUMP_PAYLOAD 2:33',
    file('/a', symlink),
  ],
  [
    'a directory with a payload',
    file('/a', { ...directory, payload: 'x' }),
    'FORMAT_DUMP_PAYLOAD 2:24',
    file('/a', directory),
  ],
  [
    'a device with a digest',
    file('/a', { ...device, digest: 'zz' }),
    'FORMAT_DUMP_PAYLOAD 2:31',
    file('/a', device),
  ],
  [
    'an unused digest that is none',
    file('/a', { ...inline, digest: 'zz' }),
    'FORMAT_DUMP_DIGEST 2:33',
    file('/a', inline),
  ],
  [
    'an escape in a digest',
    file('/a', { digest: `\\x61${DIGEST.slice(1)}` }),
    'FORMAT_DUMP_DIGEST 2:33',
    file('/a'),
  ],
  [
    'a target without its first slash',
    file('/a') + link('a'),
    'FORMAT_DUMP_HARDLINK 3:24',
    file('/a') + link('/a'),
  ],
  [
    'a target with more slashes',
    file('/a') + link('//a//'),
    'FORMAT_DUMP_HARDLINK 3:24',
    file('/a') + link('/a'),
  ],
];

test('what no reading accepts', () => {
  for (const [label, text, expected] of REFUSED) {
    for (const lenient of [false, true]) {
      const actual = verdict(ROOT + text, lenient);
      assert.is(actual, expected, `${label}, lenient ${lenient}`);
    }
  }
});

test('what only mkcomposefs accepts, and what it means by it', () => {
  for (const [label, text, expected, same] of STRICT_ONLY) {
    assert.is(verdict(ROOT + text), expected, label);
    assert.is(digestOf(ROOT + text, true), digestOf(ROOT + same, true), label);
  }
});

test('content that no entry has a use for is still measured by lenient reading', () => {
  const text = (length: number): string =>
    ROOT + file('/a', { ...directory, size: String(length), content: 'c'.repeat(length) });
  assert.is(verdict(text(5000), true), 'accepted');
  assert.is(verdict(text(5001), true), 'FORMAT_DUMP_CONTENT 2:29');
});

test('a payload that leads out of the object store is read as mkcomposefs does, or refused', () => {
  for (const payload of ['/ab/cd', '../ab', 'ab/../cd', 'ab/', 'ab//cd', './ab', '.', '..']) {
    const text = ROOT + file('/a', { payload });
    assert.is(verdict(text), 'FORMAT_DUMP_PAYLOAD 2:25', payload);
    assert.is(verdict(text, true), 'accepted', payload);
  }
  assert.is(verdict(ROOT + file('/a', { payload: '.../a..b' })), 'accepted');
});

test('whole texts', () => {
  for (const [label, text, strict, lenient = strict] of [
    ['nothing', '', 'FORMAT_DUMP_NO_ROOT -'],
    ['no root', file('/a'), 'FORMAT_DUMP_PARENT 1:1'],
    ['a root that is a file', file('/'), 'FORMAT_DUMP_MODE 1:5'],
    ['a root that is a hardlink', '/ 0 @100644 - - - - - / - -\n', 'FORMAT_DUMP_MODE 1:5'],
    ['a root of two slashes', `/${ROOT}`, 'FORMAT_DUMP_NAME 1:1'],
    ['a comment', `# x\n${ROOT}`, 'FORMAT_DUMP_FIELDS 1:4', 'FORMAT_DUMP_NUMBER 1:4'],
    ['a byte order mark', `\xef\xbb\xbf${ROOT}`, 'FORMAT_DUMP_PATH 1:1', 'FORMAT_DUMP_NAME 1:1'],
    [
      'line ends of Windows',
      ROOT + file('/a', none).replace('\n', '\r\n'),
      'FORMAT_DUMP_DIGEST 2:29',
    ],
    [
      'a line cut in half',
      ROOT + file('/a').slice(0, 20),
      'FORMAT_DUMP_FIELDS 2:21',
      'FORMAT_DUMP_MTIME 2:21',
    ],
    ['a line of one NUL byte', `${ROOT}\0\n`, 'FORMAT_DUMP_FIELDS 2:2', 'FORMAT_DUMP_NUL 2:1'],
    ['only a root', ROOT, 'accepted'],
    ['only a root, cut', ROOT.trimEnd(), 'FORMAT_DUMP_NEWLINE 1:31', 'accepted'],
  ] as const) {
    assert.is(verdict(text), strict, label);
    assert.is(verdict(text, true), lenient, `${label}, lenient`);
  }
});

test('the message shows the field, its text and what was expected', () => {
  const message = (text: string): string => {
    try {
      parse(ROOT + text);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.is(
    message(file('/a', { uid: 'x\x1b' })),
    'Cannot read dump line 2, column 15: UID "x\\x1b" is not a decimal number',
  );
  assert.is(
    message(file(`/${'n'.repeat(300)}`)),
    `Cannot read dump line 2, column 1: PATH "/${'n'.repeat(59)}…" has a name of 300 bytes, expected at most 255`,
  );
});

test('every field arrives', () => {
  const text =
    ROOT +
    file(
      '/a b'.replace(' ', '\\x20'),
      { mtime: '-5.000000007', uid: '4294967295' },
      ' b=\\x00 a=1\\x3d=',
    ) +
    file('/dev', device) +
    file('/in', inline) +
    file('/link', symlink) +
    file('/dir', directory) +
    file('/dir/\xff', { ...none, size: '9007199254740992', digest: DIGEST.toUpperCase() }) +
    link('/dir/\xff');
  const nodes = new Map([...walkTree(parse(text))].map(({ path, node }) => [path as string, node]));
  assert.equal([...nodes.keys()], ['/', '/a b', '/dev', '/dir', '/dir/\xff', '/in', '/l', '/link']);
  const a = nodes.get('/a b')!;
  assert.equal([a.mtimeSec, a.mtimeNsec, a.uid, a.size], [-5, 7, 4294967295, 5]);
  assert.equal([a.payload, a.digest, a.line], ['ab/cd' as ByteString, DIGEST, 2]);
  assert.equal(a.xattrs, [
    { name: 'a', value: '1==' },
    { name: 'b', value: '\0' },
  ]);
  assert.equal([nodes.get('/dev')!.rdev, nodes.get('/dev')!.size], [1280, 0]);
  assert.equal([...nodes.get('/in')!.content!], [...Buffer.from('hello')]);
  assert.equal([nodes.get('/link')!.payload, nodes.get('/link')!.size], ['there' as ByteString, 5]);
  const big = nodes.get('/dir/\xff')!;
  assert.equal([big.size, big.digest, big.payload], [2 ** 53, DIGEST, undefined]);
  assert.is(nodes.get('/l')!.hardlink, big);
});

test('a dash is unset alone, and a dash when escaped', () => {
  const root = parse(ROOT + file('/-', { ...none, size: '1', payload: '\\x2d', content: '\\x2d' }));
  const node = root.children![0]!;
  assert.equal([node.name, node.payload, node.content?.[0]], ['-', '-', 0x2d]);
});

test('what is printed is read back', () => {
  const text =
    ROOT +
    file('/-', {}, ' user.x=- user.y=a\\x3d\\xff') +
    file('/\\x2d\\n\\t\\\\=', { ...symlink, payload: '\\x2d', size: '1' }) +
    file('/m', { mtime: '9223372036854775807.999999999' }) +
    file('/n', { mtime: '-9223372036854775808.0' }) +
    file('/t', inline) +
    file('/u', {}, ` user.big=${'\\x01'.repeat(32000)}`) +
    link('/t');
  const printed = [...printDump(parse(text))].join('');
  assert.is([...printDump(parse(printed))].join(''), printed);
  assert.is(digestOf(printed), digestOf(text));
});

test('hardlinks: to later lines, to hardlinks, and long chains of them', () => {
  const count = 20_000;
  let text = ROOT;
  for (let i = 0; i < count; i++) text += `/${i} 0 @100644 - - - - - /${i + 1} - -\n`;
  text += file(`/${count}`, { nlink: String(count + 1) });
  const { children } = parse(text);
  const original = children!.find(({ name }) => name === String(count))!;
  assert.is(children!.filter(({ hardlink }) => hardlink === original).length, count);
  assert.is(original.nlink, count + 1);
});

test('pieces: lines keep their numbers and escapes across the size of a piece', () => {
  const line = (i: number): string => file(`/${String(i).padStart(7, '0')}\\x41`, { ...none });
  const lines = Array.from({ length: 120_000 }, (_, i) => line(i));
  const text = ROOT + lines.join('');
  assert.ok(text.length > 4 << 20);
  const root = parse(text);
  assert.is(root.children!.length, lines.length);
  assert.is(root.children!.at(-1)!.name, '0119999A');
  assert.is(verdict(`${text}${file('/a', { uid: 'x' })}`), 'FORMAT_DUMP_NUMBER 120002:15');
  assert.is(verdict(`${text}${'x'.repeat(9 << 20)}`), `FORMAT_DUMP_FIELDS 120002:${(9 << 20) + 1}`);
});

test.run();
