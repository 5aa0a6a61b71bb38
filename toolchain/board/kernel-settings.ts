/** Settings about the kernel, its modules and command line, and what the boot files are packed in. */
import { z } from 'zod';
import { source } from './figures.ts';

const version = z.string().regex(/^\d{1,2}\.\d{1,3}$/, 'expected a version such as "6.12"');

/** What the kernel itself allows on arm64 and x86 (COMMAND_LINE_SIZE). */
const COMMAND_LINE_MAX = 2047;

/** As many as the device policy holds. */
const MODULES_MAX = 64;

const path = z.string().min(1).max(4096);

/** Modules are file names on the device and words of its policy. */
const moduleName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,54}$/, 'expected the name of a module, such as virtio_blk');

const kernelPackage = z.strictObject({
  suite: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'expected a suite of Debian, such as trixie')
    .describe('suite of Debian, such as trixie'),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9+.-]{1,127}$/, 'expected the name of a Debian package')
    .describe('kernel package, or the meta package that depends on the newest one'),
});

export const kernel = z.strictObject({
  min_version: version.describe('lowest Linux version'),
  source: source.describe('where the kernel, or the knowledge about it, is from'),
  package: kernelPackage.optional().describe('the kernel is fetched from Debian'),
  image: path.optional().describe('the kernel is this file; paths count from the board file'),
  modules: path
    .optional()
    .describe('directory with the modules of `image`, such as lib/modules/6.12.30'),
  dtb: path.optional().describe('devicetree that the bootloader hands to the kernel'),
  load: z
    .array(moduleName)
    .max(MODULES_MAX)
    .default([])
    .describe(
      'modules the runtime loads, in order; what they depend on is found, what is built in left out',
    ),
  module_signatures: z
    .enum(['keep', 'strip'])
    .default('keep')
    .describe(
      'strip cuts the signature off each module: the boot chain checks the initramfs as a whole, and a check by ' +
        'the kernel takes 25 to 60 ms; the kernel is then tainted, and must not enforce signatures',
    ),
  command_line: z
    .string()
    .max(COMMAND_LINE_MAX)
    .regex(/^[\x20-\x7e]*$/, 'expected one line of printable ASCII')
    .default('')
    .describe("the kernel's command line"),
});

export const bootImage = z.strictObject({
  container: z
    .enum(['none', 'fit', 'uki'])
    .default('none')
    .describe('what the bootloader takes: files, a FIT image, or a unified kernel image'),
  compression: z
    .enum(['none', 'lz4', 'zstd'])
    .default('none')
    .describe('compression of the initramfs'),
});
