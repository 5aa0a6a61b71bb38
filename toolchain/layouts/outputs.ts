/** The files of a comparison, each written whole or not at all; what would refuse one is asked before measuring. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { AtomicFile, refuseExisting } from '../files/atomic-file.ts';
import { layoutsPage } from './page.ts';
import { documentText, type LayoutsDocument } from './result.ts';

const MAKERS = { html: layoutsPage, json: documentText } as const;
type OutputName = keyof typeof MAKERS;

export interface LayoutOutputs {
  readonly files: readonly { readonly name: OutputName; readonly path: string }[];
  readonly force: boolean;
}

/** Checks the choice. Throws USAGE_OUTPUT_EXISTS, USAGE_OPTION_CONFLICT. */
export function prepareLayoutOutputs(
  choice: Readonly<Record<OutputName, string | undefined>> & { readonly force: boolean },
): LayoutOutputs {
  const { html, json, force } = choice;
  if (html === '-' || (html !== undefined && html === json)) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      html === '-'
        ? 'Cannot write the page to stdout: expected a file'
        : `Cannot write two outputs to ${html}: expected a file for each`,
    );
  }
  const files = (['html', 'json'] as const).flatMap((name) => {
    const path = choice[name];
    // The document for programs is the command's own.
    return path === undefined || path === '-' ? [] : [{ name, path }];
  });
  if (!force) for (const { path } of files) refuseExisting(path);
  return { files, force };
}

/** Makes and writes the outputs; returns their paths. */
export function writeLayoutOutputs(
  document: LayoutsDocument,
  { files, force }: LayoutOutputs,
): string[] {
  const open: AtomicFile[] = [];
  try {
    for (const { name, path } of files) {
      const file = new AtomicFile(path, { force });
      open.push(file);
      file.write(Buffer.from(MAKERS[name](document)));
    }
    for (const file of open) file.commit();
    return files.map(({ path }) => path);
  } finally {
    // Removes what has no name yet.
    for (const file of open) file[Symbol.dispose]();
  }
}
