/**
 * Proves a whole disk before it is flashed, or after it comes back: partition table, boot partition, file system, every
 * sealed file, every release, the slot state. Reads the image itself; nothing is mounted.
 *
 * What is wrong is collected, so that one run tells all of it. What was not looked at is listed too and is never a
 * yes: without trust the signatures, and partitions that coldseal does not know. Free space is not looked at.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { PARTITION } from '../../runtime/device-paths.ts';
import { equalBytes } from '../../runtime/format/bytes.ts';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import {
  readSlotState,
  SLOT_STATE_COPIES,
  SLOT_STATE_SPACING,
  type SlotState,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { checkFileSystem } from './check-file-system.ts';
import { checkSlots, type SlotPolicy, type SlotReport } from './check-slots.ts';
import { checkStoreFiles, type StoreContent } from './check-store-files.ts';
import { BOOT_FILE } from './disk.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { type OpenDisk, openDisk, partitionOf, readBootFiles, readPartition } from './open-disk.ts';

export interface Finding {
  /** `malformed`: not what coldseal writes, exit code 4. `damage`: content that is not right, exit code 3. */
  readonly kind: 'malformed' | 'damage';
  readonly where: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

export interface CheckDiskOptions {
  /** Whom to believe; without it signatures are not evaluated. */
  readonly policy: SlotPolicy | undefined;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface DiskReport {
  readonly size: number;
  readonly partitions: readonly { name: string; offset: number; size: number }[];
  readonly bootFiles: readonly { name: string; size: number; sha256: string }[];
  readonly sealed: { readonly files: number; readonly bytes: number };
  readonly slots: readonly SlotReport[];
  readonly state: SlotState | undefined;
  readonly findings: readonly Finding[];
  readonly notEvaluated: readonly string[];
}

/** Collects what is wrong instead of stopping at it. */
export class Findings {
  readonly list: Finding[] = [];

  /** Runs one step; a no of VERIFY_* or FORMAT_* is written down, trouble of the host is thrown. */
  async collect<T>(
    where: string,
    kind: Finding['kind'],
    step: () => T | Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      this.add(where, kind, error);
      return undefined;
    }
  }

  add(where: string, kind: Finding['kind'], error: unknown): void {
    if (!(error instanceof ColdsealError) || !/^(VERIFY|FORMAT)_/.test(error.code)) throw error;
    const { code, message, hint } = error;
    this.list.push({ where, kind, code, message, hint });
  }
}

/** Checks a disk image or device. Only trouble of the host throws. */
export async function checkDisk(path: string, options: CheckDiskOptions): Promise<DiskReport> {
  const findings = new Findings();
  using disk = await findings.collect('partition table', 'malformed', () => openDisk(path));
  if (disk === undefined)
    return reportOf({ size: fileSize(path), partitions: [] }, findings, false);
  const bootFiles = await findings.collect('boot partition', 'malformed', () =>
    readBootFiles(disk),
  );
  const content = await checkStore(disk, findings, options);
  const state = await findings.collect('slot state', 'malformed', () => checkState(disk, findings));
  const slots = content === undefined ? [] : checkSlots(content, options.policy, findings);
  const known = new Set<string>(Object.values(PARTITION));
  const notEvaluated = disk.partitions
    .filter(({ name }) => !known.has(name))
    .map(({ name }) => `partition ${name}`);
  if (content === undefined) notEvaluated.push('files and releases of the store, and e2fsck');
  if (slots.length > 0 && options.policy === undefined)
    notEvaluated.push('signatures (no --trust)');
  notEvaluated.push(
    'board, epochs, algorithms and deny list versions: the policy in the initramfs decides',
  );
  if (bootFiles !== undefined) {
    const binding = checkBinding(bootFiles, slots, state, findings);
    if (binding !== undefined) notEvaluated.push(binding);
  }
  return {
    ...reportOf(disk, findings),
    ...bootPart(bootFiles),
    sealed: sealedPart(content),
    slots,
    state,
    notEvaluated,
  };
}

/** The exit code of a report: 4 for a malformed disk, 3 for damage. */
export function diskExitCode({ findings }: Pick<DiskReport, 'findings'>): 0 | 3 | 4 {
  if (findings.some(({ kind }) => kind === 'malformed')) return 4;
  return findings.length > 0 ? 3 : 0;
}

function reportOf(
  disk: Pick<OpenDisk, 'size' | 'partitions'>,
  findings: Findings,
  hasTable = true,
): DiskReport {
  return {
    size: disk.size,
    partitions: disk.partitions.map(({ name, offset, size }) => ({ name, offset, size })),
    bootFiles: [],
    sealed: { files: 0, bytes: 0 },
    slots: [],
    state: undefined,
    findings: findings.list,
    notEvaluated: hasTable ? [] : ['everything behind the partition table'],
  };
}

/** Of a file; a device without a table has none that would say anything. */
function fileSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function bootPart(
  files: ReadonlyMap<string, Uint8Array> | undefined,
): Pick<DiskReport, 'bootFiles'> {
  const bootFiles = [...(files ?? [])].map(([name, bytes]) => {
    return { name, size: bytes.length, sha256: sha256Of(bytes).toString('hex') };
  });
  return { bootFiles };
}

function sealedPart(content: StoreContent | undefined): DiskReport['sealed'] {
  const good = [...(content?.sealed.values() ?? [])];
  return { files: good.length, bytes: good.reduce((sum, { size }) => sum + size, 0) };
}

async function checkStore(
  disk: OpenDisk,
  findings: Findings,
  options: CheckDiskOptions,
): Promise<StoreContent | undefined> {
  const where = 'store';
  const partition = await findings.collect(where, 'malformed', () =>
    partitionOf(disk, PARTITION.STORE),
  );
  if (partition === undefined) return undefined;
  const content = await findings.collect(where, 'malformed', () => {
    const reader = new Ext4Reader(readPartition(disk, partition), partition.size);
    return checkStoreFiles(reader, findings, options);
  });
  // e2fsck is not made for hostile bytes: group descriptors of zeros keep it busy for hours.
  if (content !== undefined) {
    await findings.collect(where, 'malformed', () =>
      checkFileSystem(disk.path, partition.offset, options.signal),
    );
  }
  return content;
}

function checkState(disk: OpenDisk, findings: Findings): SlotState | undefined {
  const partition = partitionOf(disk, PARTITION.STATE);
  const read = readPartition(disk, partition);
  const copies = Array.from({ length: SLOT_STATE_COPIES }, (_, index) => {
    return read(index * SLOT_STATE_SPACING, SlotStateRecord.size);
  });
  const { state, damage } = readSlotState(copies, createNodeCrypto().sha256);
  for (const error of damage) findings.add('slot state', 'damage', error);
  return state;
}

/** Only the active slot's manifest binds the files: one boot partition serves every slot. */
function checkBinding(
  files: ReadonlyMap<string, Uint8Array>,
  slots: readonly SlotReport[],
  state: SlotState | undefined,
  findings: Findings,
): string | undefined {
  const active = state?.active === 2 ? 'b' : 'a';
  const manifest = slots.find(({ slot }) => slot === active)?.manifest;
  if (manifest === undefined) return `boot files (slot ${active} has no manifest to believe)`;
  const { bootBinding: binding } = manifest;
  if (binding === undefined) return `boot files (the manifest of slot ${active} binds none)`;
  for (const [part, name] of Object.entries(BOOT_FILE)) {
    const expected = binding[part as keyof typeof BOOT_FILE];
    if (expected === undefined) continue;
    const bytes = files.get(name);
    const problem =
      bytes === undefined
        ? new ColdsealError('VERIFY_BOOT_FILE_MISSING', `Cannot find ${name} on the boot partition`)
        : equalBytes(sha256Of(bytes), expected)
          ? undefined
          : new ColdsealError(
              'VERIFY_BOOT_FILE',
              `Cannot accept ${name} of the boot partition: it is not what the manifest of slot ${active} binds`,
            );
    if (problem !== undefined) findings.add('boot partition', 'damage', problem);
  }
  return undefined;
}

function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
