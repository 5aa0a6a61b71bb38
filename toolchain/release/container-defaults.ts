/**
 * What every generated bundle has: mounts, namespaces, capabilities, and what of /proc and /sys is kept away.
 *
 * The mounts are those of `runc spec` with /tmp and /run, for the root is read-only; the hidden paths are those of runc
 * and Docker. There is no list of devices: no capability here makes device nodes, and images are mounted nodev.
 * Source: OCI Runtime Specification 1.0.2, config-linux.md, "Default Filesystems"; runc 1.1, libcontainer/specconv.
 */

/** A mount as config.json has it. */
export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** Parents first. */
export const DEFAULT_MOUNTS: readonly RuntimeMount[] = [
  mount('/proc', 'proc', 'nosuid', 'noexec', 'nodev'),
  mount('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
  mount(
    '/dev/pts',
    'devpts',
    'nosuid',
    'noexec',
    'newinstance',
    'ptmxmode=0666',
    'mode=0620',
    'gid=5',
  ),
  mount('/dev/shm', 'tmpfs', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
  mount('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
  mount('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
  mount('/sys/fs/cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro'),
  mount('/tmp', 'tmpfs', 'nosuid', 'nodev', 'mode=1777'),
  mount('/run', 'tmpfs', 'nosuid', 'nodev', 'mode=755'),
];

/** Of a volume that an image names: empty, and gone with the container. */
export function volumeMount(destination: string): RuntimeMount {
  return mount(destination, 'tmpfs', 'nosuid', 'nodev', 'mode=755');
}

function mount(destination: string, type: string, ...options: string[]): RuntimeMount {
  return { destination, type, source: type, options };
}

/** As `runc spec`; no other user has any. */
export const ROOT_CAPABILITIES: readonly string[] = [
  'CAP_AUDIT_WRITE',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
];

export const NAMESPACES: readonly string[] = ['pid', 'mount', 'ipc', 'uts', 'cgroup'];

export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/firmware',
];

export const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** Where an image does not say it; Docker's. */
export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
