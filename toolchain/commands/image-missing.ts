/** `coldseal image missing`: which objects of some images a store lacks, or has wrong. */
import { defineCommand } from '../cli/command.ts';

export const imageMissing = defineCommand({
  name: 'image missing',
  summary: 'List the objects that are missing or wrong',
  description: `Looks for every object of the images below the object directories: it must be a regular file of the size
the image says. The first directory that has the path decides, as in a mount. With --verify the content is read and
measured too. Prints the path of a missing object; behind a wrong one, after a tab, what was found instead.`,
  args: [{ name: 'image', help: 'image file; - is stdin', variadic: true }],
  options: {
    basedir: {
      flag: '--basedir <dir>',
      help: 'object directory; several are searched in order',
      repeat: true,
    },
    verify: { flag: '--verify', help: 'measure the content of every object' },
    filter: { flag: '--filter <name>', help: 'only this name of the root directory', repeat: true },
  },
  examples: [
    {
      run: 'coldseal image missing --basedir=objects rootfs.cfs',
      note: 'Check that every object is there',
    },
    {
      run: 'coldseal image missing --basedir=objects --verify rootfs.cfs',
      note: 'Check their content as well',
    },
  ],
  exitCodes: { 3: 'some object is missing or wrong' },
  async run({ args, options, output }) {
    const { ColdsealError } = await import('../../runtime/format/errors.ts');
    const { loadImage } = await import('../image/load-image.ts');
    const { mergeObjects, readObjects } = await import('../image/objects.ts');
    const { parseFilter } = await import('../image/filter.ts');
    const { showBytes } = await import('../image/byte-string.ts');
    const { findMissing } = await import('../image/find-objects.ts');
    if (options.basedir.length === 0) {
      throw new ColdsealError(
        'USAGE_MISSING_BASEDIR',
        'Cannot look for objects: expected --basedir=DIR',
        {
          hint: 'name the directory that was given to image build --digest-store',
        },
      );
    }
    const { requireDirectory } = await import('../files/require-directory.ts');
    for (const basedir of options.basedir) requireDirectory(basedir, 'Cannot look for objects in');
    const filter = parseFilter(options.filter);
    const objects = mergeObjects(args.map((path) => readObjects(loadImage(path), filter)));
    const { findings, unverified } = findMissing(objects, options.basedir, options.verify, output);
    for (const { object, problem, found } of findings) {
      const path = showBytes(object.path);
      output.line(problem === 'missing' ? path : `${path}\t${problem}: ${found}`);
    }
    if (options.verify && unverified > 0) {
      output.warn(`${unverified} objects have no digest in the image: only their size was checked`);
    }
    output.result(
      {
        objects: objects.length,
        unverified: options.verify ? unverified : objects.length,
        findings: findings.map(({ object, problem, found }) => ({
          path: showBytes(object.path),
          digest: object.digest,
          size: object.size,
          problem,
          found,
        })),
      },
      { ok: findings.length === 0 },
    );
    return findings.length === 0 ? 0 : 3;
  },
});
