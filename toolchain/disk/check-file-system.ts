/**
 * e2fsck(8) over the store partition of an image, the outside judge of every disk that is made or checked.
 */
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { lastLines, runTool } from '../host/run-tool.ts';

const TIMEOUT_MS = 10 * 60 * 1000;
/** What e2fsck returns when something is wrong and it was not allowed to repair it. */
const ERRORS_LEFT = 4;

function ending({ code, isLate }: { code: number; isLate: boolean }): string {
  if (isLate) return `did not come to an end within ${TIMEOUT_MS / 1000} s`;
  return code < 0 ? 'was killed' : `exited with ${code}`;
}

/** Throws FORMAT_EXT4_FSCK when e2fsck finds anything; HOST_TOOL_MISSING without it. */
export async function checkFileSystem(
  image: string,
  offset: number,
  signal?: AbortSignal,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'coldseal-fsck-'));
  try {
    // e2fsck takes what follows a question mark in a name for options, and the image's path may have one.
    const link = join(dir, 'disk');
    symlinkSync(realpathSync(image), link);
    const { code, stdout, stderr, isLate } = await runTool(
      ['e2fsck', '-fn', `${link}?offset=${offset}`],
      { debian: 'e2fsprogs', timeoutMs: TIMEOUT_MS, signal },
    );
    if (code === 0) return;
    // Killed by its own bugs or by the time-out, it has met what no file system of ours makes it meet.
    const isDamage = code < 0 || (code & ERRORS_LEFT) !== 0;
    const said = lastLines(`${stdout.toString()}\n${stderr}`, 6)?.replaceAll(
      `${link}?offset=${offset}`,
      image,
    );
    throw new ColdsealError(
      isDamage || code === 8 ? 'FORMAT_EXT4_FSCK' : 'HOST_TOOL_FAILED',
      `Cannot accept the store of ${image}: e2fsck ${ending({ code, isLate })}`,
      { hint: said },
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
