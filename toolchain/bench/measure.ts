/**
 * Measured commands: each run is a process of its own under measure-child.mjs, which says what the kernel counted.
 *
 * Commands that are compared take turns, A B A B, so that a machine that slows down slows both.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../dev/root.ts';

export interface Command {
  /** Shown when it fails. */
  readonly label: string;
  readonly argv: readonly string[];
  /** Done before each run and not counted. */
  readonly prepare?: () => void;
  /** The output is large and only costs what the command does to write it. */
  readonly discardOutput?: boolean;
}

/** One run. */
export interface Sample {
  readonly wallMs: number;
  readonly userMs: number;
  readonly sysMs: number;
  /** Largest resident set of the process, all its threads included. */
  readonly peakBytes: number;
  /** Bytes that came from a disk and not from the page cache: 0 when the cache was warm. */
  readonly diskBytes: number;
  readonly stdout: string;
}

export interface Rounds {
  readonly runs: number;
  /** Runs everything once before, uncounted (default). */
  readonly isWarm?: boolean;
}

const MEASURE_CHILD = join(ROOT, 'toolchain/bench/measure-child.mjs');
const SHOWN_STDERR_MAX = 2000;

/** What measure-child.mjs prints. */
interface Answer {
  readonly status: number | null;
  readonly signal: string | null;
  readonly error?: string;
  readonly wallMs: number;
  readonly userMs: number;
  readonly sysMs: number;
  readonly peakBytes: number;
  readonly diskBytes: number;
}

/** Runs commands and keeps their output in a directory. */
export class Meter {
  readonly #dir: string;
  #current: ChildProcess | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Runs the commands in turn, round by round; gives the samples of each command. */
  async alternate(commands: readonly Command[], rounds: Rounds): Promise<Sample[][]> {
    const samples: Sample[][] = commands.map(() => []);
    for (let round = rounds.isWarm === false ? 1 : 0; round <= rounds.runs; round++) {
      for (const [i, command] of commands.entries()) {
        const sample = await this.once(command);
        if (round > 0) samples[i]!.push(sample);
      }
    }
    return samples;
  }

  /** One run; throws when the command fails. */
  async once(command: Command): Promise<Sample> {
    command.prepare?.();
    const stdout = command.discardOutput === true ? '/dev/null' : join(this.#dir, 'stdout');
    const stderr = join(this.#dir, 'stderr');
    const args = [MEASURE_CHILD, stdout, stderr, ...command.argv];
    // A process group of its own, so that an interruption ends the command too.
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#current = child;
    const text: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => text.push(piece));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    }).finally(() => (this.#current = undefined));
    if (code !== 0) throw new Error(`measure-child.mjs failed with ${code}`);
    const answer = JSON.parse(Buffer.concat(text).toString()) as Answer;
    const { status, signal, error, ...usage } = answer;
    if (status !== 0) {
      const how = error ?? (signal === null ? `exit code ${status}` : `signal ${signal}`);
      const said = error === undefined ? readFileSync(stderr, 'utf8').slice(-SHOWN_STDERR_MAX) : '';
      throw new Error(`${command.label}: ${how}\n${said}`.trimEnd());
    }
    const isKept = command.discardOutput !== true;
    return { ...usage, stdout: isKept ? readFileSync(stdout, 'utf8') : '' };
  }

  /** Ends the command that is being measured. */
  stop(): void {
    if (this.#current?.pid === undefined) return;
    try {
      process.kill(-this.#current.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
}
