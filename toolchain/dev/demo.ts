/**
 * `npm run demo`: from a Debian root file system to programs that run from a verified mount, and to an ARM and an x86
 * board that boot from their disks, as a session to read.
 *
 * Every command is printed before it runs. The exit code is 0 only when every step did what it says; without root the
 * mount is left out, and the code is 6. Whatever happens, mounts and files of the session are taken away at the end;
 * only the cache stays, so that the next run is quick.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../files/cache-directory.ts';
import { objectPath } from '../objects/layout.ts';
import { build } from './build.ts';
import {
  type CommandResult,
  DemoFailure,
  DemoSession,
  type ShownCommand,
  tryQuietly,
} from './demo-session.ts';
import { bootBoards } from './demo-boot.ts';
import {
  bootsetText,
  CONTAINER_ARGS,
  extractRootfs,
  makeBundle,
  rootfsTar,
  SUITE,
  tamper,
} from './demo-sources.ts';
import { ROOT } from './root.ts';
import { HOST_PACKAGES, setUpHost } from './setup.ts';

const WORK_PREFIX = 'demo-';

/** The facts of release.json that the demo goes on with. */
interface ReleaseRecord {
  readonly releaseId: string;
  readonly images: readonly {
    readonly name: string;
    readonly file: string;
    readonly fsVerityDigest: string;
    readonly objects: { readonly count: number; readonly bytes: number };
  }[];
  readonly objects: { readonly count: number; readonly bytes: number };
}

/** The npm script. */
export async function main(): Promise<number> {
  const session = new DemoSession();
  const cache = cacheDirectory();
  mkdirSync(cache, { recursive: true });
  removeLeftovers(cache);
  const work = join(cache, `${WORK_PREFIX}${process.pid}`);
  mkdirSync(work);
  let exitCode = 0;
  try {
    exitCode = await new Demo(session, cache, work).run();
  } catch (error) {
    if (!(error instanceof DemoFailure)) throw error;
    session.print(`\nStopped: ${error.message}`);
    exitCode = error.exitCode;
  } finally {
    removeWork(work);
  }
  session.printSummary();
  session.print(
    exitCode === 0 ? 'Everything above happened as it says.' : `Exit code ${exitCode}.`,
  );
  return exitCode;
}

class Demo {
  readonly #session: DemoSession;
  readonly #cache: string;
  readonly #work: string;
  readonly #isRoot = process.getuid?.() === 0;
  #hasVerity = true;

  constructor(session: DemoSession, cache: string, work: string) {
    this.#session = session;
    this.#cache = cache;
    this.#work = work;
  }

  async run(): Promise<number> {
    await this.#setUp();
    await this.#makeSources();
    await this.#release();
    await this.#verify();
    await this.#list();
    await this.#readArchive();
    await this.#mountSystem();
    await this.#mountContainer();
    await this.#tamper();
    await bootBoards({
      session: this.#session,
      work: this.#work,
      coldseal: (words, settings) => this.#coldseal(words, settings),
    });
    return this.#isRoot ? 0 : 6;
  }

  async #setUp(): Promise<void> {
    const session = this.#session;
    await session.step('Set up', async () => {
      const print = (line: string): void => session.print(line);
      const packages = HOST_PACKAGES.filter((row) => row.isEssential === true);
      if (setUpHost({ print, packages, isDemo: true }) !== 0) {
        throw new DemoFailure('a tool that the demo cannot do without is missing', 6);
      }
      session.print('Building dist/coldseal.mjs');
      await build({ keepOldChunks: true });
      await this.#coldseal(['--version']);
      session.print(
        this.#isRoot
          ? `Working in ${this.#work}, which is removed at the end`
          : 'Not root: the mounts will be left out, and file owners are those of this user',
      );
      return 'ready';
    });
  }

  async #makeSources(): Promise<void> {
    const session = this.#session;
    await session.step(`Debian ${SUITE} and a container bundle`, async () => {
      const tar = await rootfsTar(session, this.#cache, this.#isRoot);
      symlinkSync(tar, this.#path('rootfs.tar'));
      await extractRootfs(session, tar, this.#path('rootfs'), this.#isRoot);
      makeBundle(this.#path('rootfs'), this.#path('bundle'));
      session.print('bundle: config.json and rootfs/bin/busybox of the same Debian');
      const { stdout } = await session.run({
        argv: ['sh', '-c', 'find rootfs | wc -l; find bundle | wc -l'],
        shown: 'find rootfs | wc -l; find bundle | wc -l',
        cwd: this.#work,
      });
      const [system = '', container = ''] = stdout.trim().split('\n');
      return `${system} and ${container} entries`;
    });
  }

  async #release(): Promise<void> {
    const session = this.#session;
    await session.step('Keys, images, signature: release', async () => {
      await this.#coldseal(['keys', 'init', 'keys/dev']);
      const board = process.arch === 'arm64' ? 'qemu-aarch64' : 'qemu-x86_64';
      writeFileSync(this.#path('BOOTSET.yaml'), bootsetText(board));
      await session.run({ argv: ['cat', 'BOOTSET.yaml'], cwd: this.#work });
      await this.#coldseal(['release', 'BOOTSET.yaml', '--no-disk', '-o', 'release']);
      await this.#coldseal(['release', 'BOOTSET.yaml', '--no-disk', '-o', 'again', '--quiet'], {
        lines: 1,
      });
      const { stdout } = await session.run({
        argv: ['diff', '-rq', 'release', 'again'],
        cwd: this.#work,
        expect: [0, 1],
      });
      const different = [...stdout.matchAll(/^Files release\/(\S+) and /gm)].map(
        (match) => match[1]!,
      );
      if (stdout.includes('Only in') || different.join(' ') !== 'manifest.cose timings.json') {
        throw new DemoFailure('the second release differs in more than signature and timings');
      }
      rmSync(this.#path('again'), { recursive: true });
      const { images, objects } = this.#record();
      const apart = images.reduce((sum, image) => sum + image.objects.count, 0);
      return `${images.length} images, ${objects.count} objects, ${apart - objects.count} shared; twice the same bytes`;
    });
  }

  async #verify(): Promise<void> {
    await this.#session.step('Verify with the code of the device', async () => {
      await this.#coldseal(this.#verifyArguments());
      return 'every image and object is what was signed';
    });
  }

  async #list(): Promise<void> {
    await this.#session.step('Look into an image', async () => {
      const { file } = this.#image('debian');
      await this.#coldseal(['image', 'ls', `release/${file}`], { lines: 8 });
      return 'listed without a mount';
    });
  }

  /** Without root, the owners of what was extracted are others than those in the archive. */
  async #readArchive(): Promise<void> {
    const session = this.#session;
    await session.step('The same image from the archive, never unpacked', async () => {
      if (!this.#isRoot) {
        session.print('Left out: only root can extract the owners that the archive has.');
        return 'LEFT OUT: needs root';
      }
      const fromTar = ['image', 'build', '--from-tar', '--print-digest-only', 'rootfs.tar'];
      const { stdout } = await this.#coldseal(fromTar);
      if (stdout.trim() !== this.#image('debian').fsVerityDigest) {
        throw new DemoFailure('the archive and its directory give two images');
      }
      session.print('Or the archive stays as it is, and an index is mounted with it:');
      await this.#coldseal(['image', 'build', '--tar-index', 'rootfs.tar', 'rootfs.index']);
      await this.#coldseal(['image', 'check', '--tar=rootfs.tar', 'rootfs.index']);
      return 'the digest that was signed';
    });
  }

  // --- mounts --------------------------------------------------------------------------------------------

  async #mountSystem(): Promise<void> {
    const session = this.#session;
    await session.step('Mount through the kernel, run programs', async () => {
      if (!this.#isRoot) return this.#leaveOut();
      const enforced = await this.#mount('debian', 'mnt');
      await session.run({
        argv: ['chroot', 'mnt', '/bin/cat', '/etc/debian_version'],
        cwd: this.#work,
      });
      const query = ['chroot', 'mnt', '/usr/bin/dpkg-query', '-W', 'bash', 'coreutils', 'libc6'];
      await session.run({ argv: query, cwd: this.#work });
      const sums = await session.run({
        argv: ['sha256sum', 'rootfs/usr/bin/bash', 'mnt/usr/bin/bash'],
        cwd: this.#work,
      });
      const [source, mounted] = sums.stdout.split('\n').map((line) => line.split(' ')[0]);
      if (source !== mounted) throw new DemoFailure('the mounted file is not its source');
      await session.run({
        argv: ['diff', '-r', '--no-dereference', '--exclude=dev', 'rootfs', 'mnt'],
        cwd: this.#work,
      });
      await this.#coldseal(['umount', 'mnt']);
      return `programs ran; every file equals its source; ${enforced}`;
    });
  }

  async #mountContainer(): Promise<void> {
    await this.#session.step('Run the container from its image', async () => {
      if (!this.#isRoot) return this.#leaveOut();
      await this.#mount('hello', 'mnt');
      const config = JSON.parse(readFileSync(this.#path('mnt/config.json'), 'utf8')) as {
        process: { args: string[] };
      };
      const argv = ['unshare', '--pid', '--fork', 'chroot', 'mnt/rootfs', ...config.process.args];
      const { stdout } = await this.#session.run({
        argv,
        shown: `unshare --pid --fork chroot mnt/rootfs ${CONTAINER_ARGS.slice(0, 2).join(' ')} '${CONTAINER_ARGS[2]}'`,
        cwd: this.#work,
      });
      if (!stdout.startsWith('hello from the container')) throw new DemoFailure('no hello');
      await this.#coldseal(['umount', 'mnt']);
      return stdout.trim();
    });
  }

  /** Mounts with fs-verity required; where the machine has none, says so and compares digests once. */
  async #mount(name: string, target: string): Promise<string> {
    const { file, fsVerityDigest } = this.#image(name);
    mkdirSync(this.#path(target), { recursive: true });
    const words = ['mount', `release/${file}`, target, '--basedir', 'release/objects'];
    words.push('--digest', fsVerityDigest);
    if (this.#hasVerity) {
      const strict = await this.#coldseal(words, { expect: [0, 6] });
      if (strict.code === 0) return 'fs-verity enforced by the kernel on every read';
      // Anything else that the host lacks is a failure of the demo, not an occasion to ask for less.
      if (!/HOST_\w*VERITY/.test(strict.stderr)) throw new DemoFailure('the mount failed', 6);
      this.#hasVerity = false;
    }
    this.#session.print('No fs-verity here, so this is what can be had without it:');
    await this.#coldseal([...words, '--verity', 'if-supported']);
    return 'no fs-verity here: the digest of the image was compared once, files are not checked on read';
  }

  #leaveOut(): string {
    this.#session.print(
      'Left out: EROFS can only be mounted by root. Run the demo as root to see it.',
    );
    return 'LEFT OUT: needs root';
  }

  // --- tampering -----------------------------------------------------------------------------------------

  async #tamper(): Promise<void> {
    const session = this.#session;
    await session.step('Change one bit', async () => {
      const { stdout } = await this.#coldseal(['image', 'digest', 'rootfs/bin/busybox']);
      const object = `release/objects/${objectPath(stdout.trim())}`;
      await this.#expectNo(object, 4096, 'VERIFY_OBJECT_DIGEST');
      await this.#expectNo(`release/${this.#image('debian').file}`, 5000, 'VERIFY_IMAGE_DIGEST');
      await this.#expectNo('release/manifest.cose', -1, 'VERIFY_SIGNATURE');
      session.print('All three are back as they were:');
      await this.#coldseal([...this.#verifyArguments(), '--quiet'], { lines: 1 });
      return 'refused in an object, an image and the signature, each with its code';
    });
  }

  async #expectNo(file: string, offset: number, code: string): Promise<void> {
    const where = offset < 0 ? 'the last byte' : `byte ${offset}`;
    this.#session.print(`# one bit of ${where} of ${file} is turned over`);
    const putBack = tamper(this.#path(file), this.#path('aside'), offset);
    try {
      const { stdout } = await this.#coldseal(this.#verifyArguments(), { expect: [3], lines: 2 });
      if (!stdout.includes(code)) throw new DemoFailure(`verify did not say ${code}`);
    } finally {
      putBack();
    }
  }

  // --- helpers -------------------------------------------------------------------------------------------

  #coldseal(
    words: readonly string[],
    settings: Pick<ShownCommand, 'expect' | 'lines'> = {},
  ): Promise<CommandResult> {
    return this.#session.run({
      argv: [process.execPath, join(ROOT, 'dist/coldseal.mjs'), ...words],
      shown: ['coldseal', ...words].join(' '),
      cwd: this.#work,
      ...settings,
    });
  }

  #verifyArguments(): string[] {
    return ['verify', 'release', '--trust', 'keys/dev/root.cert.pem'];
  }

  #path(name: string): string {
    return join(this.#work, name);
  }

  #record(): ReleaseRecord {
    return JSON.parse(readFileSync(this.#path('release/release.json'), 'utf8')) as ReleaseRecord;
  }

  #image(name: string): ReleaseRecord['images'][number] {
    return this.#record().images.find((image) => image.name === name)!;
  }
}

/** Unmounts what a session left below its directory, last first, and removes the directory. */
function removeWork(work: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${work}/`));
  for (const path of mounts.reverse()) {
    if (!tryQuietly(['umount', path])) tryQuietly(['umount', '-l', path]);
  }
  rmSync(work, { recursive: true, force: true });
}

/** A killed session could not clean up after itself; its directory is named after its process. */
function removeLeftovers(cache: string): void {
  for (const name of readdirSync(cache)) {
    const pid = Number(new RegExp(`^${WORK_PREFIX}(\\d+)$`).exec(name)?.[1]);
    if (Number.isInteger(pid) && !isAlive(pid)) removeWork(join(cache, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
