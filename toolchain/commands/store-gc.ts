/** `coldseal store gc`: deletes the objects that nothing refers to. */
import { defineCommand } from '../cli/command.ts';

export const storeGc = defineCommand({
  name: 'store gc',
  summary: 'Delete the objects that no image and no mount refers to',
  description: `Keeps what the named images and every composefs mount found on this machine refer
to, in all mount namespaces that can be seen, and deletes the other objects and what interrupted
writers left. If a mount that uses the store cannot be read, nothing is deleted. Files that are
not objects are never touched.

A collection waits for no writer: while a build writes to the store it is refused. C mkcomposefs
takes no lock, so do not run it at the same time.`,
  args: [
    { name: 'dir', help: 'object store' },
    { name: 'image', help: 'image whose objects are kept', variadic: true },
  ],
  options: {
    dryRun: { flag: '--dry-run', help: 'say what would be deleted, and delete nothing' },
  },
  examples: [
    {
      run: 'coldseal store gc objects rootfs.cfs --dry-run',
      note: 'Show what an image leaves unused',
    },
    {
      run: 'coldseal store gc objects rootfs.cfs newer.cfs',
      note: 'Keep the objects of two images',
    },
  ],
  async run({ args: [dir, ...images], options, output }) {
    const { collectGarbage } = await import('../objects/gc.ts');
    const { objectPaths, objectsOfImage } = await import('../image/objects.ts');
    const bar = output.progress('Deleting objects', { unit: 'entries' });
    const result = collectGarbage(dir, {
      images,
      dryRun: options.dryRun,
      readObjectPaths: (bytes) => objectPaths(objectsOfImage(bytes)),
      nowSec: Math.floor(Date.now() / 1000),
      onProgress: (done, total) => bar.update(done, total),
      signal: output.interrupted,
    });
    bar.done();
    const verb = options.dryRun ? 'would delete' : 'deleted';
    for (const { path } of result.deleted) output.line(`${verb} ${path}`);
    for (const { mountPoint, how } of result.mounts) {
      output.line(`kept what the mount at ${mountPoint} needs (read from its ${how})`);
    }
    output.line(
      `${verb} ${result.deleted.length} objects (${result.deletedBytes} bytes) ` +
        `and ${result.leftovers.length} leftovers; ` +
        `kept ${result.kept} objects (${result.keptBytes} bytes)`,
    );
    if (result.missing > 0) {
      output.warn(`the named images refer to ${result.missing} objects that are not in ${dir}`);
    }
    const { deleted, leftovers, strays, ...rest } = result;
    output.result({
      ...rest,
      dryRun: options.dryRun,
      deleted: deleted.map(({ path }) => path),
      leftovers: leftovers.length,
      strays: strays.length,
    });
  },
});
