/** `image build --tar-index`: an EROFS image whose files lie in the archive. */
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import type { Output } from '../cli/output.ts';
import type { BuiltIndex, IndexedTar, IndexRecipe } from '../image/tar-index.ts';
import type { ObjectSource, StoreSummary } from '../objects/store.ts';

export interface TarIndexRequest {
  readonly source: string;
  /** File to write; - is stdout, and undefined for the digest alone. */
  readonly image: string | undefined;
  readonly force: boolean;
  readonly recipe: IndexRecipe;
  readonly algorithm: VerityAlgorithm;
  readonly digestStore: string | undefined;
  readonly verifyExisting: boolean;
  readonly printsDigest: boolean;
}

/** Builds and reports; the options were checked. */
export async function buildTarIndex(request: TarIndexRequest, output: Output): Promise<void> {
  const { buildIndex, readIndexedTar } = await import('../image/tar-index.ts');
  const { AtomicFile } = await import('../files/atomic-file.ts');
  const { namingFileAsync } = await import('../files/name-file.ts');
  const { source, image, recipe, algorithm } = request;
  const stamp = await stampOf(source);
  const progress = output.progress(`reading ${source}`, { unit: 'bytes' });
  const tar = await namingFileAsync(`Cannot use ${source}`, () =>
    readIndexedTar(source, {
      ...recipe,
      algorithm,
      interrupted: output.interrupted,
      onProgress: ({ hashedBytes, totalBytes }) => progress.update(hashedBytes, totalBytes),
    }),
  );
  progress.done();
  const build = { recipe, algorithm };
  const pieces: Uint8Array[] = [];
  using file =
    image === undefined || image === '-'
      ? undefined
      : new AtomicFile(image, { force: request.force });
  const built = buildIndex(tar, {
    ...build,
    consume: (bytes) => {
      if (image === '-') pieces.push(new Uint8Array(bytes));
      else file?.write(bytes);
    },
  });
  const store = await putInStore(request, tar, stamp);
  for (const piece of pieces) await output.raw(piece);
  file?.commit();
  report(request, tar, built, store, output);
}

type Stamp = NonNullable<ObjectSource['stamp']>;

/** What the archive is before it is read; a change while it is read is noticed when it is copied. */
async function stampOf(path: string): Promise<Stamp | undefined> {
  const { realpathSync } = await import('node:fs');
  const { lstatFast } = await import('../../runtime/engines/node/xattr.ts');
  try {
    return lstatFast(realpathSync(path));
  } catch {
    // Opening the archive says it better.
    return undefined;
  }
}

/** The archive becomes one object, which the store and disks seal with fs-verity as any other. */
async function putInStore(
  { source, digestStore, verifyExisting }: TarIndexRequest,
  tar: IndexedTar,
  stamp: Stamp | undefined,
): Promise<StoreSummary | undefined> {
  if (digestStore === undefined) return undefined;
  const { realpathSync } = await import('node:fs');
  const { ObjectStore } = await import('../objects/store.ts');
  using store = new ObjectStore(digestStore, { verifyExisting });
  const file = { path: realpathSync(source), ...(stamp === undefined ? {} : { stamp }) };
  store.put(file, tar.fsVerityDigest, tar.bytes);
  return store.finish();
}

function report(
  request: TarIndexRequest,
  tar: IndexedTar,
  built: BuiltIndex,
  store: StoreSummary | undefined,
  output: Output,
): void {
  const { digest, size, version, inodeCount, whiteouts } = built;
  const { bytes, sha256, fsVerityDigest } = tar;
  if (request.printsDigest) output.line(digest);
  output.result({
    image: request.image ?? null,
    kind: 'tar-index',
    digest,
    size,
    version,
    inodeCount,
    whiteouts,
    tar: { bytes, sha256, diffId: `sha256:${sha256}`, fsVerityDigest },
    store: store ?? null,
  });
  if (request.image === undefined) return;
  output.note(
    `${request.image}: ${inodeCount} inodes, ${size} bytes, index of ${request.source}, fs-verity ${digest}`,
  );
  output.note(`${request.source}: ${bytes} bytes, sha256:${sha256}, fs-verity ${fsVerityDigest}`);
  if (whiteouts > 0) {
    output.note(`${whiteouts} names begin with .wh.: they are files here, and take nothing away`);
  }
  if (store === undefined) return;
  const what = store.copied > 0 ? 'the archive was copied' : 'the archive was there';
  output.note(`${request.digestStore}: ${what}; fs-verity ${store.verity}`);
}
