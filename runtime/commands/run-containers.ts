/**
 * `coldseal run-containers`: starts the containers that did not belong into the boot, and those that failed then.
 *
 * It ends when all are started. A copy of this process stays to read what they print; where an engine has no copy, this
 * process stays itself.
 */
import { attend } from '../attendant.ts';
import { type ContainerPipe, startContainers } from '../containers.ts';
import type { Engine } from '../engine.ts';
import type { BootRecord } from '../format/boot-record.ts';
import { exitCodeOf } from '../format/errors.ts';
import type { DevicePolicy } from '../format/device-policy.ts';
import { IMAGE_ROLE, START } from '../format/manifest-image.ts';
import { writeRecord } from '../record-file.ts';
import { errnoOf } from '../sys-error.ts';
import { requireSlot } from './booted.ts';
import type { CommandResult, DeviceCommand } from './command.ts';
import { describeContainer } from './status.ts';

const NULL_DEVICE = '/dev/null';

export const runContainersCommand: DeviceCommand = {
  name: 'run-containers',
  about: () => 'start the containers that are not started yet',
  run: (engine) => {
    const { record, sealed, accepted } = requireSlot(engine);
    const isStarted = (wanted: string): boolean =>
      record.containers.some(({ name, startedNs }) => name === wanted && startedNs !== null);
    const names = accepted.manifest.images
      .filter(({ role, start }) => role === IMAGE_ROLE.CONTAINER && start !== START.NONE)
      .map(({ name }) => name)
      .filter((name) => !isStarted(name));
    return startNamed(engine, record, names, sealed.policy);
  },
};

function startNamed(
  engine: Engine,
  record: BootRecord,
  names: readonly string[],
  policy: DevicePolicy,
): CommandResult {
  if (names.length === 0) return { lines: ['all containers are started'], result: [] };
  const { containers, pipes } = startContainers(engine, names, 'normal', policy);
  const others = record.containers.filter(({ name }) => !names.includes(name));
  const next = { ...record, containers: [...others, ...containers] };
  writeRecord(engine.sys, next);
  const failed = containers.find(({ reason }) => reason !== null)?.reason;
  const exitCode = failed ? exitCodeOf(failed.code) : 0;
  return {
    lines: containers.map(describeContainer),
    result: containers,
    exitCode,
    after: () => {
      stay(engine, next, pipes, policy);
      return exitCode;
    },
  };
}

function stay(
  engine: Engine,
  record: BootRecord,
  pipes: readonly ContainerPipe[],
  { containerOutput: output }: DevicePolicy,
): void {
  if (pipes.length === 0) return;
  const { sys } = engine;
  try {
    if (sys.fork() !== 0) return;
    // Whoever waits for the end of our output must not wait for the containers.
    for (const fd of [0, 1, 2]) sys.close(fd);
    sys.open(NULL_DEVICE);
    for (let fd = 1; fd <= 2; fd++) sys.openWrite(NULL_DEVICE);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
  attend(engine, record, pipes, { output });
}
