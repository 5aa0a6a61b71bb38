/**
 * How long each stage of a release took: timings.json, the one file that differs from run to run.
 *
 * It is apart from release.json because a record that is to be compared cannot hold a clock
 * (docs/decisions/0020-release-record.md).
 */

export interface StageTiming {
  readonly stage: string;
  readonly ms: number;
}

export interface Timings {
  readonly schema: 1;
  /** When the release began, in UTC. */
  readonly startedAt: string;
  readonly totalMs: number;
  readonly stages: readonly StageTiming[];
}

/** A stop-watch that is pressed at the end of each stage. */
export class StageTimes {
  readonly #startedAt = new Date().toISOString();
  readonly #start = performance.now();
  readonly #stages: StageTiming[] = [];
  #last = this.#start;

  /** Ends a stage; the next one begins. */
  end(stage: string): void {
    const now = performance.now();
    this.#stages.push({ stage, ms: Math.round(now - this.#last) });
    this.#last = now;
  }

  finish(): Timings {
    return {
      schema: 1,
      startedAt: this.#startedAt,
      totalMs: Math.round(performance.now() - this.#start),
      stages: this.#stages,
    };
  }
}
