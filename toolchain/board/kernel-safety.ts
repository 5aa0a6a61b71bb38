/**
 * Kernel options that let somebody around what the boot has verified.
 *
 * The runtime verifies what starts; these decide whether root, or a flaw in a program, can change the kernel
 * afterwards.
 * The KSPP's list is longer: here is what touches the promise that only signed code runs.
 */
import { hasWord, isArch, isProduction, keepsSignatures, type KernelRule } from './kernel-rule.ts';

const KSPP = 'kspp.github.io/Recommended_Settings';

export const KERNEL_SAFETY: readonly KernelRule[] = [
  // New code in the kernel.
  {
    option: 'MODULE_SIG_FORCE',
    onlyWith: 'MODULES',
    wanted: 'on',
    why: 'root can load a module that nobody signed, unless the command line says module.sig_enforce=1',
    source: KSPP,
    when: (board) => keepsSignatures(board) && !hasWord(/^module\.sig_enforce=1$/)(board),
  },
  {
    option: 'KEXEC',
    wanted: 'off',
    why: 'root can start another kernel without any signature',
    source: KSPP,
  },
  {
    option: 'KEXEC_FILE',
    or: ['KEXEC_SIG_FORCE'],
    wanted: 'off',
    why: 'root can start another kernel; with KEXEC_SIG_FORCE at least a signed one',
    source: KSPP,
  },
  {
    option: 'HIBERNATION',
    wanted: 'off',
    why: 'resuming loads a kernel image from a disk that nobody checks',
    source: KSPP,
  },
  {
    option: 'SECURITY_LOCKDOWN_LSM',
    wanted: 'on',
    why: 'nothing keeps root from changing the running kernel',
    source: 'kernel_lockdown(7)',
  },
  {
    option: 'LOCK_DOWN_KERNEL_FORCE_INTEGRITY',
    onlyWith: 'SECURITY_LOCKDOWN_LSM',
    or: ['LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY'],
    wanted: 'on',
    why: 'lockdown is off unless the command line says lockdown=integrity',
    source: 'kernel_lockdown(7)',
    when: (board) => keepsSignatures(board) && !hasWord(/^lockdown=/)(board),
  },
  {
    option: 'BPF_UNPRIV_DEFAULT_OFF',
    onlyWith: 'BPF_SYSCALL',
    wanted: 'on',
    why: 'any program can load BPF into the kernel',
    source: KSPP,
  },

  // The kernel's memory.
  {
    option: 'STRICT_KERNEL_RWX',
    wanted: 'on',
    why: "the kernel's code stays writable",
    source: KSPP,
  },
  {
    option: 'STRICT_MODULE_RWX',
    onlyWith: 'MODULES',
    wanted: 'on',
    why: "the modules' code stays writable",
    source: KSPP,
  },
  {
    option: 'DEVMEM',
    wanted: 'off',
    why: '/dev/mem lets root read and write memory',
    source: KSPP,
  },
  {
    option: 'DEVPORT',
    wanted: 'off',
    why: '/dev/port lets root talk to the hardware directly',
    source: KSPP,
    when: isArch('x86_64'),
  },
  {
    option: 'PROC_KCORE',
    wanted: 'off',
    why: "/proc/kcore shows the kernel's memory to root",
    source: KSPP,
  },
  {
    option: 'PROC_MEM_ALWAYS_FORCE',
    wanted: 'off',
    why: '/proc/PID/mem writes over read-only pages, which fs-verity has let in; set PROC_MEM_NO_FORCE',
    source: 'security/Kconfig, Linux 6.12',
  },
  {
    option: 'DEBUG_FS',
    or: ['DEBUG_FS_ALLOW_NONE'],
    wanted: 'off',
    why: 'debugfs opens doors into drivers; with DEBUG_FS_ALLOW_NONE they stay shut',
    source: KSPP,
  },
  {
    option: 'RANDOMIZE_BASE',
    wanted: 'on',
    why: 'the kernel is always at the same address',
    source: KSPP,
  },
  {
    option: 'STACKPROTECTOR_STRONG',
    wanted: 'on',
    why: 'overflows of the stack go unnoticed',
    source: KSPP,
  },
  {
    option: 'HARDENED_USERCOPY',
    wanted: 'on',
    why: 'copies to and from programs are not bounded',
    source: KSPP,
  },
  {
    option: 'FORTIFY_SOURCE',
    wanted: 'on',
    why: 'overflows of known buffers go unnoticed',
    source: KSPP,
  },
  {
    option: 'INIT_STACK_ALL_ZERO',
    wanted: 'on',
    why: 'uninitialised variables hold old data',
    source: KSPP,
  },

  // Under and beside fs-verity.
  {
    option: 'BLK_DEV_WRITE_MOUNTED',
    wanted: 'off',
    why: 'root can change the metadata of the mounted store on its partition',
    source: 'block/Kconfig, Linux 6.8',
  },
  {
    option: 'SECURITY_IPE',
    wanted: 'on',
    why: 'the kernel itself cannot be told to run verified files only',
    source: 'Documentation/admin-guide/LSM/ipe.rst, Linux 6.12',
  },
  {
    option: 'IPE_PROP_FS_VERITY',
    onlyWith: 'SECURITY_IPE',
    wanted: 'on',
    why: 'an IPE policy cannot ask for an fs-verity digest',
    source: 'Documentation/admin-guide/LSM/ipe.rst, Linux 6.12',
  },
  {
    option: 'FS_VERITY_BUILTIN_SIGNATURES',
    wanted: 'off',
    why: "coldseal signs digests in the manifest, and the kernel's own check parses PKCS#7 for nothing",
    source: 'Documentation/filesystems/fsverity.rst advises against built-in signatures',
    when: isProduction,
  },
  {
    option: 'EROFS_FS_ONDEMAND',
    wanted: 'off',
    why: 'images over fscache: deprecated code that no board here uses',
    source: 'fs/erofs/Kconfig',
  },

  // The console of a board that left the house.
  {
    option: 'MAGIC_SYSRQ_SERIAL',
    wanted: 'off',
    why: 'a break on the serial line reaches SysRq: kill, dump, restart',
    source: 'Documentation/admin-guide/sysrq.rst',
    when: isProduction,
  },
];
