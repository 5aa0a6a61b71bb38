/**
 * What a browser says about the layout of a page: expressions that run in it and return what is wrong, a sentence each.
 * They are text because they run there; each is one function without anything from here.
 */
import type { BrowserPage } from '../../toolchain/dev/browser.ts';

/** Left to readers of the screen alone: heads of columns on a phone, where each figure says its own. */
const IS_CLIPPED = `const isClipped = (element) => {
  for (let each = element; each !== null; each = each.parentElement) {
    if (getComputedStyle(each).clipPath !== 'none') return true;
  }
  return false;
};`;

/** Everything that sticks out of the page at either side. */
const OVERFLOW = `(() => {
${IS_CLIPPED}
  const width = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > width) {
    found.push('the page is ' + document.documentElement.scrollWidth + ' wide in ' + width);
  }
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('.defs') || element.closest('.quiet') || element.closest('.stretched')) continue;
    const box = element.getBoundingClientRect();
    if (box.width === 0 && box.height === 0) continue;
    if (isClipped(element)) continue;
    if (box.right > width + 1 || box.left < -1) {
      found.push(element.tagName + '.' + element.getAttribute('class') + ' from ' + box.left + ' to ' + box.right +
        ': ' + element.textContent.slice(0, 40));
    }
  }
  return found.slice(0, 10);
})()`;

/** Labels of a chart that lie on each other, or that an upright line goes through. */
const COLLISIONS = `(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    if (svg.parentElement.closest('svg')) continue;
    const texts = [...svg.querySelectorAll('text')]
      .map((element) => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0);
    texts.forEach(({ element, box }, i) => {
      for (const other of texts.slice(i + 1)) {
        const x = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        // The box of a line of text is as high as its font allows; letters take the middle of it.
        const y = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (x > 0.5 && y > 3) found.push(element.textContent + ' lies on ' + other.element.textContent);
      }
      for (const line of svg.querySelectorAll('line[class^=mark-], .median')) {
        const at = line.getBoundingClientRect();
        const isUpright = at.height > at.width;
        if (!isUpright) continue;
        const isInside = at.left > box.left + 1 && at.right < box.right - 1;
        const y = Math.min(at.bottom, box.bottom) - Math.max(at.top, box.top);
        if (isInside && y > 3) found.push(line.getAttribute('class') + ' goes through ' + element.textContent);
      }
    });
  }
  return found.slice(0, 10);
})()`;

/** Text in a cell that reaches out of it, into its neighbour. */
const CELLS = `(() => {
${IS_CLIPPED}
  const found = [];
  for (const cell of document.querySelectorAll('th, td, dt, dd, li')) {
    if (isClipped(cell)) continue;
    if (getComputedStyle(cell).display === 'none') continue;
    const box = cell.getBoundingClientRect();
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (node.data.trim() === '' || parent.closest('svg') || parent.closest('.quiet')) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const text = range.getBoundingClientRect();
      if (text.width === 0) continue;
      if (text.left < box.left - 1 || text.right > box.right + 1 || text.bottom > box.bottom + 2) {
        found.push(node.data.slice(0, 40) + ' reaches out of its ' + cell.tagName);
      }
    }
  }
  return found.slice(0, 10);
})()`;

/** Text that has no place in the page as it is shown now; what is for one medium only is named by its class. */
const UNSEEN = `(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (node.data.trim() === '') continue;
    if (parent.closest('script, style, nav, title, desc, .quiet, .wide')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 0.5 || box.height < 0.5 || getComputedStyle(parent).visibility !== 'visible') {
      found.push(node.data.slice(0, 60));
    }
  }
  return found.slice(0, 10);
})()`;

/** What is wrong with the layout as it is now. */
export async function layoutFaults(page: BrowserPage): Promise<string[]> {
  const found: string[] = [];
  for (const measure of [OVERFLOW, COLLISIONS, CELLS]) {
    found.push(...(await page.evaluate<string[]>(measure)));
  }
  return found;
}

/** Text that a reader cannot see. */
export function unseenText(page: BrowserPage): Promise<string[]> {
  return page.evaluate<string[]>(UNSEEN);
}
