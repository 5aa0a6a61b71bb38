/**
 * The configuration of an image to config.json of an OCI runtime bundle, with the settings of the bootset over it.
 *
 * The same image and settings give the same bytes: fields are in a fixed order, annotations and volumes sorted.
 * Source: OCI Image Format Specification 1.1, conversion.md; OCI Runtime Specification 1.0.2, config.md.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  DEFAULT_MOUNTS,
  DEFAULT_PATH,
  MASKED_PATHS,
  NAMESPACES,
  READONLY_PATHS,
  ROOT_CAPABILITIES,
  type RuntimeMount,
  volumeMount,
} from './container-defaults.ts';
import type { ContainerSettings } from './container-schema.ts';
import type { RuntimeUser } from './container-user.ts';

const strings = z.array(z.string()).nullish();
const names = z.record(z.string(), z.unknown()).nullish();
const imageConfig = z.looseObject({
  author: z.string().optional(),
  created: z.string().optional(),
  architecture: z.string().optional(),
  os: z.string().optional(),
  variant: z.string().optional(),
  'os.version': z.string().optional(),
  'os.features': z.array(z.string()).optional(),
  config: z
    .looseObject({
      User: z.string().nullish(),
      ExposedPorts: names,
      Env: z.array(z.string().regex(/^[^=\0][^\0]*=[^\0]*$/)).nullish(),
      Entrypoint: strings,
      Cmd: strings,
      Volumes: names,
      WorkingDir: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      StopSignal: z.string().nullish(),
    })
    .nullish(),
});

/** What an image says of its container; nothing where the source is no image. */
export type ContainerImage = z.output<typeof imageConfig>;

/** Reads the configuration of an image. Throws FORMAT_OCI_CONFIG. */
export function parseContainerImage(value: unknown): ContainerImage {
  const result = imageConfig.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new ColdsealError(
    'FORMAT_OCI_CONFIG',
    `Cannot make a container of the image: ${path.join('.')} of its configuration: ${message}`,
  );
}

/** config.json as far as it is made here. */
export interface RuntimeConfig {
  readonly process: {
    readonly terminal: false;
    readonly user: RuntimeUser;
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<Record<string, readonly string[]>>;
    readonly noNewPrivileges: true;
  };
  readonly mounts: readonly RuntimeMount[];
  readonly [key: string]: unknown;
}

/** The user as it is written: in the bootset, else in the image. */
export function userOf(image: ContainerImage, settings: ContainerSettings): string {
  return String(settings.user ?? image.config?.User ?? '');
}

/** Paths that the image wants to write to and that no mount of the bootset is for, sorted. */
export function volumesOf(image: ContainerImage, settings: ContainerSettings): string[] {
  const mounted = new Set([
    ...(settings.mounts ?? []).map(({ destination }) => cleanPath(destination)),
    ...DEFAULT_MOUNTS.map(({ destination }) => destination),
  ]);
  const volumes = Object.keys(image.config?.Volumes ?? {}).map(imagePath);
  return [...new Set(volumes)].filter((path) => !mounted.has(path)).sort();
}

/** Makes config.json. The program may be missing: whoever asked tells that. */
export function runtimeConfig(
  name: string,
  image: ContainerImage,
  settings: ContainerSettings,
  user: RuntimeUser,
): RuntimeConfig {
  const { config } = image;
  const { resources } = settings;
  const network = settings.network === 'host' ? [] : ['network'];
  const annotations = annotationsOf(image);
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user,
      args: settings.args ?? [...(config?.Entrypoint ?? []), ...(config?.Cmd ?? [])],
      env: environmentOf(config?.Env ?? [], settings.env ?? {}),
      cwd: settings.cwd ?? imagePath(config?.WorkingDir || '/'),
      capabilities: capabilitiesOf(user, settings.capabilities),
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: settings.hostname ?? name,
    mounts: mountsOf(image, settings),
    ...(Object.keys(annotations).length > 0 && { annotations }),
    linux: {
      ...(resources !== undefined && { resources: resourcesOf(resources) }),
      namespaces: [...NAMESPACES, ...network].map((type) => ({ type })),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

/** What the image says, replaced in its place, then what is new; a search path is there in any case. */
function environmentOf(
  own: readonly string[],
  settings: Readonly<Record<string, string>>,
): string[] {
  const all = new Map(own.map((each) => [each.slice(0, each.indexOf('=')), each]));
  for (const [name, value] of Object.entries(settings)) all.set(name, `${name}=${value}`);
  return all.has('PATH') ? [...all.values()] : [DEFAULT_PATH, ...all.values()];
}

/** Of another user, the kernel lets only ambient capabilities pass into a program. */
function capabilitiesOf(
  { uid }: RuntimeUser,
  given: readonly string[] | undefined,
): Record<string, readonly string[]> {
  const set = given ?? (uid === 0 ? ROOT_CAPABILITIES : []);
  const all = [...new Set(set)].sort();
  const common = { bounding: all, effective: all, permitted: all };
  return uid === 0 ? common : { ...common, inheritable: all, ambient: all };
}

function mountsOf(image: ContainerImage, settings: ContainerSettings): RuntimeMount[] {
  const omitted = new Set((settings.omit_mounts ?? []).map(cleanPath));
  const all = new Map<string, RuntimeMount>();
  const defaults = DEFAULT_MOUNTS.filter(({ destination }) => !omitted.has(destination));
  const volumes = volumesOf(image, settings).map(volumeMount);
  for (const each of [...defaults, ...volumes]) all.set(each.destination, each);
  for (const { destination, type, source = type, options } of settings.mounts ?? []) {
    const path = cleanPath(destination);
    const own = options ?? (type === 'bind' ? ['rbind', 'nosuid', 'nodev'] : ['nosuid', 'nodev']);
    all.set(path, { destination: path, type, source, options: own });
  }
  // What is mounted first must not hide what comes below it.
  return [...all.values()].sort((a, b) => depthOf(a.destination) - depthOf(b.destination));
}

const depthOf = (path: string): number => path.split('/').length;

function resourcesOf({
  memory_max: memory,
  pids_max: pids,
}: NonNullable<ContainerSettings['resources']>): object {
  return {
    ...(memory !== undefined && { memory: { limit: memory } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
  };
}

const PREFIX = 'org.opencontainers.image.';

/** A label with the name of one of these counts. */
function annotationsOf(image: ContainerImage): Record<string, string> {
  const { config } = image;
  const ports = Object.keys(config?.ExposedPorts ?? {}).sort();
  const said: Record<string, string | undefined> = {
    [`${PREFIX}os`]: image.os,
    [`${PREFIX}os.version`]: image['os.version'],
    [`${PREFIX}os.features`]: image['os.features']?.join(','),
    [`${PREFIX}architecture`]: image.architecture,
    [`${PREFIX}variant`]: image.variant,
    [`${PREFIX}author`]: image.author,
    [`${PREFIX}created`]: image.created,
    [`${PREFIX}stopSignal`]: config?.StopSignal ?? undefined,
    [`${PREFIX}exposedPorts`]: ports.join(','),
  };
  const kept = Object.entries(said).filter(([, value]) => value !== undefined && value !== '');
  const all = { ...Object.fromEntries(kept), ...config?.Labels } as Record<string, string>;
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** A path of the image's configuration. Throws FORMAT_OCI_CONFIG. */
function imagePath(path: string): string {
  const isSafe = !path.includes('\0') && !path.split('/').includes('..');
  if (path.startsWith('/') && isSafe) return cleanPath(path);
  throw new ColdsealError(
    'FORMAT_OCI_CONFIG',
    `Cannot make a container of the image: its configuration has the path ${JSON.stringify(path)}, ` +
      'expected one that begins with / and has no ..',
  );
}

/** Without doubled slashes and one at the end. */
function cleanPath(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}
