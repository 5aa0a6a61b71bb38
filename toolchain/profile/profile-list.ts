/**
 * A profile from a list: what somebody found out on a real board, by fanotify, fatrace or a trace of its disk. Pure.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { type Profile, PROFILE_KIND, PROFILE_SCHEMA } from './profile-schema.ts';
import { type ImageContent, namesOfObjects, type ReleaseContents } from './release-content.ts';

/** The stage of what a list names. */
const LISTED = 'listed';

/**
 * A profile from a list, one line for each file in the order of the boot: an fs-verity digest, `IMAGE:/path`, or
 * `/path` of the root image. Comments begin with `#`. Whole files count as read, and images come first. Returns the
 * lines that the release does not have, too. Throws USAGE_PROFILE_LIST when it has none of them.
 */
export function profileOfList(
  text: string,
  from: string,
  release: ReleaseContents,
  board: string,
): { readonly profile: Profile; readonly unknown: readonly string[] } {
  const { images, id, version } = release;
  const names = namesOfObjects(images);
  const found = new Map<string, Profile['records'][number]>();
  const unknown: string[] = [];
  const lines = text.split('\n').map((line) => line.trim());
  for (const line of lines.filter((each) => each !== '' && !each.startsWith('#'))) {
    const file = findListed(line, images);
    if (file === undefined) {
      unknown.push(line);
      continue;
    }
    const { digest, size } = file;
    const own = [...(names.get(digest) ?? [])];
    found.set(digest, { kind: 'object', digest, size, names: own, ...whole(size) });
  }
  if (found.size === 0) {
    throw new ColdsealError(
      'USAGE_PROFILE_LIST',
      `Cannot make a profile of ${from}: the release has none of the ${unknown.length} files that it names`,
      { hint: 'a line is an fs-verity digest, IMAGE:/path, or /path of the root image' },
    );
  }
  const records = [
    ...images.map(({ name, digest, size }) => {
      return { kind: 'image' as const, digest, size, name, ...whole(size) };
    }),
    ...found.values(),
  ];
  const head = {
    kind: PROFILE_KIND,
    schema: PROFILE_SCHEMA,
    board,
    release: { id, version },
  } as const;
  return { profile: { ...head, source: 'list', records, requests: null }, unknown };
}

function whole(size: number): Pick<Profile['records'][number], 'stage' | 'ranges' | 'treeBlocks'> {
  return { stage: LISTED, ranges: size === 0 ? [] : [[0, size]], treeBlocks: 0 };
}

function findListed(
  line: string,
  images: readonly ImageContent[],
): { digest: string; size: number } | undefined {
  for (const { name, isRoot, files } of images) {
    const path = line.startsWith(`${name}:`) ? line.slice(name.length + 1) : isRoot ? line : '';
    const file = files.get(path) ?? [...files.values()].find(({ digest }) => digest === line);
    if (file !== undefined) return file;
  }
  return undefined;
}
