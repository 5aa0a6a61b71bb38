/**
 * U-Boot's bootstage records in the devicetree: the node `bootstage`, as a directory or tar of /proc/device-tree, or as
 * the source that `dtc` prints. Pure.
 *
 * Each child has a `name`, and a `mark` (since reset) or `accum` (a duration), one big-endian cell in microseconds. The
 * children are numbered from the last record to the first; order is by time here. U-Boot adds the node when it leaves
 * for the kernel with `bootm`, so a boot without U-Boot proper (falcon mode) does not have it.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { bootOfMarks, type Mark } from './bootstage.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { isBinary, type LogInput, logText, soleFile } from './log-input.ts';

const PROPERTY = /(?:^|\/)bootstage\/([^/]{1,100})\/(name|mark|accum)$/;

function recognises(log: LogInput): boolean {
  const bytes = soleFile(log);
  if (bytes === undefined) return [...log.files.keys()].some((path) => PROPERTY.test(path));
  if (isBinary(bytes)) return false;
  const text = Buffer.from(bytes).toString('latin1');
  return /^\s{0,10}\/dts-v1\/;/.test(text) && /\bbootstage \{/.test(text);
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  const children =
    bytes === undefined ? childrenOfFiles(log) : childrenOfSource(logText(bytes).lines);
  const marks: Mark[] = [];
  for (const [child, { name, mark, accum }] of children) {
    if (accum !== undefined) continue;
    if (name === undefined || mark === undefined) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_TRUNCATED',
        `bootstage/${child} has no ${name === undefined ? 'name' : 'mark'}, expected both`,
      );
    }
    marks.push({ name, atUs: mark });
  }
  if (marks.length === 0) {
    throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', 'it has no node bootstage with marks', {
      hint: 'U-Boot needs CONFIG_BOOTSTAGE_FDT and must start the kernel with bootm',
    });
  }
  // Two marks at one time keep U-Boot's order, which is the reverse of the numbers.
  marks.reverse();
  marks.sort((a, b) => a.atUs - b.atUs);
  return [bootOfMarks(marks, [], options)];
}

interface Child {
  name?: string;
  mark?: number;
  accum?: number;
}

/** Children by number, ascending. */
function inOrder(children: Map<string, Child>): Map<string, Child> {
  return new Map([...children].sort(([a], [b]) => Number(a) - Number(b)));
}

function childrenOfFiles(log: LogInput): Map<string, Child> {
  const children = new Map<string, Child>();
  for (const [path, bytes] of log.files) {
    const [, child, property] = PROPERTY.exec(path) ?? [];
    if (child === undefined) continue;
    const found = children.get(child) ?? {};
    children.set(child, found);
    if (property === 'name') found.name = Buffer.from(bytes).toString('latin1').split('\0', 1)[0]!;
    else found[property as 'mark' | 'accum'] = cell(bytes, path);
  }
  return inOrder(children);
}

function cell(bytes: Uint8Array, path: string): number {
  if (bytes.length !== 4) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `${path} has ${bytes.length} bytes, expected a cell of 4`,
    );
  }
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}

const SOURCE_PROPERTY =
  /^\s{0,40}(name|mark|accum) = (?:"([^"]{1,200})"|<(0x[0-9a-f]{1,8}|\d{1,10})>|\[((?:[0-9a-f]{2} ?){4})\]);/i;

/** The node in devicetree source, a property a line, as dtc prints it. */
function childrenOfSource(lines: readonly string[]): Map<string, Child> {
  const children = new Map<string, Child>();
  const begin = lines.findIndex((line) => /^\s{0,40}bootstage \{/.test(line));
  let [depth, child]: [number, string] = [0, ''];
  for (let index = Math.max(0, begin); begin >= 0; index++) {
    const line = lines[index];
    if (line === undefined) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_TRUNCATED',
        'the devicetree source ends within the node bootstage',
      );
    }
    const node = /^\s{0,40}([^\s{]{1,100}) \{/.exec(line);
    if (node !== null) {
      depth++;
      child = node[1]!;
      if (depth === 2) children.set(child, {});
      continue;
    }
    if (/^\s{0,40}\};/.test(line) && --depth === 0) return inOrder(children);
    const property = SOURCE_PROPERTY.exec(line);
    const found = children.get(child);
    if (property === null || depth !== 2 || found === undefined) continue;
    const [, key, text, number, raw] = property;
    if (key === 'name') found.name = text ?? '';
    else found[key as 'mark' | 'accum'] = Number(number ?? `0x${raw!.replaceAll(' ', '')}`);
  }
  return children;
}

export const bootstageDt: Importer = {
  format: 'bootstage-dt',
  summary: 'the node bootstage of the devicetree: a directory, a tar, or source by dtc',
  recognisedBy: 'files bootstage/N/mark, or devicetree source with a node bootstage',
  recognises,
  read,
};
