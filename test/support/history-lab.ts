/**
 * Histories for tests: records of boots made from a seed, and both databases that a history can be in.
 *
 * PostgreSQL runs as an unprivileged user, since it refuses root, in a temporary directory and on a private socket.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { historyPlace, type HistoryPlace } from '../../toolchain/history/place.ts';
import { tempDir } from './temp-dir.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';

const MS = 1e6;

/** A record with everything that is usual; the changes go over it. */
export function measuredBoot(change: Partial<MeasuredBoot> = {}): MeasuredBoot {
  return {
    kind: 'coldseal-measured-boot',
    schema: 1,
    evidence: 'virtual',
    board: 'demo-board',
    specimen: null,
    start: 'cold',
    conditions: {},
    release: { id: 'a1'.repeat(32), version: '1.0.0', builtAt: 1_790_000_000 },
    measuredAt: '2026-10-01T12:00:00Z',
    clock: { name: 'CLOCK_BOOTTIME', zero: 'power-on', uncertaintyNs: 0 },
    outcome: 'booted',
    reason: null,
    stages: [
      { name: 'kernel', startNs: 0, endNs: 400 * MS },
      { name: 'verify a', startNs: 400 * MS, endNs: 430 * MS },
      { name: 'containers', startNs: 430 * MS, endNs: 900 * MS },
    ],
    units: [],
    events: [
      { name: 'power-on', atNs: 0 },
      { name: 'containers', atNs: 900 * MS },
    ],
    io: null,
    flags: [],
    source: { format: 'sample', file: 'sample.log', sha256: '' },
    ...change,
  };
}

/** A record whose total is given. */
export function bootOf(totalNs: number, change: Partial<MeasuredBoot> = {}): MeasuredBoot {
  const verifyNs = Math.floor(totalNs / 2);
  return measuredBoot({
    stages: [
      { name: 'kernel', startNs: 0, endNs: verifyNs },
      { name: 'verify a', startNs: verifyNs, endNs: totalNs },
    ],
    events: [
      { name: 'power-on', atNs: 0 },
      { name: 'containers', atNs: totalNs },
    ],
    ...change,
  });
}

/** A release of a number: later ones are built later. */
export function releaseOf(build: number): MeasuredBoot['release'] {
  return {
    id: build.toString(16).padStart(64, '0'),
    version: `1.0.${build}`,
    builtAt: 1_790_000_000 + build * 86_400,
  };
}

/** Boots of several builds, with totals that are all different; the same for the same arguments. */
export function boots(builds: number, each: number, board = 'demo-board'): MeasuredBoot[] {
  return Array.from({ length: builds * each }, (_, i) => {
    const build = Math.floor(i / each);
    // A step in the middle, and some spread that repeats nothing: 7919 is a prime.
    const levelNs = (build < builds / 2 ? 900 : 960) * MS;
    const totalNs = levelNs + ((i * 7919) % 10_007) * 1000;
    const measuredAt = new Date(Date.UTC(2026, 9, 1) + i * 60_000).toISOString();
    return bootOf(totalNs, { board, release: releaseOf(build), measuredAt });
  });
}

/** A database server of one test file. */
export interface PostgresServer extends Disposable {
  /** A new empty database. */
  place(): HistoryPlace;
  /** Runs SQL in a database as the administrator; returns the rows as psql prints them. */
  query(place: HistoryPlace, sql: string): string;
  /** The directory of the socket. */
  readonly socket: string;
}

/** Starts a server; skips the test where there is none, or fails where tools are required. */
export function startPostgres(): PostgresServer {
  const bin = postgresBin();
  const dir = tempDir();
  const data = join(dir.path, 'data');
  const run = asServerUser(dir.path);
  run([join(bin, 'initdb'), '-D', data, '-U', 'rig', '-A', 'trust', '--no-sync', '-E', 'UTF8']);
  const options = `-c listen_addresses= -c unix_socket_directories=${dir.path} -c fsync=off`;
  const log = join(dir.path, 'log');
  run([join(bin, 'pg_ctl'), '-D', data, '-l', log, '-o', options, '-w', 'start']);
  const stop = (): void => {
    run([join(bin, 'pg_ctl'), '-D', data, '-m', 'immediate', '-w', 'stop']);
  };
  process.once('exit', stop);
  const psql = (database: string, sql: string): string =>
    run([join(bin, 'psql'), '-h', dir.path, '-U', 'rig', '-d', database, '-Atqc', sql]);
  let count = 0;
  return {
    socket: dir.path,
    place: () => {
      const name = `boots${++count}`;
      psql('postgres', `create database ${name}`);
      return historyPlace(`postgres://rig@/${name}?host=${encodeURIComponent(dir.path)}`, {});
    },
    query: (place, sql) => psql(/boots\d+/.exec(place.target)![0], sql),
    [Symbol.dispose]: () => {
      process.off('exit', stop);
      stop();
      dir.remove();
    },
  };
}

/** Debian keeps the server's programs out of PATH, one directory a version. */
function postgresBin(): string {
  requireTool('pg_ctlcluster', 'postgresql');
  const root = '/usr/lib/postgresql';
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return join(root, versions[0]!, 'bin');
}

function asServerUser(dir: string): (command: readonly string[]) => string {
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? idOf('postgres') : undefined;
  if (user !== undefined) chownSync(dir, user.uid, user.gid);
  mkdirSync(dir, { recursive: true });
  const prefix =
    user === undefined
      ? []
      : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  return (command) => {
    const [program, ...args] = [...prefix, ...command];
    const { status, stdout, stderr, error } = spawnSync(program!, args, {
      cwd: '/',
      encoding: 'utf8',
      // The server keeps its parent's output open.
      stdio: command.includes('start') ? ['ignore', 'ignore', 'inherit'] : 'pipe',
    });
    if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr ?? String(error)}`);
    return stdout ?? '';
  };
}

function idOf(name: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string): number =>
    Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout);
  const [uid, gid] = [id('-u'), id('-g')];
  if (uid > 0 && gid > 0) return { uid, gid };
  if (areToolsRequired()) throw new Error(`no user ${name}, and tools are required here`);
  return skipTest(`no user ${name}`);
}
