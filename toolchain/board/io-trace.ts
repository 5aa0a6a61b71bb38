/**
 * What QEMU says of a disk's requests: its trace of virtio-blk, one line an event, and nobody's clock in it.
 *
 * A request is noted when the guest makes it and when it is done; the guest's kernel counts it when it is done, so that
 * is the order here. What was done before the last driver took the disk is the firmware's. The trace is QEMU's and
 * not the guest's, but a guest decides how long it is; it is read only up to a size.
 *
 * Source: hw/block/trace-events and hw/virtio/trace-events of QEMU 7.2; virtio 1.2, 2.1 (device status).
 */
import { ColdsealError } from '../../runtime/format/errors.ts';

export interface DiskRequest {
  /** `other`: a flush, or a question for the disk's name. */
  readonly kind: 'read' | 'write' | 'other';
  /** Where on the disk, in bytes from its start; 0 of what is neither a read nor a write. */
  readonly offset: number;
  readonly bytes: number;
}

export interface DiskTrace {
  /** In the order in which they were done. */
  readonly firmware: readonly DiskRequest[];
  readonly kernel: readonly DiskRequest[];
}

const SECTOR = 512;
/** The driver is set up and may use the device. */
const DRIVER_OK = 4;
const REQUEST =
  /^virtio_blk_handle_(read|write) vdev (0x[0-9a-f]+) req (0x[0-9a-f]+) sector (\d+) nsectors (\d+)$/;
const DONE = /^virtio_blk_req_complete vdev (0x[0-9a-f]+) req (0x[0-9a-f]+) status (\d+)$/;
const STATUS = /^virtio_set_status vdev (0x[0-9a-f]+) val (\d+)$/;

/** Reads the trace of a machine with one disk. Throws HOST_IO_TRACE. */
export function parseDiskTrace(text: string): DiskTrace {
  const made = new Map<string, DiskRequest>();
  const disks = new Set<string>();
  const done: DiskRequest[] = [];
  const taken: { device: string; after: number }[] = [];
  for (const line of text.split('\n')) {
    const request = REQUEST.exec(line);
    const complete = DONE.exec(line);
    const status = STATUS.exec(line);
    if (request !== null) {
      const [, kind, device, id, sector, sectors] = request;
      disks.add(device!);
      const [offset, bytes] = [Number(sector) * SECTOR, Number(sectors) * SECTOR];
      made.set(id!, { kind: kind as 'read' | 'write', offset, bytes });
    } else if (complete !== null) {
      const [, device, id, code] = complete;
      if (code !== '0') throw refusal(`a request of the disk failed with status ${code}`);
      disks.add(device!);
      done.push(made.get(id!) ?? { kind: 'other', offset: 0, bytes: 0 });
      made.delete(id!);
    } else if (status !== null) {
      const [, device, value] = status;
      if ((Number(value) & DRIVER_OK) !== 0) taken.push({ device: device!, after: done.length });
    } else if (line !== '') throw refusal(`it has the line "${line.slice(0, 200)}"`);
  }
  const [disk] = disks;
  if (disk === undefined) throw refusal('it has no request of a disk');
  if (disks.size > 1) throw refusal(`it has requests of ${disks.size} disks, expected one`);
  const start = taken.findLast(({ device }) => device === disk)?.after;
  if (start === undefined) throw refusal('no driver has taken the disk');
  return { firmware: done.slice(0, start), kernel: done.slice(start) };
}

function refusal(problem: string): ColdsealError {
  return new ColdsealError('HOST_IO_TRACE', `Cannot use QEMU's trace of the disk: ${problem}`, {
    hint: 'counting needs a QEMU that writes its trace to a log, as those of Debian do',
  });
}
