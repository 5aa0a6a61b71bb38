/**
 * The drop-in personalities: verbs whose arguments go, unparsed, to a replacement for a C tool.
 *
 * Their flags, output and exit status are those of the tool named, so nothing of the normal command line (`--json`,
 * colours, our error format) applies to them.
 */
import type { Output } from './output.ts';

export interface Personality {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ main(argv: string[], output: Output): Promise<number> }>;
}

export const PERSONALITIES: readonly Personality[] = [
  {
    name: 'mkcomposefs',
    summary: 'Drop-in for mkcomposefs',
    load: () => import('../compat/mkcomposefs.ts'),
  },
  {
    name: 'composefs-info',
    summary: 'Drop-in for composefs-info',
    load: () => import('../compat/composefs-info.ts'),
  },
  {
    name: 'composefs-dump',
    summary: 'Drop-in for composefs-dump',
    load: () => import('../compat/composefs-dump.ts'),
  },
  {
    name: 'mount.composefs',
    summary: 'Drop-in for mount.composefs',
    load: () => import('../compat/mount-composefs.ts'),
  },
];
