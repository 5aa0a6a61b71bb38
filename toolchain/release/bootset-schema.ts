/**
 * What a BOOTSET.yaml says: every setting once, with its bounds and its help.
 *
 * From this value come the parser, docs/reference/bootset.schema.json for editors and docs/reference/bootset.md.
 * Rules that need more than the file (does the directory exist, does the board agree) are in bootset.ts and
 * check-board.ts.
 */
import { z } from 'zod';
import { INLINE_CONTENT_MAX } from '../../runtime/format/composefs.ts';
import { IMAGE_NAME } from '../../runtime/format/manifest-image.ts';
import { BOARDS_MAX, DOMAINS_MAX, IMAGES_MAX } from '../../runtime/format/manifest.ts';
import type { ConfigKind } from '../config/config-file.ts';
import { parseTime } from '../config/utc-time.ts';
import { RECIPE_WORDS } from '../image/recipe-words.ts';
import { container } from './container-schema.ts';

/** The bounds of the manifest (runtime/format/manifest.ts): what is wrong there is told here, with its path. */
const product = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._,+:/-]{0,127}$/,
    'expected up to 128 letters, digits and . _ , + : / -',
  );
const displayVersion = z
  .string()
  .regex(/^[\x20-\x7e]{1,64}$/, 'expected up to 64 printable ASCII characters');
const noteKey = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected lower-case letters, digits, dots and dashes');
const boardName = z.string().min(1);
const path = z.string().min(1);

const time = z.string().refine((text) => parseTime(text) !== undefined, {
  message: 'is not a time in UTC, expected one such as 2026-01-31T00:00:00Z',
});

/** What an image can be built from; of these a source has one. */
export const SOURCE_KEYS = ['directory', 'tar', 'cpio', 'oci', 'docker', 'dump'] as const;

const source = z
  .strictObject({
    directory: path.optional().describe('directory to build the image of'),
    tar: path
      .optional()
      .describe('tar archive to build the image of; plain, or compressed with gzip, zstd or xz'),
    cpio: path
      .optional()
      .describe(
        'cpio archive (newc, crc or odc) to build the image of; plain or compressed as tar',
      ),
    oci: path
      .optional()
      .describe('OCI image layout, a directory or an archive, to build the image of'),
    docker: path
      .optional()
      .describe('archive of docker save, or a directory that has its files, to build the image of'),
    ref: z
      .string()
      .min(1)
      .optional()
      .describe(
        'name of the image in the OCI layout or Docker archive; the board says its platform',
      ),
    dump: path.optional().describe('text in the format of composefs-dump(5)'),
    objects: z
      .array(path)
      .optional()
      .describe('object stores with the contents that a dump refers to; each object is measured'),
  })
  .superRefine((value, context) => {
    const { oci, docker, ref, dump, objects } = value;
    const problem = (key: string[], message: string): void =>
      context.addIssue({ code: 'custom', path: key, message, input: undefined });
    const given = SOURCE_KEYS.filter((key) => value[key] !== undefined).length;
    if (given !== 1) {
      const last = SOURCE_KEYS.length - 1;
      const names = `${SOURCE_KEYS.slice(0, last).join(', ')} and ${SOURCE_KEYS[last]}`;
      problem([], `has ${given} of ${names}, expected one of them`);
    } else if (dump === undefined && objects !== undefined) {
      problem(['objects'], 'has no effect here, expected it beside dump only');
    } else if ((oci ?? docker) === undefined && ref !== undefined) {
      problem(['ref'], 'has no effect here, expected it beside oci or docker only');
    }
  });

/** Settings that say how a directory, an archive or an OCI image is read; a dump has been read already. */
const READING_RECIPE = [
  'mtime',
  'xattrs',
  'root_metadata',
  'selinux',
  'hardlinks',
  'devices',
  'inline_max',
] as const;

const recipe = z
  .strictObject({
    mtime: z
      .enum(RECIPE_WORDS.mtime)
      .optional()
      .describe(
        'modification times: as they are, all 0, none after SOURCE_DATE_EPOCH, or without fractions ' +
          'of seconds (default keep)',
      ),
    xattrs: z
      .enum(RECIPE_WORDS.xattrs)
      .optional()
      .describe(
        'extended attributes that are kept: all, those named user.*, none, or security.capability ' +
          '(default all)',
      ),
    root_metadata: z
      .enum(RECIPE_WORDS.rootMetadata)
      .optional()
      .describe(
        'mode, owner, time and attributes of the root directory: as the source says, those of /usr, ' +
          'or 0755 0:0 at 0 without attributes (default source)',
      ),
    selinux: path
      .optional()
      .describe(
        "SELinux labels: those that a policy gives, a file_contexts or its directory, or image for the image's own; " +
          'without it, labels are attributes as others',
      ),
    hardlinks: z
      .enum(RECIPE_WORDS.hardlinks)
      .optional()
      .describe('names of one file: a file each, as mkcomposefs does, or together (default split)'),
    devices: z
      .enum(RECIPE_WORDS.devices)
      .optional()
      .describe('character and block devices (default keep)'),
    inline_max: z
      .int()
      .min(0)
      .max(INLINE_CONTENT_MAX)
      .optional()
      .describe('files up to this many bytes are inside the image (default 64)'),
    min_version: z.int().min(0).max(1).optional().describe('least composefs layout version'),
    max_version: z.int().min(0).max(1).optional().describe('highest composefs layout version'),
    hash: z.enum(['sha256', 'sha512']).default('sha256').describe('algorithm of all digests'),
  })
  .superRefine(({ min_version: min, max_version: max }, context) => {
    if (min === undefined || max === undefined || min <= max) return;
    const message = `is ${max}, expected at least min_version, ${min}`;
    context.addIssue({ code: 'custom', path: ['max_version'], message, input: max });
  });

const image = z
  .strictObject({
    name: z
      .string()
      .max(IMAGE_NAME.max)
      .regex(IMAGE_NAME.pattern, 'expected lower-case letters, digits, dots, dashes, underscores')
      .describe('name, unique in the set'),
    role: z.enum(['system', 'container', 'config']).describe('what the image is'),
    source: source.describe(
      'what it is built from: a directory, an archive, a container image or a dump',
    ),
    mount: z
      .enum(['root', 'container', 'config'])
      .optional()
      .describe('where the device mounts it (default: root for system, else as the role)'),
    start: z
      .enum(['early', 'normal', 'none'])
      .optional()
      .describe(
        'when a container starts: within the budget, afterwards, or not by itself ' +
          '(default: normal for containers, none for the rest)',
      ),
    flags: z
      .array(z.enum(['nosuid', 'nodev', 'noexec']))
      .optional()
      .describe(
        'mount flags besides read-only (default: nodev for system, nosuid and nodev for container, ' +
          'all three for config)',
      ),
    recipe: recipe.prefault({}).describe('how the source becomes an image'),
    container: container
      .optional()
      .describe('how a container of the source becomes an OCI runtime bundle, for role container'),
  })
  .superRefine((value, context) => {
    const problem = (key: string[], message: string): void =>
      context.addIssue({ code: 'custom', path: key, message, input: undefined });
    if (value.mount === 'root' && value.role !== 'system') {
      problem(['mount'], `is root, expected that for role system only`);
    }
    if (value.role !== 'container' && value.start !== undefined && value.start !== 'none') {
      problem(['start'], `is ${value.start}, expected it for role container only`);
    }
    if (value.container !== undefined && value.role !== 'container') {
      problem(['container'], `has no effect for role ${value.role}`);
    } else if (value.container !== undefined && value.container.bundle === undefined) {
      const isImage = (value.source.oci ?? value.source.docker) !== undefined;
      if (!isImage) problem(['container', 'bundle'], 'is missing, expected generate or as-is');
    }
    if (value.source.dump === undefined) return;
    if (value.container?.bundle === 'generate') {
      problem(['container', 'bundle'], 'is generate, and a dump already says what is in the image');
    }
    for (const key of READING_RECIPE) {
      if (value.recipe[key] === undefined) continue;
      problem(['recipe', key], 'has no effect on a dump, which already says what is in the image');
    }
  });

const schema = z
  .strictObject({
    product: product.describe('product the release is for; devices compare it exactly'),
    version: displayVersion.describe('version for people; devices never compare it'),
    board: z
      .union([boardName, z.array(boardName).min(1).max(BOARDS_MAX)], {
        error: 'expected a board, or a list of boards',
      })
      .optional()
      .describe(
        'board the release is for: its identifier, the path of its file, or a list of either',
      ),
    epochs: z
      .record(
        z.string().regex(/^[1-9]\d{0,2}$/, 'expected the number of a rollback domain'),
        z.int().min(0).max(0xffff_ffff),
      )
      .refine(
        (value) => Object.keys(value).length >= 1 && Object.keys(value).length <= DOMAINS_MAX,
        {
          message: `has no entry or too many, expected 1 to ${DOMAINS_MAX}`,
        },
      )
      .describe('epoch of each rollback domain; a device refuses one lower than it has seen'),
    role: z
      .enum(['production', 'development', 'factory', 'recovery'])
      .default('development')
      .describe('role the release is signed in'),
    keys: path.optional().describe('directory of the signing key and its chain (default keys/dev)'),
    valid: z
      .strictObject({
        not_before: time.describe('first moment, such as 2026-01-31T00:00:00Z'),
        not_after: time.nullable().default(null).describe('last moment; without it there is none'),
      })
      .optional()
      .describe('when the release may be installed; boots do not look at it'),
    min_deny_version: z
      .int()
      .min(0)
      .max(0xffff_ffff)
      .default(0)
      .describe('lowest version of the deny list that a device must have'),
    images: z.array(image).min(1).max(IMAGES_MAX).describe('the images'),
    x: z
      .record(noteKey, z.string().max(1024))
      .refine((value) => Object.keys(value).length <= 32, {
        message: 'has too many entries, expected at most 32',
      })
      .optional()
      .describe('notes for people and fleets; no decision reads them'),
  })
  .superRefine((set, context) => {
    const problem = (key: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: key, message, input: undefined });
    const names = set.images.map(({ name }) => name);
    const roots = set.images.flatMap(({ role, mount }, index) =>
      (mount ?? (role === 'system' ? 'root' : role)) === 'root' ? [index] : [],
    );
    names.forEach((name, index) => {
      if (names.indexOf(name) < index) {
        problem(['images', index, 'name'], `is ${name} again, expected another name`);
      }
    });
    for (const index of roots.slice(1)) {
      problem(['images', index, 'mount'], `is root again, expected one image to be the root`);
    }
    const [from, to] = [set.valid?.not_before, set.valid?.not_after];
    if (from !== undefined && typeof to === 'string' && parseTime(to)! < parseTime(from)!) {
      problem(['valid', 'not_after'], `is ${to}, expected a time after not_before`);
    }
  });

export type BootsetSettings = z.output<typeof schema>;
export type ImageSettings = BootsetSettings['images'][number];

/** How bootset files are read and explained. */
export const BOOTSET_CONFIG: ConfigKind<typeof schema> = {
  name: 'bootset',
  schema,
  code: 'CONFIG_BOOTSET',
  reference: 'docs/reference/bootset.md',
};
