/**
 * A cpio archive to a tree: one pass over its bytes, nothing is unpacked; rules and limits are those of tar (tar.ts).
 *
 * cpio has whole seconds and no extended attributes, so the tree is that of a directory without either.
 */
import { CpioLinks } from './cpio-links.ts';
import { type CpioEntry, CpioReader } from './cpio-reader.ts';
import type { TarContent } from './tar-content.ts';
import { TAR_LIMITS } from './tar-limits.ts';
import type { TarStream } from './tar-stream.ts';
import { TarTree } from './tar-tree.ts';
import {
  openSink,
  readArchiveTable,
  type ReadTarOptions,
  REPORT_ENTRIES,
  storeContent,
  type TarResult,
  type TarTable,
} from './tar.ts';
import { treeOfTable } from './tree-table.ts';

/** Reads an archive, or stdin for `-`. Throws FORMAT_CPIO_* with place and entry, HOST_*. */
export function readCpioTable(path: string, options: ReadTarOptions): Promise<TarTable> {
  return readArchiveTable(path, 'cpio', options, tableOfCpio);
}

/** The same as nodes. */
export async function readCpio(path: string, options: ReadTarOptions): Promise<TarResult> {
  const { table, ...result } = await readCpioTable(path, options);
  return { root: treeOfTable(table), ...result };
}

/** The table of the bytes of an uncompressed archive. */
export async function tableOfCpio(
  stream: TarStream,
  options: ReadTarOptions,
  onEntries: (count: number) => void = () => undefined,
): Promise<Omit<TarTable, 'archive'>> {
  const tree = new TarTree(options, options.limits ?? TAR_LIMITS);
  const links = new CpioLinks(tree.table);
  using sink = openSink(options);
  const reader = new CpioReader(stream);
  try {
    let count = 0;
    for (let each = await reader.next(); each !== undefined; each = await reader.next()) {
      await readEntry(each, reader, tree, links, sink.content);
      if (++count % REPORT_ENTRIES === 0) onEntries(count);
    }
    onEntries(count);
  } finally {
    await stream.close();
  }
  links.finish(options.hardlinks === true);
  return { table: tree.finish(), entries: tree.count, store: sink.finish() };
}

async function readEntry(
  each: CpioEntry,
  reader: CpioReader,
  tree: TarTree,
  links: CpioLinks,
  content: TarContent,
): Promise<void> {
  const { entry, header } = each;
  const made = tree.addEntry(entry);
  if (entry.type === '0' && entry.size > 0) {
    await storeContent(tree.table, made, content, () => reader.content(each, content));
  }
  if (entry.type !== '5' && header.nlink > 1) links.add(header, made, entry.place);
}
