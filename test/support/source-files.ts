/** The project's own text files, for the tests that look at the sources themselves. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../toolchain/dev/root.ts';

export interface SourceFile {
  /** Path below the repository. */
  readonly path: string;
  readonly text: string;
}

/** What is not the project's source: packages, builds, and keys made on this machine. */
const IGNORED = new Set(['.git', 'node_modules', 'dist', 'out', 'keys/dev']);
const SIZE_MAX = 1 << 20;

/** Every text file of the project, sorted by path. */
export function sourceFiles(): readonly SourceFile[] {
  return walk('').sort((a, b) => (a.path < b.path ? -1 : 1));
}

function walk(dir: string): SourceFile[] {
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = dir === '' ? entry.name : `${dir}/${entry.name}`;
    if (IGNORED.has(path) || path.endsWith('.tsbuildinfo')) return [];
    if (entry.isDirectory()) return walk(path);
    if (!entry.isFile()) return [];
    const bytes = readFileSync(join(ROOT, path));
    const isText = bytes.length <= SIZE_MAX && !bytes.includes(0);
    return isText ? [{ path, text: bytes.toString() }] : [];
  });
}

const TOKENS: readonly RegExp[] = [
  /'(?:[^'\\\n]|\\.)*'/,
  /"(?:[^"\\\n]|\\.)*"/,
  /`(?:[^`\\]|\\[\s\S])*`/,
  /\/\/[^\n]*/,
  /\/\*[\s\S]*?\*\//,
  // A regular expression, told from a division by what stands before it.
  /(?<=[=(,:[!&|?{};\n] *)\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//,
];

/** TypeScript with comments blanked out; line numbers and everything else stay. */
export function withoutComments(source: string): string {
  // Strings, templates and regular expressions are matched first, so that what looks like a comment in them stays.
  const token = new RegExp(TOKENS.map((each) => each.source).join('|'), 'g');
  return source.replace(token, (text) =>
    text.startsWith('//') || text.startsWith('/*') ? text.replace(/[^\n]/g, ' ') : text,
  );
}

/** The module paths that a file imports or re-exports, and whether only for types. */
export function importsOf(source: string): { from: string; isType: boolean; line: number }[] {
  const code = withoutComments(source);
  const found = code.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/g,
  );
  return [...found].map((match) => ({
    from: match[2] ?? match[3]!,
    isType: match[1] !== undefined,
    line: code.slice(0, match.index).split('\n').length,
  }));
}
