/**
 * The end of the demo: a virtual ARM board and a virtual x86 board, cold-booted from the disk that `release` made.
 *
 * The system comes from Debian's packages, the kernel is Debian's own and has fs-verity; what is booted is what would
 * be flashed. A second release goes into the other slot, and one more boot shows what one changed byte of the first
 * does: the runtime refuses it with a reason code, and the other slot boots. What a boot reads is profiled, and a disk
 * in that order needs fewer reads.
 *
 * At last the boots are judged: a page for each board, and a release that is slower than the one before, whose stage
 * the report names. The pages are kept in `out/demo`, which git ignores.
 */
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BoardArchitecture } from '../board/qemu.ts';
import {
  type CommandResult,
  DemoFailure,
  type DemoSession,
  type ShownCommand,
} from './demo-session.ts';
import { boardBootset, demoBoardSystem } from './demo-board.ts';
import { ROOT } from './root.ts';

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

/** Boots each board, then the ARM board again with a changed byte and with a slower kernel; judges the boots. */
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
  await demo.session.step('Lay the disk out in the order of a boot', () => orderDisk(demo));
  await demo.session.step('Judge the boots of both boards', () => reportBoards(demo));
  await demo.session.step('Find what made a release slower', () => findSlower(demo));
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
async function boot(
  { work, coldseal }: BootDemo,
  release: string,
  records = `${release}-records`,
): Promise<BootFacts> {
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
    const { record } = await boot(demo, release, `${BOARDS[0]!.id}/tampered-records`);
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

/** What a boot reads, written down once, and a disk that has it side by side and is read ahead. */
async function orderDisk(demo: BootDemo): Promise<string> {
  const { coldseal } = demo;
  const { id } = BOARDS[0]!;
  const profile = `${id}/boot.profile`;
  await coldseal(['profile', `${id}/release`, '-o', profile]);
  const words = [
    'release',
    `${id}/BOOTSET.yaml`,
    '--keys',
    'keys/dev',
    '--fallback',
    `${id}/older`,
  ];
  await coldseal([...words, '--profile', profile, '-o', `${id}/ordered`, '--quiet'], { lines: 1 });
  const [before, after] = [
    await countReads(demo, `${id}/release`),
    await countReads(demo, `${id}/ordered`),
  ];
  if (after >= before) throw new DemoFailure(`${after} reads with the profile, ${before} without`);
  return `${before} reads of the disk without the profile, ${after} with it; the same images`;
}

/** Reads until the last first output, counted by the kernel and by QEMU in a boot of its own. */
async function countReads({ work, coldseal }: BootDemo, release: string): Promise<number> {
  const records = `${release}-counted`;
  await coldseal(['boot', release, '--io', '--out', records], { lines: 4 });
  const [line] = readFileSync(join(work, records, 'boot-records.jsonl'), 'utf8').split('\n');
  const { storage } = JSON.parse(line!) as {
    storage: { io: { readRequests: number } };
  };
  return storage.io.readRequests;
}

/** Where the pages are kept. */
const PAGES = join(ROOT, 'out/demo');

const recordsOf = (release: string): string => `${release}-records/boot-records.jsonl`;

/** A page, test results and signed evidence for each board. */
async function reportBoards({ coldseal, session }: BootDemo): Promise<string> {
  mkdirSync(PAGES, { recursive: true });
  for (const { id } of BOARDS) {
    const base = join(PAGES, id);
    const outputs = ['--html', `${base}/report.html`, '--junit', `${base}/report.xml`];
    outputs.push('--json', `${base}/evidence.json`, '--sign', 'keys/dev', '--force');
    mkdirSync(base, { recursive: true });
    await coldseal(['report', recordsOf(`${id}/release`), ...outputs], { lines: 8 });
    await coldseal(['verify', `${base}/evidence.json.cose`, '--trust', TRUST], { lines: 4 });
    session.print(`Open ${base}/report.html in a browser`);
  }
  return 'within budget on both, as far as a virtual board can tell; evidence signed';
}

/** An initcall that the shipped board file leaves out; it costs some percent of the kernel's stage. */
const PUT_BACK = 'bpf_tcp_ca_kfunc_init,';

/** One word less on the kernel's command line, as it may happen in a merge: one boot is enough to find it. */
async function findSlower(demo: BootDemo): Promise<string> {
  const { session, work, coldseal } = demo;
  const { id } = BOARDS[0]!;
  const boards = join(work, id, 'board-configs');
  mkdirSync(boards);
  const shipped = readFileSync(join(ROOT, `board-configs/${id}.yaml`), 'utf8');
  const slower = shipped.replace(`initcall_blacklist=${PUT_BACK}`, 'initcall_blacklist=');
  if (slower === shipped) throw new DemoFailure(`${PUT_BACK} is not in the board file`);
  writeFileSync(join(boards, `${id}.yaml`), slower);
  writeFileSync(join(work, id, 'slower.yaml'), boardBootset(id).replace("'1.0'", "'1.1'"));
  session.print(`# version 1.1 has one word less on the kernel's command line: ${PUT_BACK}`);
  const words = ['release', `${id}/slower.yaml`, '--keys', 'keys/dev', '-o', `${id}/slower`];
  await coldseal([...words, '--quiet'], { lines: 1 });
  await coldseal(['boot', `${id}/slower`, '--out', `${id}/slower-records`], { lines: 1 });
  const html = join(PAGES, id, 'regression.html');
  const { stdout } = await coldseal(
    [
      'report',
      recordsOf(`${id}/slower`),
      '--baseline',
      recordsOf(`${id}/release`),
      '--html',
      html,
      '--force',
    ],
    { expect: [5], lines: 8 },
  );
  const [, kernel] = /^Regression: .*kernel (\+\S+ ms \(\+[^)]*\))/s.exec(stdout) ?? [];
  if (kernel === undefined) throw new DemoFailure('the report does not name the kernel');
  session.print(`Open ${html} in a browser`);
  return `kernel ${kernel}, found with one boot; exit code 5`;
}

function inMs({ times }: BootFacts): string {
  return (times.totalNs / 1e6).toFixed(0);
}
