/**
 * A worker thread that runs hash jobs in batches. One message in is one batch; one message out is its answer.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { FileHasher } from './file-hasher.ts';
import type { HashSettings, PackedJobs } from './hash-job.ts';
import { ObjectStore, type StoreSummary } from './store.ts';

export interface HashWorkerData extends HashSettings {
  readonly store: string | undefined;
  readonly verifyExisting: boolean;
  readonly stagingTag?: string | undefined;
}

export type HashAnswer =
  | { readonly kind: 'done'; readonly results: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'finished'; readonly summary: StoreSummary | undefined }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

const settings = workerData as HashWorkerData;
const store = settings.store === undefined ? undefined : new ObjectStore(settings.store, settings);

let hasher: FileHasher | undefined;

function answerOf(error: unknown): HashAnswer {
  if (error instanceof ColdsealError) {
    return { kind: 'failed', code: error.code, message: error.message, hint: error.hint };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { kind: 'failed', code: 'INTERNAL_WORKER', message, hint: undefined };
}

parentPort!.on('message', (batch: PackedJobs | 'finish') => {
  try {
    if (batch === 'finish') {
      const summary = store?.finish();
      parentPort!.postMessage({ kind: 'finished', summary } satisfies HashAnswer);
      return;
    }
    // Here and not above, so that settings it cannot work with are an answer, too.
    hasher ??= new FileHasher(settings, { store });
    const results = hasher.run(batch);
    const answer: HashAnswer = { kind: 'done', results };
    parentPort!.postMessage(answer, [results.buffer]);
  } catch (error) {
    parentPort!.postMessage(answerOf(error));
  }
});
