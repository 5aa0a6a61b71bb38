/**
 * What a board file says: every setting once, with its bounds and its help.
 *
 * From this value come the parser, the JSON Schema for editors (board-configs/schema.json) and the reference page
 * (docs/reference/board-config.md). A figure is never alone: it carries where it is from and what kind of
 * evidence that is, because a vendor's ceiling and a measurement must not be mixed up.
 */
import { z } from 'zod';
import type { ConfigKind } from '../config/config-file.ts';

/** Board identifiers are file names and go into the manifest. */
const BOARD_ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Linux needs this for overlayfs to demand fs-verity of its lower files (overlayfs.rst, `verity`). */
const OVERLAY_VERITY_KERNEL = '6.6';

const source = z
  .string()
  .min(1)
  .describe('where the figure is from: document, device tree, or how it was measured');

function fact<T extends z.ZodType>(value: T, help: string): z.ZodObject<FactShape<T>> {
  return z
    .strictObject({
      value: value.describe('the figure'),
      source,
      evidence: z
        .enum(['measured', 'vendor', 'device-tree', 'configured', 'estimated'])
        .describe('measured here, published by the vendor, set by us, or a guess'),
    })
    .describe(help);
}

interface FactShape<T extends z.ZodType> {
  [key: string]: z.ZodType;
  value: T;
  source: typeof source;
  evidence: z.ZodEnum<{
    measured: 'measured';
    vendor: 'vendor';
    'device-tree': 'device-tree';
    configured: 'configured';
    estimated: 'estimated';
  }>;
}

const kernelVersion = z.string().regex(/^\d{1,2}\.\d{1,3}$/, 'expected a version such as "6.12"');

const epochDomain = z.strictObject({
  domain: z.int().min(1).max(255).describe('number of the rollback domain in the manifest'),
  name: z.string().min(1).max(64).describe('what its counter protects'),
});

const cpu = z.strictObject({
  core: z.string().min(1).describe('core, such as cortex-a53'),
  count: z.int().min(1).max(1024).describe('cores of this kind'),
  mhz: fact(z.number().positive(), 'clock in MHz').optional(),
});

const storage = z.strictObject({
  kind: z.string().min(1).describe('device, such as emmc, ospi-nor or virtio-blk'),
  ceiling_mb_s: fact(z.number().positive(), 'what the bus allows, MB/s').optional(),
  measured_mb_s: fact(z.number().positive(), 'sequential read, MB/s').optional(),
});

const bootStage = z.strictObject({
  stage: z.string().min(1).describe('stage before the runtime'),
  verifies: z.string().optional().describe('what it checks of the next stage'),
  ms: fact(z.number().nonnegative(), 'duration in milliseconds').optional(),
});

const signing = z.strictObject({
  algorithms: z
    .array(z.enum(['PS256', 'ES256', 'EdDSA']))
    .min(1)
    .default(['PS256'])
    .describe('signature algorithms the board accepts'),
  roles: z
    .array(z.enum(['production', 'development', 'factory', 'recovery']))
    .min(1)
    .describe('signer roles the board accepts; no development role on a production board'),
});

const verity = z.strictObject({
  mode: z
    .enum(['require', 'if-supported'])
    .default('require')
    .describe('whether the board refuses files that the kernel cannot verify'),
  algorithms: z
    .array(z.enum(['sha256', 'sha512']))
    .min(1)
    .default(['sha256'])
    .describe('fs-verity algorithms of its kernel'),
});

const schema = z
  .strictObject({
    id: z
      .string()
      .regex(BOARD_ID, 'expected lower-case letters, digits, dots, dashes and underscores')
      .describe('identifier; the file is called <id>.yaml'),
    name: z.string().min(1).describe('name for people'),
    vendor: z.string().min(1).optional().describe('who makes it'),
    arch: z.enum(['x86_64', 'aarch64']).describe('architecture of its kernel'),
    compatible: z
      .array(z.string().regex(/^[a-zA-Z0-9,._+-]+$/, 'expected a devicetree compatible'))
      .default([])
      .describe('devicetree compatible of the root node, most specific first'),
    smbios: z
      .strictObject({
        vendor: z.string().min(1).describe('system manufacturer'),
        product: z.string().min(1).describe('product name'),
      })
      .optional()
      .describe('how a board without a devicetree names itself'),
    production: z
      .boolean()
      .describe('whether it leaves the house: development keys are then refused'),
    signing: signing.describe('whose signatures the board accepts'),
    epochs: z.array(epochDomain).min(1).describe('rollback domains every release must give'),
    kernel: z
      .strictObject({ min_version: kernelVersion.describe('lowest Linux version'), source })
      .describe('the kernel it runs'),
    erofs: z
      .strictObject({
        formats: z
          .array(z.int().min(0).max(2))
          .min(1)
          .describe('composefs layout versions it mounts'),
        source,
      })
      .describe('image formats'),
    verity: verity.describe('fs-verity'),
    cpu: z.array(cpu).default([]).describe('processors'),
    ram_mb: fact(z.int().positive(), 'memory in MiB').optional(),
    storage: z.array(storage).default([]).describe('boot storage'),
    boot_chain: z.array(bootStage).default([]).describe('stages before the runtime, in order'),
    notes: z.array(z.string()).default([]).describe('remarks for people'),
  })
  .superRefine((board, context) => {
    const problem = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message, input: board });
    const development = board.signing.roles.indexOf('development');
    if (board.production && development >= 0) {
      problem(
        ['signing', 'roles', development],
        'is development, expected another role on a production board',
      );
    }
    if (board.production && board.verity.mode !== 'require') {
      problem(
        ['verity', 'mode'],
        `is ${board.verity.mode}, expected require on a production board`,
      );
    }
    if (
      board.verity.mode === 'require' &&
      isOlder(board.kernel.min_version, OVERLAY_VERITY_KERNEL)
    ) {
      problem(
        ['kernel', 'min_version'],
        `is ${board.kernel.min_version}, expected at least ${OVERLAY_VERITY_KERNEL} with verity.mode require`,
      );
    }
    if (board.compatible.length === 0 && board.smbios === undefined) {
      problem(['compatible'], 'is missing, expected it or smbios');
    }
    const domains = board.epochs.map(({ domain }) => domain);
    domains.forEach((domain, index) => {
      if (domains.indexOf(domain) < index) {
        problem(['epochs', index, 'domain'], `is ${domain} again, expected another number`);
      }
    });
  });

export type Board = z.output<typeof schema>;

/** How board files are read and explained. */
export const BOARD_CONFIG: ConfigKind<typeof schema> = {
  name: 'board file',
  schema,
  code: 'CONFIG_BOARD',
  reference: 'docs/reference/board-config.md',
};

/** Whether a kernel version such as 6.12 is older than another. */
export function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
