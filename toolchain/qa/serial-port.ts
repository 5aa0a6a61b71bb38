/**
 * A serial device for reading: raw, at its speed, for this process alone, each piece stamped when it arrives.
 *
 * The C library sets it up through koffi, which coldseal has anyway, and not stty: one descriptor is configured,
 * checked and locked against a second reader (TIOCEXCL and flock) before anything is read, and no tool has to be
 * there. Only the library's own functions touch the settings, but for a few bits of c_cflag, which is at the same
 * place on x86-64 and aarch64. A read waits a tenth of a second at most (VTIME), so that it ends soon after it is
 * asked to; only an answer to tcgetattr tells a quiet line from a device that was unplugged.
 *
 * Sources: termios(3), ioctl_tty(2), Linux include/uapi/asm-generic/{termbits,termbits-common,ioctls}.h.
 */
import { closeSync, constants, openSync, read } from 'node:fs';
import { isatty } from 'node:tty';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { errnoOf } from '../../runtime/sys-error.ts';

/** Speeds and their constants, for C libraries that take only these. */
const SPEEDS: Readonly<Record<number, number>> = {
  9600: 0o15,
  19200: 0o16,
  38400: 0o17,
  57600: 0o10001,
  115200: 0o10002,
  230400: 0o10003,
  460800: 0o10004,
  500000: 0o10005,
  576000: 0o10006,
  921600: 0o10007,
  1000000: 0o10010,
  1152000: 0o10011,
  1500000: 0o10012,
  2000000: 0o10013,
  2500000: 0o10014,
  3000000: 0o10015,
  3500000: 0o10016,
  4000000: 0o10017,
};

export const BAUD_RATES: readonly number[] = Object.keys(SPEEDS).map(Number);

/** What arrived, and when on the host's monotonic clock. */
export type OnData = (bytes: Buffer, atNs: bigint) => void;

const READ_BYTES = 4096;

export class SerialPort implements AsyncDisposable {
  readonly path: string;
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly #reading: Promise<void>;
  #onData: OnData = () => undefined;
  #isClosing = false;
  #gone: ColdsealError | undefined;
  #onGone: (error: ColdsealError) => void = () => undefined;

  /** Opens a device and begins to read. Throws HOST_RIG_SERIAL. */
  constructor(path: string, baud: number) {
    this.path = path;
    this.#fd = openDevice(path, baud);
    this.#reading = this.#read();
  }

  /** Hands what arrives from now on to `onData`, and the device's end to `onGone`, also when that is past. */
  listen(onData: OnData, onGone: (error: ColdsealError) => void): void {
    this.#onData = onData;
    this.#onGone = onGone;
    if (this.#gone !== undefined) onGone(this.#gone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#reading;
    closeSync(this.#fd);
  }

  async #read(): Promise<void> {
    while (!this.#isClosing) {
      try {
        const count = await this.#readOnce();
        const atNs = process.hrtime.bigint();
        if (count > 0) this.#onData(Buffer.from(this.#buffer.subarray(0, count)), atNs);
        else requireThere(this.#fd);
      } catch (error) {
        this.#gone = rigSerialError(
          this.path,
          `the device is gone (${errnoOf(error) ?? String(error)})`,
          {
            hint: 'a converter that the board itself powers goes with the board; use one that the host powers',
          },
        );
        return this.#onGone(this.#gone);
      }
    }
  }

  #readOnce(): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#fd, this.#buffer, 0, READ_BYTES, null, (error, count) => {
        if (error === null || error === undefined) resolve(count);
        else reject(error);
      });
    });
  }
}

export function rigSerialError(
  path: string,
  problem: string,
  details?: { readonly hint?: string },
): ColdsealError {
  return new ColdsealError('HOST_RIG_SERIAL', `Cannot read ${path}: ${problem}`, details);
}

function openDevice(path: string, baud: number): number {
  const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
  let first: number | undefined;
  try {
    // Without O_NONBLOCK a line that waits for a carrier would not open before it is told not to.
    first = openSync(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (!isatty(first)) throw rigSerialError(path, 'it is no serial device');
    configure(path, first, baud);
    const fd = openSync(path, O_RDWR | O_NOCTTY);
    claim(path, fd);
    return fd;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw rigSerialError(path, SERIAL_ERRORS[errno] ?? errno, {
      hint: 'ls -l /dev/serial/by-id names the converters that are there',
    });
  } finally {
    if (first !== undefined) closeSync(first);
  }
}

/** A getty or a terminal program would take a part of the lines. What is exclusive root may open, so a lock as well. */
function claim(path: string, fd: number): void {
  libc().ioctl(fd, TIOCEXCL, 0);
  if (libc().flock(fd, LOCK_EX_NB) === 0 || libc().errnoName() !== 'EAGAIN') return;
  closeSync(fd);
  throw rigSerialError(path, SERIAL_ERRORS['EBUSY']!);
}

const SERIAL_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'permission denied; on Debian the group dialout may read it',
  EBUSY: 'another program has it',
};

const LOCK_EX_NB = 2 | 4;
const TIOCEXCL = 0x540c;
const TCSANOW = 0;
/** struct termios has 60 bytes. */
const TERMIOS_BYTES = 256;
const C_CFLAG = 8;
const CREAD = 0x80;
const HUPCL = 0x400;
const CLOCAL = 0x800;
const CRTSCTS = 0x8000_0000;
const CSTOPB = 0x40;
/** c_cc begins behind four flags and c_line. */
const C_CC = 17;
const VTIME = 5;
const VMIN = 6;

type Call = (...args: (number | Buffer)[]) => number;
type Calls = Readonly<Record<'get' | 'set' | 'makeRaw' | 'setSpeed' | 'getSpeed', Call>>;
let bound: Calls | undefined;

function termios(): Calls {
  const { bind } = libc();
  bound ??= {
    get: bind('tcgetattr', 'int', ['int', 'void *']),
    set: bind('tcsetattr', 'int', ['int', 'int', 'void *']),
    makeRaw: bind('cfmakeraw', 'void', ['void *']),
    setSpeed: bind('cfsetspeed', 'int', ['void *', 'uint']),
    getSpeed: bind('cfgetospeed', 'uint', ['void *']),
  };
  return bound;
}

/** Raw, 8 bits, no parity, one stop bit, no flow control, no modem lines; a reset on hang-up would be a second boot. */
function configure(path: string, fd: number, baud: number): void {
  const { get, set, makeRaw, setSpeed } = termios();
  const wanted = Buffer.alloc(TERMIOS_BYTES);
  const check = (result: number, doing: string): void => {
    if (result !== 0) throw rigSerialError(path, `cannot ${doing}: ${libc().errnoName()}`);
  };
  check(get(fd, wanted), 'get its settings');
  makeRaw(wanted);
  const flags = wanted.readUInt32LE(C_CFLAG) & ~(CRTSCTS | CSTOPB | HUPCL);
  wanted.writeUInt32LE((flags | CREAD | CLOCAL) >>> 0, C_CFLAG);
  wanted.writeUInt8(0, C_CC + VMIN);
  wanted.writeUInt8(1, C_CC + VTIME);
  // glibc takes the number; musl its constant.
  if (setSpeed(wanted, baud) !== 0) check(setSpeed(wanted, SPEEDS[baud]!), `set ${baud} baud`);
  check(set(fd, TCSANOW, wanted), 'change its settings');
  requireTaken(path, fd, wanted, baud);
}

/** tcsetattr succeeds when it could do anything of what was asked. */
function requireTaken(path: string, fd: number, wanted: Buffer, baud: number): void {
  const { get, getSpeed } = termios();
  const found = Buffer.alloc(TERMIOS_BYTES);
  if (get(fd, found) !== 0) throw rigSerialError(path, libc().errnoName());
  const isTaken =
    getSpeed(found) === getSpeed(wanted) &&
    found.readUInt8(C_CC + VMIN) === 0 &&
    found.readUInt8(C_CC + VTIME) === 1;
  if (!isTaken) throw rigSerialError(path, `the device does not take ${baud} baud, raw`);
}

/** A device that was unplugged answers every read with nothing, at once, and this with an error. */
function requireThere(fd: number): void {
  if (termios().get(fd, Buffer.alloc(TERMIOS_BYTES)) !== 0) {
    throw Object.assign(new Error('hung up'), { code: libc().errnoName() });
  }
}
