/** `coldseal disk check`: proves a disk before it is flashed, or a device that was. */
import type { DiskReport, Finding } from '../disk/check-disk.ts';
import type { SlotPolicy } from '../disk/check-slots.ts';
import { defineCommand, RELEASE_WITH_DISK } from '../cli/command.ts';
import { toHex } from '../../runtime/format/bytes.ts';

const ROLES = [1, 2, 3, 4] as const;

export const diskCheck = defineCommand({
  name: 'disk check',
  summary: 'Check a disk: partitions, file systems, every sealed file, every release',
  description: `Reads DISK without mounting it. The partition table and its second copy must agree, e2fsck must find
the store clean, and every sealed file is hashed again: its data, its Merkle tree and its descriptor. The release of
each slot must have all its images and objects, the slot state must be valid, and the boot files must be those that
the active slot's manifest binds.

With --trust, each manifest's signature is verified with the device's own code. Whether its board, its epochs and its
algorithm are allowed is for the policy in the initramfs, and is reported as not evaluated; so are signatures without
--trust. Free space is not looked at.`,
  args: [{ name: 'disk', help: 'disk image or block device' }],
  options: {
    trust: {
      flag: '--trust <file>',
      help: 'PEM roots or trust bundle to verify the manifests against',
    },
  },
  examples: [
    {
      run: 'coldseal disk check release/disk.img --trust keys/dev/root.cert.pem',
      note: 'Check the disk of a release, signatures included',
      needs: 'tools',
      before: RELEASE_WITH_DISK,
    },
  ],
  exitCodes: { 3: 'something on the disk is not right', 4: 'the disk is malformed' },
  async run({ args: [path], options, output }) {
    const { checkDisk, diskExitCode } = await import('../disk/check-disk.ts');
    const policy = options.trust === undefined ? undefined : await policyOf(options.trust);
    const bar = output.progress('Hashing sealed files', { unit: 'bytes' });
    const report = await checkDisk(path, {
      policy,
      onProgress: (done, total) => bar.update(done, total),
      signal: output.interrupted,
    }).finally(() => bar.done());
    const code = diskExitCode(report);
    for (const line of textReport(path, report)) output.line(line);
    output.result(jsonReport(report), { ok: code === 0 });
    return code;
  },
});

/** Everything that a trust file allows: which board it is for is not a disk's question. */
async function policyOf(trust: string): Promise<SlotPolicy> {
  const { loadTrust } = await import('../sign/trust-file.ts');
  const { COSE_ALGORITHMS } = await import('../../runtime/format/envelope.ts');
  return {
    anchors: loadTrust(trust),
    algorithms: [...COSE_ALGORITHMS.keys()],
    roles: ROLES,
    product: undefined,
    board: undefined,
    epochs: new Map(),
    denyVersion: 0,
    checkTime: undefined,
  };
}

function textReport(path: string, report: DiskReport): string[] {
  const { findings, sealed, slots, notEvaluated, state } = report;
  const bad = findings.length;
  return [
    bad === 0
      ? `good: ${sealed.files} sealed files, ${sealed.bytes} bytes on ${path}`
      : `NOT good: ${bad} ${bad === 1 ? 'problem' : 'problems'} on ${path}`,
    ...findings.map(findingLine),
    ...report.partitions.map(({ name, offset, size }) => {
      return `partition     ${name}: ${size} bytes at ${offset}`;
    }),
    ...report.bootFiles.map(
      ({ name, size, sha256 }) => `boot file     ${name}: ${size} bytes, ${sha256}`,
    ),
    ...slots.map(({ slot, ok, signature, manifest, objects }) => {
      const release = manifest === undefined ? '' : ` ${manifest.product} ${manifest.version},`;
      return `slot ${slot.padEnd(9)}${ok ? 'good' : 'NOT good'},${release} ${objects} objects, signature ${signature}`;
    }),
    ...(state === undefined
      ? []
      : [
          `slot state    active ${state.active === 2 ? 'b' : 'a'}, tries a ${state.triesA}, b ${state.triesB}`,
        ]),
    ...notEvaluated.map((what) => `not evaluated ${what}`),
  ];
}

function findingLine({ where, code, message, hint }: Finding): string {
  return `${where}: ${message} (${code})${hint === undefined ? '' : `: ${hint}`}`;
}

function jsonReport(report: DiskReport): object {
  const { state, slots } = report;
  return {
    ...report,
    state:
      state === undefined
        ? null
        : { active: state.active === 2 ? 'b' : 'a', triesA: state.triesA, triesB: state.triesB },
    slots: slots.map(({ slot, ok, signature, objects, manifest }) => ({
      slot,
      ok,
      signature,
      objects,
      releaseId: manifest === undefined ? null : toHex(manifest.releaseId),
      version: manifest?.version ?? null,
    })),
  };
}
