/** The page of a comparison in a real browser, scripts off: it asks nobody, and fits phone, desktop and paper. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../../toolchain/dev/browser.ts';
import { DESKTOP_WIDTH, PHONE_WIDTH, PRINT_WIDTH } from '../../toolchain/dev/screenshots.ts';
import { layoutsPage } from '../../toolchain/layouts/page.ts';
import type { LayoutsDocument } from '../../toolchain/layouts/result.ts';
import { sampleLayouts } from '../support/layout-sample.ts';
import { layoutFaults, unseenText } from '../support/page-measures.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('layouts page in a browser');

/** Just above the width of the layout for phones, where columns are tightest. */
const TABLET_WIDTH = 761;

const PAGES: Readonly<Record<string, LayoutsDocument>> = {
  all: sampleLayouts(),
  one: sampleLayouts({}, 1),
  'long names': sampleLayouts({ tree: 'W'.repeat(300), paths: [`/${'W'.repeat(500)}`] }),
};

let browser: Browser | undefined;

test.after(async () => {
  await browser?.close();
});

for (const [name, document] of Object.entries(PAGES)) {
  test(`${name}: nothing is asked for, sticks out or lies on another`, async () => {
    browser ??= await Browser.start(requireTool('chromium', 'chromium'));
    using dir = tempDir();
    const path = join(dir.path, 'layouts.html');
    writeFileSync(path, layoutsPage(document));
    const page = await browser.page();
    const url = pathToFileURL(path).href;
    await page.open(url);
    for (const width of [PHONE_WIDTH, TABLET_WIDTH, DESKTOP_WIDTH]) {
      await page.view({ width, isPhone: width === PHONE_WIDTH });
      assert.equal(await layoutFaults(page), [], `at ${width}`);
      assert.equal(await unseenText(page), [], `at ${width}`);
    }
    await page.view({ width: PRINT_WIDTH, media: 'print' });
    assert.equal(await layoutFaults(page), [], 'in print');
    await page.view({ width: DESKTOP_WIDTH, scheme: 'dark' });
    await page.evaluate('document.body.offsetHeight');
    assert.equal(page.requests, [url]);
    assert.equal(page.messages, []);
    await page.close();
  });
}

test.run();
