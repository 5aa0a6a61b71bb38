/**
 * Packages of another Debian suite or architecture: fetched and unpacked into a cache, never installed.
 *
 * apt runs with a configuration of its own, whose state, lists and sources are in the cache, so the machine's apt
 * is neither used nor changed; only its proxies and its mirror are taken over. Debian's archive keyring signs the
 * lists, and the lists name the hash of each package. No privileges are needed.
 *
 * A package appears in the cache whole, by renaming. Processes take turns by flock on the directory of an
 * architecture. With lists of at most a day and the package in the cache, no network is needed.
 *
 * Source: apt.conf(5), sources.list(5), apt-get(8).
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { libc } from '../../runtime/engines/node/libc.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf, explainSysError, SysError } from '../../runtime/sys-error.ts';
import { lastLines, runTool, runToolToSuccess, type ToolSettings } from './run-tool.ts';
import { cacheDirectory } from '../files/cache-directory.ts';
import { makeDirectories } from '../files/make-directories.ts';

export interface DebianSource {
  /** Such as `trixie`. */
  readonly suite: string;
  /** Debian's name: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Default: `$XDG_CACHE_HOME/coldseal`. */
  readonly cache?: string;
  /** Default: the mirror that this machine's own sources name. */
  readonly mirror?: string;
  readonly signal?: AbortSignal;
}

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** Where its files are: `DIRECTORY/boot/vmlinuz-…`. */
  readonly directory: string;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';
/** Lists older than this are fetched again, and used as they are when that fails. */
const LISTS_MAX_AGE_MS = 24 * 60 * 60 * 1000;
const UNFINISHED = 'unfinished-';
const LOCK_EX_NB = 6;
const LOCK_POLL_MS = 100;
const APT_TIMEOUT_MS = 10 * 60 * 1000;

/** The package of this name, fetched and unpacked unless the cache has it. */
export async function fetchPackage(source: DebianSource, name: string): Promise<DebianPackage> {
  const cache = await openCache(source);
  try {
    return await fetchNamed(cache, name);
  } finally {
    closeSync(cache.lock);
  }
}

/**
 * The package that a meta package depends on: `linux-image-cloud-amd64` leads to the newest
 * `linux-image-6.12.107+deb13-cloud-amd64`.
 */
export async function fetchNewest(source: DebianSource, meta: string): Promise<DebianPackage> {
  const cache = await openCache(source);
  try {
    const { depends } = await candidate(cache, meta);
    const name = depends[0];
    if (name === undefined) throw missing(cache, meta, 'it depends on nothing');
    return await fetchNamed(cache, name);
  } finally {
    closeSync(cache.lock);
  }
}

/** The mirror of Debian that a machine's sources name first. */
export function mirrorOf(sources: readonly string[]): string {
  for (const text of sources) {
    for (const line of text.split('\n')) {
      const [, uris] = /^\s*(?:deb\s+(?:\[[^\]]*\]\s*)?|URIs:\s*)(\S.*)$/i.exec(line) ?? [];
      const uri = uris?.split(/\s+/).find((word) => /^https?:\/\/\S+\/debian\/?$/.test(word));
      if (uri !== undefined) return uri.replace(/\/$/, '');
    }
  }
  return DEFAULT_MIRROR;
}

interface Cache {
  readonly source: DebianSource;
  readonly dir: string;
  /** The directory of this architecture, and the descriptor that holds its lock. */
  readonly own: string;
  readonly lock: number;
  readonly tool: ToolSettings;
}

async function openCache(source: DebianSource): Promise<Cache> {
  const { suite, architecture } = source;
  const dir = join(source.cache ?? cacheDirectory(), `debian-${suite}`);
  const own = join(dir, architecture);
  try {
    for (const sub of ['lists/partial', 'archives/partial']) {
      makeDirectories(join(own, sub));
    }
  } catch (error) {
    throw explainSysError(error, `Cannot make the cache ${own}`);
  }
  const lock = await takeLock(own, source.signal);
  try {
    const tool: ToolSettings = {
      debian: 'apt',
      env: { APT_CONFIG: join(own, 'apt.conf') },
      timeoutMs: APT_TIMEOUT_MS,
      signal: source.signal,
    };
    const cache = { source, dir, own, lock, tool };
    removeUnfinished(own);
    await configure(cache);
    await refreshLists(cache);
    return cache;
  } catch (error) {
    closeSync(lock);
    throw explainSysError(error, `Cannot prepare the cache ${own}`);
  }
}

/** What killed processes left; nobody else works here while the lock is held. */
function removeUnfinished(own: string): void {
  for (const name of readdirSync(own)) {
    if (name.startsWith(UNFINISHED)) rmSync(join(own, name), { recursive: true, force: true });
  }
}

/** Waits for other processes that fetch; the kernel drops the lock of one that was killed. */
async function takeLock(dir: string, signal: AbortSignal | undefined): Promise<number> {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    while (libc().flock(fd, LOCK_EX_NB) !== 0) {
      const errno = libc().errnoName();
      if (errno !== 'EAGAIN' && errno !== 'EINTR') throw new SysError('flock', errno);
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
      signal?.throwIfAborted();
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw explainSysError(error, `Cannot lock the cache ${dir}`);
  }
}

async function configure(cache: Cache): Promise<void> {
  const { own, source } = cache;
  if (!existsSync(KEYRING)) {
    throw new ColdsealError(
      'HOST_TOOL_MISSING',
      `Cannot check packages of Debian ${source.suite}: expected the keyring ${KEYRING}`,
      { hint: 'install the Debian package debian-archive-keyring' },
    );
  }
  const machine = await runToolToSuccess(['apt-config', 'dump', 'Acquire'], { debian: 'apt' });
  writeFileSync(join(own, 'status'), '');
  writeFileSync(join(own, 'apt.conf'), aptConfiguration(own, source.architecture, machine));
  const mirror = source.mirror ?? mirrorOf(machineSources());
  const line = `deb [signed-by=${KEYRING}] ${mirror} ${source.suite} main\n`;
  const path = join(own, 'sources.list');
  const isNew = !existsSync(path) || readFileSync(path, 'utf8') !== line;
  if (!isNew) return;
  // Lists of another mirror are not this one's.
  rmSync(join(own, 'refreshed'), { force: true });
  writeFileSync(path, line);
}

/** How the machine reaches the network is worth keeping; everything else would only interfere. */
const NETWORK_SETTING =
  /^Acquire::(?:\S+::)?(?:Proxy\S*|Verify-Peer|Verify-Host|CaInfo|Retries|Timeout|ForceIPv[46]) "[^"]+";$/i;

/** A configuration of apt's own for one directory; `machine` is what `apt-config dump Acquire` printed. */
export function aptConfiguration(own: string, architecture: string, machine: string): string {
  const settings: [string, string][] = [
    ['Dir::State', own],
    ['Dir::State::Lists', join(own, 'lists')],
    ['Dir::State::Status', join(own, 'status')],
    ['Dir::Cache', own],
    ['Dir::Cache::Archives', join(own, 'archives')],
    ['Dir::Etc::SourceList', join(own, 'sources.list')],
    ['Dir::Etc::SourceParts', '/dev/null'],
    ['Dir::Etc::Preferences', '/dev/null'],
    ['Dir::Etc::PreferencesParts', '/dev/null'],
    ['Dir::Etc::Main', '/dev/null'],
    ['Dir::Etc::Parts', '/dev/null'],
    ['APT::Architecture', architecture],
    ['APT::Architectures', architecture],
    // The user _apt may not write into somebody's cache, and apt would say so each time.
    ['APT::Sandbox::User', 'root'],
    ['Acquire::Languages', 'none'],
  ];
  const lines = settings.map(([key, value]) =>
    key === 'APT::Architectures' ? `${key} { "${value}"; };` : `${key} "${value}";`,
  );
  const network = machine.split('\n').filter((line) => NETWORK_SETTING.test(line));
  return `${[...network, ...lines].join('\n')}\n`;
}

function machineSources(): string[] {
  const parts = '/etc/apt/sources.list.d';
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(parts, name))];
  return paths.flatMap((path) => {
    if (!/\.(list|sources)$/.test(path)) return [];
    try {
      return [readFileSync(path, 'utf8')];
    } catch (error) {
      // A file that this user may not read is no reason to fail: there is a default.
      if (errnoOf(error) === undefined) throw error;
      return [];
    }
  });
}

async function refreshLists(cache: Cache, maxAgeMs = LISTS_MAX_AGE_MS): Promise<void> {
  const stamp = join(cache.own, 'refreshed');
  const has = existsSync(stamp);
  if (has && Date.now() - statSync(stamp).mtimeMs <= maxAgeMs) return;
  // Without this option apt-get calls it a success when nothing could be fetched.
  const argv = ['apt-get', 'update', '-q', '--error-on=any'] as const;
  const { code, stderr, isLate } = await runTool([...argv], cache.tool);
  if (code === 0) return writeFileSync(stamp, '');
  if (has) return;
  const doing = `Cannot fetch the package lists of Debian ${cache.source.suite}`;
  refuseFullDisk(cache, doing, stderr);
  throw new ColdsealError(
    'HOST_NO_NETWORK',
    `${doing}: apt-get ${isLate ? 'took too long' : `exited with ${code}`}, expected a mirror that answers`,
    { hint: lastLines(stderr) },
  );
}

/** What apt, dpkg-deb and tar say when the disk or the quota is full. They run in the locale C. */
const FULL_DISK = /No space left on device|Disk quota exceeded|enough free space/;

/** A program that failed for want of space has not failed for want of a network. */
function refuseFullDisk({ dir }: Cache, doing: string, said: string): void {
  const line = said.split('\n').find((each) => FULL_DISK.test(each));
  if (line === undefined) return;
  throw new ColdsealError('HOST_NO_SPACE', `${doing}: the disk of the cache ${dir} is full`, {
    hint: `${line.trim()}; make room, or set XDG_CACHE_HOME to a directory on another disk`,
  });
}

interface Candidate {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  /** First alternative of each dependency, without versions. */
  readonly depends: readonly string[];
}

async function candidate(cache: Cache, name: string): Promise<Candidate> {
  const argv = ['apt-cache', 'show', '--no-all-versions', name] as const;
  const { code, stdout } = await runTool([...argv], cache.tool);
  if (code !== 0) throw missing(cache, name, 'the suite has no package of this name');
  return parseCandidate(stdout.toString(), name) ?? noStanza(cache, name);
}

function noStanza(cache: Cache, name: string): never {
  throw missing(cache, name, 'the package lists do not describe it');
}

/** What the first stanza of `apt-cache show` says of a package. */
export function parseCandidate(text: string, name: string): Candidate | undefined {
  const stanza = text.split('\n\n', 1)[0]!;
  const field = (key: string): string | undefined =>
    new RegExp(`^${key}: (.*)$`, 'm').exec(stanza)?.[1];
  const [version, file] = [field('Version'), field('Filename')];
  if (field('Package') !== name || version === undefined || file === undefined) return undefined;
  const depends = (field('Depends') ?? '').split(',').flatMap((one) => {
    const [word] = one.trim().split(/[\s|(:]/);
    return word === undefined || word === '' ? [] : [word];
  });
  return { name, version, file: basename(file), depends };
}

function missing(cache: Cache, name: string, problem: string): ColdsealError {
  const { suite, architecture } = cache.source;
  return new ColdsealError(
    'HOST_PACKAGE_MISSING',
    `Cannot fetch the package ${name} of Debian ${suite} (${architecture}): ${problem}`,
  );
}

async function fetchNamed(cache: Cache, name: string): Promise<DebianPackage> {
  let found = await candidate(cache, name);
  const place = (file: string): string => join(cache.dir, 'packages', file.replace(/\.deb$/, ''));
  if (!existsSync(place(found.file))) {
    try {
      await fetchAndUnpack(cache, found, place(found.file));
    } catch (error) {
      if (!(error instanceof ColdsealError) || error.code !== 'HOST_NO_NETWORK') throw error;
      // The mirror may have a newer version than yesterday's lists say.
      await refreshLists(cache, 0);
      found = await candidate(cache, name);
      await fetchAndUnpack(cache, found, place(found.file));
    }
  }
  return { name, version: found.version, directory: place(found.file) };
}

async function fetchAndUnpack(cache: Cache, found: Candidate, target: string): Promise<void> {
  makeDirectories(join(target, '..'));
  const work = mkdtempSync(join(cache.own, UNFINISHED));
  try {
    const { code, stderr } = await runTool(
      ['apt-get', 'download', '-q', `${found.name}=${found.version}`],
      { ...cache.tool, cwd: work },
    );
    const [deb] = readdirSync(work).filter((name) => name.endsWith('.deb'));
    if (code !== 0 || deb === undefined) {
      refuseFullDisk(cache, `Cannot fetch the package ${found.file}`, stderr);
      throw new ColdsealError(
        'HOST_NO_NETWORK',
        `Cannot fetch the package ${found.file}: apt-get exited with ${code}`,
        { hint: lastLines(stderr) },
      );
    }
    const files = join(work, 'files');
    const unpack = ['dpkg-deb', '-x', join(work, deb), files] as const;
    const unpacked = await runTool([...unpack], { ...cache.tool, debian: 'dpkg' });
    if (unpacked.code !== 0) {
      const doing = `Cannot unpack the package ${found.file}`;
      refuseFullDisk(cache, doing, unpacked.stderr);
      throw new ColdsealError(
        'HOST_TOOL_FAILED',
        `${doing}: dpkg-deb exited with ${unpacked.code}`,
        {
          hint: lastLines(unpacked.stderr),
        },
      );
    }
    renameSync(files, target);
  } catch (error) {
    throw explainSysError(error, `Cannot unpack the package ${found.file}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
