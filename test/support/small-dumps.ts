/**
 * Twenty-one tiny dumps, one for each thing a composefs writer can get wrong. Their digests by the C reference are
 * in test/vectors/small.tsv.
 */

const DIGEST = '4f1d2c3b00000000000000000000000000000000000000000000000000000abc';
const ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -';

export interface SmallDump {
  readonly id: string;
  readonly what: string;
  readonly text: string;
  /** Format version with default options; 0 unless there is a whiteout. */
  readonly defaultVersion?: 1;
}

function dump(id: string, what: string, lines: readonly string[], root = ROOT): SmallDump {
  return { id, what, text: `${[root, ...lines].join('\n')}\n` };
}

function emptyFile(name: string, xattrs = ''): string {
  return `/${name} 0 100644 1 0 0 0 0.0 - - -${xattrs}`;
}

function manyXattrs(): string {
  let text = '';
  for (let i = 0; i < 130; i++) text += ` user.x${String(i).padStart(3, '0')}=1`;
  return text;
}

function manyNames(): string[] {
  const names: string[] = [];
  for (let i = 0; i < 200; i++) names.push('n'.repeat(20) + String(i).padStart(3, '0'));
  return names;
}

/** The dumps in the order of the table. */
export const SMALL_DUMPS: readonly SmallDump[] = [
  dump('01', 'empty root', []),
  dump('02', 'inline content', ['/a 5 100644 1 0 0 0 0.0 - hello -']),
  dump('03', 'empty file', [emptyFile('a')]),
  dump('04', 'digest in metacopy', [`/a 100000 100644 1 0 0 0 0.0 ab/cd - ${DIGEST}`]),
  dump('05', 'empty metacopy', ['/a 100000 100644 1 0 0 0 0.0 ab/cd - -']),
  dump('06', 'symlink', ['/a 3 120777 1 0 0 0 0.0 b/c - -']),
  { ...dump('07', 'whiteout', ['/w 0 20644 1 0 0 0 0.0 - - -']), defaultVersion: 1 },
  dump('08', 'hardlink', ['/a 100 100644 2 0 0 0 0.0 x - -', '/b 0 @120000 - - - - 0.0 /a - -']),
  dump('09', 'nlink kept as given', ['/a 100 100644 7 0 0 0 0.0 x - -']),
  dump(
    '10',
    'least mtime',
    ['/a 100 100644 1 0 0 0 5.7 x - -', '/b 100 100644 1 0 0 0 3.9 x - -'],
    '/ 4096 40755 2 0 0 0 9.1 - - -',
  ),
  dump('11', 'negative mtime', ['/a 100 100644 1 0 0 0 -5.0 x - -']),
  dump('12', 'extended by uid', ['/a 100 100644 1 70000 0 0 0.0 x - -']),
  dump('13', 'xattrs escaped, shared, split at prefixes', [
    emptyFile('a', ' user.k=v trusted.overlay.opaque=y lustre.z=1 system.posix_acl_access=ab'),
    emptyFile('b', ' user.k=v security.selinux=s'),
  ]),
  dump(
    '14',
    'stub name taken',
    ['/ab 4096 40755 2 0 0 0 0.0 - - -'],
    `${ROOT} security.selinux=ctx\\x00`,
  ),
  dump(
    '15',
    'directory of several blocks',
    manyNames().map((name) => emptyFile(name)),
  ),
  dump('16', 'padded inline symlink', [`/a 0 120777 1 0 0 0 0.0 ${'t'.repeat(4000)} - -`]),
  dump('17', 'symlink target in a block', [`/a 0 120777 1 0 0 0 0.0 ${'t'.repeat(4095)} - -`]),
  dump('18', 'tail above half a block', [`/a 3000 100644 1 0 0 0 0.0 - ${'c'.repeat(3000)} -`]),
  dump('19', 'block and tail', [`/a 5000 100644 1 0 0 0 0.0 - ${'c'.repeat(5000)} -`]),
  dump('20', '1024 chunks', ['/a 9007199254740992 100644 1 0 0 0 0.0 x - -']),
  dump('21', 'at most 128 shared xattrs', [
    emptyFile('a', manyXattrs()),
    emptyFile('b', manyXattrs()),
  ]),
];
