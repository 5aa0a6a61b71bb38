/**
 * Pictures of a report for documents and for looking at it: `node toolchain/dev/start.mjs screenshots REPORT.html DIR`.
 *
 * Writes `desktop-light.png`, `desktop-dark.png`, `phone-light.png`, `phone-dark.png`, `print.png` (as print lays it
 * out, on one sheet) and `print.pdf`. `--height N` cuts the pictures after N pixels.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Browser, type View } from './browser.ts';

/** A4 less the margins of the page, at 96 pixels an inch. */
export const PRINT_WIDTH = 695;
export const PHONE_WIDTH = 360;
export const DESKTOP_WIDTH = 1280;

const VIEWS: readonly (readonly [name: string, view: View])[] = [
  ['desktop-light', { width: DESKTOP_WIDTH }],
  ['desktop-dark', { width: DESKTOP_WIDTH, scheme: 'dark' }],
  ['phone-light', { width: PHONE_WIDTH, isPhone: true }],
  ['phone-dark', { width: PHONE_WIDTH, isPhone: true, scheme: 'dark' }],
  ['print', { width: PRINT_WIDTH, media: 'print' }],
];

interface Request {
  readonly report: string;
  readonly dir: string;
  readonly heightMax: number;
}

/** Reads the arguments; a string says what is wrong with them. */
export function parseScreenshotArgs(args: readonly string[]): Request | string {
  const rest = [...args];
  let heightMax = Infinity;
  const at = rest.indexOf('--height');
  if (at >= 0) {
    const [, value] = rest.splice(at, 2);
    heightMax = Number(value);
    if (!Number.isInteger(heightMax) || heightMax < 1) return '--height lacks its pixels';
  }
  const [report, dir, ...more] = rest;
  if (report === undefined || dir === undefined || more.length > 0) {
    return 'expected REPORT.html DIR [--height PIXELS]';
  }
  return { report, dir, heightMax };
}

/** Takes all pictures. */
export async function takeScreenshots({ report, dir, heightMax }: Request): Promise<string[]> {
  mkdirSync(dir, { recursive: true });
  const browser = await Browser.start();
  try {
    const page = await browser.page();
    await page.open(pathToFileURL(resolve(report)).href);
    const written: string[] = [];
    const write = (name: string, bytes: Buffer): void => {
      writeFileSync(join(dir, name), bytes);
      written.push(join(dir, name));
    };
    for (const [name, view] of VIEWS) {
      await page.view(view);
      write(`${name}.png`, await page.screenshot(heightMax));
    }
    await page.send('Emulation.clearDeviceMetricsOverride');
    write('print.pdf', await page.pdf());
    return written;
  } finally {
    await browser.close();
  }
}

/** The script. */
export async function main(args: readonly string[]): Promise<number> {
  const request = parseScreenshotArgs(args);
  if (typeof request === 'string' || !existsSync(request.report)) {
    const problem = typeof request === 'string' ? request : `no file ${request.report}`;
    console.error(`Cannot take screenshots: ${problem}`);
    return 2;
  }
  for (const path of await takeScreenshots(request)) console.log(path);
  return 0;
}
