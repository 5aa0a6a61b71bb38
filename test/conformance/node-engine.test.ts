/** The Node engine does what every engine must do, against the real kernel. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeEngine } from '../../runtime/engines/node/engine.ts';
import { SYS_CONTRACT } from '../support/sys-contract.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool, skipTest } from '../support/tools.ts';

const test = suite('node engine');

/** What Node cannot do, and says so. */
const LIMITS = ['this engine has no fork', 'no counter'];

const nothing = (): void => undefined;
const engine = createNodeEngine({ print: nothing, printError: nothing });

for (const { name, needs, run } of SYS_CONTRACT) {
  test(name, () => {
    if (needs === 'root') requireRoot();
    using scratch = tempDir();
    const reason = run(engine, scratch.path);
    if (typeof reason === 'string' && !LIMITS.includes(reason)) skipTest(reason);
  });
}

/** A program of its own that does `body` with `sys`, for calls that a test does not survive. */
async function makeProgram(dir: string, body: string): Promise<string> {
  // In out/, so that koffi is found.
  const source = join(ROOT, 'runtime/engines/node/device-sys.ts');
  const outfile = join(ROOT, 'out', `device-program-${process.pid}.mjs`);
  process.once('exit', () => rmSync(outfile, { force: true }));
  const entry = join(dir, 'program.ts');
  writeFileSync(
    entry,
    `import { createNodeDeviceSys } from ${JSON.stringify(source)};
const sys = createNodeDeviceSys();
const print = (text) => process.stdout.write(text + '\\n');
${body}`,
  );
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
  });
  return outfile;
}

function runProgram(argv: string[]): {
  code: number | null;
  signal: string | null;
  output: string;
} {
  const [program = '', ...args] = argv;
  const { status, signal, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { code: status, signal, output: stdout + stderr };
}

test('exec: another program goes on in this process', async () => {
  using dir = tempDir();
  const script = 'grep SigIgn /proc/self/status; echo $$ $A; exit 5';
  const program = await makeProgram(
    dir.path,
    `print(String(sys.pid())); sys.exec(['/bin/sh', '-c', ${JSON.stringify(script)}], ['A=b']);`,
  );
  const { code, output } = runProgram([process.execPath, program]);
  const [pid, ignored, last] = output.trim().split('\n');
  assert.equal([code, last], [5, `${pid} b`]);
  const mask = BigInt(`0x${ignored!.split('\t')[1]}`);
  assert.is(mask & 0x1000n, 0n, 'SIGPIPE does not stay ignored');
});

test('spawn without an output: the child prints where this process does', async () => {
  using dir = tempDir();
  const program = await makeProgram(
    dir.path,
    `sys.spawn({ argv: ['/bin/sh', '-c', 'echo out; echo err >&2'], env: [] });
print(String(sys.waitChild(5000)?.code));`,
  );
  const { output } = runProgram([process.execPath, program]);
  assert.equal(output.trim().split('\n').sort(), ['0', 'err', 'out']);
});

test('endMachine ends the machine, here one that is a process namespace', async () => {
  requireRoot();
  const unshare = requireTool('unshare', 'util-linux');
  using dir = tempDir();
  // In a namespace the kernel turns reboot(2) into the signal that ends its first process.
  for (const [how, signal] of [
    ['restart', 'SIGHUP'],
    ['power-off', 'SIGINT'],
    ['halt', 'SIGINT'],
  ] as const) {
    const program = await makeProgram(dir.path, `sys.endMachine('${how}');`);
    const flags = ['--pid', '--fork', '--mount-proc', '--kill-child'];
    const result = runProgram([unshare, ...flags, process.execPath, program]);
    const ended = result.signal ?? { 129: 'SIGHUP', 130: 'SIGINT' }[result.code ?? 0];
    assert.is(ended, signal, `${how}: ${JSON.stringify(result)}`);
  }
});

test('switchRoot: a mounted directory becomes the root', async () => {
  requireRoot();
  const unshare = requireTool('unshare', 'util-linux');
  using dir = tempDir();
  const root = join(dir.path, 'root');
  mkdirSync(root);
  const program = await makeProgram(
    dir.path,
    `sys.mount('none', '${root}', 'tmpfs', { readOnly: false, data: '' });
sys.writeFile('${root}/mark', new Uint8Array([1]));
sys.makeDirectory('${root}/proc');
sys.moveTree('/proc', '${root}/proc');
sys.switchRoot('${root}');
print(sys.list('/').join() + ' ' + process.cwd() + ' ' + sys.list('/proc').includes('self'));`,
  );
  const { code, output } = runProgram([unshare, '--mount', process.execPath, program]);
  assert.equal([code, output], [0, 'mark,proc / true\n']);
});

test('containers start and are attended to on real pipes', async () => {
  requireRoot();
  const unshare = requireTool('unshare', 'util-linux');
  using dir = tempDir();
  const runtime = (name: string): string => JSON.stringify(join(ROOT, 'runtime', name));
  // An engine that leaves its container behind, as one does with --detach; one that says no; one that hangs.
  const engine = join(dir.path, 'engine');
  const script = `#!/bin/sh
case "$6" in
  app) (sleep 0.1; echo hello; sleep 0.1) & exit 0 ;;
  bad) echo "error: no such thing" >&2; exit 4 ;;
  late) sleep 0.7; echo late ;;
esac
`;
  writeFileSync(engine, script, { mode: 0o755 });
  const program = await makeProgram(
    dir.path,
    `import { attend } from ${runtime('attendant.ts')};
import { startEarlyContainers } from ${runtime('containers.ts')};
import { createNodeEngine } from ${runtime('engines/node/engine.ts')};
import { readRecord, writeRecord } from ${runtime('record-file.ts')};
import { testRecord } from ${JSON.stringify(join(ROOT, 'test/support/test-record.ts'))};
const engine = createNodeEngine({ print, printError: print });
sys.mount('none', '/run', 'tmpfs', { readOnly: false, data: '' });
for (const path of ['', '/containers']) sys.makeDirectory('/run/coldseal' + path);
for (const name of ['app', 'bad', 'late']) {
  sys.makeDirectory('/run/coldseal/containers/' + name);
  sys.writeFile('/run/coldseal/containers/' + name + '/config.json', new Uint8Array(1));
}
const policy = { containerEngine: ${JSON.stringify(engine)}, containerDeadlineMs: 400 };
const { containers, pipes } = startEarlyContainers(engine, ['app', 'bad', 'late'], policy);
const record = testRecord({ containers });
writeRecord(sys, record);
const code = attend(engine, record, pipes, { output: 'file' });
const text = (path) => {
  const bytes = new Uint8Array(1000);
  return Buffer.from(bytes.slice(0, sys.read(sys.open(path), bytes, 0))).toString();
};
print(JSON.stringify({
  code,
  containers: readRecord(sys).containers.map(({ name, startNs, firstOutputNs, reason }) =>
    [name, firstOutputNs > startNs, reason?.code ?? 'ok']),
  output: ['app', 'bad', 'late'].map((name) => text('/run/coldseal/output/' + name)),
}));`,
  );
  const { output } = runProgram([unshare, '--mount', process.execPath, program]);
  assert.equal(JSON.parse(output), {
    code: 0,
    containers: [
      ['app', true, 'ok'],
      ['bad', false, 'HOST_CONTAINER_START'],
      ['late', false, 'BUDGET_CONTAINER_START'],
    ],
    output: ['hello\n', 'error: no such thing\n', 'late\n'],
  });
});

test('the bundle runs on Node from beside its engine', () => {
  const run = (...args: string[]): ReturnType<typeof runProgram> =>
    runProgram([process.execPath, join(ROOT, 'dist/engine-node.mjs'), ...args]);
  const help = run('--help');
  assert.equal([help.code, help.output.split('\n')[0]], [0, 'usage: coldseal COMMAND [--json]']);
  const reasons = run('reasons', 'VERIFY_SIGNATURE');
  assert.equal([reasons.code, reasons.output.includes('exit code        3')], [0, true]);
  const nonsense = run('nonsense');
  assert.equal([nonsense.code, nonsense.output.includes('USAGE_DEVICE_COMMAND')], [2, true]);
  const status = run('status', '--json');
  assert.is(status.code, 6);
  assert.match(status.output, /"code":"HOST_NOT_BOOTED"/);
});

test.run();
