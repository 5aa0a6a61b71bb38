/**
 * Runs one workload and prints what it did as one line of JSON: `node count-work.mjs BUNDLE WORKLOAD DIR`.
 *
 * Two counts, both the same on every run. `executed` is of the program: how often each block of the bundle ran, times
 * its length in characters; the engine itself counts that, for its coverage (Profiler.startPreciseCoverage), so a loop
 * that runs more often or a function that is called more often shows, whatever compiler made machine code of it.
 * `calls` is of the world: files opened, read and listed, system calls through koffi, hashes made. Native code between
 * the two is what the instruction count of the same workloads is for.
 *
 * Plain JavaScript and apart from the bundle, because blocks are only counted in code that is compiled after counting
 * began. With WORK_ONLY=1 nothing is counted here: another program counts instructions.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import { Session } from 'node:inspector';
import { syncBuiltinESMExports } from 'node:module';
import { pathToFileURL } from 'node:url';

const [bundle, name, dir] = process.argv.slice(2);
const url = pathToFileURL(bundle).href;

if (process.env.WORK_ONLY === '1') {
  const { WORKLOADS } = await import(url);
  for (const each of name === 'all' ? Object.keys(WORKLOADS) : [name]) {
    fs.mkdirSync(`${dir}/${each}`);
    await WORKLOADS[each](`${dir}/${each}`)();
  }
} else {
  process.stdout.write(`${JSON.stringify(await count())}\n`);
}

async function count() {
  const session = new Session();
  session.connect();
  const post = (method, params) => {
    let answer;
    session.post(method, params, (error, result) => {
      if (error) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  };
  post('Profiler.enable');
  post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const calls = new Map();
  const counted = (object, key, label) => {
    const original = object[key];
    object[key] = function (...args) {
      calls.set(label, (calls.get(label) ?? 0) + 1);
      return original.apply(this, args);
    };
  };
  countBuiltins(counted);
  const { WORKLOADS, libc } = await import(url);
  const native = libc();
  for (const key of ['statx', 'llistxattr', 'lgetxattr', 'ioctl', 'copyFileRange', 'syncfs']) {
    counted(native, key, key);
  }
  const run = WORKLOADS[name](dir);
  if (name === 'rebuild') await run();
  post('Profiler.takePreciseCoverage');
  calls.clear();
  await run();
  const { result } = post('Profiler.takePreciseCoverage');
  const script = result.find((each) => each.url === url);
  const executed = executedOf(script?.functions ?? []);
  return {
    ...executed,
    calls: Object.fromEntries([...calls].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Calls of Node's own modules, also where a module imported their names. */
function countBuiltins(counted) {
  for (const key of Object.keys(fs)) {
    if (/^(open|read|write|readv|fstat|lstat|stat|close|readdir|readlink|fsync)Sync$/.test(key)) {
      counted(fs, key, key);
    }
  }
  const { readdirSync } = fs;
  // The order of a directory is the file system's own, and what sorting costs hangs on it.
  fs.readdirSync = (...args) => {
    const names = readdirSync(...args);
    return Array.isArray(names) ? names.sort((a, b) => (mixed(a) < mixed(b) ? -1 : 1)) : names;
  };
  counted(crypto, 'createHash', 'createHash');
  counted(crypto, 'hash', 'hash');
  counted(crypto.Hash.prototype, 'update', 'hash.update');
  syncBuiltinESMExports();
}

function mixed(name) {
  let sum = 0;
  for (const char of String(name)) sum = (Math.imul(sum, 31) + char.charCodeAt(0)) | 0;
  return Math.imul(sum, 0x9e3779b1);
}

/** Characters that ran, each as often as it ran, and the functions that most of them are of. */
function executedOf(functions) {
  const ranges = functions
    .flatMap(({ functionName, ranges: own }) => own.map((range) => ({ ...range, functionName })))
    .sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  const byFunction = new Map();
  const open = [];
  let executed = 0;
  const add = ({ functionName, count: times }, length) => {
    executed += times * length;
    byFunction.set(functionName, (byFunction.get(functionName) ?? 0) + times * length);
  };
  for (const range of ranges) {
    while (open.length > 0 && open.at(-1).endOffset <= range.startOffset) open.pop();
    // What lies inside belongs to the inner block only.
    if (open.length > 0) add(open.at(-1), range.startOffset - range.endOffset);
    add(range, range.endOffset - range.startOffset);
    open.push(range);
  }
  const top = [...byFunction].sort((a, b) => b[1] - a[1]).slice(0, 8);
  return { executed, top };
}
