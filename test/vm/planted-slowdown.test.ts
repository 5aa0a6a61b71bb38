/**
 * A slowdown of one stage is found and named with one virtual run: a runtime that does idle work in its stage `verify`,
 * as much as makes the stage 5 % longer, on a real boot of the virtual ARM board.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeJournal } from '../../toolchain/board/boot-journal.ts';
import { bootRelease } from '../../toolchain/board/virtual.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { evidenceText } from '../../toolchain/budget/evidence-file.ts';
import { DEFAULT_SEED, makeReport } from '../../toolchain/budget/make-report.ts';
import { boardBootset, demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { buildEngine } from '../../toolchain/engine/build-engine.ts';
import { bootsetLab } from '../support/bootset-lab.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('planted slowdown');

const STAGE = 'verify';
const PLANTED = 0.05;
/** Enough to tell what one turn costs. */
const PROBE_TURNS = 100_000;

/** The device bundle with so many turns of idle work at the start of the stage. */
function slowBundle(turns: number): string {
  const code = readFileSync(join(ROOT, 'dist/runtime.js'), 'utf8');
  const begin = /(\w+)=>\{let (\w+)=\{name:\1,startNs:[^{}]*,endNs:null\};/g;
  const found = [...code.matchAll(begin)];
  assert.is(found.length, 1, 'the place where a stage begins');
  const loop = `if(${found[0]![1]!}.startsWith("${STAGE}"))for(let z=0;z<${turns};z++);`;
  return code.replace(begin, `$&${loop}`);
}

interface Lab {
  /** Boots the board once with a runtime that is so slow, and keeps the record. Returns the record's file. */
  boot(turns: number): Promise<string>;
}

async function makeLab(dir: ReturnType<typeof bootsetLab>): Promise<Lab> {
  const system = join(dir.path, 'demo');
  await demoBoardSystem(system, { architecture: 'aarch64' });
  writeFileSync(join(system, 'BOOTSET.yaml'), boardBootset('qemu-aarch64'));
  return {
    async boot(turns) {
      const work = join(dir.path, `turns-${turns}`);
      const dist = join(work, 'dist');
      mkdirSync(work);
      cpSync(join(ROOT, 'dist'), dist, { recursive: true });
      const bundle = join(dist, 'runtime.js');
      if (turns > 0) writeFileSync(bundle, slowBundle(turns));
      const engine = await buildEngine('aarch64', { bundle });
      const output = join(work, 'release');
      await dir.release({
        bootset: join(system, 'BOOTSET.yaml'),
        output,
        noDisk: false,
        init: engine.bytes,
      });
      const boots = await bootRelease(output, { from: dir.path });
      return writeJournal(join(work, 'records'), boots)[0]!;
    },
  };
}

function reportOf(records: string, baseline?: string): Evidence {
  return makeReport({
    records: [records],
    baseline: baseline === undefined ? [] : [baseline],
    board: undefined,
    from: ROOT,
    plan: undefined,
    seed: DEFAULT_SEED,
    marginMs: undefined,
  });
}

function stageNs(evidence: Evidence): number {
  const [group] = evidence.groups;
  const stage = group!.candidate.stages.find(({ name }) => name === STAGE);
  return stage!.summary!.medianNs;
}

test('5 % more in one stage are found with one run, and the stage is named', async () => {
  requireTool('qemu-system-aarch64', 'qemu-system-arm');
  using dir = bootsetLab();
  const lab = await makeLab(dir);
  const baseline = await lab.boot(0);
  const plain = stageNs(reportOf(baseline));
  const turnNs = (stageNs(reportOf(await lab.boot(PROBE_TURNS))) - plain) / PROBE_TURNS;
  assert.ok(turnNs > 1, `a turn takes ${turnNs} ns`);
  const planted = await lab.boot(Math.round((plain * PLANTED) / turnNs));

  const evidence = reportOf(planted, baseline);
  const { regression } = evidence.groups[0]!;
  const found = regression!.stages.find(({ name }) => name === STAGE)!;
  assert.is(found.isSignificant, true);
  const part = found.shiftNs / plain;
  assert.ok(Math.abs(part - PLANTED) < 0.005, `found ${(part * 100).toFixed(2)} %`);
  assert.equal([evidence.outcome.code, evidence.outcome.exitCode], ['BUDGET_REGRESSION', 5]);
  assert.match(evidence.outcome.sentence, `${STAGE} +`);
  // Nothing else is blamed, but for stages that a busy host can make longer: the board file tolerates more there.
  const hosts = evidence.settings.tolerance.stages.map(({ name }) => name);
  const others = regression!.stages.filter(
    ({ name, isSignificant }) => isSignificant && name !== STAGE,
  );
  assert.equal(
    others.filter(({ name }) => !hosts.includes(name)),
    [],
  );
  // The other way round it got faster, which is named as well.
  const faster = reportOf(baseline, planted).groups[0]!.regression!;
  assert.ok(faster.stages.find(({ name }) => name === STAGE)!.shiftNs < 0);

  // The same records give the same bytes, and so does the evidence when it is judged again.
  const text = evidenceText(evidence);
  assert.is(evidenceText(reportOf(planted, baseline)), text);
  const file = join(dir.path, 'evidence.json');
  writeFileSync(file, text);
  assert.is(evidenceText(reportOf(file)), text);
});

test.run();
