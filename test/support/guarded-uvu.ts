/**
 * What `import 'uvu'` means in a test bundle: uvu itself, with every registration and outcome noted in the ledger.
 *
 * Thrown values that are not errors become errors, a hook that throws is a fault, `.only` and undeclared skips are
 * faults, and a test that throws `SkipTest` counts as skipped with its reason.
 */
import { suite as uvuSuite, type Callback, type Context, type Test } from 'uvu';
import { isSkip, ledger, type TestRecord } from './ledger.ts';

type Hooks = 'before' | 'after';

/** uvu's `suite`, recorded. */
export function suite<T = Context>(title = '', state?: T): Test<T> {
  const inner = uvuSuite<T>(title, state);
  const entry = { name: title, registered: 0, runs: 0 };
  let skipAll: string | undefined;
  let pendingOfRun: TestRecord[] = [];
  ledger().suites.push(entry);

  const register = (name: string, callback: Callback<T>): void => {
    const record: TestRecord = { suite: title, name, outcome: 'pending', ms: 0, detail: '' };
    entry.registered++;
    ledger().tests.push(record);
    pendingOfRun.push(record);
    inner(name, (context) =>
      runTest(
        record,
        () => callback(context),
        () => skipAll,
      ),
    );
  };

  const hooks = (kind: Hooks): Test<T>[Hooks] => {
    const wrap =
      (label: string, callback: Callback<T>) => async (context: Parameters<Callback<T>>[0]) => {
        try {
          await callback(context);
        } catch (error) {
          if (kind === 'before' && isSkip(error)) {
            skipAll = error.message;
            return;
          }
          ledger().faults.push(`${title}: ${label} hook threw ${describe(error)}`);
          throw asError(error);
        }
      };
    const hook = (callback: Callback<T>): void => inner[kind](wrap(kind, callback));
    const each = (callback: Callback<T>): void => inner[kind].each(wrap(`${kind}.each`, callback));
    return Object.assign(hook, { each });
  };

  return Object.assign(register, {
    only: (name: string, callback: Callback<T>): void => {
      ledger().faults.push(`${title}: "${name}" is registered with .only`);
      register(name, callback);
    },
    skip: (name = ''): void => {
      ledger().faults.push(`${title}: "${name}" is skipped without a declared reason`);
    },
    before: hooks('before'),
    after: hooks('after'),
    run: (): void => {
      if (pendingOfRun.length === 0) ledger().faults.push(`${title}: .run() without a test`);
      pendingOfRun = [];
      entry.runs++;
      inner.run();
    },
  });
}

/** uvu's unnamed suite. */
export const test: Test = suite();

async function runTest(
  record: TestRecord,
  body: () => Promise<void> | void,
  skipAll: () => string | undefined,
): Promise<void> {
  const start = performance.now();
  try {
    const reason = skipAll();
    if (reason === undefined) await body();
    record.outcome = reason === undefined ? 'passed' : 'skipped';
    record.detail = reason ?? '';
  } catch (error) {
    record.outcome = isSkip(error) ? 'skipped' : 'failed';
    record.detail = isSkip(error) ? error.message : describe(error);
    if (record.outcome === 'failed') throw asError(error);
  } finally {
    record.ms = performance.now() - start;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`threw ${describe(error)}, expected an Error`);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `a ${typeof error} (${String(error)})`;
  const code = 'code' in error ? ` [${String(error.code)}]` : '';
  return `${error.name}${code}: ${error.message}`;
}
