/**
 * What the kernel's `initcall_debug` says: how long each initcall and each probe of a device took. Pure.
 *
 * The duration is the kernel's own, not the distance of two lines, between which a slow console prints. The formats are
 * those of init/main.c, drivers/base/dd.c and kernel/async.c of Linux 4.19 to 6.12. Lines are searched without regular
 * expressions that could backtrack, since a board may have written anything.
 */
import type { MeasuredBoot } from '../measured-boot.ts';
import type { TimedLine } from './dictionary.ts';
import { rowName } from './log-input.ts';
import { BOOT_NS_MAX } from '../measured-boot.ts';

/** -EPROBE_DEFER, which probes of platform devices print without its sign. */
const DEFERRED = '517';

const AFTER = / after (\d{1,12}) (?:usecs|ns)$/;

/** Initcalls (track `initcall`) and probes (track `probe`), in the order in which they ended. */
export function initcallUnits(lines: readonly TimedLine[]): MeasuredBoot['units'] {
  const units: MeasuredBoot['units'] = [];
  const running = new Map<string, number>();
  for (const { atNs, text } of lines) {
    const called = calledName(text);
    if (called !== undefined) {
      running.set(called, atNs);
      continue;
    }
    const ended = endedCall(text);
    if (ended === undefined) continue;
    running.delete(ended.key);
    const { name, track, durationNs } = ended;
    // The stamp is cut off after microseconds, so the first initcalls may seem to begin before the clock.
    units.push({ name, track, startNs: Math.max(0, atNs - durationNs), endNs: atNs });
  }
  for (const [name, startNs] of running) {
    units.push({ name: rowName(name), track: 'initcall', startNs, endNs: null });
  }
  return units;
}

/** `calling  NAME+0x0/0x10 [module] @ 1`. */
function calledName(text: string): string | undefined {
  if (!text.startsWith('calling  ')) return undefined;
  const end = text.lastIndexOf(' @ ');
  return end < 0 ? undefined : symbolName(text.slice('calling  '.length, end));
}

interface EndedCall {
  readonly key: string;
  readonly name: string;
  readonly track: 'initcall' | 'probe';
  readonly durationNs: number;
}

/** `initcall NAME+0x0/0x10 returned 0 after 5 usecs`, `probe of DEVICE returned 0 after 5 usecs`. */
function endedCall(text: string): EndedCall | undefined {
  const isInitcall = text.startsWith('initcall ');
  const isProbe = text.startsWith('probe of ');
  if (!isInitcall && !isProbe) return undefined;
  const returned = text.indexOf(' returned ');
  const after = AFTER.exec(text.slice(-40));
  if (returned < 0 || after === null) return undefined;
  const key = symbolName(text.slice(9, returned));
  const durationNs = Number(after[1]) * (after[0].endsWith('ns') ? 1 : 1000);
  if (key === '' || durationNs > BOOT_NS_MAX) return undefined;
  const result = text.slice(returned + ' returned '.length).split(' ', 1)[0]!;
  const isDeferred = isProbe && (result === DEFERRED || result === `-${DEFERRED}`);
  return {
    key,
    name: rowName(isDeferred ? `${key} (deferred)` : key),
    track: isProbe ? 'probe' : 'initcall',
    durationNs,
  };
}

/** Without offset and size: `virtio_blk_init+0x0/0xff0 [virtio_blk]` is `virtio_blk_init [virtio_blk]`. */
function symbolName(text: string): string {
  const offset = text.indexOf('+0x');
  if (offset < 0) return text;
  const module = text.indexOf(' [', offset);
  return text.slice(0, offset) + (module < 0 ? '' : text.slice(module));
}
