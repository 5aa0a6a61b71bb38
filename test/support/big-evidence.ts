/** Evidence at the size limits of a report: very many boots, stages and units, made from the samples. */
import type { Evidence, SampleSet } from '../../toolchain/budget/evidence.ts';
import { sampleEvidence } from './sample-evidence.ts';

const MS = 1e6;

/** A comparison of so many boots in each arm, with one boot of the candidate far above all others and some unended. */
export function manyBoots(boots: number): Evidence {
  const evidence = sampleEvidence({ sample: 'board-shift' });
  const [group] = evidence.groups;
  const arm = (set: SampleSet, isCandidate: boolean): SampleSet => {
    const repeat = <T>(column: readonly T[]): T[] =>
      Array.from({ length: boots }, (_, i) => column[(i * 31) % column.length]!);
    // Spread over 3 ms in an order that repeats itself late, so that few dots fall together.
    const totalsNs = repeat(set.totalsNs).map((ns, i) => {
      if (isCandidate && i === outlierOf(boots)) return 5000 * MS;
      if (isCandidate && i % 97 === 96) return null;
      return ns === null ? null : ns + ((i * 7919) % 3_000_011);
    });
    return {
      ...set,
      boots,
      totalsNs,
      releaseOf: repeat(set.releaseOf),
      specimenOf: repeat(set.specimenOf),
      measuredAt: repeat(set.measuredAt),
      stages: set.stages.map((stage) => ({ ...stage, durationsNs: repeat(stage.durationsNs) })),
    };
  };
  return {
    ...evidence,
    groups: [
      {
        ...group!,
        candidate: arm(group!.candidate, true),
        baseline: arm(group!.baseline!, false),
      },
    ],
  };
}

/** Where the far boot of `manyBoots` is. */
export function outlierOf(boots: number): number {
  return Math.floor(boots * 0.7);
}

/** One typical boot with so many stages and initcalls, some with long names. */
export function manyRows(stageCount: number, unitCount: number): Evidence {
  const evidence = sampleEvidence({ sample: 'systemd' });
  const [group] = evidence.groups;
  const { candidate } = group!;
  const totalNs = candidate.totalsNs[candidate.typical!.boot]!;
  const nameOf = (i: number): string =>
    i % 7 === 0 ? `stage-${i}-${'with-a-name-that-goes-on-'.repeat(6)}end` : `stage-${i}`;
  const at = (i: number): number => Math.round((totalNs * i) / stageCount);
  const stages = Array.from({ length: stageCount }, (_, i) => {
    return { name: nameOf(i), startNs: at(i), endNs: at(i + 1) };
  });
  const units = Array.from({ length: unitCount }, (_, i) => {
    const startNs = 100 * MS + i * 200_000;
    const endNs = startNs + ((i * 7919) % 1000) * 50_000;
    return { name: `initcall_${i}`, track: 'initcall', startNs, endNs };
  });
  const columns = stages.map(({ name, startNs, endNs }, i) => {
    const ns = endNs - startNs;
    const summary = { n: 59, minNs: ns, medianNs: ns, p95Ns: ns + i * 20_000, maxNs: ns + 9 * MS };
    return {
      name,
      budgetNs: i % 3 === 0 ? ns + MS : null,
      durationsNs: candidate.totalsNs.map(() => ns),
      summary,
    };
  });
  const typical = candidate.typical!;
  const record = { ...typical.record, stages, units };
  return {
    ...evidence,
    groups: [
      { ...group!, candidate: { ...candidate, stages: columns, typical: { ...typical, record } } },
    ],
  };
}
