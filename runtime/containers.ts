/**
 * Starting containers: the engine runs each prepared bundle, all of them side by side, with one deadline.
 *
 * The container's image is its OCI bundle, mounted and verified before. A container that cannot be started is a
 * reason in the record and never stops the boot, nor another container. One that is late is not ended: it may still
 * start, only nobody waits for it any longer. So whoever tries it again asks the engine first. What the engine prints
 * and what the container prints come through one pipe, whose read end goes on to the attendant.
 */
import type { Engine } from './engine.ts';
import { RUN_CONTAINERS } from './device-paths.ts';
import type { StartedContainer } from './format/boot-record.ts';
import { toByteString } from './format/bytes.ts';
import { concatBytes } from './format/concat.ts';
import type { DevicePolicy } from './format/device-policy.ts';
import { ColdsealError } from './format/errors.ts';
import { errnoOf, explainSysError, stepError } from './sys-error.ts';
import type { DeviceSys, Fd } from './sys.ts';

/** The read end of what a container prints, and what came out of it so far. */
export interface ContainerPipe {
  readonly name: string;
  readonly fd: Fd;
  readonly seen: Uint8Array;
}

export interface ContainersStart {
  /** One each, in the order of the names. */
  readonly containers: StartedContainer[];
  readonly pipes: ContainerPipe[];
}

type ContainerPolicy = Pick<DevicePolicy, 'containerEngine' | 'containerDeadlineMs'>;

/** A container on its way; `pid` is undefined as soon as its engine has ended, or never ran. */
interface Job extends Writable<StartedContainer> {
  pid?: number | undefined;
  pipe?: Fd;
  seen: Uint8Array;
}
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What the engine and its helpers may look for. */
const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
const STREAM_STEP = 16 * 1024;
const COMPLAINT_STEPS = 8;
/** An engine that says nothing about a container for so long says that it does not run. */
const ASK_MS = 1000;
const ASK_EVERY_MS = 50;
/** How much of a failed engine's last line is kept. */
const REASON_MAX = 200;

/** Starts the containers that belong into the boot. */
export function startEarlyContainers(
  engine: Engine,
  names: readonly string[],
  policy: ContainerPolicy,
): ContainersStart {
  return startContainers(engine, names, 'early', policy);
}

/**
 * Starts containers side by side, and waits until their engines have ended or the time is up. After the boot an earlier
 * try may have gone on: one that ran is started, and one whose first engine is still at work gets until the deadline.
 */
export function startContainers(
  { sys }: Engine,
  names: readonly string[],
  start: StartedContainer['start'],
  policy: ContainerPolicy,
): ContainersStart {
  const { containerEngine: program, containerDeadlineMs } = policy;
  const deadlineNs = sys.clock().bootNs + containerDeadlineMs * 1e6;
  const msLeft = (): number => Math.ceil((deadlineNs - sys.clock().bootNs) / 1e6);
  const isLater = start !== 'early';
  const jobs = names.map((name) => launch(sys, name, start, program, isLater));
  while (jobs.some(isRunning)) {
    const leftMs = msLeft();
    const child = leftMs > 0 ? sys.waitChild(leftMs) : undefined;
    takeOutput(sys, jobs);
    if (child === undefined) break;
    // Any other child is an inherited one, and now it is reaped.
    const job = jobs.find(({ pid }) => pid === child.pid);
    if (job !== undefined) finish(sys, job, child.code);
  }
  for (const job of jobs.filter(isRunning)) {
    job.reason = {
      code: 'BUDGET_CONTAINER_START',
      message: `Cannot wait longer for container ${job.name}: its engine still runs after ${containerDeadlineMs} ms`,
    };
  }
  for (const job of jobs) {
    while (isLater && job.reason?.code === 'HOST_CONTAINER_START' && msLeft() > 0) {
      sys.sleep(ASK_EVERY_MS);
      askEngine(sys, job, program);
    }
  }
  return {
    containers: jobs.map(({ pid: _pid, pipe: _pipe, seen: _seen, ...container }) => container),
    pipes: jobs.flatMap(({ name, pipe: fd, seen }) => (fd === undefined ? [] : { name, fd, seen })),
  };
}

const isRunning = (job: Job): boolean => job.pid !== undefined;

function launch(
  sys: DeviceSys,
  name: string,
  start: StartedContainer['start'],
  program: string,
  isLater: boolean,
): Job {
  const job: Job = {
    name,
    start,
    startNs: sys.clock().bootNs,
    startedNs: null,
    firstOutputNs: null,
    reason: null,
    seen: new Uint8Array(),
  };
  try {
    if (isLater) askEngine(sys, job, program);
    if (job.startedNs !== null) return job;
    const bundle = `${RUN_CONTAINERS}/${name}`;
    checkBundle(sys, name, bundle);
    runEngine(sys, job, program, [
      '--cgroup-manager=cgroupfs',
      'run',
      '--detach',
      '--bundle',
      bundle,
    ]);
  } catch (error) {
    const doing = `Cannot start container ${name} with ${program}`;
    const { code, message } =
      error instanceof ColdsealError ? error : stepError('HOST_CONTAINER_ENGINE', doing, error);
    job.reason = { code, message };
  }
  return job;
}

/** Starts the engine for a container. */
function runEngine(sys: DeviceSys, job: Job, program: string, words: readonly string[]): void {
  const { read, write } = sys.pipe();
  job.pipe = read;
  try {
    job.pid = sys.spawn({ argv: [program, ...words, job.name], env: ENVIRONMENT, output: write });
  } finally {
    // The container's copy is the only one that keeps the pipe open.
    sys.close(write);
  }
}

/**
 * Asks the engine about a container. One that runs, or ran and has ended, is started: what has done its work must not
 * do it again. One that was only created is taken away, because its name would be in the way of the next try.
 */
function askEngine(sys: DeviceSys, job: Job, program: string): void {
  const ask = (...words: readonly string[]): string => {
    const answer = { ...job, seen: new Uint8Array() };
    runEngine(sys, answer, program, words);
    // The status is among the first words; where there are none, the end of the pipe is that of the engine.
    takeOutput(sys, [answer], ASK_MS);
    sys.close(answer.pipe!);
    return toByteString(answer.seen);
  };
  const found = /"status": ?"(created)?/.exec(ask('state'));
  if (found?.[1] !== undefined) ask('delete', '--force');
  else if (found !== null) {
    job.startedNs = sys.clock().bootNs;
    job.reason = null;
  }
}

function checkBundle(sys: DeviceSys, name: string, bundle: string): void {
  const doing = `Cannot start container ${name}`;
  let file: Fd;
  try {
    file = sys.open(`${bundle}/config.json`, { nofollow: true });
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') {
      throw explainSysError(error, `${doing}: config.json`, { code: 'HOST_READ_FAILED' });
    }
    throw new ColdsealError(
      'FORMAT_CONTAINER_BUNDLE',
      `${doing}: its image has no config.json, expected an OCI bundle`,
    );
  }
  sys.close(file);
}

/** Takes what the pipes have, so that a first output is seen when it comes and not when all engines are done. */
function takeOutput(sys: DeviceSys, jobs: readonly Job[], timeoutMs = 0): void {
  const fds = jobs.flatMap(({ pipe }) => (pipe === undefined ? [] : [pipe]));
  const ready = sys.waitReadable(fds, timeoutMs);
  for (const job of jobs) if (ready.includes(job.pipe!)) takeOnce(sys, job);
}

/** False at the end of the pipe. */
function takeOnce(sys: DeviceSys, job: Job): boolean {
  const buffer = new Uint8Array(STREAM_STEP);
  const length = sys.readStream(job.pipe!, buffer);
  if (length === 0) return false;
  job.seen = concatBytes(job.seen, buffer.subarray(0, length));
  job.firstOutputNs ??= sys.clock().bootNs;
  return true;
}

function finish(sys: DeviceSys, job: Job, exitCode: number): void {
  job.pid = undefined;
  if (exitCode === 0) {
    job.startedNs = sys.clock().bootNs;
    return;
  }
  // Bounded: something half-started may print for ever.
  for (let step = 0; step < COMPLAINT_STEPS; step++) {
    if (sys.waitReadable([job.pipe!], 0).length === 0 || !takeOnce(sys, job)) break;
  }
  // That was the engine's complaint, not the container's output.
  job.firstOutputNs = null;
  job.reason = {
    code: 'HOST_CONTAINER_START',
    message: `Cannot start container ${job.name}: its engine ended with ${exitCode}: ${lastLine(job.seen)}`,
  };
}

function lastLine(bytes: Uint8Array): string {
  const text = toByteString(bytes, Math.max(0, bytes.length - STREAM_STEP)).trim();
  const line = text.slice(text.lastIndexOf('\n') + 1).replace(/[^\x20-\x7e]/g, '?');
  return line.slice(-REASON_MAX) || 'it said nothing';
}
