/**
 * The end of the demo: a virtual ARM board and a virtual x86 board, cold-booted from the disk that `release` made.
 *
 * The system comes from Debian's packages, the kernel is Debian's own and has fs-verity; what is booted is what would
 * be flashed. A second release goes into the other slot, and the last boot shows what one changed byte of the first
 * does: the runtime refuses it with a reason code, and the other slot boots.
 */
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BoardArchitecture } from '../board/qemu.ts';
import {
  type CommandResult,
  DemoFailure,
  type DemoSession,
  type ShownCommand,
} from './demo-session.ts';
import { boardBootset, demoBoardSystem } from './demo-board.ts';

/** The boards, in the order of their boots. */
const BOARDS: readonly { readonly architecture: BoardArchitecture; readonly id: string }[] = [
  { architecture: 'aarch64', id: 'qemu-aarch64' },
  { architecture: 'x86_64', id: 'qemu-x86_64' },
];

type Coldseal = (
  words: readonly string[],
  settings?: Pick<ShownCommand, 'expect' | 'lines'>,
) => Promise<CommandResult>;

/** Where the steps happen: the directory of the session, and how it runs coldseal there. */
export interface BootDemo {
  readonly session: DemoSession;
  readonly work: string;
  readonly coldseal: Coldseal;
}

/** The facts of a boot that the demo looks at. */
interface BootFacts {
  readonly record: {
    readonly slot: string | null;
    readonly attempts: readonly { readonly reason: { readonly code: string } | null }[];
    readonly images: readonly { readonly measured: string; readonly fileVerity: string }[];
  };
  readonly times: { readonly totalNs: number };
}

/** Boots each board, then the ARM board again with a changed byte. */
export async function bootBoards(demo: BootDemo): Promise<void> {
  for (const { architecture, id } of BOARDS) {
    await demo.session.step(`Boot ${id} from its disk`, async () => {
      await makeRelease(demo, architecture, id);
      await demo.coldseal(['disk', 'check', `${id}/release/disk.img`, '--trust', TRUST], {
        lines: 12,
      });
      const facts = await boot(demo, `${id}/release`);
      const { slot, images } = facts.record;
      const isEnforced = images.every(
        ({ measured, fileVerity }) => measured === 'kernel-measured' && fileVerity === 'required',
      );
      if (slot !== 'a' || !isEnforced)
        throw new DemoFailure('it did not boot as signed and sealed');
      return `container's first output ${inMs(facts)} ms after reset; fs-verity enforced by the kernel`;
    });
  }
  await demo.session.step('Boot with one changed byte', () => bootTampered(demo));
}

const TRUST = 'keys/dev/root.cert.pem';

async function makeRelease(
  demo: BootDemo,
  architecture: BoardArchitecture,
  id: string,
): Promise<void> {
  const { session, work, coldseal } = demo;
  const directory = join(work, id);
  session.print(
    `Taking crun, busybox and their libraries from Debian's packages for ${architecture}`,
  );
  const { packages } = await demoBoardSystem(directory, { architecture });
  session.print(packages.map(({ name, version }) => `${name} ${version}`).join(', '));
  const bootset = boardBootset(id);
  // The fallback is an older release of the same product.
  writeFileSync(join(directory, 'older.yaml'), bootset.replace("'1.0'", "'0.9'"));
  writeFileSync(join(directory, 'BOOTSET.yaml'), bootset);
  const keys = ['--keys', 'keys/dev'];
  await coldseal(
    ['release', `${id}/older.yaml`, ...keys, '--no-disk', '-o', `${id}/older`, '--quiet'],
    {
      lines: 1,
    },
  );
  const words = ['release', `${id}/BOOTSET.yaml`, ...keys, '--fallback', `${id}/older`];
  await coldseal([...words, '-o', `${id}/release`]);
}

/** Shows a boot, and reads its record. */
async function boot({ work, coldseal }: BootDemo, release: string): Promise<BootFacts> {
  const records = `${release}-records`;
  await coldseal(['boot', release, '--out', records]);
  const lines = readFileSync(join(work, records, 'boot-records.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return JSON.parse(lines.at(-1)!) as BootFacts;
}

async function bootTampered(demo: BootDemo): Promise<string> {
  const { session, work } = demo;
  const release = `${BOARDS[0]!.id}/release`;
  const disk = join(work, release, 'disk.img');
  const manifest = readFileSync(join(work, release, 'manifest.cose'));
  copyFileSync(disk, `${disk}.aside`);
  try {
    const bytes = readFileSync(disk);
    const at = bytes.indexOf(manifest);
    if (at < 0) throw new DemoFailure('the manifest of slot a is not on the disk in one piece');
    bytes[at + manifest.length - 1]! ^= 1;
    writeFileSync(disk, bytes);
    session.print('# one bit of the signature in slot a is turned over, on the disk');
    const { record } = await boot(demo, release);
    const code = record.attempts[0]?.reason?.code;
    if (code !== 'VERIFY_SIGNATURE' || record.slot !== 'b') {
      throw new DemoFailure(`slot ${record.slot} booted, slot a said ${code}`);
    }
    return `slot a refused with ${code}, slot b booted`;
  } finally {
    rmSync(disk);
    renameSync(`${disk}.aside`, disk);
  }
}

function inMs({ times }: BootFacts): string {
  return (times.totalNs / 1e6).toFixed(0);
}
