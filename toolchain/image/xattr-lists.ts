/**
 * The distinct lists of extended attributes of a tree, each known by a number; list 0 is the empty one.
 *
 * Most entries have the list of their neighbour, so what an image needs to know of a list is worked out once.
 */
import { NO_XATTRS, type Xattr } from './tree.ts';

/** More attributes than any tree has distinct ones. */
const STEP = 2 ** 26;

export class XattrLists {
  readonly lists: (readonly Xattr[])[] = [NO_XATTRS];
  readonly #byIdentity = new Map<readonly Xattr[], number>([[NO_XATTRS, 0]]);
  readonly #ids = new Map<Xattr, number>();
  /** From a list and one more attribute to the longer list. */
  readonly #longer = new Map<number, number>();
  /** Numbers of the lists, or of beginnings of lists that no entry has. */
  readonly #nodes: number[] = [0];

  /** The number of a list; equal attributes are expected to be one object, or come out as different lists. */
  idOf(list: readonly Xattr[]): number {
    if (list.length === 0) return 0;
    const known = this.#byIdentity.get(list);
    if (known !== undefined) return known;
    let node = 0;
    for (const xattr of list) node = this.#step(node, xattr);
    if (this.#nodes[node] === 0) this.#nodes[node] = this.lists.push(list) - 1;
    return this.#nodes[node]!;
  }

  #step(node: number, xattr: Xattr): number {
    let id = this.#ids.get(xattr);
    if (id === undefined) this.#ids.set(xattr, (id = this.#ids.size));
    const key = node * STEP + id;
    let next = this.#longer.get(key);
    if (next === undefined) this.#longer.set(key, (next = this.#nodes.push(0) - 1));
    return next;
  }
}
