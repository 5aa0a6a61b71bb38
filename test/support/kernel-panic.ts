/**
 * Kernels that die by themselves: QEMU 7.2 on a busy machine, x86-64, was seen to bring about an exception in a kernel
 * about once in a hundred boots, and not again from the same disk.
 *
 * A boot with such an end is written down and made once more from the same state. What a disk, a runtime or a test
 * brings about happens the second time as well, and a second panic of whatever kind is a failure.
 */
const PANIC = /Kernel panic - not syncing: Fatal exception/;

/** Whether a console shows a kernel that died of an exception. A kernel whose init ended panics in other words. */
export const hasPanicked = (console: string): boolean => PANIC.test(console);

/** A board whose kernel died. It shows the whole console: a panic says why long before its last line. */
export class KernelPanic extends Error {
  override readonly name = 'KernelPanic';
  readonly console: string;

  constructor(console: string) {
    super(`the kernel of the board died:\n${console}`);
    this.console = console;
  }
}

/** Runs `boot`; once more when the kernel died of an exception of its own. `onPanic` gets the console. */
export async function againAfterPanic<T>(
  boot: () => Promise<T>,
  onPanic: (console: string) => void,
): Promise<T> {
  try {
    return await boot();
  } catch (error) {
    if (!(error instanceof KernelPanic)) throw error;
    onPanic(error.console);
    return boot();
  }
}
