/**
 * SIZE, PAYLOAD, CONTENT and DIGEST of a dump line, which belong together.
 *
 * Which of them an entry may have hangs on its type. Lenient reading checks the fields an entry has no use for as
 * mkcomposefs does and then drops them.
 */
import {
  FILE_SIZE_MAX,
  INLINE_CONTENT_MAX,
  SYMLINK_TARGET_MAX,
} from '../../runtime/format/composefs.ts';
import { bytesOf, type ByteString } from './byte-string.ts';
import { CONTENT, DIGEST, type DumpLine, PAYLOAD, SIZE } from './dump-line.ts';
import { U64_MAX } from './dump-text.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type TreeNode } from './tree.ts';

export class DumpData {
  readonly #line: DumpLine;

  constructor(line: DumpLine) {
    this.#line = line;
  }

  /** SIZE, PAYLOAD, CONTENT and DIGEST, which belong together. */
  read(node: TreeNode): void {
    const line = this.#line;
    const size = line.unsigned(SIZE, 10);
    const type = node.mode & S_IFMT;
    if (type === S_IFREG) this.#readRegular(node, size);
    else if (type === S_IFLNK) this.#readSymlink(node, size);
    else {
      if (this.#line.lenient) this.#checkUnused(size, [PAYLOAD, DIGEST], INLINE_CONTENT_MAX);
      else this.#requireNoData(size);
      if (type !== S_IFDIR) node.size = Number(size);
    }
  }

  /** SIZE counts even here: one above 32 bits gives the inode its extended form. */
  #requireNoData(size: number | bigint): void {
    this.#requireUnset('on an entry without data', [PAYLOAD, CONTENT, DIGEST]);
    if (size > U64_MAX) this.#line.failField(SIZE, 'FORMAT_DUMP_SIZE', 'does not fit 64 bits');
  }

  /** A path below the object store, as the runtime will demand it: nothing that leads out of the store. */
  #requireObjectPath(payload: ByteString): void {
    // Nearly every payload is an object's path: asked in a way that costs nothing for those.
    const isPlain = !payload.includes('/.') && !payload.includes('//') && !payload.endsWith('/');
    if (isPlain && payload[0] !== '/' && payload[0] !== '.') return;
    const parts = payload.split('/');
    if (!parts.includes('') && !parts.includes('.') && !parts.includes('..')) return;
    this.#line.failField(
      PAYLOAD,
      'FORMAT_DUMP_PAYLOAD',
      'leads out of the object store, expected a relative path without empty, . or .. parts',
    );
  }

  #requireUnset(where: string, fields: readonly number[]): void {
    for (const field of fields) {
      if (this.#line.isUnset(field)) continue;
      this.#line.failField(field, 'FORMAT_DUMP_PAYLOAD', `is set ${where}, expected -`);
    }
  }

  /** What mkcomposefs checks of fields that the entry then makes no use of. */
  #checkUnused(size: number | bigint, fields: readonly number[], contentMax: number): void {
    for (const field of fields) {
      const text = this.#line.bytes(field);
      if (field === PAYLOAD) this.#checkPayloadLength(text);
    }
    if (!this.#line.isUnset(CONTENT)) this.#content(size, contentMax);
  }

  #checkPayloadLength(payload: ByteString): void {
    if (payload.length <= SYMLINK_TARGET_MAX) return;
    this.#line.failField(
      PAYLOAD,
      'FORMAT_DUMP_PAYLOAD',
      `is ${payload.length} bytes, expected at most ${SYMLINK_TARGET_MAX}`,
    );
  }

  /** CONTENT, whose length SIZE must be. */
  #content(size: number | bigint, max: number): ByteString {
    const line = this.#line;
    const content = line.bytes(CONTENT);
    if (content.length > max) {
      const problem = `is ${content.length} bytes, expected at most ${max}`;
      line.failField(CONTENT, 'FORMAT_DUMP_CONTENT', problem);
    }
    if (size !== content.length) {
      const problem = `is not the length of CONTENT, ${content.length}`;
      line.failField(SIZE, 'FORMAT_DUMP_SIZE', problem);
    }
    return content;
  }

  #readRegular(node: TreeNode, size: number | bigint): void {
    const line = this.#line;
    if (size > FILE_SIZE_MAX) {
      const problem = `is above ${FILE_SIZE_MAX}, the largest file an image can describe`;
      line.failField(SIZE, 'FORMAT_DUMP_SIZE', problem);
    }
    node.size = Number(size);
    if (!line.isUnset(PAYLOAD) && !line.isEmpty(PAYLOAD)) {
      node.payload = line.string(PAYLOAD);
      this.#checkPayloadLength(node.payload);
      if (!this.#line.lenient) this.#requireObjectPath(node.payload);
    }
    if (!line.isUnset(CONTENT)) {
      const content = this.#content(size, INLINE_CONTENT_MAX);
      if (content.length > 0) node.content = bytesOf(content);
    }
    if (!line.isUnset(DIGEST)) node.digest = this.#digest(node);
  }

  #readSymlink(node: TreeNode, size: number | bigint): void {
    const line = this.#line;
    if (line.isUnset(PAYLOAD) || line.isEmpty(PAYLOAD)) {
      line.failField(
        PAYLOAD,
        'FORMAT_DUMP_PAYLOAD',
        'is unset, expected the target of the symlink',
      );
    }
    const target = line.string(PAYLOAD);
    this.#checkPayloadLength(target);
    node.payload = target;
    node.size = target.length;
    if (this.#line.lenient) return this.#checkUnused(size, [DIGEST], Infinity);
    // 0 is what many writers put here; the target's length is what is stored.
    if (size !== 0 && size !== target.length) {
      const problem = `is not the length of the target, ${target.length}`;
      line.failField(SIZE, 'FORMAT_DUMP_SIZE', problem);
    }
    this.#requireUnset('on a symlink', [CONTENT, DIGEST]);
  }

  #digest(node: TreeNode): string | undefined {
    const line = this.#line;
    // mkcomposefs undoes escapes here too.
    const text = this.#line.lenient ? line.bytes(DIGEST) : line.raw(DIGEST);
    if (/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(text)) return text;
    if (/^(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{128})$/.test(text)) return text.toLowerCase();
    // No byte of it would reach the image.
    if (this.#line.lenient && (node.size === 0 || node.content !== undefined)) return undefined;
    return line.failField(
      DIGEST,
      'FORMAT_DUMP_DIGEST',
      `has ${text.length} characters, expected 64 (SHA-256) or 128 (SHA-512) hexadecimal digits`,
    );
  }
}
