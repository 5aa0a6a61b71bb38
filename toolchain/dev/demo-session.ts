/**
 * A session that shows itself: titles, the commands as a person would type them, their output and their times.
 *
 * A command that exits with another code than expected ends the session. An interruption ends the command that runs,
 * and then the session, so that the caller's clean-up always happens.
 */
import { spawn, spawnSync } from 'node:child_process';
import { formatDuration } from '../cli/progress.ts';

export interface ShownCommand {
  /** Program and arguments. */
  readonly argv: readonly string[];
  /** What is printed after `$`; the arguments joined by default. */
  readonly shown?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit codes that are right here; 0 by default. */
  readonly expect?: readonly number[];
  /** Lines of output to print; the rest is counted. All by default. */
  readonly lines?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is said at the end about each step. */
interface StepRow {
  readonly title: string;
  readonly outcome: string;
  readonly ms: number;
}

/** The session cannot go on; the message says why. */
export class DemoFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

export class DemoSession {
  readonly #rows: StepRow[] = [];
  readonly #interrupt = new AbortController();
  readonly #startMs = performance.now();

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => this.#interrupt.abort());
    }
  }

  get wasInterrupted(): boolean {
    return this.#interrupt.signal.aborted;
  }

  print(text: string): void {
    console.log(text);
  }

  /** One step: its title, its commands, and the outcome that `run` returns for the table at the end. */
  async step(title: string, run: () => Promise<string>): Promise<void> {
    this.print(`\n== ${this.#rows.length + 1}. ${title}`);
    const startMs = performance.now();
    try {
      this.#stopIfInterrupted();
      const outcome = await run();
      this.#rows.push({ title, outcome, ms: performance.now() - startMs });
    } catch (error) {
      this.#rows.push({ title, outcome: 'FAILED', ms: performance.now() - startMs });
      throw error;
    }
  }

  /** Runs a command, showing it, what it prints and how long it took. */
  async run(command: ShownCommand): Promise<CommandResult> {
    const shown = command.shown ?? command.argv.join(' ');
    this.print(`$ ${shown}`);
    const startMs = performance.now();
    const result = await this.#spawn(command);
    this.#stopIfInterrupted();
    const tookMs = performance.now() - startMs;
    const exit = result.code === 0 ? '' : `, exit code ${result.code}`;
    this.print(`  (${formatDuration(tookMs)}${exit})`);
    if (!(command.expect ?? [0]).includes(result.code)) {
      const wanted = (command.expect ?? [0]).join(' or ');
      throw new DemoFailure(
        `${shown}: exit code ${result.code}, expected ${wanted}`,
        result.code === 6 ? 6 : 1,
      );
    }
    return result;
  }

  #spawn(command: ShownCommand): Promise<CommandResult> {
    const [program = '', ...args] = command.argv;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: command.cwd,
      env: { ...process.env, ...command.env },
      signal: this.#interrupt.signal,
      killSignal: 'SIGTERM',
    });
    let stdout = '';
    let printed = 0;
    let left = '';
    const show = (text: string, isEnd: boolean): void => {
      const lines = (left + text).split('\n');
      left = isEnd ? '' : (lines.pop() ?? '');
      for (const line of lines) {
        if (isEnd && line === '') continue;
        if (printed++ < (command.lines ?? Number.POSITIVE_INFINITY)) this.print(line);
      }
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      show(text, false);
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      process.stderr.write(text);
    });
    return new Promise((resolve, reject) => {
      child.on('error', (error) => {
        if (this.wasInterrupted) return;
        reject(new DemoFailure(`Cannot run ${program}: ${error.message}`, 6));
      });
      child.on('close', (code) => {
        show('', true);
        const more = printed - (command.lines ?? printed);
        if (more > 0) this.print(`… ${more} more lines`);
        resolve({ code: code ?? -1, stdout, stderr });
      });
    });
  }

  /** The table at the end. */
  printSummary(): void {
    this.print('\n== Summary');
    const width = Math.max(...this.#rows.map(({ title }) => title.length));
    for (const { title, outcome, ms } of this.#rows) {
      this.print(`${title.padEnd(width)}  ${formatDuration(ms).padStart(8)}  ${outcome}`);
    }
    const total = formatDuration(performance.now() - this.#startMs);
    this.print(`${'Together'.padEnd(width)}  ${total.padStart(8)}`);
  }

  #stopIfInterrupted(): void {
    if (this.wasInterrupted) throw new DemoFailure('Interrupted', 130);
  }
}

/** Runs a program quietly and says whether it worked; for clean-ups. */
export function tryQuietly(argv: readonly string[]): boolean {
  return spawnSync(argv[0]!, argv.slice(1), { stdio: 'ignore' }).status === 0;
}
