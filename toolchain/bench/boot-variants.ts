/**
 * The ways in which the case `boot` boots the demo's system: each board as Debian's kernel comes, then one change after
 * the other up to the shipped board file, then what would be left out beyond that.
 *
 * A variant is the shipped board file with some settings replaced, so that what both have is never told twice.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { BoardArchitecture } from '../board/qemu.ts';
import { ROOT } from '../dev/root.ts';

export interface BootVariant {
  readonly board: keyof typeof BOARDS;
  /** Unique among those of its board. */
  readonly name: string;
  readonly what: string;
  /** Settings by path, such as `kernel.load`; the others are those of the shipped file. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export const BOARDS = {
  'qemu-aarch64': 'aarch64',
  'qemu-x86_64': 'x86_64',
} as const satisfies Record<string, BoardArchitecture>;

const PLAIN = { 'qemu-aarch64': 'console=ttyAMA0', 'qemu-x86_64': 'console=ttyS0' } as const;
const PLAIN_MODULES = ['virtio_blk', 'erofs', 'overlay'];

type Settings = BootVariant['settings'];

/** Debian's kernel with nothing said to it but what every board says. */
function stock(board: BootVariant['board'], words = ''): Settings {
  return {
    'kernel.load': PLAIN_MODULES,
    'kernel.module_signatures': 'keep',
    'kernel.command_line': `${PLAIN[board]} quiet panic=-1${words}`,
  };
}

/** Leaves out more initcalls than the shipped board file, which stops where safety would be lost. */
function without(board: BootVariant['board'], initcalls: string): Settings {
  const line = shippedBoard(board).getIn(['kernel', 'command_line']) as string;
  const key = 'initcall_blacklist=';
  return { 'kernel.command_line': line.replace(key, `${key}${initcalls},`) };
}

const UNSAFE = 'load_system_certificate_list,jent_mod_init';

/** Every variant, in the order they are measured. */
export function bootVariants(): BootVariant[] {
  const boards = Object.keys(BOARDS) as BootVariant['board'][];
  return boards.flatMap((board) => [
    { board, name: 'stock', what: 'as Debian has it', settings: stock(board) },
    {
      board,
      name: 'stripped',
      what: 'module signatures cut off',
      settings: { ...stock(board), 'kernel.module_signatures': 'strip' },
    },
    {
      board,
      name: 'untested',
      what: 'and no self-tests of ciphers',
      settings: { ...stock(board, ' cryptomgr.notests'), 'kernel.module_signatures': 'strip' },
    },
    { board, name: 'shipped', what: 'the shipped board file', settings: {} },
    {
      board,
      name: 'signed',
      what: 'the same with signed modules',
      settings: { 'kernel.module_signatures': 'keep' },
    },
    {
      board,
      name: 'bare',
      what: 'and without keys and jitter',
      settings: without(board, UNSAFE),
    },
    ...(board === 'qemu-x86_64'
      ? [
          {
            board,
            name: 'unpacked',
            what: 'shipped, kernel unpacked before',
            settings: { 'virtual.unpack_kernel': true },
          },
        ]
      : []),
  ]);
}

/** The identifier of a variant's board, which is its file's name. */
export const variantId = ({ board, name }: BootVariant): string => `${board}-${name}`;

/** The text of a variant's board file. The bench holds no stage against a budget, so it has none. */
export function variantBoard(variant: BootVariant): string {
  const document = shippedBoard(variant.board);
  document.set('id', variantId(variant));
  document.set('budget', { total_ms: 60_000 });
  for (const [path, value] of Object.entries(variant.settings)) {
    document.setIn(path.split('.'), value);
  }
  return document.toString();
}

function shippedBoard(board: BootVariant['board']): ReturnType<typeof parseDocument> {
  return parseDocument(readFileSync(join(ROOT, `board-configs/${board}.yaml`), 'utf8'));
}
