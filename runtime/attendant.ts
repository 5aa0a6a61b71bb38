/**
 * The attendant: a copy of the runtime that stays when the system's init takes over, and reads what containers print.
 *
 * It copies output to the console or to files below /run, stamps each container's first output with the boot clock and
 * puts that into the boot record. It ends with the last container. The record was written before the copy was made;
 * it is read again for every change, because containers that start later are added to it by another process.
 *
 * With a report port it is a measurement on a development board: when every container has been heard, the record goes
 * to that virtio-serial port as one line of JSON, and the machine is switched off.
 */
import { Attendance } from './attendance.ts';
import type { ContainerPipe } from './containers.ts';
import { RUN_OUTPUT } from './device-paths.ts';
import { readDiskCounters } from './disk-counters.ts';
import type { Engine } from './engine.ts';
import type { BootRecord } from './format/boot-record.ts';
import { ascii, toByteString } from './format/bytes.ts';
import type { DevicePolicy } from './format/device-policy.ts';
import { ColdsealError } from './format/errors.ts';
import { readSmallFile } from './read-file.ts';
import { readRecord, recordLine, writeRecord } from './record-file.ts';
import { errnoOf } from './sys-error.ts';
import type { DeviceSys, Fd } from './sys.ts';

export interface AttendantSettings {
  readonly output: DevicePolicy['containerOutput'];
  /** Name of the virtio-serial port that gets the record. */
  readonly report?: string | undefined;
  /** The disk whose counters go into the record with each first output. */
  readonly disk?: string | undefined;
}

const STREAM_STEP = 16 * 1024;
const CONSOLE = '/dev/console';
const PORTS = '/sys/class/virtio-ports';
/** How long a report waits for containers that print nothing. */
const REPORT_WAIT_MS = 10_000;
/** Without a report nothing but output wakes the attendant; the wait has some end only because it needs one. */
const IDLE_MS = 3_600_000;
const PORT_NAME_MAX = 256;
/** The port hands its bytes over after the write has returned. */
const PORT_DRAIN_MS = 20;

/** Attends until the last pipe ends; returns the exit code of this process. */
export function attend(
  engine: Engine,
  record: BootRecord,
  pipes: readonly ContainerPipe[],
  settings: AttendantSettings,
): number {
  const { sys } = engine;
  const { output, report, disk } = settings;
  const attendance = new Attendance(
    pipes.map(({ name }) => name),
    output,
  );
  const open = pipes.map((pipe) => ({ ...pipe, sink: openSink(sys, pipe.name, output) }));
  const put = (sink: Fd | undefined, bytes: Uint8Array): void => {
    if (sink !== undefined && bytes.length > 0) attempt(() => sys.write(sink, bytes));
  };
  for (const { name, seen, sink } of open) {
    if (seen.length > 0) put(sink, attendance.output(name, seen, sys.clock().bootNs));
  }
  const reportNs = sys.clock().bootNs + REPORT_WAIT_MS * 1e6;
  const buffer = new Uint8Array(STREAM_STEP);
  for (let stamps = attendance.firstOutputs().size; !attendance.isOver;) {
    const leftMs = Math.ceil((reportNs - sys.clock().bootNs) / 1e6);
    if (report !== undefined && (attendance.allHeard || leftMs <= 0)) break;
    const fds = open.map(({ fd }) => fd);
    for (const fd of sys.waitReadable(fds, report === undefined ? IDLE_MS : leftMs)) {
      const at = open.findIndex((pipe) => pipe.fd === fd);
      const { name, sink } = open[at]!;
      const length = sys.readStream(fd, buffer);
      if (length > 0) {
        put(sink, attendance.output(name, buffer.subarray(0, length), sys.clock().bootNs));
        continue;
      }
      put(sink, attendance.end(name));
      open.splice(at, 1);
      sys.close(fd);
      if (sink !== undefined) sys.close(sink);
    }
    const firstOutputs = attendance.firstOutputs();
    if (firstOutputs.size !== stamps) stampRecord(sys, firstOutputs, disk);
    stamps = firstOutputs.size;
  }
  if (report === undefined) return 0;
  const latest = attempt(() => readRecord(sys)) ?? record;
  attempt(() => sendReport(sys, report, latest), sys);
  return sys.endMachine('power-off');
}

/** Puts the times of first outputs into the record where it has none, and what was read by now. */
function stampRecord(
  sys: DeviceSys,
  stamps: ReadonlyMap<string, number>,
  disk: string | undefined,
): void {
  const io = readDiskCounters(sys, disk);
  attempt(() => {
    const record = readRecord(sys);
    if (record === undefined) return;
    const containers = record.containers.map((container) => {
      if (container.startedNs === null) return container;
      return {
        ...container,
        firstOutputNs: container.firstOutputNs ?? stamps.get(container.name) ?? null,
      };
    });
    writeRecord(sys, { ...record, containers, ...(io && { io }) });
  });
}

function openSink(
  sys: DeviceSys,
  name: string,
  output: AttendantSettings['output'],
): Fd | undefined {
  return attempt(() => {
    if (output === 'console') return sys.openWrite(CONSOLE);
    attempt(() => sys.makeDirectory(RUN_OUTPUT));
    const path = `${RUN_OUTPUT}/${name}`;
    sys.writeFile(path, new Uint8Array(), { mode: 0o600 });
    return sys.openWrite(path);
  }, sys);
}

function sendReport(sys: DeviceSys, name: string, record: BootRecord): void {
  const device = sys.list(PORTS).find((entry) => {
    return (
      toByteString(readSmallFile(sys, `${PORTS}/${entry}/name`, PORT_NAME_MAX)).trim() === name
    );
  });
  if (device === undefined) {
    throw new ColdsealError(
      'HOST_REPORT_PORT',
      `Cannot report: no virtio-serial port is named ${name}`,
    );
  }
  const port = sys.openWrite(`/dev/${device}`);
  sys.write(port, ascii(`${recordLine(record)}\n`));
  sys.sleep(PORT_DRAIN_MS);
  sys.close(port);
}

/** A failure of the world is told, where there is somebody to tell, and the attendant goes on. */
function attempt<T>(action: () => T, sys?: DeviceSys): T | undefined {
  try {
    return action();
  } catch (error) {
    const code = error instanceof ColdsealError ? error.code : errnoOf(error);
    if (code === undefined) throw error;
    sys?.logKernel('warning', `coldseal: attendant: ${code}: ${(error as Error).message}`);
    return undefined;
  }
}
