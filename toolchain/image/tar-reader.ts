/**
 * The entries of a tar archive, one after the other, from a single pass over its bytes.
 *
 * What stands before an entry (PAX headers, GNU's long names) is collected and becomes part of it. Where readers in
 * use disagree about what an archive means, the archive is refused: content behind an entry that has none, two long
 * names for one entry, bytes after the end. The end must be there, two blocks of zeros, or a cut archive would pass
 * for a whole one; only where a digest has vouched for the bytes is it optional.
 */
import { FILE_SIZE_MAX } from '../../runtime/format/composefs.ts';
import { byteString, type ByteString } from './byte-string.ts';
import { type TarAttributes, attributesOf, GlobalRecords } from './tar-attributes.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import {
  decodeTarHeader,
  isZeroBlock,
  requireTarNumber,
  TAR_BLOCK_SIZE,
  TAR_FIELDS,
  type TarHeader,
} from './tar-header.ts';
import { LONG_NAME_MAX, PAX_SIZE_MAX } from './tar-limits.ts';
import { parsePaxRecords, type PaxRecord } from './tar-pax.ts';
import { checkSparseMap, readOldSparseMap, readSparseLines, type SparseMap } from './tar-sparse.ts';
import type { TarStream } from './tar-stream.ts';

/** An entry as the archive says it; nothing is checked against other entries yet. */
export interface TarEntry {
  readonly place: TarPlace;
  /** The type flag: 0 file, 1 hardlink, 2 symlink, 3 and 4 devices, 5 directory, 6 pipe. */
  readonly type: string;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly major: number;
  readonly minor: number;
  /** Bytes of the file, with holes. */
  readonly size: number;
  readonly xattrs: readonly PaxRecord[];
}

/** Takes the content of a file in order. */
export interface ContentConsumer {
  write(bytes: Uint8Array): void;
  zeros(count: number): void;
}

export interface TarReaderOptions {
  /** Take an archive without its end, or the last padding, as whole: a digest tells whether it is. */
  readonly isEndOptional?: boolean;
}

/** Linux numbers users and groups with 32 bits. */
const ID_MAX = 0xffffffff;
/** Zeros are made in steps of this size, with a look at the event loop between them. */
const HOLE_STEP = 1 << 26;

/** What stands before an entry. */
interface Pending {
  pax: PaxRecord[] | undefined;
  name: ByteString | undefined;
  linkName: ByteString | undefined;
}

const nothingPending = (): Pending => ({ pax: undefined, name: undefined, linkName: undefined });

export class TarReader {
  readonly #stream: TarStream;
  readonly #isEndOptional: boolean;
  readonly #globals = new GlobalRecords();
  #pending = nothingPending();
  /** Data of the current entry that is still in the stream, and its padding. */
  #dataLeft = 0;
  #padding = 0;
  #map: SparseMap | undefined;

  constructor(stream: TarStream, options: TarReaderOptions = {}) {
    this.#stream = stream;
    this.#isEndOptional = options.isEndOptional ?? false;
  }

  /** The next entry; undefined when the archive has ended as it should. Throws FORMAT_TAR_*. */
  async next(): Promise<TarEntry | undefined> {
    await this.#finishData();
    let at = this.#stream.position;
    for (;;) {
      const headerAt = this.#stream.position;
      const block = this.#stream.blockAtHand() ?? (await this.#stream.block());
      const place = { at: headerAt };
      if (block === undefined || isZeroBlock(block)) return this.#end(block !== undefined, place);
      const header = decodeTarHeader(block, place);
      if (await this.#takeExtension(header, place)) continue;
      if (!this.#hasPending()) at = headerAt;
      return this.#entry(header, block, { at, name: header.name });
    }
  }

  /** Hands on the content of the entry that `next` gave last. */
  async content(entry: TarEntry, consumer: ContentConsumer): Promise<void> {
    const write = (bytes: Uint8Array): void => consumer.write(bytes);
    if (this.#map === undefined) await this.#pour(entry.size, write);
    else await this.#sparseContent(this.#map, entry.size, consumer, write);
    await this.#finishData();
  }

  /**
   * Where the data of the entry that `next` gave last begin in the archive, and which parts of the file they are when
   * it is sparse: they follow each other.
   */
  get dataPlace(): { readonly offset: number; readonly map: SparseMap | undefined } {
    return { offset: this.#stream.position, map: this.#map };
  }

  /** Where the content of the entry that `next` gave last begins in the archive. */
  dataOffset(entry: TarEntry): number {
    if (this.#map === undefined) return this.#stream.position;
    return failTar(
      'FORMAT_TAR_SPARSE',
      entry.place,
      'it is sparse, expected its bytes in one piece',
    );
  }

  async #sparseContent(
    map: SparseMap,
    size: number,
    consumer: ContentConsumer,
    write: (bytes: Uint8Array) => void,
  ): Promise<void> {
    let at = 0;
    for (let i = 0; i < map.length; i += 2) {
      await this.#hole(map[i]! - at, consumer);
      await this.#pour(map[i + 1]!, write);
      at = map[i]! + map[i + 1]!;
    }
    await this.#hole(size - at, consumer);
  }

  async #pour(size: number, write: (bytes: Uint8Array) => void): Promise<void> {
    await this.#stream.pour(size, write);
    this.#dataLeft -= size;
  }

  async #hole(size: number, consumer: ContentConsumer): Promise<void> {
    if (size === 0) return;
    this.#stream.addHole(size);
    for (let left = size; left > 0; left -= HOLE_STEP) {
      consumer.zeros(Math.min(left, HOLE_STEP));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #finishData(): Promise<void> {
    if (this.#dataLeft > 0) await this.#stream.skip(this.#dataLeft);
    // Some writers of layers stop after the last byte of the last file.
    const canEnd = this.#isEndOptional && this.#padding > 0 && !(await this.#stream.hasMore());
    if (this.#padding > 0 && !canEnd) await this.#stream.skip(this.#padding);
    this.#dataLeft = 0;
    this.#padding = 0;
    this.#map = undefined;
  }

  #hasPending(): boolean {
    const { pax, name, linkName } = this.#pending;
    return pax !== undefined || name !== undefined || linkName !== undefined;
  }

  // --- what stands before an entry ---------------------------------------------------------------------

  /** Whether the header is none of an entry; its data is taken then. */
  async #takeExtension(header: TarHeader, place: TarPlace): Promise<boolean> {
    const pending = this.#pending;
    switch (header.type) {
      case 'x':
      case 'X':
        if (pending.pax !== undefined) this.#failTwice('FORMAT_TAR_PAX', 'PAX headers', place);
        pending.pax = await this.#paxRecords(header, place);
        return true;
      case 'g':
        this.#globals.add(await this.#paxRecords(header, place), place);
        return true;
      case 'L':
        if (pending.name !== undefined)
          this.#failTwice('FORMAT_TAR_LONG_NAME', 'long names', place);
        pending.name = await this.#longName(header, place);
        return true;
      case 'K':
        if (pending.linkName !== undefined) {
          this.#failTwice('FORMAT_TAR_LONG_NAME', 'long link names', place);
        }
        pending.linkName = await this.#longName(header, place);
        return true;
      case 'V':
        // The name of the archive, which is no entry.
        await this.#extensionData(header, LONG_NAME_MAX, place);
        return true;
      default:
        return false;
    }
  }

  async #paxRecords(header: TarHeader, place: TarPlace): Promise<PaxRecord[]> {
    return parsePaxRecords(await this.#extensionData(header, PAX_SIZE_MAX, place), place);
  }

  async #extensionData(header: TarHeader, max: number, place: TarPlace): Promise<Uint8Array> {
    const { size, type } = header;
    if (size > max) {
      const problem = `a header of type ${type} has ${size} bytes, expected at most ${max}`;
      failTar('FORMAT_TAR_SIZE', place, problem);
    }
    const data = await this.#stream.read(size);
    await this.#stream.skip(paddingOf(size));
    return data;
  }

  async #longName(header: TarHeader, place: TarPlace): Promise<ByteString> {
    const data = await this.#extensionData(header, LONG_NAME_MAX, place);
    const nul = data.indexOf(0);
    const end = nul < 0 ? data.length : nul;
    if (end === 0) failTar('FORMAT_TAR_LONG_NAME', place, 'a long name is empty');
    if (!isZeroBlock(data.subarray(end))) {
      failTar('FORMAT_TAR_LONG_NAME', place, 'a long name goes on after its NUL byte');
    }
    return byteString(data, 0, end);
  }

  #failTwice(
    code: 'FORMAT_TAR_PAX' | 'FORMAT_TAR_LONG_NAME',
    what: string,
    place: TarPlace,
  ): never {
    return failTar(code, place, `an entry has two ${what}, expected at most one`);
  }

  // --- the entry ---------------------------------------------------------------------------------------

  async #entry(header: TarHeader, block: Uint8Array, headerPlace: TarPlace): Promise<TarEntry> {
    const { pax = [], name: longName, linkName: longLink } = this.#pending;
    this.#pending = nothingPending();
    const said = attributesOf([...this.#globals.all, ...pax], headerPlace);
    this.#refuseTwoNames(said, longName, longLink, headerPlace);
    const name = said.sparse.name ?? said.path ?? longName ?? header.name;
    const place = { at: headerPlace.at, name };
    const dataSize = said.size ?? header.size;
    const type = typeOf(header, name, dataSize, place);
    if (type !== '0' && dataSize !== 0) {
      const problem = `it has ${dataSize} bytes of content, and type ${type} has none`;
      failTar('FORMAT_TAR_SIZE', place, problem, 'readers disagree about what follows it');
    }
    // The block is read before the stream moves on.
    const sparse = new SparseEntry(header, block, said, place);
    this.#dataLeft = dataSize;
    this.#padding = paddingOf(dataSize);
    const size = await this.#contentSize(sparse, dataSize, place);
    return {
      place,
      type,
      name,
      linkName: said.linkPath ?? longLink ?? header.linkName,
      mode: header.mode,
      uid: requireId('uid', said.uid ?? header.uid, place),
      gid: requireId('gid', said.gid ?? header.gid, place),
      mtimeSec: said.mtime?.sec ?? header.mtime,
      mtimeNsec: said.mtime?.nsec ?? 0,
      major: header.major,
      minor: header.minor,
      size,
      xattrs: said.xattrs,
    };
  }

  /** One reader would take the one, another the other. */
  #refuseTwoNames(
    said: TarAttributes,
    name: ByteString | undefined,
    linkName: ByteString | undefined,
    place: TarPlace,
  ): void {
    const isDoubled =
      (name !== undefined && (said.path ?? said.sparse.name) !== undefined) ||
      (linkName !== undefined && said.linkPath !== undefined);
    if (!isDoubled) return;
    failTar('FORMAT_TAR_LONG_NAME', place, 'it is named by PAX records and by a long name');
  }

  /** Bytes of the file with its holes; reads what of the map is in the archive. */
  async #contentSize(sparse: SparseEntry, dataSize: number, place: TarPlace): Promise<number> {
    const next = (): Promise<Uint8Array> => this.#stream.read(TAR_BLOCK_SIZE);
    if (sparse.form === 'none') return requireFileSize(dataSize, place);
    const size = requireFileSize(sparse.realSize, place);
    if (sparse.form === 'lines') {
      const { map, mapSize } = await readSparseLines(dataSize, next, place);
      this.#dataLeft -= mapSize;
      this.#map = map;
    } else if (sparse.form === 'old') {
      this.#map = await readOldSparseMap(sparse.header, next, place);
    } else this.#map = sparse.map;
    checkSparseMap(this.#map, size, this.#dataLeft, place);
    return size;
  }

  // --- the end -----------------------------------------------------------------------------------------

  async #end(hasZeros: boolean, place: TarPlace): Promise<undefined> {
    if (this.#hasPending()) {
      failTar('FORMAT_TAR_TRUNCATED', place, 'the archive ends after a header of an entry');
    }
    const second = hasZeros ? await this.#stream.block() : undefined;
    if (second === undefined) {
      if (this.#isEndOptional) return undefined;
      const problem = 'the archive ends without its two blocks of zeros';
      return failTar('FORMAT_TAR_TRUNCATED', place, problem, 'it was cut off; copy it again');
    }
    const at = isZeroBlock(second)
      ? await this.#stream.findNonZero()
      : this.#stream.position - TAR_BLOCK_SIZE;
    if (at === undefined) return undefined;
    return failTar(
      'FORMAT_TAR_TRAILING',
      { at },
      'something follows the end of the archive, expected nothing but zeros',
      'two archives that were joined? tar --concatenate makes one of them',
    );
  }
}

function paddingOf(size: number): number {
  return (TAR_BLOCK_SIZE - (size % TAR_BLOCK_SIZE)) % TAR_BLOCK_SIZE;
}

/** Types of entries; `7`, contiguous files, are files. */
const ENTRY_TYPES = /^[0-6]$/;

/** The type of an entry, with older spellings resolved. Throws FORMAT_TAR_TYPE. */
function typeOf(header: TarHeader, name: ByteString, size: number, place: TarPlace): string {
  const { type, dialect } = header;
  if (type === '7' || (type === 'S' && dialect === 'gnu')) return '0';
  // Before there was a type for directories, a slash at the end of the name said so.
  if (type === '0' && name.endsWith('/') && size === 0) return '5';
  if (ENTRY_TYPES.test(type)) return type;
  return failTar(
    'FORMAT_TAR_TYPE',
    place,
    `it is of type ${showName(type as ByteString)}, expected a file, link, directory, device or pipe`,
    type === 'M' || type === 'D' || type === 'N'
      ? 'incremental and multi-volume archives are not read'
      : undefined,
  );
}

function requireId(label: string, id: number, place: TarPlace): number {
  if (id <= ID_MAX) return id;
  return failTar('FORMAT_TAR_NUMBER', place, `${label} is ${id}, expected at most ${ID_MAX}`);
}

function requireFileSize(size: number, place: TarPlace): number {
  if (size <= FILE_SIZE_MAX) return size;
  return failTar('FORMAT_TAR_NUMBER', place, `size is ${size}, expected at most ${FILE_SIZE_MAX}`);
}

/** Which of the forms of sparse files an entry has. */
class SparseEntry {
  readonly form: 'none' | 'records' | 'lines' | 'old';
  readonly map: SparseMap;
  readonly realSize: number;
  /** The header's block; it stays as it is while the stream moves on. */
  readonly header: Uint8Array;

  constructor(header: TarHeader, block: Uint8Array, { sparse }: TarAttributes, place: TarPlace) {
    const isOld = header.type === 'S';
    const version = `${sparse.major ?? '0'}.${sparse.minor ?? '0'}`;
    const isLines = version === '1.0';
    if (!isLines && sparse.major !== undefined && sparse.major !== '0') {
      failTar('FORMAT_TAR_SPARSE', place, `it is sparse in version ${version}, expected 1.0`);
    }
    const { map, realSize } = sparse;
    const isMapped = map !== undefined || realSize !== undefined;
    this.form = isOld ? 'old' : isLines ? 'lines' : isMapped ? 'records' : 'none';
    this.header = block;
    this.map = map ?? [];
    const [at, size] = TAR_FIELDS.realSize;
    const given = isOld ? requireTarNumber(block, at, size, 'realSize', place) : realSize;
    const isForeign = isOld ? map !== undefined || isLines : isLines && map !== undefined;
    if (isForeign || (this.form !== 'none' && !(given !== undefined && given >= 0))) {
      failTar('FORMAT_TAR_SPARSE', place, 'it is sparse in two ways, or without a size');
    }
    if (this.form !== 'none' && !['0', '7', 'S'].includes(header.type)) {
      failTar('FORMAT_TAR_SPARSE', place, `it is sparse and of type ${header.type}`);
    }
    this.realSize = given ?? 0;
  }
}
