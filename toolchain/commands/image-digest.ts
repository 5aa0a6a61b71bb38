/** `coldseal image digest`: the fs-verity digest that names an image. */
import { defineCommand } from '../cli/command.ts';

export const imageDigest = defineCommand({
  name: 'image digest',
  summary: 'Print the fs-verity digest of image files',
  description: `Prints one digest a line: the kernel's where the file has fs-verity enabled, otherwise computed.
The file need not be an image.`,
  args: [{ name: 'file', help: 'file; - is stdin', variadic: true }],
  options: {
    hash: {
      flag: '--hash <algorithm>',
      help: 'hash algorithm',
      choices: ['sha256', 'sha512'],
      default: 'sha256',
    },
  },
  examples: [
    { run: 'coldseal image digest rootfs.cfs', note: 'Print the digest that names an image' },
  ],
  async run({ args, options, output }) {
    const { explainSysError } = await import('../../runtime/sys-error.ts');
    const { fsVerityDigest } = await import('../../runtime/format/fsverity.ts');
    const { toHex } = await import('../../runtime/format/bytes.ts');
    const { hashFunction } = await import('../../runtime/engines/node/compute-digest.ts');
    const { measureFile } = await import('../objects/verity.ts');
    const { loadBytes } = await import('../image/load-image.ts');
    const files = args.map((file) => {
      if (file === '-') {
        const digest = toHex(
          fsVerityDigest(loadBytes(file), options.hash, hashFunction(options.hash)),
        );
        return { file, digest, by: 'computed' as const };
      }
      try {
        return { file, ...measureFile(file, options.hash) };
      } catch (error) {
        throw explainSysError(error, `Cannot measure ${file}`);
      }
    });
    for (const { digest } of files) output.line(digest);
    output.result({ hash: options.hash, files });
  },
});
