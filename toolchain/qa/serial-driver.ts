/**
 * A real board on a power relay and a serial line: power off, wait, power on, listen until the stop event.
 *
 * The host's monotonic clock stamps each line when its first byte arrives; its zero is the moment at which the
 * power-on command returned. The power came on at some time while that command ran, and a byte is some milliseconds
 * on its way through a USB converter; both are the uncertainty of every time. A board that prints its boot record
 * has timed itself as well, and that record stands beside.
 *
 * A boot is cold because the power was off for the dwell time. A board that is still talking near the end of it has
 * power, so the relay does not do what it says, and no figure of this rig is worth keeping.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { EvidenceClass, MeasuredBoot } from '../budget/measured-boot.ts';
import { parseRecord } from '../budget/read-records.ts';
import {
  commandEnvironment,
  type BootDriver,
  type BootRequest,
  type DrivenBoot,
} from './driver.ts';
import { failedBoot } from './failed-boot.ts';
import type { SerialEvents } from './load-events.ts';
import { runRigCommand } from './run-command.ts';
import { SerialBoot, serialRecord } from './serial-boot.ts';
import { grabserialText, LineSplitter, type SerialLine } from './serial-lines.ts';
import { SerialPort } from './serial-port.ts';

export interface SerialDriverOptions {
  readonly device: string;
  readonly baud: number;
  readonly powerOn: string;
  readonly powerOff: string;
  /** Puts the arm on the board while its power is off. */
  readonly select: string | undefined;
  readonly cwd: string;
  readonly offTimeMs: number;
  /** How long to listen for the board's own record after the stop event. */
  readonly settleMs: number;
  /** From power-on. */
  readonly timeoutMs: number;
  /** Default: as much as a console of a virtual board. */
  readonly captureBytesMax?: number;
  readonly board: string;
  /** Undefined: only the board's own record says when it was up. */
  readonly events: SerialEvents | undefined;
}

/** FTDI's converters hand over what they have each 16 ms; jumps up to this have been seen (arduino/Arduino#8477). */
export const SERIAL_LATENCY_NS = 35_000_000;
/** Relays answer at once, and networked ones in seconds. */
const RELAY_TIMEOUT_MS = 60_000;
/** Loading a release onto a card takes minutes. */
const SELECT_TIMEOUT_MS = 30 * 60_000;
const CAPTURE_BYTES_MAX = 16 * 1024 * 1024;
const RECORD_LINE = /\{.*"kind": ?"coldseal-boot-record".*\}/;
/** Less is the noise of a line that loses its power. */
const TALK = /[\x20-\x7e]{8}/;

export function serialDriver(options: SerialDriverOptions): BootDriver {
  const { device, baud, powerOn, powerOff, select, offTimeMs, events } = options;
  const evidence: EvidenceClass = events === undefined ? 'board-selfclock' : 'board-serial';
  // Kept open for the whole run: opening may pulse its modem lines, which resets some boards.
  let port: SerialPort | undefined;
  let isPowered = false;
  return {
    name: 'serial',
    evidence,
    describe: async () => ({
      settings: { device, baud, evidence },
      steps: [
        `power off: ${powerOff}`,
        ...(select === undefined ? [] : [`select: ${select}`]),
        `wait ${offTimeMs / 1000} s`,
        `power on: ${powerOn}`,
        `listen on ${device} at ${baud} baud until ${events?.stop ?? 'the boot record'}`,
      ],
    }),
    async check() {
      port ??= new SerialPort(device, baud);
    },
    async boot(request) {
      port ??= new SerialPort(device, baud);
      isPowered = true;
      return bootOnce(port, request, options);
    },
    async [Symbol.asyncDispose]() {
      await port?.[Symbol.asyncDispose]();
      if (!isPowered) return;
      const settings = { cwd: options.cwd, env: {}, timeoutMs: RELAY_TIMEOUT_MS };
      await runRigCommand('switch the power off', powerOff, settings);
    },
  };
}

async function bootOnce(
  port: SerialPort,
  request: BootRequest,
  options: SerialDriverOptions,
): Promise<DrivenBoot> {
  const { powerOn, powerOff, select, cwd, timeoutMs, offTimeMs } = options;
  const { signal } = request;
  const env = commandEnvironment(request);
  const relay = { cwd, env, timeoutMs: RELAY_TIMEOUT_MS, signal };
  await runRigCommand('switch the power off', powerOff, relay);
  if (select !== undefined) {
    await runRigCommand('select the release', select, { ...relay, timeoutMs: SELECT_TIMEOUT_MS });
  }
  await dwell(port, offTimeMs, powerOff, signal);
  const listener = new Listener(port, options);
  const { startedNs, endedNs } = await runRigCommand('switch the power on', powerOn, relay);
  const reason = await listener.boot(endedNs, timeoutMs, signal);
  return listener.result(reason, Number(endedNs - startedNs));
}

/** The power is off for so long. Throws HOST_RIG_POWER when the board has some. */
async function dwell(
  port: SerialPort,
  ms: number,
  powerOff: string,
  signal: AbortSignal,
): Promise<void> {
  let heard = '';
  let isListening = false;
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => undefined);
  // Capacitors and converters hold what was on its way in the first half.
  const onData = (bytes: Buffer): void => {
    if (isListening) heard = (heard + bytes.toString('latin1')).slice(-CAPTURE_TAIL);
  };
  port.listen(onData, fail);
  await Promise.race([pause(ms / 2, signal), failed]);
  isListening = true;
  await Promise.race([pause(ms / 2, signal), failed]);
  const said = TALK.exec(heard)?.[0];
  if (said === undefined) return;
  throw new ColdsealError(
    'HOST_RIG_POWER',
    `Cannot make a cold boot: the board still talks ${ms} ms after ${powerOff}`,
    { hint: `it said ${JSON.stringify(said)}; the relay may be another board's, or stuck` },
  );
}

const CAPTURE_TAIL = 4096;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Listens from before the power comes on; times get their zero when that has happened. */
class Listener {
  readonly #options: SerialDriverOptions;
  readonly #boot: SerialBoot;
  readonly #lines: SerialLine[] = [];
  readonly #splitter: LineSplitter;
  #early: { bytes: Buffer; atNs: bigint }[] = [];
  #zeroNs: bigint | undefined;
  #size = 0;
  #record: MeasuredBoot | undefined;
  #recordProblem: string | undefined;
  #finish: (reason: string | null) => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  readonly #end: Promise<string | null>;
  #settleTimer: NodeJS.Timeout | undefined;

  constructor(port: SerialPort, options: SerialDriverOptions) {
    this.#options = options;
    const { find = () => [], stop = '' } = options.events ?? {};
    this.#boot = new SerialBoot(find, stop);
    this.#splitter = new LineSplitter((line, isWhole) => this.#onLine(line, isWhole));
    this.#end = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.#end.catch(() => undefined);
    port.listen(
      (bytes, atNs) => this.#onData(bytes, atNs),
      (error) => this.#fail(error),
    );
  }

  /** Waits for the end of the boot; resolves with why it failed, or null. */
  async boot(zeroNs: bigint, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
    this.#zeroNs = zeroNs;
    this.#early.forEach(({ bytes, atNs }) => this.#onData(bytes, atNs));
    this.#early = [];
    const abort = (): void => this.#fail(signal.reason);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    const timer = setTimeout(() => this.#finish(this.#lateReason(timeoutMs)), timeoutMs);
    try {
      return await this.#end;
    } finally {
      clearTimeout(timer);
      clearTimeout(this.#settleTimer);
      signal.removeEventListener('abort', abort);
    }
  }

  result(reason: string | null, powerOnNs: number): DrivenBoot {
    if (this.#splitter.isWithin) this.#splitter.end();
    const { board, events } = this.#options;
    const capture = grabserialText(this.#lines);
    const own = this.#record;
    if (events === undefined) {
      const format = 'qa-serial';
      const evidence = 'board-selfclock';
      const failed = {
        board,
        evidence,
        reason: reason ?? 'unknown',
        format,
        start: 'cold',
      } as const;
      return { record: own ?? failedBoot(failed), others: [], capture };
    }
    const flags =
      this.#recordProblem === undefined
        ? []
        : [
            {
              code: 'BUDGET_FLAG_CONSOLE_RECORD',
              message: `the boot record on the console ${this.#recordProblem}`,
              isUnusable: false,
            },
          ];
    const uncertaintyNs = powerOnNs + SERIAL_LATENCY_NS;
    const seen = serialRecord(this.#boot, { board, uncertaintyNs, reason, flags });
    const record = events.complete(seen, this.#lines);
    return { record, others: own === undefined ? [] : [own], capture };
  }

  #lateReason(timeoutMs: number): string | null {
    if (this.#isUp) return null;
    const last = this.#lines.at(-1)?.text.trim();
    const said = last === undefined ? 'it printed nothing' : `it last printed ${last}`;
    return `HOST_BOARD_TIMEOUT: it was not up within ${timeoutMs} ms; ${said}`;
  }

  get #isUp(): boolean {
    return this.#options.events === undefined ? this.#record !== undefined : this.#boot.isOver;
  }

  #onData(bytes: Buffer, atNs: bigint): void {
    if (this.#zeroNs === undefined) {
      this.#early.push({ bytes, atNs });
      return;
    }
    const { captureBytesMax = CAPTURE_BYTES_MAX } = this.#options;
    this.#size += bytes.length;
    if (this.#size > captureBytesMax) {
      this.#finish(`HOST_BOARD_OUTPUT: it printed more than ${captureBytesMax} bytes`);
      return;
    }
    this.#splitter.push(bytes, Number(atNs - this.#zeroNs));
    this.#finishWhenUp();
  }

  #onLine(line: SerialLine, isWhole: boolean): void {
    const { restarts } = this.#boot;
    this.#boot.line(line, isWhole);
    // What the board said of the boot before is not about this one.
    if (this.#boot.restarts !== restarts) this.#record = undefined;
    if (!isWhole) return;
    if (line.text !== '') this.#lines.push({ ...line, atNs: Math.max(0, line.atNs) });
    const found = RECORD_LINE.exec(line.text)?.[0];
    if (found !== undefined) this.#takeRecord(found);
  }

  /** Kernel messages may stand in the middle of it; then it is no record, which is told. */
  #takeRecord(line: string): void {
    try {
      const problem = (text: string): ColdsealError =>
        new ColdsealError('FORMAT_BOOT_REPORT', text);
      const record = parseRecord(Buffer.from(line, 'latin1').toString('utf8'), 'capture', problem);
      const source = { ...record.source, format: 'qa-serial' };
      this.#record = { ...record, start: 'cold', source };
      this.#recordProblem = undefined;
    } catch (error) {
      if (!(error instanceof ColdsealError)) throw error;
      this.#recordProblem = error.message;
    }
  }

  /** The boot is over with both records, or with the stop event and some patience for the other. */
  #finishWhenUp(): void {
    if (!this.#isUp) {
      // It started again while we waited for its record.
      clearTimeout(this.#settleTimer);
      this.#settleTimer = undefined;
      return;
    }
    if (this.#record !== undefined) return this.#finish(null);
    this.#settleTimer ??= setTimeout(() => this.#finish(null), this.#options.settleMs);
  }
}
