/**
 * How fast this machine hashes: SHA-256 over blocks of 4 KiB in node's own crypto, in as many threads as asked for.
 *
 * `node hash-rate.mjs THREADS SECONDS` prints one line of JSON, bytes per second of each thread. Nothing is read, so
 * no build of an image can be faster than its bytes over the sum of these rates.
 */
import { hash } from 'node:crypto';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const BLOCK = 4096;
/** Small enough for the caches of a core, as the blocks of a file just read are. */
const BUFFER = 1 << 20;

if (isMainThread) await measureAll(Number(process.argv[2]), Number(process.argv[3]));
else measureHere();

async function measureAll(threads, seconds) {
  const ready = new Int32Array(new SharedArrayBuffer(4));
  const data = { workerData: { ready, threads, seconds } };
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url), data));
  const rates = workers.map(
    (worker) => new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject)),
  );
  process.stdout.write(`${JSON.stringify(await Promise.all(rates))}\n`);
}

function measureHere() {
  const { ready, threads, seconds } = workerData;
  const buffer = Buffer.alloc(BUFFER, 'coldseal');
  hashFor(buffer, seconds / 10);
  // All begin together: a thread that ran while others were still starting would have the machine for itself.
  Atomics.add(ready, 0, 1);
  while (Atomics.load(ready, 0) < threads) Atomics.wait(ready, 0, -1, 1);
  parentPort.postMessage(hashFor(buffer, seconds));
}

function hashFor(buffer, seconds) {
  const start = performance.now();
  let bytes = 0;
  for (let elapsed = 0; ;) {
    for (let at = 0; at < buffer.length; at += BLOCK) {
      hash('sha256', buffer.subarray(at, at + BLOCK), 'binary');
    }
    bytes += buffer.length;
    elapsed = (performance.now() - start) / 1000;
    if (elapsed >= seconds) return bytes / elapsed;
  }
}
