/**
 * The page of a report in a real browser, with scripts switched off: it asks nobody for anything, fits a phone, a
 * desktop and paper, and hostile names come out as text. xmllint reads its pictures.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { evidenceText, parseEvidence } from '../../toolchain/budget/evidence-file.ts';
import { judge } from '../../toolchain/budget/judge.ts';
import { visible } from '../../toolchain/budget/report/escape.ts';
import { reportPage } from '../../toolchain/budget/report/page.ts';
import { Browser, type BrowserPage } from '../../toolchain/dev/browser.ts';
import { DESKTOP_WIDTH, PHONE_WIDTH, PRINT_WIDTH } from '../../toolchain/dev/screenshots.ts';
import { manyBoots, manyRows } from '../support/big-evidence.ts';
import { layoutFaults, unseenText } from '../support/page-measures.ts';
import {
  HOSTILE_NAMES,
  SAMPLE_NAMES,
  sampleEvidence,
  type SampleName,
} from '../support/sample-evidence.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('report page in a browser');

/** Just above the width of the layout for phones, where columns are tightest. */
const TABLET_WIDTH = 761;
/** A4 at 96 pixels an inch, less the margins of the page, is so high. */
const SHEET_HEIGHT = 1015;

/** Names at the schema's limit, without a place to break. */
const longNames = (): Evidence => {
  let given = 0;
  const rename = (): string => `${'W'.repeat(500)}${++given}`;
  return sampleEvidence({ sample: 'board-constants', rename });
};

/** With the answers, remarks and figures of the real judge. */
const judged = (sample: SampleName): Evidence =>
  judge(parseEvidence(JSON.parse(evidenceText(sampleEvidence({ sample }))), sample));

const PAGES: Readonly<Record<string, () => Evidence>> = {
  ...Object.fromEntries(SAMPLE_NAMES.map((sample) => [sample, () => sampleEvidence({ sample })])),
  'judged shift': () => judged('board-shift'),
  'judged unended': () => judged('board-unended'),
  'ten thousand boots': () => manyBoots(10_000),
  'sixty stages': () => manyRows(60, 4000),
  'long names': longNames,
};

let browser: Browser | undefined;

async function withPage(
  evidence: Evidence,
  use: (page: BrowserPage, url: string) => Promise<void>,
): Promise<void> {
  browser ??= await Browser.start(requireTool('chromium', 'chromium'));
  using dir = tempDir();
  const path = join(dir.path, 'report.html');
  writeFileSync(path, reportPage(evidence));
  const page = await browser.page();
  try {
    const url = pathToFileURL(path).href;
    await page.open(url);
    await use(page, url);
  } finally {
    await page.close();
  }
}

test.after(async () => {
  await browser?.close();
});

test('the measures find what is wrong', async () => {
  browser ??= await Browser.start(requireTool('chromium', 'chromium'));
  using dir = tempDir();
  const path = join(dir.path, 'bad.html');
  writeFileSync(
    path,
    `<!doctype html><body style="margin:0">
    <table><tr><td style="max-width:20px;white-space:nowrap">much too long</td></tr></table>
    <div style="width:2000px">wide</div><p style="display:none">gone</p><img src="missing.png">
    <svg width="200" height="40"><text x="0" y="20" class="label">one text</text>
    <text x="9" y="20" class="label">another</text>
    <line x1="30" x2="30" y1="0" y2="40" class="mark-x"/></svg><script>document.title='ran'</script>`,
  );
  const page = await browser.page();
  await page.open(pathToFileURL(path).href);
  await page.view({ width: PHONE_WIDTH });
  const faults = (await layoutFaults(page)).join('\n');
  assert.match(faults, 'the page is 2000 wide');
  assert.match(faults, 'one text lies on another');
  assert.match(faults, 'mark-x goes through one text');
  assert.match(faults, 'much too long reaches out of its TD');
  assert.equal(await unseenText(page), ['gone']);
  assert.is(page.requests.length, 2);
  assert.ok(page.messages.length > 0);
  // Scripts are off, as the tests below want it.
  assert.is(await page.evaluate('document.title'), '');
  await page.close();
});

test('pages ask for nothing and say nothing to the console', async () => {
  for (const [name, evidence] of Object.entries(PAGES)) {
    await withPage(evidence(), async (page, url) => {
      for (const scheme of ['light', 'dark'] as const) {
        await page.view({ width: DESKTOP_WIDTH, scheme });
        await page.evaluate('document.body.offsetHeight');
      }
      assert.equal(page.requests, [url], name);
      assert.equal(page.messages, [], name);
    });
  }
});

test('nothing sticks out, no label lies on another, at the width of a phone, a tablet, a desktop', async () => {
  for (const [name, evidence] of Object.entries(PAGES)) {
    await withPage(evidence(), async (page) => {
      for (const width of [PHONE_WIDTH, TABLET_WIDTH, DESKTOP_WIDTH]) {
        await page.view({ width, isPhone: width === PHONE_WIDTH });
        assert.equal(await layoutFaults(page), [], `${name} at ${width}`);
        assert.equal(await unseenText(page), [], `${name} at ${width}`);
      }
    });
  }
});

test('print has everything, in black on white, on as many sheets as it takes', async () => {
  for (const [name, evidence] of Object.entries(PAGES)) {
    await withPage(evidence(), async (page) => {
      await page.view({ width: PRINT_WIDTH, media: 'print', scheme: 'dark' });
      assert.equal(await layoutFaults(page), [], name);
      assert.equal(await unseenText(page), [], name);
      const colours = await page.evaluate<string[]>(
        `['color', 'backgroundColor'].map((key) => getComputedStyle(document.body)[key])`,
      );
      assert.equal(colours, ['rgb(23, 32, 42)', 'rgb(255, 255, 255)'], name);
      const height = await page.evaluate<number>('document.documentElement.scrollHeight');
      await page.send('Emulation.clearDeviceMetricsOverride');
      const pdf = (await page.pdf()).toString('latin1');
      const sheets = [...pdf.matchAll(/\/Type\s*\/Page\b/g)].length;
      // No fewer than the page is high, so nothing is cut off; breaks before parts cost less than as much again.
      const least = Math.ceil(height / SHEET_HEIGHT);
      assert.ok(
        sheets >= least && sheets <= 2 * least + 4,
        `${name}: ${sheets} sheets, ${least} at least`,
      );
    });
  }
});

test('hostile names are text, and no markup of theirs is in the document', async () => {
  await withPage(sampleEvidence({ sample: 'hostile' }), async (page) => {
    const names = await page.evaluate<string[]>(
      `[...new Set([...document.querySelectorAll('body *')].map((e) => e.tagName.toLowerCase()))]`,
    );
    const foreign = ['img', 'iframe', 'object', 'form', 'input', 'testsuite', 'link'];
    assert.equal(
      names.filter((name) => foreign.includes(name)),
      [],
    );
    const scripts = await page.evaluate<string[]>(
      `[...document.querySelectorAll('script')].map((script) => script.type)`,
    );
    assert.equal(scripts, ['application/json']);
    const text = await page.evaluate<string>('document.body.innerText.replace(/\\s+/g, " ")');
    // Those of the sample that are short enough to stand in the page whole; the long ones are cut in charts.
    for (const hostile of HOSTILE_NAMES.filter((name) => name.length < 60)) {
      // Spaces are not kept where a stage's name may have none.
      const shown = visible(hostile).replace(/\s+/g, ' ').trim();
      const isThere = text.includes(shown) || text.includes(shown.replaceAll(' ', '\u00a0'));
      assert.ok(isThere, hostile);
    }
  });
});

test('the evidence in the page is the evidence', async () => {
  for (const sample of ['hostile', 'board-strata'] as const) {
    const evidence = sampleEvidence({ sample });
    await withPage(evidence, async (page) => {
      const json = await page.evaluate<string>(`document.getElementById('evidence').textContent`);
      assert.equal(JSON.parse(json), JSON.parse(JSON.stringify(evidence)));
    });
  }
});

test('charts have names for who does not see them', async () => {
  await withPage(sampleEvidence({ sample: 'board-shift' }), async (page) => {
    await page.send('Accessibility.enable');
    const { nodes } = (await page.send('Accessibility.getFullAXTree')) as {
      nodes: {
        role?: { value: string };
        name?: { value: string };
        description?: { value: string };
        ignored: boolean;
      }[];
    };
    const of = (role: string): (typeof nodes)[0][] =>
      nodes.filter((node) => !node.ignored && node.role?.value === role);
    const charts = of('image').map(({ name }) => name?.value ?? '');
    assert.is(charts.length, 2);
    assert.match(
      charts[0]!,
      /^Distribution of totals, board-gpio, cold .*Half of the boots were done by \d/,
    );
    assert.match(charts[1]!, /^Every boot in run order, .*0 never ended\.$/);
    assert.ok(of('table').every(({ name }) => (name?.value ?? '') !== ''));
    assert.is(of('main').length, 1);
    assert.is(of('navigation').length, 1);
  });
});

test('xmllint reads every picture', () => {
  const xmllint = requireTool('xmllint', 'libxml2-utils');
  for (const sample of ['hostile', 'board-shift', 'history', 'board-unended'] as const) {
    const page = reportPage(sampleEvidence({ sample }));
    const pictures = [...page.matchAll(/<div class="plot">(<svg [^]*?<\/svg>)<\/div>/g)];
    assert.ok(pictures.length >= 2, sample);
    for (const [, svg] of pictures) {
      const { status, stderr } = spawnSync(xmllint, ['--noout', '--nonet', '-'], { input: svg! });
      assert.is(status, 0, `${sample}: ${stderr.toString()}`);
    }
  }
});

test.run();
