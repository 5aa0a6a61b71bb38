/**
 * The extended attributes at the end of a dump line: KEY=VALUE, separated by single spaces.
 *
 * Equal texts come out as one object, so a label that half a million lines repeat is read once.
 */
import {
  XATTR_EXTERNAL_TOTAL_MAX,
  XATTR_NAME_MAX,
  XATTR_TOTAL_BASE,
  XATTR_TOTAL_PER_ENTRY,
  XATTR_VALUE_MAX,
} from '../../runtime/format/composefs.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import type { DumpLine } from './dump-line.ts';
import { NO_XATTRS, sortXattrs, XattrPool, type Xattr } from './tree.ts';

/**
 * mkcomposefs reads no more text of xattrs in a line (UINT16_MAX): its search for duplicates is quadratic. Ours
 * is not, and an image may hold attributes that need more text than this when every byte is escaped.
 */
const LENIENT_TEXT_MAX = 65535;

export class DumpXattrs {
  readonly #line: DumpLine;
  readonly #pool = new XattrPool();
  readonly #byText = new Map<string, Xattr>();

  constructor(line: DumpLine) {
    this.#line = line;
  }

  /** The attributes of the line, sorted by name. */
  read(): readonly Xattr[] {
    const { text, lenient, xattrsStart } = this.#line;
    const end = text.length;
    if (xattrsStart > end) return NO_XATTRS;
    if (lenient) {
      if (end - xattrsStart > LENIENT_TEXT_MAX) {
        this.#fail(
          xattrsStart,
          `the extended attributes are more than ${LENIENT_TEXT_MAX} bytes of text`,
        );
      }
      if (xattrsStart === end) return NO_XATTRS;
    }
    const result: Xattr[] = [];
    for (let start = xattrsStart; start <= end;) {
      let to = text.indexOf(' ', start);
      if (to < 0) to = end;
      result.push(this.#xattr(start, to));
      start = to + 1;
      // One space at the end of the line is nothing to mkcomposefs.
      if (lenient && start === end) break;
    }
    return this.#finish(result);
  }

  #finish(xattrs: Xattr[]): readonly Xattr[] {
    const sorted = sortXattrs(xattrs);
    let total = XATTR_TOTAL_BASE;
    let isDoubled = false;
    for (let i = 0; i < sorted.length; i++) {
      const { name, value } = sorted[i]!;
      total += XATTR_TOTAL_PER_ENTRY + name.length + value.length;
      if (i > 0 && sorted[i - 1]!.name === name) isDoubled = true;
    }
    if (isDoubled) return this.#resolveDoubled(xattrs);
    if (total > XATTR_EXTERNAL_TOTAL_MAX) this.#failTotal();
    return sorted;
  }

  /** mkcomposefs lets the later value win, and counts only what is there at each moment. */
  #resolveDoubled(xattrs: readonly Xattr[]): readonly Xattr[] {
    const byName = new Map<ByteString, Xattr>();
    let total = XATTR_TOTAL_BASE;
    for (const [i, xattr] of xattrs.entries()) {
      const known = byName.get(xattr.name);
      if (known !== undefined && !this.#line.lenient) {
        this.#fail(this.#startOf(i), `extended attribute ${showBytes(xattr.name)} is given twice`);
      }
      total += xattr.value.length - (known?.value.length ?? 0);
      if (known === undefined) total += XATTR_TOTAL_PER_ENTRY + xattr.name.length;
      if (total > XATTR_EXTERNAL_TOTAL_MAX) this.#failTotal();
      byName.set(xattr.name, xattr);
    }
    return sortXattrs([...byName.values()]);
  }

  /** Where the attribute of an index stands; only errors ask. */
  #startOf(index: number): number {
    let start = this.#line.xattrsStart;
    for (let i = 0; i < index; i++) start = this.#line.text.indexOf(' ', start) + 1;
    return start;
  }

  #xattr(from: number, to: number): Xattr {
    const text = this.#line.text.slice(from, to);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const equals = text.indexOf('=');
    if (equals < 0) {
      const shown = showBytes(text.slice(0, 60) as ByteString);
      this.#fail(from, `extended attribute "${shown}" has no =, expected KEY=VALUE`);
    }
    const xattr = this.#pool.get(
      this.#line.unescape(from, from + equals, 'the name of an extended attribute', false),
      this.#line.unescape(from + equals + 1, to, 'the value of an extended attribute', true),
    );
    this.#checkLengths(xattr, from);
    this.#byText.set(text, xattr);
    return xattr;
  }

  #checkLengths({ name, value }: Xattr, from: number): void {
    if (name.length === 0 || name.length > XATTR_NAME_MAX) {
      this.#fail(
        from,
        `the name of an extended attribute is ${name.length} bytes, expected 1 to ${XATTR_NAME_MAX}`,
      );
    }
    if (value.length > XATTR_VALUE_MAX) {
      this.#fail(
        from,
        `the value of ${showBytes(name)} is ${value.length} bytes, expected at most ${XATTR_VALUE_MAX}`,
      );
    }
  }

  #failTotal(): never {
    return this.#fail(
      this.#line.xattrsStart,
      `the extended attributes need more than ${XATTR_EXTERNAL_TOTAL_MAX} bytes`,
    );
  }

  #fail(at: number, problem: string): never {
    return this.#line.fail('FORMAT_DUMP_XATTR', at, problem);
  }
}
