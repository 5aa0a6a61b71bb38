/**
 * The Debian packages that tests and the demo use, and installing them.
 *
 * Add a row here when a test or the demo starts to use a tool. Installation goes through apt-get when this runs as
 * root or sudo asks for no password; otherwise the exact command is printed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface HostPackage {
  /** A file name in PATH that shows the package is there, or an absolute path. */
  readonly tool: string;
  readonly debian: string;
  readonly why: string;
  /** There is no such package for other processors. */
  readonly onlyOn?: NodeJS.Architecture;
  /** Without it the demo cannot run; tests that use an inessential one are skipped. */
  readonly isEssential?: true;
}

/** Every outside tool, sorted by tool. */
export const HOST_PACKAGES: readonly HostPackage[] = [
  {
    tool: '/usr/aarch64-linux-gnu/include/stdio.h',
    debian: 'libc6-dev-arm64-cross',
    why: 'the C library of the runtime for ARM boards',
    isEssential: true,
  },
  {
    tool: '/usr/include/stdio.h',
    debian: 'libc6-dev',
    why: 'the C library of the runtime for x86 boards',
    isEssential: true,
  },
  {
    tool: '/usr/include/intel-ipsec-mb.h',
    debian: 'libipsec-mb-dev',
    why: 'hashes several blocks at once; judges what we know of that library',
    onlyOn: 'x64',
  },
  {
    tool: '/usr/lib/python3/dist-packages/jsonschema/__init__.py',
    debian: 'python3-jsonschema',
    why: 'asks the schema of OCI runtime bundles',
  },
  {
    tool: '/usr/lib/python3/dist-packages/prometheus_client/__init__.py',
    debian: 'python3-prometheus-client',
    why: 'outside judge of metrics and tables',
  },
  {
    tool: '/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema/config-schema.json',
    debian: 'golang-github-opencontainers-specs-dev',
    why: 'outside judge of OCI runtime bundles',
  },
  {
    tool: '/usr/share/keyrings/debian-archive-keyring.gpg',
    debian: 'debian-archive-keyring',
    why: "checks the packages of Debian 13: the boards' kernels and systems",
    isEssential: true,
  },
  {
    tool: 'aarch64-linux-gnu-gcc',
    debian: 'gcc-aarch64-linux-gnu',
    why: 'compiles the runtime for ARM boards',
    isEssential: true,
  },
  { tool: 'bsdtar', debian: 'libarchive-tools', why: 'outside maker of tar archives' },
  { tool: 'bunzip2', debian: 'bzip2', why: "unpacks Debian's SELinux policy in tests" },
  { tool: 'busybox', debian: 'busybox-static', why: 'the user space of virtual boards' },
  { tool: 'chromium', debian: 'chromium', why: 'outside judge of report pages; takes screenshots' },
  { tool: 'cmark-gfm', debian: 'cmark-gfm', why: 'outside judge of job summaries' },
  { tool: 'cpio', debian: 'cpio', why: 'outside judge of initramfs archives' },
  { tool: 'dtc', debian: 'device-tree-compiler', why: 'outside judge of boot logs' },
  { tool: 'fsck.erofs', debian: 'erofs-utils', why: 'outside judge of every image written' },
  { tool: 'fsck.fat', debian: 'dosfstools', why: 'outside judge of the boot partition' },
  { tool: 'fsverity', debian: 'fsverity', why: 'outside judge of fs-verity digests' },
  { tool: 'gcc', debian: 'gcc', why: 'compiles the runtime for x86 boards', isEssential: true },
  { tool: 'getfattr', debian: 'attr', why: 'compares extended attributes of mounted trees' },
  { tool: 'groff', debian: 'groff-base', why: 'outside judge of the manual pages' },
  { tool: 'lz4', debian: 'lz4', why: 'compresses the initramfs of boards that ask for it' },
  { tool: 'mcopy', debian: 'mtools', why: 'outside judge of the boot partition' },
  { tool: 'matchpathcon', debian: 'selinux-utils', why: 'outside judge of SELinux labels' },
  {
    tool: 'mke2fs',
    debian: 'e2fsprogs',
    why: 'judges the sealed file system of every disk; makes those of tests',
    isEssential: true,
  },
  { tool: 'mkfs.btrfs', debian: 'btrfs-progs', why: 'object stores on several file systems' },
  { tool: 'mkfs.fat', debian: 'dosfstools', why: 'outside judge of the boot partition' },
  {
    tool: 'mkfs.xfs',
    debian: 'xfsprogs',
    why: 'object stores that share blocks with their source',
  },
  { tool: 'mksquashfs', debian: 'squashfs-tools', why: 'makes squashfs images to compare with' },
  {
    tool: 'mmdebstrap',
    debian: 'mmdebstrap',
    why: 'makes the root file system of the demo',
    isEssential: true,
  },
  { tool: 'mount', debian: 'mount', why: 'loop devices and file systems in conformance tests' },
  { tool: 'openssl', debian: 'openssl', why: 'outside judge of keys, certificates and signatures' },
  {
    tool: 'pg_ctlcluster',
    debian: 'postgresql',
    why: 'a history of boots that several rigs share, in tests',
  },
  { tool: 'protoc', debian: 'protobuf-compiler', why: 'outside judge of traces' },
  {
    tool: 'qemu-system-aarch64',
    debian: 'qemu-system-arm',
    why: 'boots the virtual ARM board',
    isEssential: true,
  },
  {
    tool: 'qemu-system-x86_64',
    debian: 'qemu-system-x86',
    why: 'boots the virtual x86 board',
    isEssential: true,
  },
  { tool: 'readelf', debian: 'binutils', why: 'outside judge of programs for boards' },
  { tool: 'script', debian: 'bsdutils', why: 'a terminal for tests of what is printed to one' },
  { tool: 'setfacl', debian: 'acl', why: 'access control lists in archives of tests' },
  { tool: 'setfiles', debian: 'policycoreutils', why: 'outside judge of SELinux labels' },
  { tool: 'setpriv', debian: 'util-linux', why: 'a user without rights for tests of permissions' },
  { tool: 'sgdisk', debian: 'gdisk', why: 'outside judge of partition tables' },
  { tool: 'sigrok-cli', debian: 'sigrok-cli', why: 'outside judge of boot logs' },
  { tool: 'skopeo', debian: 'skopeo', why: 'outside maker of OCI images' },
  { tool: 'sqlite3', debian: 'sqlite3', why: 'outside judge of the history of boots' },
  { tool: 'umoci', debian: 'umoci', why: 'outside maker and judge of OCI images' },
  { tool: 'valgrind', debian: 'valgrind', why: 'counts the instructions of fixed work' },
  { tool: 'veritysetup', debian: 'cryptsetup-bin', why: 'makes dm-verity images to compare with' },
  { tool: 'xmllint', debian: 'libxml2-utils', why: 'outside judge of test results and pictures' },
  {
    tool: 'xz',
    debian: 'xz-utils',
    why: "unpacks the modules of Debian's kernels",
    isEssential: true,
  },
  { tool: 'zstd', debian: 'zstd', why: 'compresses the initramfs of boards that ask for it' },
];

const SEARCH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export interface SetupSettings {
  readonly print: (line: string) => void;
  /** Only the rows that the caller needs; all of them by default. */
  readonly packages?: readonly HostPackage[];
  /** Fails when an essential tool stays missing. */
  readonly isDemo?: boolean;
}

/** Installs what is missing; returns 0, or 6 when something that must be there is not. */
export function setUpHost(settings: SetupSettings): number {
  const packages = (settings.packages ?? HOST_PACKAGES).filter(
    ({ onlyOn }) => onlyOn === undefined || onlyOn === process.arch,
  );
  const missing = packages.filter((row) => !isInstalled(row.tool));
  if (missing.length === 0) return 0;
  const names = [...new Set(missing.map((row) => row.debian))].sort();
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...names];
  const prefix = rootPrefix();
  if (prefix !== undefined) {
    for (const row of missing) settings.print(`Installing ${row.debian}: ${row.why}`);
    if (install([...prefix, ...command], prefix)) return 0;
  }
  settings.print(`Missing tools: ${missing.map((row) => `${row.tool} (${row.why})`).join(', ')}`);
  settings.print(`Install them with: sudo ${command.join(' ')}`);
  const isFatal = settings.isDemo === true && missing.some((row) => row.isEssential === true);
  return isFatal ? 6 : 0;
}

/** `npm run setup`. */
export function main(): number {
  // oxlint-disable-next-line no-console -- a development script
  return setUpHost({ print: (line) => console.log(line), isDemo: true });
}

function isInstalled(tool: string): boolean {
  if (tool.startsWith('/')) return existsSync(tool);
  const dirs = [...(process.env['PATH'] ?? '').split(':'), ...SEARCH];
  return dirs.some((dir) => dir !== '' && existsSync(join(dir, tool)));
}

function rootPrefix(): string[] | undefined {
  if (!isInstalled('apt-get')) return undefined;
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
    ? ['sudo', '-n']
    : undefined;
}

function install(command: readonly string[], prefix: readonly string[]): boolean {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const attempt = (words: readonly string[]): boolean =>
    spawnSync(words[0]!, words.slice(1), {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: environment,
    }).status === 0;
  // The package lists of a fresh machine are empty or old; a machine that has them needs no network for this.
  return attempt(command) || (attempt([...prefix, 'apt-get', 'update']) && attempt(command));
}
