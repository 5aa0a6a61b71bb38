/** The mounts of a fake board: contexts, composefs images down to the file they came from, and the old mount(2). */
import { SysError } from '../../runtime/sys-error.ts';
import type { Fd, FsConfig, LoopDevice, MountAttributes } from '../../runtime/sys.ts';
import { type Mounted, textOf } from './fake-board.ts';
import { FakeMachine, STORE } from './fake-machine.ts';

export class FakeMounts extends FakeMachine {
  fsopen(type: string): Fd {
    this.call('fsopen', type);
    return this.handleFor({ kind: 'context', type, options: [] });
  }

  fsconfig(fd: Fd, value: FsConfig): void {
    const key = value.kind === 'create' ? 'create' : value.key;
    this.call('fsconfig', key);
    const context = this.handle(fd, 'context');
    if (key === 'coldseal-probe') throw new SysError('fsconfig', 'EINVAL', key);
    if (value.kind === 'create' && context.type === 'overlay' && this.run.detachedLayers !== true) {
      const paths = context.options.flatMap((option) =>
        option.kind === 'fd' ? [this.handles.get(option.fd)] : [],
      );
      // Layers of mounts that are attached nowhere.
      if (
        paths.some(
          (handle) => handle?.kind === 'directory' && handle.path.startsWith('/proc/self/fd/'),
        )
      ) {
        throw new SysError('fsconfig', 'EINVAL', 'create');
      }
      if (
        paths.length > 0 &&
        !context.options.some((option) => 'key' in option && option.key === 'source')
      ) {
        throw new SysError('fsconfig', 'EINVAL', 'create');
      }
    }
    context.options.push(value);
  }

  fsmessages(): string[] {
    return [];
  }

  fsmount(fd: Fd, attributes: MountAttributes): Fd {
    this.call('fsmount');
    const { type, options } = this.handle(fd, 'context');
    const source = options.find((option) => 'key' in option && option.key === 'source');
    const from = source?.kind === 'string' ? source.value : '';
    const image = type === 'erofs' ? this.imageOfSource(from) : this.imageOfLayers(options);
    const verity = options.find((option) => 'key' in option && option.key === 'verity');
    const isVerityRequired = verity?.kind === 'string' && verity.value === 'require';
    const mounted = { type, source: from, attributes, isVerityRequired, ...(image && { image }) };
    return this.handleFor({ kind: 'mount', mounted, ...(image && { image }) });
  }

  protected imageOfSource(source: string): string {
    const handle = this.handles.get(Number(/(\d+)$/.exec(source)?.[1]));
    if (handle?.kind !== 'file') throw new SysError('fsmount', 'EINVAL', source);
    return handle.path.slice(STORE.length + 1);
  }

  protected imageOfLayers(options: readonly FsConfig[]): string | undefined {
    const layer = options.find((option) => 'key' in option && option.key === 'lowerdir+');
    if (layer?.kind === 'string') {
      const attached = this.mounts.get(layer.value)?.image;
      if (attached !== undefined) return attached;
    }
    const fd = layer?.kind === 'fd' ? layer.fd : Number(/(\d+)$/.exec(textOf(layer))?.[1]);
    const handle = this.handles.get(fd);
    return handle?.kind === 'directory' ? handle.image : undefined;
  }

  moveMount(fd: Fd, target: string): void {
    this.change('moveMount', target);
    const { mounted } = this.handle(fd, 'mount');
    this.mountAt(target, mounted);
  }

  protected mountAt(target: string, mounted: Mounted): void {
    if (!this.directories.has(target) && !this.tmpfs.has(target)) {
      if (mounted.type !== 'cgroup2') throw new SysError('mount', 'ENOENT', target);
    }
    this.mounts.set(target, mounted);
    if (mounted.type === 'overlay') this.imagesMounted.push(mounted.image ?? '');
  }

  setMountAttributes(): void {
    this.call('setMountAttributes');
  }

  mount(
    source: string,
    target: string,
    type: string,
    options: Omit<MountAttributes, 'idmap'> & { readonly readOnly: boolean; readonly data: string },
  ): void {
    this.change('mount', type, target);
    const { data, ...attributes } = options;
    if (type === 'ext4' && !this.present().some(({ device }) => source === `/dev/${device}`)) {
      throw new SysError('mount', 'ENOENT', source);
    }
    const layer = /lowerdir=(?<path>[^:,]+)/.exec(data)?.groups?.['path'];
    const image = layer === undefined ? undefined : this.mounts.get(layer)?.image;
    const isVerityRequired = data.includes('verity=require');
    const mounted = { type, source, attributes, data, isVerityRequired, ...(image && { image }) };
    this.mountAt(target, mounted);
  }

  unmount(target: string): void {
    this.call('unmount', target);
    if (!this.mounts.delete(target)) throw new SysError('umount2', 'EINVAL', target);
  }

  attachLoop(_file: Fd): LoopDevice {
    throw new SysError('attachLoop', 'ENOENT');
  }

  kernelRelease(): string {
    this.call('kernelRelease');
    return '6.12.48+deb13-arm64';
  }
}
