/** A comparison as measuring would give it: every layout, figures that differ, names as given. */
import { LAYOUTS } from '../../toolchain/layouts/layouts.ts';
import type { Figure, LayoutResult, LayoutsDocument } from '../../toolchain/layouts/result.ts';

export interface SampleNames {
  readonly tree?: string;
  readonly paths?: readonly string[];
  readonly kernel?: string;
}

const figure = (ns: number, reads: number): Figure => ({
  ns,
  reads,
  readBytes: reads * 4096,
  modelledNs: reads * 10_240,
});

/** The figures of layout `at`: those of `ls -lR` are 10 ms and 4 ms for the first, 1 ms more for each other. */
function resultOf(at: number): LayoutResult {
  const { id, title, verifiesData, verifiesMetadata } = LAYOUTS[at]!;
  const ms = (value: number): number => Math.round((value + at) * 1e6);
  return {
    id,
    title,
    verifiesData,
    verifiesMetadata,
    keepsMetadata: id !== 'symlinks',
    buildMs: 1000 + at,
    bytes: { one: 50_000_000 + at, all: (at + 1) * 55_000_000 },
    mount: figure(1_200_000 + at, 8),
    list: { cold: figure(ms(10), 100 + at), warm: figure(ms(4), 0) },
    stat: { cold: figure(ms(30), 90 + at), warm: figure(ms(20), 0) },
    startup: { cold: figure(ms(70), 80 + at), warm: figure(ms(60), 0) },
    other: figure(ms(65), 3),
    cache: { first: 9_000_000 + at, other: at === 0 ? -4096 : 4096 * at },
  };
}

/** The document of some layouts, by default all. */
export function sampleLayouts(names: SampleNames = {}, count = LAYOUTS.length): LayoutsDocument {
  return {
    kind: 'coldseal-layouts',
    schema: 1,
    tool: { name: 'coldseal', version: '0.1.0' },
    tree: {
      name: names.tree ?? 'rootfs',
      files: 4000,
      directories: 300,
      links: 200,
      others: 1,
      bytes: 140_000_000,
      sum: '0123456789abcdef',
    },
    images: { count: 5, changed: 200, added: 200 },
    seed: 1,
    startup: {
      from: 'names',
      bytes: 9_000_000,
      paths: names.paths ?? ['/usr/lib/ld-linux-aarch64.so.1', '/usr/bin/bash'],
    },
    statFiles: 1000,
    board: {
      id: 'qemu-aarch64',
      architecture: 'aarch64',
      machine: 'virt',
      cpu: 'cortex-a53',
      memoryMiB: 1024,
      emulator: 'qemu-system-aarch64 7.2.22',
      kernel: names.kernel ?? '6.12.107+deb13-cloud-arm64',
    },
    storage: {
      board: 'nxp-imx8mp-evk',
      kind: 'emmc-hs400',
      mbPerS: 400,
      evidence: 'ceiling, device-tree',
      latencyUs: null,
    },
    runs: { count: 2, largestDifference: 0.0012 },
    layouts: LAYOUTS.slice(0, count).map((_, at) => resultOf(at)),
  };
}
