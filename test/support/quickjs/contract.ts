/**
 * The contract of DeviceSys, run on the QuickJS engine: evaluated by the test build of the engine, with a scratch
 * directory and `root` or `user` as arguments. Prints its report as JSON.
 */
import { createQuickjsEngine } from '../../../runtime/engines/quickjs/engine.ts';
import type { Host } from '../../../runtime/engines/quickjs/host.ts';
import { SYS_CONTRACT } from '../sys-contract.ts';
import type { Report } from './uvu.ts';

/** Called by host.c. */
export function start(host: Host, _main: undefined, args: readonly string[]): number {
  const [scratch = '', user] = args;
  const engine = createQuickjsEngine(host);
  const report = { passed: [] as string[], failed: [] as string[], skipped: [] as string[] };
  SYS_CONTRACT.forEach(({ name, needs, run }, i) => {
    if (needs === 'root' && user !== 'root') {
      report.skipped.push(`${name}: needs root`);
      return;
    }
    const own = `${scratch}/${i}`;
    engine.sys.makeDirectory(own);
    try {
      const reason = run(engine, own);
      if (typeof reason === 'string') report.skipped.push(`${name}: ${reason}`);
      else report.passed.push(name);
    } catch (error) {
      report.failed.push(
        `${name}: ${error instanceof Error ? `${error.message}\n${error.stack}` : String(error)}`,
      );
    }
  });
  engine.print(JSON.stringify(report satisfies Report));
  return 0;
}
