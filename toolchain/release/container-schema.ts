/**
 * `container:` of an image in BOOTSET.yaml: how an OCI runtime bundle is made of what the source has.
 *
 * What the source's own configuration says is taken unless it is said here.
 */
import { z } from 'zod';

const absolute = z
  .string()
  .regex(/^\/[^\0]*$/, 'expected a path that begins with /')
  .refine((path) => !path.split('/').includes('..'), 'expected a path without ..');
const text = z.string().regex(/^[^\0]*$/, 'expected text without NUL');

const mount = z.strictObject({
  destination: absolute.describe('where in the container'),
  type: z.string().min(1).default('bind').describe('file system, or bind for a path of the board'),
  source: z.string().min(1).optional().describe('path of the board, or what the type wants'),
  options: z
    .array(z.string().min(1))
    .optional()
    .describe('mount options (default: rbind, nosuid and nodev for bind)'),
});

const resources = z.strictObject({
  memory_max: z.int().min(1).optional().describe('bytes of memory; beyond it the kernel kills'),
  pids_max: z.int().min(1).optional().describe('processes and threads'),
});

/** The settings that only a bundle made here has a use for. */
export const container = z
  .strictObject({
    bundle: z
      .enum(['generate', 'as-is'])
      .optional()
      .describe(
        'make an OCI runtime bundle of the source, whose tree is the root file system, or take the source for one ' +
          '(default: generate for oci and docker, as-is for the rest)',
      ),
    args: z
      .array(text)
      .min(1)
      .optional()
      .describe('program and its words, in place of entrypoint and command of the image'),
    env: z
      .record(z.string().regex(/^[^=\0]+$/, 'expected a name without ='), text)
      .optional()
      .describe('environment, beside and in place of what the image says'),
    cwd: absolute.optional().describe('directory that the program starts in'),
    user: z
      .union([z.int().min(0).max(0xffff_fffe), text.min(1)])
      .optional()
      .describe('user, or user:group, as numbers or as names in /etc/passwd of the container'),
    hostname: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected up to 64 letters, digits, . _ -')
      .optional()
      .describe('name of the machine (default: name of the image)'),
    network: z
      .enum(['none', 'host'])
      .optional()
      .describe('a network of its own without any interface, or that of the board (default none)'),
    capabilities: z
      .array(z.string().regex(/^CAP_[A-Z_]+$/, 'expected a name such as CAP_NET_RAW'))
      .optional()
      .describe(
        'what the program may do of what root may (default: CAP_AUDIT_WRITE, CAP_KILL and CAP_NET_BIND_SERVICE ' +
          'for root, nothing for another user)',
      ),
    mounts: z
      .array(mount)
      .optional()
      .describe('further mounts; one with the destination of a default one takes its place'),
    omit_mounts: z.array(absolute).optional().describe('default mounts that are left out'),
    resources: resources.optional().describe('limits of the control group'),
  })
  .superRefine(({ bundle, ...rest }, context) => {
    if (bundle !== 'as-is') return;
    for (const key of Object.keys(rest)) {
      const message = 'has no effect on a bundle that is taken as it is';
      context.addIssue({ code: 'custom', path: [key], message, input: undefined });
    }
  });

export type ContainerSettings = z.output<typeof container>;
