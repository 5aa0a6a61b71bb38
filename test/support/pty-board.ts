/**
 * A board on a pseudo-terminal: what a test plays on the one end, the serial driver reads from the other.
 *
 * Its relay is two commands that append a word to a file; the board looks there, and plays its script when its power
 * comes on. Sources: posix_openpt(3), ptsname(3).
 */
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { libc } from '../../runtime/engines/node/libc.ts';

/** What the board does, and how many milliseconds after what came before. */
export type PlayedStep = readonly [afterMs: number, print: string | Buffer | typeof DISCONNECT];

/** Instead of printing: the device goes away. */
export const DISCONNECT: unique symbol = Symbol('disconnect');

export interface PtyBoard extends Disposable {
  /** The device that the driver opens. */
  readonly device: string;
  readonly powerOn: string;
  readonly powerOff: string;
  /** What the relay was told, in order. */
  readonly relay: () => string[];
  /** What the board does at each power-on, one script after the other; the last one again and again. */
  play(...scripts: (readonly PlayedStep[])[]): void;
  /** Prints at once. */
  print(text: string | Buffer): void;
}

const LOOK_MS = 3;

/** Makes a board whose relay is in `dir`. */
export function makePtyBoard(dir: string): PtyBoard {
  const { master, device } = openPty();
  const file = join(dir, 'relay');
  const relay = (): string[] =>
    existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  let scripts: (readonly PlayedStep[])[] = [];
  let seen = 0;
  let isOpen = true;
  let timers: NodeJS.Timeout[] = [];
  const stop = (): void => {
    timers.forEach(clearTimeout);
    timers = [];
  };
  const close = (): void => {
    if (isOpen) closeSync(master);
    isOpen = false;
  };
  const print = (text: string | Buffer): void => {
    if (isOpen) writeSync(master, Buffer.from(text as string));
  };
  const start = (): void => {
    const script = scripts.length > 1 ? scripts.shift()! : (scripts[0] ?? []);
    let atMs = 0;
    for (const [afterMs, what] of script) {
      atMs += afterMs;
      timers.push(setTimeout(() => (what === DISCONNECT ? close() : print(what)), atMs));
    }
  };
  const look = setInterval(() => {
    const words = relay();
    for (const word of words.slice(seen)) {
      if (word === 'on') start();
      else stop();
    }
    seen = words.length;
  }, LOOK_MS);
  return {
    device,
    powerOn: `echo on >>'${file}'`,
    powerOff: `echo off >>'${file}'`,
    relay,
    play: (...given) => (scripts = given),
    print,
    [Symbol.dispose]() {
      clearInterval(look);
      stop();
      close();
    },
  };
}

function openPty(): { master: number; device: string } {
  const { bind } = libc();
  const name = Buffer.alloc(64);
  const master = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY);
  const unlock = bind<(fd: number) => number>('unlockpt', 'int', ['int']);
  const nameOf = bind<(fd: number, out: Buffer, size: number) => number>('ptsname_r', 'int', [
    'int',
    'void *',
    'size_t',
  ]);
  if (unlock(master) !== 0 || nameOf(master, name, name.length) !== 0) {
    throw new Error('no pseudo-terminal');
  }
  return { master, device: name.toString('latin1', 0, name.indexOf(0)) };
}
