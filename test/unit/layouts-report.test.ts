/** A comparison as table, page and JSON: the same bytes each time, figures those of the document, names as text. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { visible } from '../../toolchain/budget/report/escape.ts';
import { prepareLayoutOutputs, writeLayoutOutputs } from '../../toolchain/layouts/outputs.ts';
import { layoutsPage } from '../../toolchain/layouts/page.ts';
import { PUBLISHED, ratioRows, referenceOf } from '../../toolchain/layouts/ratios.ts';
import { documentText, layoutsDocument } from '../../toolchain/layouts/result.ts';
import { layoutsTable } from '../../toolchain/layouts/text.ts';
import { expectCode } from '../support/expect-code.ts';
import { sampleLayouts } from '../support/layout-sample.ts';
import { elementsOf, readMarkup, textOf } from '../support/markup.ts';
import { HOSTILE_NAMES } from '../support/sample-evidence.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('report of layouts');

const PLAIN = { bold: (text: string): string => text };
const linesOf = (document = sampleLayouts()): string[] => layoutsTable(document, PLAIN);

test('the document is what its schema says, and nothing else is', () => {
  const document = sampleLayouts();
  assert.equal(layoutsDocument.parse(JSON.parse(documentText(document))), document);
  const damaged: readonly object[] = [
    { ...document, schema: 2 },
    { ...document, more: 1 },
    { ...document, layouts: [{ ...document.layouts[0], id: 'zfs' }] },
    { ...document, layouts: [{ ...document.layouts[0], mount: { ns: -1 } }] },
    { ...document, seed: 0.5 },
  ];
  for (const each of damaged) assert.is(layoutsDocument.safeParse(each).success, false);
});

test('the table has the times of every layout, and what runs and storage are', () => {
  const lines = linesOf();
  assert.match(lines[0]!, 'rootfs: 4000 files of 133.5 MiB in 12 layouts on qemu-aarch64');
  const row = lines.find((line) => line.startsWith('EROFS + overlayfs '))!;
  assert.equal(row.split(/ {2,}/), [
    'EROFS + overlayfs',
    '1.20',
    '14.00',
    '8.00',
    '34.00',
    '24.00',
    '74.00',
    '64.00',
  ]);
  const text = lines.join('\n');
  assert.match(text, '2 runs differ by at most 0.12% of a figure');
  assert.match(
    text,
    'modelled, not measured: emmc-hs400 of nxp-imx8mp-evk at 400 MB/s ' +
      '(ceiling, device-tree; its latency is not known)',
  );
  assert.match(text, /^composefs +1\.0 +47\.7 MiB +52\.5 MiB +1\.10x +\+8\.6 MiB +-4\.0 KiB$/m);
  assert.ok(lines.every((line) => line === line.trimEnd()));
});

test('a storage without a rate leaves its column out and says so', () => {
  const layouts = sampleLayouts().layouts.map((layout) => ({
    ...layout,
    mount: { ...layout.mount, modelledNs: null },
  }));
  const text = linesOf({ ...sampleLayouts(), layouts, storage: null }).join('\n');
  assert.match(text, 'no storage is modelled');
  assert.not.match(text, 'modelled ms');
});

test('ratios are to composefs, without it to EROFS, and else there are none', () => {
  const { layouts } = sampleLayouts();
  assert.is(referenceOf(layouts)?.id, 'composefs');
  const erofs = ratioRows(layouts).find(({ id }) => id === 'erofs')!;
  assert.is(erofs.cold, 1.3);
  assert.is(erofs.warm, 7 / 4);
  assert.equal(erofs.published, { cold: 264 / 326, warm: 172 / 135 });
  const others = layouts.filter(({ id }) => !id.startsWith('composefs'));
  assert.is(referenceOf(others)?.id, 'erofs');
  assert.equal(ratioRows(others)[0]!.published, { cold: 1, warm: 1 });
  const farms = layouts.filter(({ id }) => id.endsWith('links'));
  assert.equal(ratioRows(farms), []);
  assert.not.match(linesOf({ ...sampleLayouts(), layouts: farms }).join('\n'), 'as a multiple of');
  assert.is(PUBLISHED.length, 5);
});

test('the page is well-formed, has every figure of a chart as data, and is the same each time', () => {
  const document = sampleLayouts();
  const page = layoutsPage(document);
  assert.is(page, layoutsPage(sampleLayouts()));
  const root = readMarkup(page);
  const values = new Set(elementsOf(root, 'data').map(({ attributes }) => attributes.get('value')));
  for (const { mount, list, stat, startup, bytes, cache } of document.layouts) {
    const figures = [mount, ...[list, stat, startup].flatMap(({ cold, warm }) => [cold, warm])];
    for (const { ns } of figures) assert.ok(values.has(String(ns)), String(ns));
    for (const value of [bytes.one, bytes.all, cache.first, cache.other]) {
      assert.ok(values.has(String(value)), String(value));
    }
  }
  const given = elementsOf(root).flatMap(({ attributes }) => attributes.get('id') ?? []);
  assert.is(new Set(given).size, given.length, 'an identifier twice');
  for (const { attributes } of elementsOf(root, 'a')) {
    assert.ok(given.includes(attributes.get('href')!.slice(1)));
  }
});

test('the page carries its document, and asks nobody for anything', () => {
  const document = sampleLayouts({ tree: '</script><b>' });
  const page = layoutsPage(document);
  const [, json] = /<script type="application\/json" id="layouts">([^]*?)<\/script>/.exec(page)!;
  assert.equal(layoutsDocument.parse(JSON.parse(json!)), document);
  assert.match(page, "content=\"default-src 'none'; style-src 'sha256-");
  assert.not.match(
    page.replace(json!, ''),
    /https?:(?!\/\/www\.w3\.org\/)|<script(?! type="application\/json")/,
  );
});

test('hostile names come out as text, in page and table', () => {
  for (const name of HOSTILE_NAMES) {
    const document = sampleLayouts({ tree: name, paths: [name], kernel: name });
    const root = readMarkup(layoutsPage(document).replace(/<script[^]*?<\/script>/, ''));
    assert.is(textOf(elementsOf(root, 'h1')[0]!), visible(name));
    assert.equal(elementsOf(root, 'b'), []);
    // oxlint-disable-next-line no-control-regex -- they are what is looked for
    assert.ok(
      linesOf(document).every((line) => !/[\u0000-\u001f\u007f-\u009f]/.test(line)),
      name,
    );
  }
});

test('outputs are written whole, and what would refuse one is asked before', () => {
  using dir = tempDir();
  const [html, json] = ['page.html', 'all.json'].map((name) => join(dir.path, name));
  const choice = { html, json, force: false };
  const outputs = prepareLayoutOutputs(choice);
  assert.equal(writeLayoutOutputs(sampleLayouts(), outputs), [html, json]);
  assert.is(readFileSync(json!, 'utf8'), documentText(sampleLayouts()));
  assert.is(readFileSync(html!, 'utf8'), layoutsPage(sampleLayouts()));
  expectCode(() => prepareLayoutOutputs(choice), 'USAGE_OUTPUT_EXISTS');
  writeFileSync(json!, 'older');
  writeLayoutOutputs(sampleLayouts(), prepareLayoutOutputs({ ...choice, force: true }));
  assert.is(readFileSync(json!, 'utf8'), documentText(sampleLayouts()));
  expectCode(
    () => prepareLayoutOutputs({ html: 'x', json: 'x', force: true }),
    'USAGE_OPTION_CONFLICT',
  );
  expectCode(
    () => prepareLayoutOutputs({ html: '-', json: undefined, force: true }),
    'USAGE_OPTION_CONFLICT',
  );
  const none = prepareLayoutOutputs({ html: undefined, json: '-', force: false });
  assert.equal(writeLayoutOutputs(sampleLayouts(), none), []);
  assert.is(existsSync('-'), false);
});

test.run();
