/**
 * Bundles made of container images, judged by others: the JSON schema of the OCI runtime specification, and what umoci
 * makes of the same image.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findNode } from '../../toolchain/image/find-node.ts';
import { nodeContent } from '../../toolchain/image/node-content.ts';
import { readOci } from '../../toolchain/image/oci.ts';
import { makeBundle } from '../../toolchain/release/bundle.ts';
import { loadBootset } from '../../toolchain/release/bootset.ts';
import { bootsetLab, type BootsetLab, LAB_BOOTSET } from '../support/bootset-lab.ts';
import { runTool } from '../support/file-systems.ts';
import type { Json } from '../support/oci-writer.ts';
import { areToolsRequired, requireRoot, requireTool, skipTest } from '../support/tools.ts';

const test = suite('bundles of container images');

let lab: BootsetLab;
const at = (...parts: string[]): string => join(lab.path, ...parts);

test.before.each(() => {
  requireRoot();
  requireTool('umoci', 'umoci');
  lab = bootsetLab();
});
test.after.each(() => lab.remove());

const SCHEMA =
  '/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema/config-schema.json';
const VALIDATOR = '/usr/lib/python3/dist-packages/jsonschema/__init__.py';

/** Asks the schema, whose parts are files beside it. */
const VALIDATE = `import json, sys, warnings
sys.path.insert(0, '/usr/lib/python3/dist-packages')
warnings.simplefilter('ignore')
import jsonschema
schema = json.load(open(sys.argv[1]))
resolver = jsonschema.RefResolver('file://' + sys.argv[1], schema)
validator = jsonschema.Draft4Validator(schema, resolver=resolver)
for error in validator.iter_errors(json.load(open(sys.argv[2]))): print(list(error.path), error.message)
`;

function schemaProblems(path: string): string {
  requireTool('python3', 'python3');
  for (const [file, debian] of [
    [SCHEMA, 'golang-github-opencontainers-specs-dev'],
    [VALIDATOR, 'python3-jsonschema'],
  ] as const) {
    if (existsSync(file)) continue;
    const reason = `${file} not found (Debian package ${debian})`;
    if (areToolsRequired()) throw new Error(`${reason}, and tools are required here`);
    skipTest(reason);
  }
  return runTool('/usr/bin/python3', ['-c', VALIDATE, SCHEMA, path]);
}

/** Settings of an image by umoci, what else the bootset says, and whether umoci's bundle says the same. */
const IMAGES: readonly (readonly [
  label: string,
  settings: readonly string[],
  container: string,
])[] = [
  ['a program', ['--config.entrypoint', '/bin/tool'], ''],
  [
    'everything an image can say',
    [
      '--config.entrypoint=/bin/tool',
      '--config.entrypoint=-x',
      '--config.cmd=word',
      '--config.env=A=1',
      '--config.env=B=x=y',
      '--config.workingdir=/srv',
      '--config.user=app',
      '--config.label=b=2',
      '--config.label=a=1',
      '--config.stopsignal=SIGINT',
      '--config.exposedports=80/tcp',
      '--config.volume=/data',
      '--author=someone',
      '--created=2026-01-01T00:00:00Z',
    ],
    '',
  ],
  ['a user by number', ['--config.cmd', '/bin/tool', '--config.user', '1000'], ''],
  ['user and group', ['--config.cmd', '/bin/tool', '--config.user', 'app:video'], ''],
  ['a number that nobody has', ['--config.cmd', '/bin/tool', '--config.user', '7:8'], ''],
  [
    'settings of the bootset',
    ['--config.cmd', '/bin/tool'],
    `capabilities: [CAP_NET_RAW], resources: { memory_max: 1000000, pids_max: 5 }, network: host,
       mounts: [{ destination: /opt, source: /opt }], user: 5`,
  ],
];

function makeTree(): void {
  for (const path of ['bin', 'etc', 'srv']) mkdirSync(at('tree', path), { recursive: true });
  writeFileSync(at('tree/bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(at('tree/etc/users'), 'root:x:0:0::/:/bin/sh\napp:x:1000:100::/srv:/bin/sh\n');
  symlinkSync('users', at('tree/etc/passwd'));
  writeFileSync(at('tree/etc/group'), 'root:x:0:\nwheel:x:10:root,app\nvideo:x:44:app\n');
}

test('the schema takes each, and the image says what umoci reads in it', async () => {
  makeTree();
  const store = at('objects');
  mkdirSync(store);
  runTool('umoci', ['init', '--layout', at('layout')]);
  for (const [i, [label, settings, container]] of IMAGES.entries()) {
    const image = ['--image', `${at('layout')}:t${i}`];
    runTool('umoci', ['new', ...image]);
    runTool('umoci', ['insert', ...image, at('tree'), '/']);
    runTool('umoci', ['config', ...image, ...settings]);
    const source = `oci: layout, ref: t${i} }, container: { ${container}`;
    const text = LAB_BOOTSET.replace('directory: bundle', source);
    const app = loadBootset(lab.write('BOOTSET.yaml', text)).images[1]!;
    const read = await readOci(at('layout'), {
      algorithm: 'sha256',
      inlineMax: 64,
      ref: `t${i}`,
      store,
    });
    const { root } = makeBundle(app, read.root, { store, config: read.image.config });
    const bytes = nodeContent(findNode(root, '/config.json')!, store);
    writeFileSync(at('config.json'), bytes);
    assert.is(schemaProblems(at('config.json')), '', label);
    if (container !== '') continue;
    runTool('umoci', ['unpack', ...image, at(`bundle${i}`)]);
    const ours = JSON.parse(Buffer.from(bytes).toString()) as Json;
    const theirs = JSON.parse(readFileSync(at(`bundle${i}`, 'config.json'), 'utf8')) as Json;
    assert.equal(sayings(ours), sayings(theirs), label);
  }
});

/** What comes from the image, without what each converter adds of its own. */
function sayings(config: Json): Json {
  const process = config['process'] as Record<string, Json & string[]>;
  const { uid, gid, additionalGids = [] } = process['user'] as Json & { additionalGids?: number[] };
  const own = /^(PATH|HOME|TERM)=/;
  const mounts = config['mounts'] as { destination: string; type: string }[];
  return {
    args: process['args'],
    cwd: process['cwd'],
    env: process['env']!.filter((each) => !own.test(each)),
    user: { uid, gid, additionalGids: [...additionalGids].sort((a, b) => a - b) },
    // umoci writes those that the image does not say, too.
    annotations: Object.entries(config['annotations'] as Json).filter(([, value]) => value !== ''),
    volumes: mounts.filter(({ destination }) => destination === '/data').map(({ type }) => type),
  };
}

test('the schema is no judge that takes everything', () => {
  writeFileSync(at('config.json'), '{"ociVersion": "1.0.2", "process": {"args": [1]}}');
  assert.match(schemaProblems(at('config.json')), /1 is not of type 'string'/);
});

test.run();
