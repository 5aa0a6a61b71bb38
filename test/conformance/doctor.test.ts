/** `coldseal doctor` on this machine: one line per feature, nothing left, and the right exit codes. */
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FEATURE_NAMES } from '../../toolchain/host/features.ts';
import {
  describeFindings,
  type Finding,
  type Findings,
} from '../../toolchain/host/probe-features.ts';
import { machineState, makeFileSystem } from '../support/file-systems.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';

const test = suite('doctor');

interface Document {
  readonly result: {
    readonly features: readonly { readonly name: string; readonly status: string }[];
    readonly lacking: readonly string[];
  };
}

function statuses(stdout: string): Record<string, string> {
  const { features } = (JSON.parse(stdout) as Document).result;
  return Object.fromEntries(features.map(({ name, status }) => [name, status]));
}

test('one line for each feature, and nothing is left behind', async () => {
  const before = machineState();
  using dir = tempDir();
  const { code, stdout, stderr } = await runCli(['doctor', dir.path]);
  assert.equal([code, stderr], [0, '']);
  const lines = stdout.trim().split('\n');
  assert.is(lines.length, FEATURE_NAMES.length + 1);
  FEATURE_NAMES.forEach((name, i) =>
    assert.match(lines[i + 1]!, new RegExp(`^(yes|no|unknown) +${name} `)),
  );
  assert.equal(machineState(), before);
});

test('a required feature that is missing exits 6', async () => {
  using dir = tempDir();
  const found = statuses((await runCli(['doctor', dir.path, '--json'])).stdout);
  for (const name of ['verity', 'erofs', 'new-mount-api']) {
    const { code, stdout } = await runCli(['doctor', dir.path, '--json', `--require=${name}`]);
    assert.is(code, found[name] === 'yes' ? 0 : 6, name);
    assert.equal(
      (JSON.parse(stdout) as Document).result.lacking,
      found[name] === 'yes' ? [] : [name],
    );
  }
  const unknown = await runCli(['doctor', '--require=no-such-feature']);
  assert.is(unknown.code, 2);
  assert.is((await runCli(['doctor', `${dir.path}/nowhere`])).code, 6);
});

test('reflinks are looked for in the directory given', async () => {
  using dir = tempDir();
  using btrfs = makeFileSystem('btrfs', dir.path);
  using ext4 = makeFileSystem('ext4', dir.path);
  for (const [path, expected] of [
    [btrfs.path, 'yes'],
    [ext4.path, 'no'],
  ] as const) {
    assert.is(
      statuses((await runCli(['doctor', path, '--json'])).stdout)['reflink'],
      expected,
      path,
    );
  }
});

test('without privileges it says what could not be tried', () => {
  requireRoot();
  using dir = tempDir();
  chmodSync(dir.path, 0o777);
  const run = spawnSync(process.execPath, [CLI_PATH, 'doctor', '--json', dir.path], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  assert.is(run.status, 0, run.stderr);
  const found = statuses(run.stdout);
  assert.is(found['root'], 'no');
  for (const name of ['overlay-verity', 'erofs-file', 'idmap'])
    assert.is(found[name], 'unknown', name);
});

test('a missing feature names its version, its option and what is different', () => {
  const findings = Object.fromEntries(
    FEATURE_NAMES.map((name): [string, Finding] => [name, { status: 'no', detail: '' }]),
  ) as Findings;
  const lines = describeFindings(findings, new Map([['CONFIG_EROFS_FS', 'm']]));
  const line = (name: string): string => lines.find((text) => text.includes(` ${name} `))!;
  assert.match(
    line('erofs-file'),
    /since Linux 6\.12; CONFIG_EROFS_FS_BACKED_BY_FILE is not set in this kernel/,
  );
  assert.match(line('erofs'), /CONFIG_EROFS_FS=m/);
  assert.match(line('overlay-verity'), /since Linux 6\.6/);
  assert.match(line('verity-intact'), /Linux 7\.0 .*f77f281b6118/);
  assert.ok(lines.every((text) => text.includes('without it: ')));
});

test.run();
