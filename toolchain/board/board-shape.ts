/**
 * What a board file says: every setting once, with its bounds, default and help.
 *
 * The settings in detail are in *-settings.ts, the rules between settings in rules.ts. A setting that is left out has
 * its default, so a board file says only what is special about its board.
 */
import { z } from 'zod';
import { budget, containers, onFailure, rollback, slots, store, system } from './boot-settings.ts';
import { fact, source } from './figures.ts';
import { bootStage, cpu, decompress, storage, virtual } from './hardware-settings.ts';
import { bootImage, kernel } from './kernel-settings.ts';

/** Board identifiers are file names and go into the manifest. */
const BOARD_ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

const epochDomain = z.strictObject({
  domain: z.int().min(1).max(255).describe('number of the rollback domain in the manifest'),
  name: z.string().min(1).max(64).describe('what its counter protects'),
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

export const boardShape = z.strictObject({
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
    .describe('whether it leaves the house: development keys and a shell are then refused'),
  signing: signing.describe('whose signatures the board accepts'),
  epochs: z.array(epochDomain).min(1).describe('rollback domains every release must give'),
  rollback: rollback.prefault({}).describe('where the board keeps its epochs'),
  kernel: kernel.describe('the kernel it runs; without package or image nothing boots'),
  boot_image: bootImage.prefault({}).describe('what kernel and initramfs are packed in'),
  engine: z
    .enum(['quickjs', 'node'])
    .default('quickjs')
    .describe('what runs the runtime in the initramfs'),
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
  slots: slots.prefault({}).describe('slots and their tries'),
  store: store.prefault({}).describe('partition with objects, images and slots'),
  system: system.prefault({}).describe('programs of the system image'),
  containers: containers.prefault({}).describe('containers that start early'),
  on_failure: onFailure,
  budget: budget.prefault({}).describe('what a boot may take'),
  cpu: z.array(cpu).default([]).describe('processors'),
  ram_mb: fact(z.int().positive(), 'memory in MiB').optional(),
  storage: z.array(storage).default([]).describe('boot storage'),
  decompress_mb_s: decompress.prefault({}),
  boot_chain: z.array(bootStage).default([]).describe('stages before the runtime, in order'),
  virtual: virtual.optional(),
  notes: z.array(z.string()).default([]).describe('remarks for people'),
});

export type Board = z.output<typeof boardShape>;
