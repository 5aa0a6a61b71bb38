/** `coldseal umount`: takes away a composefs mount. */
import { defineCommand } from '../cli/command.ts';

export const umount = defineCommand({
  name: 'umount',
  summary: 'Unmount a composefs mount',
  description: `Unmounts the composefs mount at DIR. Anything else mounted there is refused. The
loop device and the image's own mount, if there are any, go with it.`,
  args: [{ name: 'dir', help: 'directory the image is mounted at' }],
  options: {
    lazy: { flag: '--lazy', help: 'hide it now and free it when nothing uses it any more' },
  },
  examples: [
    {
      run: 'coldseal mount rootfs.cfs mnt --basedir objects --verity off && coldseal umount mnt',
      note: 'Unmount what was mounted',
      needs: 'root',
    },
  ],
  async run({ args: [dir], options, output }) {
    const { unmountImage } = await import('../mount/mount-image.ts');
    const source = unmountImage(dir, { lazy: options.lazy });
    output.line(`unmounted ${dir}`);
    output.result({ dir, source });
  },
});
