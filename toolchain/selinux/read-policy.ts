/**
 * Where the files of a policy are: beside a file_contexts on this machine, or in the image itself.
 *
 * A policy on this machine is a file_contexts, or a directory with one: itself, or below `contexts/files` as in
 * /etc/selinux/TYPE. In an image, /etc/selinux/config says which TYPE it is, as it does for libselinux.
 *
 * Source: selinux_config(5), file_contexts(5).
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readInput } from '../files/read-input.ts';
import { findNode } from '../image/find-node.ts';
import { isRegular, type TreeNode } from '../image/tree.ts';
import { policyProblem } from './file-contexts.ts';
import { POLICY_BYTES_MAX, POLICY_FILES, type PolicyFile, type PolicyFiles } from './policy.ts';

const CONFIG = '/etc/selinux/config';
const CONFIG_BYTES_MAX = 64 * 1024;

/** Reads the content of a regular file of a tree. */
export type ReadContent = (file: TreeNode) => Uint8Array;

/** Reads a policy on this machine. Throws CONFIG_SELINUX_POLICY, CONFIG_SELINUX_MISSING and what reading throws. */
export function readPolicyFiles(path: string): PolicyFiles {
  const directory = policyDirectory(path);
  const files = new Map<PolicyFile, Uint8Array>();
  for (const name of POLICY_FILES) {
    const file = name === 'file_contexts' && !isDirectory(path) ? path : join(directory, name);
    // Only the first one has to be there.
    if (name !== 'file_contexts' && !existsSync(file)) continue;
    files.set(name, limited(readInput(file), file));
  }
  return { name: directory, files };
}

function policyDirectory(path: string): string {
  if (!isDirectory(path)) return dirname(path);
  const below = join(path, 'contexts', 'files');
  for (const directory of [path, below]) {
    if (existsSync(join(directory, 'file_contexts'))) return directory;
  }
  throw missing(`the SELinux policy ${path}`, 'it has no file_contexts', 'name the file itself');
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Reads the policy of an image. Throws CONFIG_SELINUX_POLICY, CONFIG_SELINUX_MISSING and what `read` throws. */
export function policyFilesOfTree(root: TreeNode, read: ReadContent): PolicyFiles {
  const config = fileAt(root, CONFIG, CONFIG_BYTES_MAX, read);
  if (config === undefined) {
    throw missing("the image's own SELinux policy", `it has no ${CONFIG}`, 'name a file_contexts');
  }
  const directory = `/etc/selinux/${policyType(config)}/contexts/files`;
  const files = new Map<PolicyFile, Uint8Array>();
  for (const name of POLICY_FILES) {
    const bytes = fileAt(root, `${directory}/${name}`, POLICY_BYTES_MAX, read);
    if (bytes !== undefined) files.set(name, bytes);
  }
  if (!files.has('file_contexts')) {
    throw missing("the image's own SELinux policy", `it has no ${directory}/file_contexts`);
  }
  return { name: directory, files };
}

/** The last SELINUXTYPE counts. */
function policyType(config: Uint8Array): string {
  const text = Buffer.from(config).toString('latin1');
  const types = [...text.matchAll(/^[ \t]*SELINUXTYPE[ \t]*=[ \t]*(\S*)[ \t]*$/gm)];
  const type = types.at(-1)?.[1];
  if (type !== undefined && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(type)) return type;
  throw policyProblem(CONFIG, 'has no SELINUXTYPE that names a policy');
}

function fileAt(
  root: TreeNode,
  path: string,
  max: number,
  read: ReadContent,
): Uint8Array | undefined {
  const node = findNode(root, path);
  if (node === undefined) return undefined;
  if (!isRegular(node)) throw policyProblem(path, 'is no file');
  if (node.size > max) throw policyProblem(path, `has ${node.size} bytes, expected at most ${max}`);
  return node.size === 0 ? new Uint8Array() : read(node);
}

function limited(bytes: Uint8Array, path: string): Uint8Array {
  if (bytes.length <= POLICY_BYTES_MAX) return bytes;
  throw policyProblem(path, `has ${bytes.length} bytes, expected at most ${POLICY_BYTES_MAX}`);
}

function missing(what: string, problem: string, hint?: string): ColdsealError {
  const options = hint === undefined ? {} : { hint };
  return new ColdsealError('CONFIG_SELINUX_MISSING', `Cannot use ${what}: ${problem}`, options);
}
