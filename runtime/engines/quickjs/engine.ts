/** The QuickJS engine: the device bundle's world inside the static program that is /init of a board. */
import type { Engine } from '../../engine.ts';
import { toHex } from '../../format/bytes.ts';
import { VERITY_BLOCK_SIZE, type VerityAlgorithm, VerityHasher } from '../../format/fsverity.ts';
import { SysError } from '../../sys-error.ts';
import type { Fd } from '../../sys.ts';
import { createQuickjsCrypto } from './crypto.ts';
import type { Host } from './host.ts';
import { createQuickjsSys, printLine } from './sys.ts';

const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;
/** Larger steps are hardly faster and only need memory. */
const STEP = 64 * VERITY_BLOCK_SIZE;

/** An engine over the functions of the C side. */
export function createQuickjsEngine(host: Host): Engine {
  return {
    name: 'quickjs',
    sys: createQuickjsSys(host),
    crypto: createQuickjsCrypto(host),
    computeDigest: (fd, algorithm) => computeDigest(host, fd, algorithm),
    print: (line) => printLine(host, STANDARD_OUTPUT, line),
    printError: (line) => printLine(host, STANDARD_ERROR, line),
    reasons: () => parseReasons(host.reasons()),
  };
}

/** Reads a whole open file; SHA-256 is the only hash in here. */
function computeDigest(host: Host, fd: Fd, algorithm: VerityAlgorithm): string {
  if (algorithm !== 'sha256') throw new SysError(`compute ${algorithm}`, 'EOPNOTSUPP');
  const hasher = new VerityHasher(algorithm, (message) => host.sha256(message));
  const step = new Uint8Array(STEP);
  for (let at = 0; ;) {
    const length = host.pread(fd, step, at);
    hasher.update(step.subarray(0, length));
    if (length < STEP) return toHex(hasher.digest());
    at += length;
  }
}

/** Lines of a code, a tab and its meaning; the build writes them (toolchain/engine/build-engine.ts). */
function parseReasons(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line !== '');
  return Object.fromEntries(
    lines.map((line) => {
      const tab = line.indexOf('\t');
      return [line.slice(0, tab), line.slice(tab + 1)];
    }),
  );
}
