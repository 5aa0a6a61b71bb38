/**
 * What to do with which output of which container: the attendant's decisions. Pure; the loop is in attendant.ts.
 *
 * Files are kept up to a size and then end with a line that says so, because /run is memory; what comes later is
 * read and dropped, so that a container never waits for a reader. On the console every line bears the container's
 * name, and half a line waits for its end, so that two containers never mix within one.
 */
import type { DevicePolicy } from './format/device-policy.ts';
import { ascii } from './format/bytes.ts';
import { concatBytes } from './format/concat.ts';

export const KEEP_BYTES_MAX = 1024 * 1024;
/** A longer line is cut into several on the console. */
export const LINE_BYTES_MAX = 1024;
const NEWLINE = 0x0a;

interface Attended {
  isOpen: boolean;
  firstOutputNs: number | null;
  kept: number;
  /** The line that has not ended yet; always empty for files. */
  rest: Uint8Array;
}

/** The state of attending some containers. Every call says which bytes to write now. */
export class Attendance {
  readonly #containers: Map<string, Attended>;
  readonly #output: DevicePolicy['containerOutput'];

  constructor(names: readonly string[], output: DevicePolicy['containerOutput']) {
    this.#containers = new Map(
      names.map((name) => {
        return [name, { isOpen: true, firstOutputNs: null, kept: 0, rest: new Uint8Array() }];
      }),
    );
    this.#output = output;
  }

  /** Bytes came out of a container. */
  output(name: string, bytes: Uint8Array, nowNs: number): Uint8Array {
    const container = this.#containers.get(name)!;
    container.firstOutputNs ??= nowNs;
    return this.#output === 'file' ? keep(container, bytes) : wholeLines(name, container, bytes);
  }

  /** The container has closed its output. */
  end(name: string): Uint8Array {
    const container = this.#containers.get(name)!;
    container.isOpen = false;
    const { rest } = container;
    return rest.length === 0 ? rest : wholeLines(name, container, Uint8Array.of(NEWLINE));
  }

  /** When each container printed first, as far as it did. */
  firstOutputs(): ReadonlyMap<string, number> {
    const seen = [...this.#containers].flatMap(([name, { firstOutputNs }]) =>
      firstOutputNs === null ? [] : [[name, firstOutputNs] as const],
    );
    return new Map(seen);
  }

  /** Whether anything can still come. */
  get isOver(): boolean {
    return ![...this.#containers.values()].some(({ isOpen }) => isOpen);
  }

  /** Whether every container has printed something or ended. */
  get allHeard(): boolean {
    const isSilent = ({ isOpen, firstOutputNs }: Attended): boolean =>
      isOpen && firstOutputNs === null;
    return ![...this.#containers.values()].some(isSilent);
  }
}

function keep(container: Attended, bytes: Uint8Array): Uint8Array {
  const left = KEEP_BYTES_MAX - container.kept;
  container.kept = Math.min(KEEP_BYTES_MAX + 1, container.kept + bytes.length);
  if (bytes.length <= left) return bytes;
  const part = bytes.subarray(0, Math.max(0, left));
  return left < 0
    ? part
    : concatBytes(part, ascii(`\ncoldseal: only ${KEEP_BYTES_MAX} bytes are kept\n`));
}

function wholeLines(name: string, container: Attended, bytes: Uint8Array): Uint8Array {
  const prefix = ascii(`${name}: `);
  const parts: Uint8Array[] = [];
  let text = concatBytes(container.rest, bytes);
  for (;;) {
    const end = text.subarray(0, LINE_BYTES_MAX).indexOf(NEWLINE);
    if (end === -1 && text.length < LINE_BYTES_MAX) break;
    const length = end === -1 ? LINE_BYTES_MAX : end;
    parts.push(prefix, text.subarray(0, length), Uint8Array.of(NEWLINE));
    text = text.subarray(end === -1 ? length : length + 1);
  }
  container.rest = text;
  return concatBytes(...parts);
}
