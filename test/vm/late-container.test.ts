/**
 * A container that is later than its deadline, on a real board: it goes on starting beside the system's init, and the
 * device's own command then finds it running instead of a name that is taken.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RUN_PROGRAM } from '../../runtime/device-paths.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { MILESTONE, powerBoard } from '../support/power-lab.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('late containers');

/** Shorter than any engine takes, in the boot as well as after it. */
const DEADLINE = 'containers: { output: console, deadline_ms: 1 }';
/** The first call is late with `later`, too; by the second everything runs. */
const RC = `#!/bin/sh
${RUN_PROGRAM} status | grep '^container'
sleep 1
${RUN_PROGRAM} run-containers
sleep 1
${RUN_PROGRAM} run-containers && ${RUN_PROGRAM} mark-good
`;

test('late containers count as started when they run, and the slot becomes good', async () => {
  using dir = tempDir();
  const board = join(dir.path, 'impatient.yaml');
  const text = readFileSync(join(ROOT, 'board-configs/qemu-aarch64.yaml'), 'utf8');
  const [section] = /^containers:\n(?: .*\n)+/m.exec(text)!;
  const own = text.replace(/^id: .*/m, 'id: impatient').replace(section, `${DEADLINE}\n`);
  writeFileSync(board, own);
  using made = await powerBoard('aarch64', { board, rc: RC });
  using disk = made.disk();
  const { console } = await disk.boot();
  assert.match(console, /^container hello +early, BUDGET_CONTAINER_START: /m);
  assert.match(console, /^container hello +normal, started in /m);
  assert.match(console, /^container later +normal, BUDGET_CONTAINER_START: /m);
  assert.match(console, /^container later +normal, started in /m);
  for (const pattern of Object.values(MILESTONE)) assert.match(console, pattern);
  assert.not.match(console, /already exists/);
});

test.run();
