/** What `node:fs` means to make-certificate.ts in the Node run: whether a stored key was there is recorded. */
import * as fs from 'node:fs';
import { noteAnswer } from './recorded-crypto.ts';

export const { mkdirSync, readSync, renameSync, writeFileSync } = fs;

export function readFileSync(path: string): Buffer {
  const isThere = fs.existsSync(path);
  noteAnswer('file', String(isThere));
  return fs.readFileSync(path);
}
