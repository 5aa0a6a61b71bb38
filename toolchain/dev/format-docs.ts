/**
 * The offset tables of docs/format.md, printed from the records.
 *
 * The document marks where a table belongs: `<!-- record: NAME -->` before and `<!-- end of record -->` after it, with
 * the record's own name. Add a record by adding it to RECORDS.
 */
import { format, resolveConfig } from 'prettier';
import { join } from 'node:path';
import { ComposefsHeader, OverlayMetacopy } from '../../runtime/format/composefs.ts';
import {
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { FsverityDescriptor } from '../../runtime/format/fsverity-descriptor.ts';
import { SlotStateRecord } from '../../runtime/format/slot-state.ts';
import { fieldsOf, type FieldTable } from '../../runtime/format/struct.ts';
import { ROOT } from './root.ts';

interface DocumentedRecord {
  readonly name: string;
  readonly size: number;
  readonly source: string;
  readonly table: FieldTable;
}

/** Every record that docs/format.md may show. */
export const RECORDS: readonly DocumentedRecord[] = [
  ComposefsHeader,
  OverlayMetacopy,
  ErofsSuperblock,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsDirent,
  ErofsXattrIbodyHeader,
  ErofsXattrEntry,
  FsverityDescriptor,
  SlotStateRecord,
];

const MARKED = /<!-- record: (?<name>[^>]*?) -->[\s\S]*?<!-- end of record -->/g;

/** The document with every marked table printed anew, formatted as Prettier wants it. */
export async function fillFormatTables(
  document: string,
  records: readonly DocumentedRecord[] = RECORDS,
): Promise<string> {
  const filled = document.replace(MARKED, (_, name: string) => {
    const record = records.find((each) => each.name === name);
    if (record === undefined) {
      const known = records.map((each) => each.name).join(', ');
      throw new Error(`docs/format.md marks a table for "${name}": expected one of ${known}`);
    }
    return `<!-- record: ${name} -->\n\n${recordTable(record)}\n\n<!-- end of record -->`;
  });
  const path = join(ROOT, 'docs/format.md');
  return format(filled, { ...(await resolveConfig(path)), filepath: path });
}

/** One record as a table of offset, size, type, name and meaning. */
function recordTable(record: DocumentedRecord): string {
  const rows = fieldsOf(record).map(({ name, offset, size, type, doc }) => {
    const at = `0x${offset.toString(16).padStart(2, '0')}`;
    return `| ${at} | ${size} | \`${type}\` | \`${name}\` | ${doc.replaceAll('|', '\\|')} |`;
  });
  return [
    `${record.size} bytes; ${record.source}.`,
    '',
    '| Offset | Size | Type | Field | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}
