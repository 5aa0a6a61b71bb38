/** Patterns of dictionaries: the same lines as JavaScript finds, in a time that no line can make long. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { patternProblem, PatternSet } from '../../toolchain/budget/import/patterns.ts';

const test = suite('patterns');

/** Whether a pattern is in a line. */
function has(pattern: string, line: string): boolean {
  assert.is(patternProblem(pattern), undefined, pattern);
  return new PatternSet([pattern]).match(line).length > 0;
}

test('patterns find what JavaScript finds', () => {
  const patterns = [
    'a',
    'abc',
    '^abc',
    'abc$',
    '^abc$',
    '^$',
    '$',
    '^',
    '',
    'a|b',
    'a|',
    '(a|b)c',
    '(?:ab)+c',
    '(?<name>ab)?c',
    'a*',
    'a+b',
    'ba?',
    'a{2}',
    'a{2,}',
    'a{1,3}b',
    'a{0}b',
    'a{,2}',
    'a{x',
    '[abc]',
    '[^abc]',
    '[a-c]+$',
    '[-a]',
    '[a-]',
    '[]',
    '[^]',
    '[\\d]',
    '[\\w-]',
    '\\d+',
    '\\D',
    '\\w+',
    '\\W',
    '\\s',
    '\\S+',
    '\\.',
    '.',
    'a.c',
    '\\x61',
    '\\u0061',
    'é',
    '[à-ü]',
    '\\/',
    'a*?b',
    '(a*)*b',
    '(a|a)*b',
    '^(a+)+$',
    'x^',
    '$x',
    '(^a|b)c',
    '(a$|b)',
    '\\t',
  ];
  const lines = [
    '',
    'a',
    'b',
    'c',
    'abc',
    'xabc',
    'abcx',
    'aabb',
    'ab',
    'abab c',
    'ababc',
    'aaa',
    'aaab',
    'bc',
    'ac',
    'a-c',
    'a.c',
    '12',
    'x9',
    '_',
    ' ',
    '\t',
    'é',
    'ö',
    'axc',
    'a{,2}',
    'a{x',
    '/',
    '-',
    'xa',
    'ba',
    'bca',
    '\u2028',
    '日本',
  ];
  for (const pattern of patterns) {
    const judge = new RegExp(pattern);
    for (const line of lines) {
      assert.is(has(pattern, line), judge.test(line), `/${pattern}/ in ${JSON.stringify(line)}`);
    }
  }
});

test('random patterns in random lines: as JavaScript', () => {
  const atom = fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', '\\d', '\\w', '1', '^', '$');
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      atom,
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => a + b),
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(?:${a}|${b})`),
      fc
        .tuple(tie('tree'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '*?'))
        .map(([a, q]) => `(?:${a})${q}`),
    ),
  }));
  const line = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', ' '), maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(tree, { minLength: 1, maxLength: 4 }),
      fc.array(line, { maxLength: 6 }),
      (patterns, lines) => {
        const set = new PatternSet(patterns);
        for (const text of lines) {
          const judged = patterns.flatMap((pattern, index) =>
            new RegExp(pattern).test(text) ? [index] : [],
          );
          assert.equal(set.match(text), judged, `${patterns.join(' ; ')} in ${text}`);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('patterns that an automaton cannot be are refused with the reason', () => {
  const cases: readonly (readonly [pattern: string, problem: string])[] = [
    ['(a)\\1', 'has a backreference, which is not supported'],
    ['\\k<n>', 'has a backreference, which is not supported'],
    ['(?=a)', 'looks around with (?, which is not supported'],
    ['(?<!a)b', 'looks around with (?, which is not supported'],
    ['\\bword', 'has a word boundary, which is not supported'],
    ['(a', 'has a ( that is not closed'],
    ['a)', 'has a ) that opens nowhere'],
    ['[a', 'has a [ that is not closed'],
    ['[a-', 'has a [ that is not closed'],
    ['*a', 'has a * with nothing to repeat'],
    ['a**', 'repeats a repetition'],
    ['^*', 'repeats a ^ or $'],
    ['a{3,2}', 'has a repetition that is the wrong way round'],
    ['a{2000}', 'repeats more than 1000 times'],
    ['[b-a]', 'has a range that is the wrong way round'],
    ['[a-\\d]', 'has a range that ends in a class'],
    ['a\\', 'ends in a backslash'],
    ['\\q', 'has \\q, which is not known'],
    ['\\x6', 'has \\x without its hexadecimal digits'],
    ['\\u12', 'has \\u without its hexadecimal digits'],
    ['((a{100}){100}){100}', 'is too large'],
    // Nothing, a million times.
    ['((){1000}){1000}', 'is too large'],
    ['('.repeat(60) + ')'.repeat(60), 'has groups nested too deep'],
  ];
  for (const [pattern, problem] of cases) assert.is(patternProblem(pattern), problem, pattern);
});

test('patterns that backtracking would never finish with are linear here', () => {
  // A backtracking matcher takes 2^n steps for these; the line has as many characters as a line may have.
  const line = `${'a'.repeat(4095)}!`;
  for (const pattern of [
    '^(a+)+$',
    '^(a|a)*$',
    '^(a|aa)+$',
    '^(a*)*b',
    '(.*)*x',
    'a*a*a*a*a*a*b',
    '(a?){100}a{100}$',
  ]) {
    assert.is(has(pattern, line), false, pattern);
  }
  // More sets of states than are kept: 2^20 of them, made again when needed.
  const random = Array.from({ length: 60_000 }, (_, i) => ((i * 2_654_435_761) >>> 13) % 2).join(
    '',
  );
  const pattern = '1[01]{20}$';
  assert.is(has(pattern, random), new RegExp(pattern).test(random));
  const judge = /1[01]{20}2/;
  assert.is(has('1[01]{20}2', `${random}2`), judge.test(`${random}2`));
});

test.run();
