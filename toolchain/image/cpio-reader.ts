/**
 * The entries of a cpio archive, one after the other, from a single pass over its bytes.
 *
 * Entries come as those of a tar archive do, so that they come to the same tree. The trailer must be there, or a cut
 * archive would pass for a whole one; after it there may be zeros only. The kernel goes on with a further archive
 * there, and cpio and bsdtar do not: what such a file means depends on who reads it, and it is refused.
 */
import { byteString, type ByteString } from './byte-string.ts';
import {
  CPIO_MAGIC_SIZE,
  CPIO_TRAILER,
  cpioForm,
  cpioHeaderRest,
  decodeCpioHeader,
  NEWC_ALIGNMENT,
  type CpioHeader,
} from './cpio-header.ts';
import { failTar, type TarPlace } from './tar-error.ts';
import { PATH_MAX } from './tar-limits.ts';
import type { ContentConsumer, TarEntry } from './tar-reader.ts';
import type { TarStream } from './tar-stream.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './tree.ts';
import { SYMLINK_TARGET_MAX } from '../../runtime/format/composefs.ts';

/** An entry with what tells which file it is a name of. */
export interface CpioEntry {
  readonly entry: TarEntry;
  readonly header: CpioHeader;
}

/** Types in the words of tar. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [S_IFREG, '0'],
  [S_IFLNK, '2'],
  [S_IFCHR, '3'],
  [S_IFBLK, '4'],
  [S_IFDIR, '5'],
  [S_IFIFO, '6'],
  [S_IFSOCK, 's'],
]);
const MODE_MAX = 0xffff;
const ODC_MAJOR_MAX = 0x3ff;
const ODC_MINOR_MAX = 0xff;
/** Of every place. */
const format = 'cpio' as const;

/** A piece of an archive has at most a few megabytes, so the sum is exact. */
function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += bytes[i]!;
  return sum;
}

/** libarchive writes the highest number of odc for what is above it. */
function isOverflow({ form, rdevMajor, rdevMinor }: CpioHeader): boolean {
  return form === 'odc' && rdevMajor === ODC_MAJOR_MAX && rdevMinor === ODC_MINOR_MAX;
}

export class CpioReader {
  readonly #stream: TarStream;

  constructor(stream: TarStream) {
    this.#stream = stream;
  }

  /** The next entry, whose content has to be taken then; undefined at the trailer. Throws FORMAT_CPIO_*. */
  async next(): Promise<CpioEntry | undefined> {
    const stream = this.#stream;
    const at = stream.position;
    if (!(await stream.hasMore())) {
      const problem = `the archive ends without its entry ${CPIO_TRAILER}`;
      failTar('FORMAT_CPIO_TRUNCATED', { at, format }, problem, 'it was cut off; copy it again');
    }
    const form = cpioForm(await stream.read(CPIO_MAGIC_SIZE), { at, format });
    const rest = await stream.read(cpioHeaderRest(form));
    const header = decodeCpioHeader(rest, form, { at, format });
    const name = await this.#name(header, { at, format });
    const place = { at, name, format };
    await this.#align(header.form, stream.position - at);
    if (name === CPIO_TRAILER) return this.#end(header, place);
    return { header, entry: await this.#entry(header, place) };
  }

  /** Hands on the content of the entry that `next` gave last. Throws FORMAT_CPIO_CHECKSUM. */
  async content({ entry, header }: CpioEntry, consumer: ContentConsumer): Promise<void> {
    let sum = 0;
    await this.#stream.pour(entry.size, (bytes) => {
      if (header.form === 'crc') sum = (sum + sumOf(bytes)) >>> 0;
      consumer.write(bytes);
    });
    await this.#align(header.form, entry.size);
    if (header.form !== 'crc' || sum === header.check) return;
    failTar(
      'FORMAT_CPIO_CHECKSUM',
      entry.place,
      `its bytes add up to ${sum}, expected ${header.check}`,
      'the archive is damaged here',
    );
  }

  async #name({ nameSize }: CpioHeader, place: TarPlace): Promise<ByteString> {
    if (nameSize < 2 || nameSize > PATH_MAX + 1) {
      const problem = `the name has ${nameSize} bytes with its NUL, expected 2 to ${PATH_MAX + 1}`;
      failTar('FORMAT_CPIO_NAME', place, problem);
    }
    const bytes = await this.#stream.read(nameSize);
    if (bytes.indexOf(0) === nameSize - 1) return byteString(bytes, 0, nameSize - 1);
    return failTar('FORMAT_CPIO_NAME', place, 'the name does not end with its only NUL byte');
  }

  async #entry(header: CpioHeader, place: TarPlace): Promise<TarEntry> {
    const { mode, size, rdevMajor, rdevMinor } = header;
    const type = mode > MODE_MAX ? undefined : TYPES.get(mode & S_IFMT);
    if (type === undefined) {
      const problem = `mode is ${mode.toString(8)}, whose type is none of a file system`;
      return failTar('FORMAT_CPIO_TYPE', place, problem);
    }
    if (size > 0 && type !== '0' && type !== '2') {
      const problem = `it has ${size} bytes of content, and is neither file nor symlink`;
      failTar('FORMAT_CPIO_SIZE', place, problem, 'readers disagree about what follows it');
    }
    if ((type === '3' || type === '4') && isOverflow(header)) {
      const problem = 'its device number did not fit into this form';
      failTar('FORMAT_CPIO_DEVICE', place, problem, 'make it with cpio --format=newc');
    }
    return {
      place,
      type,
      name: place.name!,
      linkName: type === '2' ? await this.#target(header, place) : ('' as ByteString),
      mode: mode & 0o7777,
      uid: header.uid,
      gid: header.gid,
      mtimeSec: header.mtime,
      mtimeNsec: 0,
      major: rdevMajor,
      minor: rdevMinor,
      size: type === '0' ? size : 0,
      xattrs: [],
    };
  }

  /** Some writers count a NUL at the end. */
  async #target({ form, size }: CpioHeader, place: TarPlace): Promise<ByteString> {
    if (size > SYMLINK_TARGET_MAX + 1) {
      const problem = `its target has ${size} bytes, expected at most ${SYMLINK_TARGET_MAX}`;
      failTar('FORMAT_CPIO_TARGET', place, problem);
    }
    const bytes = await this.#stream.read(size);
    await this.#align(form, size);
    return byteString(bytes, 0, bytes.at(-1) === 0 ? size - 1 : size);
  }

  async #align(form: CpioHeader['form'], size: number): Promise<void> {
    if (form === 'odc') return;
    const padding = -size & (NEWC_ALIGNMENT - 1);
    if (padding > 0) await this.#stream.skip(padding);
  }

  async #end({ size }: CpioHeader, place: TarPlace): Promise<undefined> {
    if (size > 0) failTar('FORMAT_CPIO_SIZE', place, `it ends the archive and has ${size} bytes`);
    const at = await this.#stream.findNonZero();
    if (at === undefined) return undefined;
    return failTar(
      'FORMAT_CPIO_TRAILING',
      { at, format },
      'something follows the end of the archive, expected nothing but zeros',
      'an initramfs of several archives? take it apart, such as with unmkinitramfs',
    );
  }
}
