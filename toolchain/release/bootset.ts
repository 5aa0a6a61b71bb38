/**
 * A bootset ready to build: defaults filled in, paths absolute, boards loaded, every source known to exist.
 *
 * Relative paths count from the directory of the file, so a bootset builds the same from anywhere.
 */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { INLINE_CONTENT_RECOMMENDED_MAX } from '../../runtime/format/composefs.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import {
  IMAGE_ROLE,
  type ImageEntry,
  MOUNT,
  MOUNT_FLAG,
  START,
} from '../../runtime/format/manifest-image.ts';
import type { Manifest, SignerRole } from '../../runtime/format/manifest.ts';
import { PURPOSE } from '../../runtime/format/oids.ts';
import { loadBoard } from '../board/load.ts';
import type { Board } from '../board/schema.ts';
import { type ConfigFile, readConfig } from '../config/config-file.ts';
import { parseTime } from '../config/utc-time.ts';
import type { ConfigPath, ConfigProblem } from '../config/explain-issue.ts';
import type { FormatVersions } from '../image/layout.ts';
import type { PolicyPlace } from '../image/open-policy.ts';
import type { Recipe } from '../image/recipe.ts';
import { formatVersions } from '../image/versions.ts';
import { isLayered } from '../image/read-source.ts';
import {
  BOOTSET_CONFIG,
  type BootsetSettings,
  type ImageSettings,
  SOURCE_KEYS,
} from './bootset-schema.ts';

export interface BootsetSource {
  readonly kind: (typeof SOURCE_KEYS)[number];
  /** As written in the file: what goes into the record. */
  readonly given: string;
  readonly path: string;
  /** Name of the image in an OCI layout or a Docker archive. */
  readonly ref: string | undefined;
  /** Object stores that a dump's contents come from. */
  readonly objects: readonly string[];
}

export interface BootsetImage extends Pick<ImageEntry, 'name' | 'role' | 'mount' | 'start'> {
  /** Bits of MOUNT_FLAG. */
  readonly flags: number;
  readonly source: BootsetSource;
  readonly algorithm: VerityAlgorithm;
  readonly versions: FormatVersions;
  /** How the source is read; undefined for a dump. */
  readonly recipe: Recipe | undefined;
  /** Where the SELinux policy is that labels the image: in it, or at a path. */
  readonly selinux: PolicyPlace | undefined;
  /** Whether the source is a root file system that an OCI runtime bundle is made of. */
  readonly makesBundle: boolean;
  /** As written in the file, for the record. */
  readonly settings: ImageSettings;
}

export interface Bootset extends Pick<
  Manifest,
  'product' | 'version' | 'valid' | 'minDenyVersion'
> {
  readonly file: ConfigFile<BootsetSettings>;
  readonly boards: readonly ConfigFile<Board>[];
  readonly epochs: ReadonlyMap<number, number>;
  readonly role: SignerRole;
  /** Directory of the signing key, absolute. */
  readonly keys: string | undefined;
  /** In the order of the file. */
  readonly images: readonly BootsetImage[];
  readonly notes: ReadonlyMap<string, string> | undefined;
}

export interface LoadBootsetOptions {
  /** Replaces `board:`; a path counts from the current directory. */
  readonly board?: string | undefined;
}

/** Loads a bootset. Throws CONFIG_YAML, CONFIG_BOOTSET with every problem, CONFIG_BOARD…, HOST_*. */
export function loadBootset(path: string, options: LoadBootsetOptions = {}): Bootset {
  const file = readConfig(path, BOOTSET_CONFIG);
  const settings = file.value;
  const directory = dirname(resolve(path));
  const images = settings.images.map((image) => bootsetImage(image, directory));
  file.refuse(missingSources(images));
  const { valid } = settings;
  const boards = loadBoards(file, options.board, directory);
  file.refuse(mixedMachines(images, boards));
  return {
    file,
    boards,
    product: settings.product,
    version: settings.version,
    epochs: new Map(
      Object.entries(settings.epochs).map(([domain, epoch]) => [Number(domain), epoch]),
    ),
    role: PURPOSE[settings.role.toUpperCase() as 'PRODUCTION'],
    keys: settings.keys === undefined ? undefined : resolve(directory, settings.keys),
    valid: valid && {
      notBefore: parseTime(valid.not_before)!,
      notAfter: valid.not_after === null ? null : parseTime(valid.not_after)!,
    },
    minDenyVersion: settings.min_deny_version,
    images,
    notes: settings.x === undefined ? undefined : new Map(Object.entries(settings.x)),
  };
}

function loadBoards(
  file: ConfigFile<BootsetSettings>,
  given: string | undefined,
  directory: string,
): ConfigFile<Board>[] {
  if (given !== undefined) return [loadBoard(given, process.cwd())];
  const { board } = file.value;
  if (board === undefined) {
    const message = 'is missing, expected a board here or with --board';
    file.refuse([{ path: ['board'], message }]);
  }
  const references = typeof board === 'string' ? [board] : (board ?? []);
  const boards = references.map((reference) => loadBoard(reference, directory));
  const ids = boards.map(({ value }) => value.id);
  file.refuse(
    ids.flatMap((id, index) =>
      ids.indexOf(id) < index
        ? [{ path: ['board', index], message: `is ${id} again, expected each board once` }]
        : [],
    ),
  );
  return boards;
}

/** A container image is of one kind of machine; which one is chosen by the boards. */
function mixedMachines(
  images: readonly BootsetImage[],
  boards: readonly ConfigFile<Board>[],
): ConfigProblem[] {
  const kinds = [...new Set(boards.map(({ value }) => value.arch))];
  if (kinds.length < 2) return [];
  return images.flatMap(({ source }, index) => {
    if (!isLayered(source.kind)) return [];
    const message = `is for one kind of machine, and the boards are ${kinds.join(' and ')}`;
    return [{ path: ['images', index, 'source', source.kind], message }];
  });
}

function bootsetImage(settings: ImageSettings, directory: string): BootsetImage {
  const { name, role, source, recipe } = settings;
  const kind = SOURCE_KEYS.find((key) => source[key] !== undefined)!;
  const given = source[kind]!;
  const mount = settings.mount ?? (role === 'system' ? 'root' : role);
  const start = settings.start ?? (role === 'container' ? 'normal' : 'none');
  return {
    name,
    role: IMAGE_ROLE[role.toUpperCase() as 'SYSTEM'],
    mount: MOUNT[mount.toUpperCase() as 'ROOT'],
    start: START[start.toUpperCase() as 'EARLY'],
    flags: mountFlags(settings),
    source: {
      kind,
      given,
      path: resolve(directory, given),
      ref: source.ref,
      objects: (source.objects ?? []).map((path) => resolve(directory, path)),
    },
    algorithm: recipe.hash,
    versions: formatVersions(recipe.min_version, recipe.max_version),
    recipe: kind === 'dump' ? undefined : imageRecipe(recipe),
    makesBundle: role === 'container' && bundleOf(settings, kind) === 'generate',
    selinux: policyPlace(recipe.selinux, directory),
    settings,
  };
}

/** Images of registries are root file systems; what lies in a directory has been prepared for the board. */
function bundleOf({ container }: ImageSettings, kind: BootsetSource['kind']): 'generate' | 'as-is' {
  return container?.bundle ?? (isLayered(kind) ? 'generate' : 'as-is');
}

const DEFAULT_FLAGS = {
  system: ['nodev'],
  container: ['nosuid', 'nodev'],
  config: ['nosuid', 'nodev', 'noexec'],
} as const;

/** An image is never written, so read-only is not a choice. */
function mountFlags({ flags, role }: ImageSettings): number {
  const names = flags ?? DEFAULT_FLAGS[role];
  const bits = names.map((name) => MOUNT_FLAG[name.toUpperCase() as 'NODEV']);
  return bits.reduce((all, bit) => all | bit, MOUNT_FLAG.READ_ONLY as number);
}

/** The digest of the policy is known when it has been read. */
function imageRecipe(recipe: ImageSettings['recipe']): Recipe {
  return {
    mtime: recipe.mtime ?? 'keep',
    xattrs: recipe.xattrs ?? 'all',
    hardlinks: recipe.hardlinks ?? 'split',
    devices: recipe.devices ?? 'keep',
    inlineMax: recipe.inline_max ?? INLINE_CONTENT_RECOMMENDED_MAX,
    rootMetadata: recipe.root_metadata ?? 'source',
    selinux: undefined,
  };
}

function policyPlace(given: string | undefined, directory: string): BootsetImage['selinux'] {
  if (given === undefined || given === 'image') return given;
  return { path: resolve(directory, given) };
}

const WANTED = {
  directory: 'directory',
  tar: 'file',
  cpio: 'file',
  oci: 'file or directory',
  docker: 'file or directory',
  dump: 'file',
} as const satisfies Record<BootsetSource['kind'], string>;

/** Sources that are not there, all of them, before anything is built. */
function missingSources(images: readonly BootsetImage[]): ConfigProblem[] {
  return images.flatMap(({ source, selinux }, index) => {
    const at = ['images', index, 'source'];
    const wanted = WANTED[source.kind];
    const policy = typeof selinux === 'object' ? selinux.path : undefined;
    return [
      ...(policy === undefined
        ? []
        : missing(['images', index, 'recipe', 'selinux'], policy, 'file or directory')),
      ...missing([...at, source.kind], source.path, wanted),
      ...source.objects.flatMap((path, i) => missing([...at, 'objects', i], path, 'directory')),
    ];
  });
}

function missing(
  at: ConfigPath,
  path: string,
  wanted: 'directory' | 'file' | 'file or directory',
): ConfigProblem[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [{ path: at, message: `is ${path}, which does not exist` }];
  const kind = stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'none';
  if (wanted.split(' or ').includes(kind)) return [];
  return [{ path: at, message: `is ${path}, expected a ${wanted}` }];
}
