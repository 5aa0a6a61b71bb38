/** Commands for test/unit/interruption.test.ts, which puts them into a CLI of its own. */
import { writeFileSync } from 'node:fs';
import { defineCommand, type Command } from '../../toolchain/cli/command.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const START = 'started';

/** Watches the signal, and takes `--clean-up` milliseconds to end. */
const careful = defineCommand({
  name: 'careful',
  summary: 'Wait until interrupted, then clean up',
  args: [{ name: 'file', help: 'written by the clean-up' }],
  options: {
    cleanUp: {
      flag: '--clean-up <ms>',
      help: 'how long',
      integer: { min: 0, max: 60_000 },
      default: 0,
    },
  },
  examples: [],
  async run({ args, options, output }) {
    const interruption = new Promise<void>((resolve) => {
      output.interrupted.addEventListener('abort', () => resolve());
    });
    const alive = setInterval(() => undefined, 1000);
    output.note(START);
    await interruption;
    await sleep(options.cleanUp);
    clearInterval(alive);
    writeFileSync(args[0], 'clean');
    output.interrupted.throwIfAborted();
  },
});

/** Never looks at the signal. */
const deaf = defineCommand({
  name: 'deaf',
  summary: 'Wait for a minute',
  examples: [],
  async run({ output }) {
    output.note(START);
    await sleep(60_000);
  },
});

export const SLOW_COMMANDS: readonly Command[] = [careful, deaf];
