/**
 * A worker thread that runs hash jobs in batches. One message in is one batch; one message out is its answer.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { runHashJob, unpackJobs, type HashSettings, type PackedJobs } from './hash-job.ts';
import { ObjectStore, type StoreSummary } from './store.ts';

export interface HashWorkerData extends HashSettings {
  readonly store: string | undefined;
  readonly verifyExisting: boolean;
  readonly stagingTag?: string | undefined;
}

export type HashAnswer =
  | { readonly kind: 'done'; readonly results: Uint8Array }
  | { readonly kind: 'finished'; readonly summary: StoreSummary | undefined }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

const settings = workerData as HashWorkerData;
const store = settings.store === undefined ? undefined : new ObjectStore(settings.store, settings);

/** Results one after the other: each is as long as its file if inlined, else as long as a digest. */
function runBatch(batch: PackedJobs): HashAnswer {
  const results = unpackJobs(batch).map((job) => runHashJob(job, settings, store));
  return { kind: 'done', results: Buffer.concat(results) };
}

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
    parentPort!.postMessage(runBatch(batch));
  } catch (error) {
    parentPort!.postMessage(answerOf(error));
  }
});
