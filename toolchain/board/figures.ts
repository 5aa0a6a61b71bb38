/**
 * Figures with their evidence: a number in a board file is never alone.
 *
 * It carries where it is from and what kind of evidence that is, because a vendor's ceiling and a measurement must not
 * be mixed up, and an unknown figure is left out instead of being guessed.
 */
import { z } from 'zod';

/** Where something is from; also used beside settings that are no figures. */
export const source = z
  .string()
  .min(1)
  .describe('where the figure is from: document, device tree, or how it was measured');

const EVIDENCE = ['measured', 'vendor', 'device-tree', 'configured', 'estimated'] as const;

const evidence = z
  .enum(EVIDENCE)
  .describe('measured here, published by the vendor, set by us, or a guess');

type FactShape<T extends z.ZodType> = {
  value: T;
  source: typeof source;
  evidence: typeof evidence;
};

/** What a figure is in a loaded board. */
export interface Fact<T = number> {
  readonly value: T;
  readonly source: string;
  readonly evidence: (typeof EVIDENCE)[number];
}

/** A setting `{ value, source, evidence }`. */
export function fact<T extends z.ZodType>(
  value: T,
  help: string,
): z.ZodObject<FactShape<T>, z.core.$strict> {
  return z.strictObject({ value: value.describe('the figure'), source, evidence }).describe(help);
}
