/** Pieces of the page that several parts use. What they take is markup, escaped by whoever made it. */

export interface Section {
  /** Of the heading, for links; unique in the page. */
  readonly id: string;
  readonly title: string;
  readonly content: string;
  readonly level?: 2 | 3;
  /** Class of the section. */
  readonly kind?: string;
}

/** A section that is named by its heading. */
export function section({ id, title, content, level = 2, kind }: Section): string {
  const classes = kind === undefined ? '' : ` class="${kind}"`;
  const heading = `<h${level} id="${id}">${title}</h${level}>`;
  return `<section${classes} aria-labelledby="${id}">${heading}${content}</section>\n`;
}

/** Terms with what they are. */
export function facts(rows: readonly (readonly [term: string, text: string])[]): string {
  const items = rows.map(([term, text]) => `<div><dt>${term}</dt><dd>${text}</dd></div>`);
  return `<dl class="facts">${items.join('')}</dl>`;
}

/** Heads of columns; those of figures are given as `[head]`. */
export function headRow(heads: readonly (string | readonly [string])[]): string {
  const cells = heads.map((head) =>
    typeof head === 'string'
      ? `<th scope="col">${head}</th>`
      : `<th scope="col" class="n">${head[0]}</th>`,
  );
  return `<thead><tr>${cells.join('')}</tr></thead>`;
}

/** A sentence that stands where something would be. */
export function empty(sentence: string): string {
  return `<p class="empty">${sentence}</p>`;
}
