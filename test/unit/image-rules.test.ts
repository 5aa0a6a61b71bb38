/** Images against kernels: a table of trees, and for each the kernels that would refuse it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkImageTarget,
  IMAGE_RULES,
  type ImageTarget,
} from '../../toolchain/board/image-rules.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { imageFacts, isBeyondBlock } from '../../toolchain/image/image-facts.ts';
import { ROOT_LINE } from '../support/image-lab.ts';
import { VectorRng } from '../support/vector-rng.ts';

const test = suite('image rules');

const D = 'ab'.repeat(32);
const KERNELS = [
  '5.15',
  '6.1',
  '6.5',
  '6.6',
  '6.7',
  '6.8',
  '6.11',
  '6.12',
  '6.15',
  '7.0',
  '7.0.9',
  '7.1',
];

interface Case {
  readonly lines: readonly string[];
  readonly max?: number;
  readonly target?: Partial<ImageTarget>;
  /** Rules by the kernels at which they refuse. */
  readonly refusals: Readonly<Record<string, readonly string[]>>;
}

const OBJECT = `/f 100 100644 1 0 0 0 1.0 ab/cd - ${D}`;
const WHITEOUT = '/w 0 20644 1 0 0 0 1.0 - - -';
const before = (kernel: string): string[] => KERNELS.slice(0, KERNELS.indexOf(kernel));
const from = (kernel: string): string[] => KERNELS.slice(KERNELS.indexOf(kernel));

const CASES: Readonly<Record<string, Case>> = {
  'nothing but names': { lines: ['/d 0 40755 2 0 0 0 1.0 - - -'], refusals: {} },
  'content in the image': { lines: ['/f 5 100644 1 0 0 0 1.0 - hello -'], refusals: {} },
  'an object': {
    lines: [OBJECT],
    refusals: {
      'data-only-lower': before('6.5'),
      'overlay-verity': before('6.6'),
      'overlay-verity-broken': ['7.0', '7.0.9'],
    },
  },
  'an object that need not be checked': {
    lines: [OBJECT],
    target: { verity: 'if-supported' },
    refusals: { 'data-only-lower': before('6.5') },
  },
  'a whiteout in format 1': { lines: [WHITEOUT], refusals: { whiteouts: before('6.7') } },
  'a whiteout in format 0': {
    lines: [WHITEOUT],
    max: 0,
    refusals: { whiteouts: before('6.7'), 'whiteouts-format-0': from('6.8') },
  },
  'an owner that is none': {
    lines: ['/f 0 100644 1 4294967295 0 0 1.0 - - -'],
    refusals: { owner: KERNELS },
  },
  'a group that is none': {
    lines: ['/f 0 100644 1 0 4294967295 0 1.0 - - -'],
    refusals: { owner: KERNELS },
  },
  'a format of another board': {
    lines: [WHITEOUT],
    target: { formats: [0] },
    refusals: { whiteouts: before('6.7'), format: KERNELS },
  },
  'digests of another board': {
    lines: ['/f 5 100644 1 0 0 0 1.0 - hello -'],
    target: { algorithms: ['sha512'] },
    refusals: { algorithm: KERNELS },
  },
};

test('each tree is refused by the kernels that cannot show it, and by no other', () => {
  for (const [name, { lines, max = 1, target = {}, refusals }] of Object.entries(CASES)) {
    const root = parseDump(Buffer.from(`${[ROOT_LINE, ...lines].join('\n')}\n`));
    const facts = imageFacts(root, imageBytes(root, { min: 0, max }), 'sha256');
    const found: Record<string, string[]> = {};
    for (const kernel of KERNELS) {
      const findings = checkImageTarget(facts, { name: 'x', kernel, verity: 'require', ...target });
      for (const { rule, severity, message, advice } of findings) {
        assert.match(message, /^(has|gives|is) /);
        assert.ok(advice.length > 10);
        if (severity === 'refusal') (found[rule] ??= []).push(kernel);
      }
    }
    assert.equal(found, refusals, name);
  }
});

test('notes tell what depends on how a kernel was configured', () => {
  const root = parseDump(
    Buffer.from(
      `${ROOT_LINE}\n${OBJECT} security.selinux=x system.posix_acl_access=y\n/g 0 100644 1 0 0 0 1.0 - - - user.a=b\n`,
    ),
  );
  const facts = imageFacts(root, imageBytes(root), 'sha256');
  const notes = (kernel: string): string[] =>
    checkImageTarget(facts, { name: 'x', kernel, verity: 'require' })
      .filter(({ severity }) => severity === 'note')
      .map(({ rule }) => rule);
  assert.equal(notes('6.6'), ['erofs-from-file', 'append-layers', 'security-xattrs', 'acls']);
  assert.equal(notes('6.12'), ['security-xattrs', 'acls']);
  assert.is(facts.security.example, '/f');
  assert.is(facts.acls.count, 1);
});

test('attributes that cannot be listed are refused', () => {
  const names = Array.from({ length: 300 }, (_, i) => `user.${String(i).padStart(240, 'n')}=`);
  const root = parseDump(Buffer.from(`${ROOT_LINE}\n/f 0 100644 1 0 0 0 1.0 - - -\n`));
  // No source lets so many through; the rule is for images by others.
  const bytes = imageBytes(root);
  root.children![0]!.xattrs = names.map((name) => ({ name: name as never, value: '' as never }));
  const facts = imageFacts(root, bytes, 'sha256');
  const findings = checkImageTarget(facts, { name: 'x', kernel: '6.12', verity: 'require' });
  assert.equal(
    findings.map(({ rule }) => rule),
    ['xattr-list'],
  );
});

test('no symlink that is written is in another block than its inode', () => {
  const rng = new VectorRng(612);
  for (let round = 0; round < 20; round++) {
    const lines = Array.from({ length: 100 }, (_, i) => {
      const target = 'x'.repeat(1 + (rng.below(4) === 0 ? rng.below(4094) : rng.below(80)));
      const xattr = rng.below(3) === 0 ? ` user.a=${'v'.repeat(rng.below(4000))}` : '';
      const time = round % 2 === 0 ? i : 1;
      return `/l${String(i).padStart(3, '0')} ${target.length} 120777 1 0 0 0 ${time}.0 ${target} - -${xattr}`;
    });
    const root = parseDump(Buffer.from(`${[ROOT_LINE, ...lines].join('\n')}\n`));
    assert.is(imageFacts(root, imageBytes(root), 'sha256').symlinks.count, 0, `round ${round}`);
  }
});

/** offset, extended, xattrs, target: what kernels before 6.12 say. */
const SYMLINKS: readonly (readonly [number, boolean, number, number, boolean])[] = [
  [0, false, 0, 4064, false],
  [0, false, 0, 4065, true],
  // composefs-rs#85: the inode ends where the block does, and the target is in the next one.
  [4032, true, 0, 1, true],
  [4064, false, 0, 1, true],
  [8192 + 4000, false, 32, 32, false],
  [4000, false, 32, 33, true],
  // The record itself is in two blocks: only the second one counts.
  [4064, true, 0, 4064, false],
  [4064, true, 0, 4065, true],
  [4064, true, 4000, 65, true],
];

test('symlinks beyond a block are those that old kernels take for damaged', () => {
  for (const [offset, isExtended, xattrSize, size, expected] of SYMLINKS) {
    const inode = { layout: 2, offset, isExtended, xattrSize, size };
    assert.is(isBeyondBlock(inode), expected, JSON.stringify(inode));
  }
  const inode = { offset: 4064, isExtended: false, xattrSize: 0 };
  assert.is(isBeyondBlock({ ...inode, layout: 0, size: 4096 }), false);
  assert.is(isBeyondBlock({ ...inode, layout: 2, size: 4096 }), false);
});

test('the table says of each rule where it is from and what to do, and the document has it', () => {
  const document = readFileSync(join(ROOT, 'docs/recipe.md'), 'utf8');
  assert.is(new Set(IMAGE_RULES.map(({ id }) => id)).size, IMAGE_RULES.length);
  for (const { id, feature, since, source, advice } of IMAGE_RULES) {
    for (const text of [feature, since, source, advice]) assert.ok(text.length > 2, id);
    assert.ok(document.includes(`| \`${id}\` `), `${id} in docs/recipe.md`);
  }
});

test.run();
