/** Marks at a run of a GitHub workflow, for `report` and `qa`: workflow commands count on stderr as on stdout. */
import type { Evidence } from '../budget/evidence.ts';
import type { Output } from '../cli/output.ts';

export async function printAnnotations(evidence: Evidence, output: Output): Promise<void> {
  const { annotations } = await import('../budget/report/summary.ts');
  for (const line of annotations(evidence)) output.errorText(`${line}\n`);
}
