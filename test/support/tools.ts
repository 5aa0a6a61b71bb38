/**
 * Outside tools in tests: found, or the test is skipped with a line; where tools are required, as in CI, it fails
 * instead.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { SkipTest } from './ledger.ts';

// The tools of a system administrator are outside an ordinary user's PATH on Debian.
const EXTRA_DIRS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Whether a missing tool is a failure: in CI, or with REQUIRE_TOOLS=1. */
export function areToolsRequired(env: NodeJS.ProcessEnv = process.env): boolean {
  return env['REQUIRE_TOOLS'] === '1' || env['CI'] === 'true';
}

/** The path of a tool, or undefined. */
export function findTool(name: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const dirs = [...(env['PATH'] ?? '').split(':').filter((dir) => dir !== ''), ...EXTRA_DIRS];
  return dirs.map((dir) => join(dir, name)).find(isExecutable);
}

/** The path of a tool; without it the test is skipped, or fails where tools are required. */
export function requireTool(
  name: string,
  debianPackage: string,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const path = findTool(name, env);
  if (path !== undefined) return path;
  const reason = `${name} not found (Debian package ${debianPackage})`;
  if (areToolsRequired(env)) throw new Error(`${reason}, and tools are required here`);
  throw new SkipTest(reason);
}

/** Ends a test that cannot run on this machine, with the reason that the summary shows. */
export function skipTest(reason: string): never {
  throw new SkipTest(reason);
}

/** Ends a test that needs root unless it has it; fails where tools are required. */
export function requireRoot(env: NodeJS.ProcessEnv = process.env): void {
  if (process.getuid?.() === 0) return;
  if (areToolsRequired(env)) throw new Error('needs root, and tools are required here');
  throw new SkipTest('needs root');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
