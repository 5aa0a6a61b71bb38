/** The Node engine does what every engine must do, against the real kernel. */
import { suite } from 'uvu';
import { createNodeEngine } from '../../runtime/engines/node/engine.ts';
import { SYS_CONTRACT } from '../support/sys-contract.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, skipTest } from '../support/tools.ts';

const test = suite('node engine');

/** What Node cannot do, and says so. */
const LIMITS = ['this engine has no fork', 'no counter'];

const nothing = (): void => undefined;
const engine = createNodeEngine({ print: nothing, printError: nothing });

for (const { name, needs, run } of SYS_CONTRACT) {
  test(name, () => {
    if (needs === 'root') requireRoot();
    using scratch = tempDir();
    const reason = run(engine, scratch.path);
    if (typeof reason === 'string' && !LIMITS.includes(reason)) skipTest(reason);
  });
}

test.run();
