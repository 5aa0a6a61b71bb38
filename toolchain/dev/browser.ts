/**
 * A headless Chromium for looking at pages: tests measure in it, `screenshots` takes pictures with it.
 *
 * It is spoken to over a pipe (the DevTools protocol, one JSON text per message, ended by a zero byte), so no port is
 * open. Its profile is a temporary directory, and nothing of it asks the network on its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const FLAGS = [
  '--headless',
  '--remote-debugging-pipe',
  // Tests run as root in containers, where the sandbox cannot start; the pages are our own.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--hide-scrollbars',
  '--force-color-profile=srgb',
];

/** A message of the protocol. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

export type Params = Readonly<Record<string, unknown>>;

interface Waiting {
  readonly resolve: (result: Params) => void;
  readonly reject: (error: Error) => void;
}

export class Browser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #input: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(message: Message) => void>();
  #rest: Buffer[] = [];
  #lastId = 0;

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    this.#input = child.stdio[3] as Writable;
    (child.stdio[4] as Readable).on('data', (bytes: Buffer) => this.#take(bytes));
    // A browser that ends is told of by whoever waits for it.
    this.#input.on('error', () => {});
    child.on('error', (error) => this.#fail(error));
    child.on('exit', (code) => this.#fail(new Error(`Chromium ended with ${String(code)}`)));
  }

  /** Starts one; `close` ends it and takes its profile away. */
  static async start(program = 'chromium'): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), 'coldseal-browser-'));
    const child = spawn(program, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    return new Browser(child, profile);
  }

  /** A new page. */
  async page(): Promise<BrowserPage> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    return BrowserPage.attach(this, String(targetId), String(sessionId));
  }

  /** Sends a command and waits for its result. */
  send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = ++this.#lastId;
    const message = { id, method, params, ...(sessionId === undefined ? {} : { sessionId }) };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#input.write(`${JSON.stringify(message)}\0`);
    });
  }

  /** Calls back for every event; the result stops it. */
  listen(listener: (message: Message) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await this.send('Browser.close').catch(() => this.#child.kill('SIGKILL'));
      await ended;
    }
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #take(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, from)) {
      const text = Buffer.concat([...this.#rest, bytes.subarray(from, end)]).toString();
      this.#rest = [];
      from = end + 1;
      this.#receive(JSON.parse(text) as Message);
    }
    if (from < bytes.length) this.#rest.push(bytes.subarray(from));
  }

  #receive(message: Message): void {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.result ?? {});
    else waiting?.reject(new Error(`Chromium refused: ${message.error.message}`));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** How a page is looked at. */
export interface View {
  readonly width: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
  readonly media?: 'screen' | 'print';
  readonly isPhone?: boolean;
}

const HEIGHT_DEFAULT = 900;

export class BrowserPage {
  /** What was asked of any address, the page itself included. */
  readonly requests: string[] = [];
  /** What the page or the browser wrote to the console: errors of content policy are among them. */
  readonly messages: string[] = [];
  readonly #browser: Browser;
  readonly #target: string;
  readonly #session: string;
  readonly #stop: () => void;

  private constructor(browser: Browser, target: string, session: string) {
    this.#browser = browser;
    this.#target = target;
    this.#session = session;
    this.#stop = browser.listen((message) => {
      if (message.sessionId === session) this.#note(message);
    });
  }

  static async attach(browser: Browser, target: string, session: string): Promise<BrowserPage> {
    const page = new BrowserPage(browser, target, session);
    for (const domain of ['Page', 'Network', 'Runtime', 'Log', 'Audits']) {
      await page.send(`${domain}.enable`);
    }
    return page;
  }

  send(method: string, params: Params = {}): Promise<Params> {
    return this.#browser.send(method, params, this.#session);
  }

  /** Opens an address with the page's own scripts switched off, as the strictest reader does. */
  async open(url: string): Promise<void> {
    await this.send('Emulation.setScriptExecutionDisabled', { value: true });
    const loaded = new Promise<void>((resolve) => {
      const stop = this.#browser.listen(({ method, sessionId }) => {
        if (method !== 'Page.loadEventFired' || sessionId !== this.#session) return;
        stop();
        resolve();
      });
    });
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText !== undefined)
      throw new Error(`Cannot open ${url}: ${JSON.stringify(errorText)}`);
    await loaded;
  }

  async view({ width, height, scheme, media, isPhone }: View): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: height ?? HEIGHT_DEFAULT,
      deviceScaleFactor: isPhone === true ? 2 : 1,
      mobile: isPhone === true,
    });
    await this.send('Emulation.setEmulatedMedia', {
      media: media ?? 'screen',
      features: [{ name: 'prefers-color-scheme', value: scheme ?? 'light' }],
    });
  }

  /** The value of an expression of ours in the page, scripts of its own or not. */
  async evaluate<T>(expression: string): Promise<T> {
    // An isolated world is not touched by the switch for the page's scripts.
    const { frameTree } = (await this.send('Page.getFrameTree')) as {
      frameTree: { frame: { id: string } };
    };
    const { executionContextId } = await this.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
    });
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      contextId: executionContextId,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails !== undefined) {
      throw new Error(`In the page: ${exceptionDetails.exception?.description ?? 'an exception'}`);
    }
    return result.value;
  }

  /** A PNG of the whole page, or of its first `heightMax` pixels. */
  async screenshot(heightMax = Infinity): Promise<Buffer> {
    const { cssContentSize } = (await this.send('Page.getLayoutMetrics')) as {
      cssContentSize: { width: number; height: number };
    };
    const height = Math.min(cssContentSize.height, heightMax);
    const { data } = await this.send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: true,
      clip: { x: 0, y: 0, width: cssContentSize.width, height, scale: 1 },
    });
    return Buffer.from(String(data), 'base64');
  }

  /** The page as it is printed. */
  async pdf(): Promise<Buffer> {
    const { data } = await this.send('Page.printToPDF', {
      printBackground: false,
      preferCSSPageSize: true,
    });
    return Buffer.from(String(data), 'base64');
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#browser.send('Target.closeTarget', { targetId: this.#target });
  }

  #note({ method, params = {} }: Message): void {
    if (method === 'Network.requestWillBeSent') {
      this.requests.push((params['request'] as { url: string }).url);
    } else if (method === 'Log.entryAdded') {
      this.messages.push((params['entry'] as { text: string }).text);
    } else if (method === 'Runtime.consoleAPICalled' || method === 'Runtime.exceptionThrown') {
      this.messages.push(`${method} ${JSON.stringify(params).slice(0, 500)}`);
    } else if (method === 'Audits.issueAdded') {
      this.messages.push(JSON.stringify(params['issue']).slice(0, 500));
    }
  }
}
