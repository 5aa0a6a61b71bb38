/** What cpio(1) reads from the initramfs archives written here. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpioArchive } from '../../toolchain/disk/cpio.ts';
import { requireTool } from '../support/tools.ts';
import { ENTRIES } from '../support/cpio-entries.ts';

const test = suite('cpio as an outside judge');

test('cpio lists what was put in', () => {
  const cpio = requireTool('cpio', 'cpio');
  const { status, stdout, stderr } = spawnSync(cpio, ['-itv', '--numeric-uid-gid', '--quiet'], {
    input: cpioArchive(ENTRIES),
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  });
  assert.is(status, 0, stderr);
  const lines = stdout.trim().split('\n');
  assert.equal(
    lines.map((line) => line.replace(/\s+/g, ' ').replace('Jan 1 1970 ', '')),
    [
      'drwxr-xr-x 2 0 0 0 bin',
      'lrwxrwxrwx 1 0 0 7 bin/sh -> busybox',
      '-rw-r--r-- 1 0 0 0 bin/\xff name',
      'drwxr-xr-x 2 0 0 0 dev',
      'crw------- 1 0 0 5, 1 dev/console',
      '-rwxr-xr-x 1 0 0 10 init',
    ],
  );
});

test.run();
