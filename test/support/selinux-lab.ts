/**
 * SELinux policies for tests: made at random, or the lines of Debian's own; and paths that they are about.
 *
 * A policy package (.pp) holds the lines of its file_contexts as text, so they are taken out without its tools. The
 * order is then another than that of an installed policy, which makes it no worse a test: the judge reads the same.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fetchPackage } from '../../toolchain/host/debian-packages.ts';
import { hasByte, parsePattern, type Pattern } from '../../toolchain/selinux/pattern.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';
import { runTool } from './file-systems.ts';
import type { VectorRng } from './vector-rng.ts';

/** Types of entries, as matchpathcon's -m names them (it reads one letter), and their bits of a mode. */
export const ENTRY_TYPES = [
  ['f', 0o100000],
  ['d', 0o040000],
  ['l', 0o120000],
  ['c', 0o020000],
  ['b', 0o060000],
  ['p', 0o010000],
  ['s', 0o140000],
] as const;

const pick = <T>(rng: VectorRng, list: readonly T[]): T => list[rng.below(list.length)]!;

const WORDS = ['usr', 'lib', 'bin', 'a', 'ab', 'b', 'x+y', 'lib64', 'etc', 'c.d'];
const escaped = (word: string): string => word.replaceAll(/[.+]/g, '\\$&');

/** A pattern of what real policies are made of, and of what they could be made of. */
function randomPattern(rng: VectorRng, depth = 0): string {
  const atom = (): string =>
    pick<() => string>(rng, [
      () => escaped(pick(rng, WORDS)),
      () => escaped(pick(rng, WORDS)),
      () => '.',
      () => '[^/]',
      () => pick(rng, ['[a-c]', '[^a]', '[0-9]', '[[:alpha:]]', '[]x]', '[b\\.-]', '\\d', '\\w']),
      () => (depth > 1 ? 'a' : `(${randomPattern(rng, depth + 1)})`),
      () =>
        depth > 1 ? 'b' : `(${randomPattern(rng, depth + 1)}|${randomPattern(rng, depth + 1)})`,
      () => (depth > 1 ? '/' : `(/${randomPattern(rng, depth + 1)})?`),
    ])();
  let text = '';
  for (let i = rng.below(3) + 1; i > 0; i--) {
    const part = atom();
    const isOne = /^(?:\.|\(.*\)|\[[^\]]*\]|\\.|.)$/.test(part) && !/^\(.*\).*\(/.test(part);
    // Repetitions of repetitions let PCRE2 give up, and libselinux then has no label.
    const isNested = part.startsWith('(') && /[*+{?]/.test(part);
    const repeat = pick(rng, ['', '', '', '*', '+', '?', '{2}', '{1,2}', '{0,}', '*?']);
    text += !isOne || isNested ? part : part + repeat;
    if (rng.below(4) === 0) text += '/';
  }
  return text;
}

/** Lines of a file_contexts, each of which coldseal and libselinux take. */
export function randomPolicy(rng: VectorRng, count: number): string[] {
  const lines: string[] = [];
  const seen = new Set<string>();
  while (lines.length < count) {
    const begin = pick(rng, [...WORDS.map(escaped), '', '', '.*']) + pick(rng, ['', '/', '(/.*)?']);
    const pattern = `/${begin}${randomPattern(rng)}`;
    if (seen.has(pattern) || /^\/[^/]*\\[^/]*\//.test(pattern)) continue;
    seen.add(pattern);
    const type = pick(rng, ['', '', '\t--', '\t-d', '\t-l', '\t-p']);
    const context = rng.below(12) === 0 ? '<<none>>' : `u:object_r:t${lines.length}:s0`;
    lines.push(`${pattern}${type}\t${context}`);
  }
  return lines;
}

/** A text that a pattern matches. */
function exampleOf(pattern: Pattern, rng: VectorRng): string {
  switch (pattern.kind) {
    case 'set': {
      // Without a newline, which separates the judge's answers, and a NUL, which ends arguments.
      const bytes = Array.from({ length: 95 }, (_, i) => i + 32).filter((byte) =>
        hasByte(pattern.set, byte),
      );
      const common = bytes.filter((byte) => /[a-c/0-9.]/.test(String.fromCharCode(byte)));
      return String.fromCharCode(pick(rng, common.length > 0 ? common : bytes));
    }
    case 'sequence':
      return pattern.parts.map((part) => exampleOf(part, rng)).join('');
    case 'choice':
      return exampleOf(pick(rng, pattern.choices), rng);
    case 'repeat': {
      const most = Math.min(pattern.most, pattern.least + 3);
      const times = pattern.least + rng.below(most - pattern.least + 1);
      return Array.from({ length: times }, () => exampleOf(pattern.part, rng)).join('');
    }
  }
}

/** Paths that lines of a policy match, and some with a change. */
export function pathsFor(lines: readonly string[], count: number, rng: VectorRng): string[] {
  const patterns = lines.map((line) => parsePattern(line.split(/\s+/)[0]!));
  return Array.from({ length: count }, () => {
    const path = exampleOf(pick(rng, patterns), rng).replaceAll(/\/+/g, '/');
    const at = rng.below(path.length + 1);
    const changed = pick<() => string>(rng, [
      () => path,
      () => path,
      () => path.slice(0, at) + pick(rng, ['a', '/', '.', 'é', '0']) + path.slice(at),
      () => path.slice(0, at),
    ])();
    // matchpathcon takes a slash at the end away, libselinux puts slashes together.
    const clean = `/${changed}`.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, '');
    return Buffer.from(clean, 'utf8').toString('latin1');
  });
}

/** The lines of all modules of Debian's default policy, from its package. */
export async function debianPolicy(): Promise<string[]> {
  const bunzip = requireTool('bunzip2', 'bzip2');
  const directory = await policyPackage();
  const modules = join(directory, 'usr/share/selinux/default');
  const lines = new Map<string, string>();
  for (const name of readdirSync(modules).sort()) {
    if (!name.endsWith('.pp.bz2')) continue;
    const text = runTool(bunzip, ['--stdout', join(modules, name)], 'latin1');
    for (const [line, key] of text.matchAll(
      /^(\/[ -~]*?(?:[ \t]+-[-dlcbps])?)[ \t]+(?:[a-z]+_u:object_r:\w+(?::[\w.,-]+)*|<<none>>)(?=\n)/gm,
    )) {
      // Templates, which an installed policy has filled in.
      if (!key!.includes('%{')) lines.set(key!.replaceAll(/\s+/g, ' '), line);
    }
  }
  return [...lines.values()];
}

async function policyPackage(): Promise<string> {
  try {
    const source = { suite: 'trixie', architecture: 'amd64' };
    return (await fetchPackage(source, 'selinux-policy-default')).directory;
  } catch (error) {
    const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}
