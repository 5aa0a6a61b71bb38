/**
 * SELinux labels judged by libselinux: matchpathcon for thousands of paths, setfiles for a whole image.
 *
 * Policies are made at random from what real ones are made of, with paths that their patterns match or nearly
 * match; and there is Debian's own.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LabelPolicy } from '../../toolchain/selinux/policy.ts';
import { readPolicyFiles } from '../../toolchain/selinux/read-policy.ts';
import { runTool } from '../support/file-systems.ts';
import { runCli } from '../support/run-cli.ts';
import { debianPolicy, ENTRY_TYPES, pathsFor, randomPolicy } from '../support/selinux-lab.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';
import { VectorRng } from '../support/vector-rng.ts';

const test = suite('SELinux labels');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
});
test.after.each(() => dir.remove());

/** The arguments of one run of the judge. */
const PATHS_AT_ONCE = 2000;

/** Contexts by libselinux, in the order of the paths. */
function matchpathcon(policy: string, type: string, paths: readonly string[]): string[] {
  const tool = requireTool('matchpathcon', 'selinux-utils');
  const answers: string[] = [];
  for (let i = 0; i < paths.length; i += PATHS_AT_ONCE) {
    const part = paths.slice(i, i + PATHS_AT_ONCE);
    const text = part.map((path) => Buffer.from(path, 'latin1').toString('utf8'));
    const out = runTool(tool, ['-n', '-f', policy, '-m', type, ...text], 'latin1');
    answers.push(...out.split('\n').slice(0, -1));
  }
  return answers;
}

/** Compares every path as every type of entry; returns how many answers there were, and how many different ones. */
function compare(policy: string, paths: readonly string[]): { answers: number; distinct: number } {
  const labels = new LabelPolicy(readPolicyFiles(policy));
  const distinct = new Set<string>();
  for (const [type, mode] of ENTRY_TYPES) {
    const theirs = matchpathcon(policy, type, paths);
    assert.is(theirs.length, paths.length);
    paths.forEach((path, index) => {
      const ours = labels.contextOf(path, mode) ?? '<<none>>';
      if (ours !== theirs[index]) assert.unreachable(`${path} ${type}: ${ours}, ${theirs[index]}`);
      distinct.add(ours);
    });
  }
  return { answers: paths.length * ENTRY_TYPES.length, distinct: distinct.size };
}

test('random policies and paths get the labels of matchpathcon', () => {
  let answers = 0;
  let distinct = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const rng = new VectorRng(seed);
    const lines = randomPolicy(rng, 60);
    writeFileSync(at('file_contexts'), `${lines.slice(0, 50).join('\n')}\n`);
    writeFileSync(at('file_contexts.homedirs'), `${lines.slice(50, 55).join('\n')}\n`);
    writeFileSync(at('file_contexts.local'), `${lines.slice(55).join('\n')}\n`);
    writeFileSync(at('file_contexts.subs'), '/ab /a\n/etc/b /usr\n/etc /lib\n');
    writeFileSync(at('file_contexts.subs_dist'), '/lib /usr/lib\n/a /\n/b/ab /usr/lib\n');
    const compared = compare(at('file_contexts'), pathsFor(lines, 150, rng));
    answers += compared.answers;
    distinct += compared.distinct;
  }
  assert.is(answers, 42_000);
  assert.ok(distinct > 300, `${distinct} labels`);
});

test("Debian's policy gives thousands of paths the labels of matchpathcon", async () => {
  const lines = await debianPolicy();
  assert.ok(lines.length > 4000, `${lines.length} lines`);
  writeFileSync(at('file_contexts'), `${lines.join('\n')}\n`);
  writeFileSync(at('file_contexts.subs_dist'), '/lib /usr/lib\n/bin /usr/bin\n/var/run /run\n');
  const paths = pathsFor(lines, 2000, new VectorRng(66));
  const { distinct } = compare(at('file_contexts'), paths);
  assert.ok(distinct > 300, `${distinct} labels`);
});

test('an image is the one of a directory that setfiles has labelled', async () => {
  requireRoot();
  const setfiles = requireTool('setfiles', 'policycoreutils');
  const cp = requireTool('cp', 'coreutils');
  mkdirSync(at('plain/usr/bin'), { recursive: true });
  mkdirSync(at('plain/etc/selinux/own/contexts/files'), { recursive: true });
  writeFileSync(at('plain/usr/bin/tool'), 'x'.repeat(5000));
  writeFileSync(at('plain/usr/bin/é'), 'small');
  writeFileSync(at('plain/etc/selinux/config'), '# comment\nSELINUX=enforcing\nSELINUXTYPE=own\n');
  symlinkSync('bin/tool', at('plain/usr/link'));
  runTool('mknod', [at('plain/null'), 'c', '1', '3']);
  runTool('mkfifo', [at('plain/pipe')]);
  runTool('setfattr', ['-n', 'user.kept', '-v', 'yes', at('plain/usr/bin/tool')]);
  const policy = at('plain/etc/selinux/own/contexts/files/file_contexts');
  writeFileSync(
    policy,
    [
      '/.*\tsystem_u:object_r:default_t:s0',
      '/usr(/.*)?\tsystem_u:object_r:usr_t:s0',
      '/usr/bin(/.*)?\tsystem_u:object_r:bin_t:s0',
      '/usr/bin/[^/]+\t--\tsystem_u:object_r:tool_t:s0-s0:c0.c1023',
      '/usr/l.*\t-l\tsystem_u:object_r:link_t:s0',
      '/null\t-c\tsystem_u:object_r:null_device_t:s0',
      '/pipe\t-p\tsystem_u:object_r:fifo_t:s0',
      '',
    ].join('\n'),
  );
  runTool(cp, ['--archive', at('plain'), at('labelled')]);
  runTool(setfiles, ['-r', at('labelled'), policy, at('labelled')]);
  const build = async (...args: string[]): Promise<Buffer> => {
    const { code, stderr } = await runCli(['image', 'build', '--force', ...args, at('image')]);
    assert.is(code, 0, stderr);
    return readFileSync(at('image'));
  };
  const labelled = await build(at('labelled'));
  assert.ok(labelled.includes('system_u:object_r:tool_t:s0-s0:c0.c1023\0'), 'labels are there');
  assert.ok(labelled.equals(await build(at('plain'), '--selinux', policy)));
  assert.ok(labelled.equals(await build(at('plain'), '--selinux=image')));
  assert.ok(
    labelled.equals(await build(at('plain'), '--selinux=image', '--digest-store', at('o'))),
  );
  // Labels that the source has do not matter.
  assert.ok(labelled.equals(await build(at('labelled'), '--selinux', policy)));
  assert.not(labelled.equals(await build(at('plain'))));
  cpSync(policy, at('file_contexts'));
  writeFileSync(at('file_contexts.local'), '/pipe system_u:object_r:other_t:s0\n');
  assert.not(labelled.equals(await build(at('plain'), '--selinux', at('file_contexts'))));
});

test.run();
