/** One entry of every kind that an initramfs archive holds, deliberately out of order. */
import {
  cpioCharacterDevice,
  cpioDirectory,
  type CpioEntry,
  cpioFile,
  cpioSymlink,
} from '../../toolchain/disk/cpio.ts';

/** Bytes of text with one character per byte. */
export const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

export const ENTRIES: readonly CpioEntry[] = [
  cpioFile('init', ascii('#!/bin/sh\n'), 0o755),
  cpioSymlink('bin/sh', 'busybox'),
  cpioCharacterDevice('dev/console', [5, 1]),
  cpioDirectory('dev'),
  cpioDirectory('bin'),
  cpioFile('bin/\xff name', ascii('')),
];
