/**
 * The entry of the `coldseal` command: hands the process to the CLI and sets the exit code.
 *
 * The first SIGINT or SIGTERM asks a command that watches `output.interrupted` to clean up and end; a command that does
 * not watch, or a second signal, ends at once. Both exit with 130.
 *
 * `process` is the global one: importing node:process asks it for its stdin, which makes descriptor 0 non-blocking.
 */
import { limitInlining } from './cli/compiler.ts';
import { EXIT_INTERRUPTED, runMain } from './cli/main-run.ts';
import { VERSION } from './version.ts';

limitInlining(process.versions.node);
const interruption = new AbortController();
let isWatched = false;

function onSignal(): void {
  const ended = !isWatched || interruption.signal.aborted;
  interruption.abort();
  if (ended) process.exit(EXIT_INTERRUPTED);
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

process.exitCode = await runMain({
  argv: process.argv.slice(2),
  version: VERSION,
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  nowMs: () => performance.now(),
  wasInterrupted: () => interruption.signal.aborted,
  interrupted: () => {
    isWatched = true;
    return interruption.signal;
  },
});
process.off('SIGINT', onSignal);
process.off('SIGTERM', onSignal);
