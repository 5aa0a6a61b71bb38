/** `coldseal mount`: a composefs image and its objects, mounted by the kernel. */
import { defineCommand } from '../cli/command.ts';

export const mount = defineCommand({
  name: 'mount',
  summary: 'Mount a composefs image through the kernel',
  description: `Mounts IMAGE at DIR: EROFS for the tree, overlayfs for the file contents in the
object directories.

The image is measured and mounted through one descriptor. With --digest, the kernel's fs-verity
digest of the image must be the one given. --verity=require also lets the kernel verify every file
as it is read; where the kernel or the file system cannot do that, the mount is refused.
--verity=if-supported takes what there is and says what was enforced: a digest computed by reading
the image is compared then, which does not protect against later changes.`,
  args: [
    { name: 'image', help: 'composefs image' },
    { name: 'dir', help: 'directory to mount it at' },
  ],
  options: {
    basedir: {
      flag: '--basedir <dir>',
      help: 'object directory; several are searched in order',
      repeat: true,
    },
    digest: {
      flag: '--digest <hex>',
      help: 'fs-verity digest that the image must have',
      checksEmpty: true,
    },
    verity: {
      flag: '--verity <mode>',
      help: 'whether fs-verity must be enforced',
      choices: ['require', 'if-supported', 'off'],
      default: 'require',
    },
    upperdir: { flag: '--upperdir <dir>', help: 'writable layer above the image' },
    workdir: { flag: '--workdir <dir>', help: 'work directory of the writable layer' },
    idmap: { flag: '--idmap <userns>', help: 'user namespace file whose ids the mount takes' },
    ro: { flag: '--ro', help: 'mount read-only (the default without --upperdir)' },
    rw: { flag: '--rw', help: 'mount writable (the default with --upperdir)' },
  },
  examples: [
    {
      run: 'coldseal mount rootfs.cfs mnt --basedir objects --verity if-supported',
      note: 'Mount an image, with verity where the machine has it',
      needs: 'root',
    },
  ],
  exitCodes: { 3: 'the image is not the one that the digest names' },
  async run({ args: [image, dir], options, output }) {
    const { mountImageFile, describeMount } = await import('../mount/mount-image.ts');
    const result = mountImageFile({ ...options, image, dir });
    for (const line of describeMount(result)) output.line(line);
    for (const warning of result.warnings) output.warn(warning);
    output.result(result);
  },
});
