/** Kernel options that cost time on the way to the containers, or make every read slower. */
import type { Board } from './board-shape.ts';
import { hasWord, isArch, keepsSignatures, type KernelRule } from './kernel-rule.ts';

const KCONFIG_DEBUG = 'lib/Kconfig.debug';

/** What a module costs; the measurements are in docs/boot-time.md. */
export function moduleCost(board: Board): string {
  return keepsSignatures(board)
    ? 'each module costs 25 to 100 ms on a virtual board, mostly for its signature (kernel.module_signatures)'
    : 'each module costs 1 to 15 ms on a virtual board';
}

/** The least memory with which setting up the map of pages is felt. */
const LARGE_MEMORY_MB = 4096;

const sanitizer = (option: string, what: string): KernelRule => ({
  option,
  wanted: 'off',
  why: `${what}; for finding bugs, many times slower`,
  source: KCONFIG_DEBUG,
});

const selfTest = (option: string, what: string, source = KCONFIG_DEBUG): KernelRule => ({
  option,
  wanted: 'off',
  why: `tests ${what} on every boot`,
  source,
});

export const KERNEL_TIME: readonly KernelRule[] = [
  // Hashing: every block of images and objects goes through it.
  {
    option: 'CRYPTO_SHA2_ARM64_CE',
    module: 'sha2_ce',
    or: ['CRYPTO_LIB_SHA256_ARCH'],
    wanted: 'on',
    why: "fs-verity hashes without the processor's SHA-256 instructions",
    source: 'arch/arm64/crypto/Kconfig; the crypto API takes the best one that is loaded',
    when: (board) =>
      isArch('aarch64')(board) && !board.cpu.some(({ sha256 }) => sha256?.value === false),
  },
  {
    option: 'CRYPTO_SHA256_ARM64',
    module: 'sha256_arm64',
    or: ['CRYPTO_SHA2_ARM64_CE', 'CRYPTO_LIB_SHA256_ARCH'],
    wanted: 'on',
    why: 'fs-verity hashes in plain C; the assembler version suits processors without SHA-256 instructions',
    source: 'arch/arm64/crypto/Kconfig',
    when: (board) => board.cpu.some(({ sha256 }) => sha256?.value === false),
  },
  {
    option: 'CRYPTO_SHA256_SSSE3',
    module: 'sha256_ssse3',
    or: ['CRYPTO_LIB_SHA256_ARCH'],
    wanted: 'on',
    why: 'fs-verity hashes without SHA-NI or AVX',
    source: 'arch/x86/crypto/Kconfig; the crypto API takes the best one that is loaded',
    when: isArch('x86_64'),
  },

  // Tests and checks that run while booting.
  selfTest('CRYPTO_MANAGER_EXTRA_TESTS', 'every cipher at length', 'crypto/Kconfig'),
  {
    option: 'CRYPTO_MANAGER_DISABLE_TESTS',
    wanted: 'on',
    why: 'each cipher is tested when it is registered, unless the command line says cryptomgr.notests',
    source: 'crypto/Kconfig',
    // The option was turned round later; a kernel with the new one does not have this one.
    or: ['CRYPTO_LIB_SHA512'],
    when: (board) => !hasWord(/^cryptomgr\.notests$/)(board),
  },
  selfTest('CRYPTO_SELFTESTS', 'each cipher when it is registered', 'crypto/Kconfig'),
  selfTest('FTRACE_STARTUP_TEST', 'every tracer', 'kernel/trace/Kconfig'),
  selfTest('DEBUG_LOCKING_API_SELFTESTS', 'the locks'),
  selfTest('DEBUG_TEST_DRIVER_REMOVE', 'binding every driver twice', 'drivers/base/Kconfig'),
  selfTest('KUNIT', 'whatever has a test built in', 'lib/kunit/Kconfig'),

  // Slower at everything.
  sanitizer('KASAN', 'checks every memory access'),
  sanitizer('KMSAN', 'follows uninitialised memory'),
  sanitizer('KCSAN', 'watches for data races'),
  sanitizer('UBSAN', 'checks for undefined behaviour'),
  sanitizer('PROVE_LOCKING', 'follows every lock (lockdep)'),
  sanitizer('DEBUG_LOCK_ALLOC', 'follows every lock (lockdep)'),
  sanitizer('DEBUG_KMEMLEAK', 'looks for leaked memory'),
  sanitizer('DEBUG_OBJECTS', 'follows the life of objects'),
  sanitizer('DEBUG_PAGEALLOC_ENABLE_DEFAULT', 'unmaps every page that is freed'),
  {
    option: 'SLUB_DEBUG_ON',
    wanted: 'off',
    why: 'fills and checks every allocation; slub_debug on the command line does it when wanted',
    source: 'mm/Kconfig.debug',
  },
  {
    option: 'EXT4_DEBUG',
    wanted: 'off',
    why: "debugging of the store's file system",
    source: 'fs/ext4/Kconfig',
  },

  // Work of the boot itself.
  {
    option: 'DEFERRED_STRUCT_PAGE_INIT',
    wanted: 'on',
    why: 'the map of all memory is set up by one processor before the others start',
    source: 'mm/Kconfig',
    when: ({ ram_mb: ram }) => ram !== undefined && ram.value >= LARGE_MEMORY_MB,
  },
  {
    option: 'KERNEL_XZ',
    wanted: 'off',
    why: 'the kernel takes long to unpack itself; LZ4 or Zstandard take a fraction',
    source: 'init/Kconfig',
    when: isArch('x86_64'),
  },
  {
    option: 'KERNEL_LZMA',
    wanted: 'off',
    why: 'the kernel takes long to unpack itself; LZ4 or Zstandard take a fraction',
    source: 'init/Kconfig',
    when: isArch('x86_64'),
  },
  {
    option: 'KERNEL_BZIP2',
    wanted: 'off',
    why: 'the kernel takes long to unpack itself; LZ4 or Zstandard take a fraction',
    source: 'init/Kconfig',
    when: isArch('x86_64'),
  },
  {
    option: 'KERNEL_GZIP',
    wanted: 'off',
    why: 'LZ4 unpacks faster',
    source: 'init/Kconfig',
    when: isArch('x86_64'),
  },
  {
    option: 'RAID6_PQ_BENCHMARK',
    onlyWith: 'RAID6_PQ',
    wanted: 'off',
    why: 'RAID 6, which btrfs brings in, measures its algorithms on every boot',
    source: 'lib/Kconfig',
  },
];
