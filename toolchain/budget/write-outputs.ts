/**
 * The outputs of a report: which were asked for, made from the evidence, and written each whole or not at all.
 *
 * What would refuse an output is asked before the records are read. The same evidence gives the same bytes, the
 * signature aside.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { AtomicFile, refuseExisting } from '../files/atomic-file.ts';
import { openEvidenceSigner } from '../sign/dev-keys.ts';
import { checkEvidenceSigner, signEvidence } from '../sign/sign-evidence.ts';
import type { Signer } from '../sign/signer.ts';
import type { Evidence } from './evidence.ts';
import { evidenceText } from './evidence-file.ts';
import { samplesCsv } from './report/csv.ts';
import { junitXml } from './report/junit.ts';
import { openMetrics } from './report/openmetrics.ts';
import { reportPage } from './report/page.ts';
import { perfettoTrace } from './report/perfetto.ts';
import { markdownSummary } from './report/summary.ts';

/** Every output but the signature. */
const MAKERS = {
  html: reportPage,
  junit: junitXml,
  json: evidenceText,
  csv: samplesCsv,
  perfetto: perfettoTrace,
  openmetrics: openMetrics,
  summary: markdownSummary,
} as const satisfies Record<string, (evidence: Evidence) => string | Uint8Array>;

type OutputName = keyof typeof MAKERS;

/** The options that name outputs; the rest of a command's options are of no interest here. */
export type OutputChoice = Readonly<Record<OutputName | 'sign', string | undefined>> & {
  readonly force: boolean;
};

export interface PreparedOutputs {
  readonly files: readonly { readonly name: OutputName; readonly path: string }[];
  readonly signing: { readonly path: string; readonly signer: Signer } | undefined;
  readonly force: boolean;
}

/** Checks the choice. Throws USAGE_OUTPUT_EXISTS, USAGE_OPTION_CONFLICT, CONFIG_KEY_*. */
export function prepareOutputs(
  choice: OutputChoice,
  onWarning?: (text: string) => void,
): PreparedOutputs {
  const files = (Object.keys(MAKERS) as OutputName[]).flatMap((name) => {
    const path = choice[name];
    // The summary for programs is the command's own document.
    return path === undefined || (name === 'json' && path === '-') ? [] : [{ name, path }];
  });
  const json = files.find(({ name }) => name === 'json')?.path;
  const { sign, force } = choice;
  if (sign !== undefined && json === undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot sign without --json FILE: what is signed is the evidence',
    );
  }
  const signed = sign === undefined ? [] : [`${json!}.cose`];
  const paths = [...files.map(({ path }) => path), ...signed];
  paths.forEach((path, index) => {
    if (path === '-' || paths.indexOf(path) !== index) refusePath(path);
    if (!force) refuseExisting(path);
  });
  if (sign === undefined) return { files, signing: undefined, force };
  const signer = openEvidenceSigner(sign, onWarning === undefined ? {} : { onWarning });
  checkEvidenceSigner(signer.describe());
  return { files, signing: { path: signed[0]!, signer }, force };
}

function refusePath(path: string): never {
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    path === '-'
      ? 'Cannot write an output of a report to stdout: expected a file'
      : `Cannot write two outputs to ${path}: expected a file for each`,
  );
}

/** Makes and writes the outputs; returns their paths. None has its name before all are made. */
export function writeOutputs(
  evidence: Evidence,
  { files, signing, force }: PreparedOutputs,
): string[] {
  const open: AtomicFile[] = [];
  // Written beside their names as they are made, so that only one of them is in memory, and named when all are there.
  const put = (path: string, bytes: Uint8Array): void => {
    const file = new AtomicFile(path, { force });
    open.push(file);
    file.write(bytes);
  };
  try {
    for (const { name, path } of files) put(path, bytesOf(MAKERS[name](evidence)));
    if (signing !== undefined) {
      const { path, signer } = signing;
      put(path, signEvidence(bytesOf(evidenceText(evidence)), signer));
    }
    for (const file of open) file.commit();
    return open.map(({ path }) => path);
  } finally {
    // Removes what has no name yet.
    for (const file of open) file[Symbol.dispose]();
  }
}

function bytesOf(made: string | Uint8Array): Uint8Array {
  return typeof made === 'string' ? Buffer.from(made) : made;
}
