/** For the example in the help: a program of a bench, which hands over the same record at every boot. */
import { STAGES } from '../../runtime/format/boot-record.ts';

const KERNEL_NS = 400_000_000;
const INIT_NS = 900_000_000;
const STAGE_NS = 4_000_000;
const END_NS = INIT_NS + STAGES.length * STAGE_NS;

const RECORD = {
  kind: 'coldseal-measured-boot',
  schema: 1,
  evidence: 'board-gpio',
  board: 'qemu-x86_64',
  specimen: null,
  start: 'cold',
  conditions: {},
  release: null,
  measuredAt: null,
  clock: { name: 'logic analyser', zero: 'power-on', uncertaintyNs: 1000 },
  outcome: 'booted',
  reason: null,
  // Every stage that the board of the example has a budget for.
  stages: [
    { name: 'before-kernel', startNs: 0, endNs: KERNEL_NS },
    { name: 'kernel', startNs: KERNEL_NS, endNs: INIT_NS },
    ...STAGES.map((name, index) => ({
      name,
      startNs: INIT_NS + index * STAGE_NS,
      endNs: INIT_NS + (index + 1) * STAGE_NS,
    })),
    { name: 'first-output', startNs: END_NS, endNs: END_NS + STAGE_NS },
  ],
  units: [],
  events: [
    { name: 'power-on', atNs: 0 },
    { name: 'containers', atNs: END_NS + STAGE_NS },
  ],
  io: null,
  flags: [],
  source: { format: 'bench', file: 'bench', sha256: '' },
};

/** A shell line that makes `./one-boot.sh`. */
export const EXAMPLE_BENCH =
  `printf '%s\\n' '${JSON.stringify(RECORD)}' >record.json && ` +
  `printf '%s\\n' '#!/bin/sh' 'cat record.json' >one-boot.sh && chmod +x one-boot.sh`;
