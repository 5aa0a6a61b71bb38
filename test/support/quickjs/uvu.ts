/**
 * What `import 'uvu'` means in a test bundle that runs on both engines: no Node, no clock, no output.
 *
 * Registers suites like uvu and runs them in order; the report counts and names what failed. Hooks are those that pure
 * tests use: none.
 */

type Body = () => unknown;

interface Suite {
  (name: string, body: Body): void;
  run: () => void;
}

interface Registered {
  readonly name: string;
  readonly body: Body;
}

export interface Report {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

const queue: Registered[] = [];

/** uvu's `suite`. */
export function suite(title = ''): Suite {
  const tests: Registered[] = [];
  const register = (name: string, body: Body): void => {
    tests.push({ name: `${title}: ${name}`, body });
  };
  return Object.assign(register, { run: () => void queue.push(...tests.splice(0)) });
}

/** uvu's unnamed suite. */
export const test = suite();

/** Runs everything that was registered. */
export async function runAll(): Promise<Report> {
  const report = { passed: [] as string[], failed: [] as string[], skipped: [] as string[] };
  for (const { name, body } of queue) {
    try {
      await body();
      report.passed.push(name);
    } catch (error) {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      const stack = error instanceof Error ? `\n${error.stack ?? ''}` : '';
      if (text.startsWith('SkipTest: ')) report.skipped.push(`${name}: ${text}`);
      else report.failed.push(`${name}: ${text}${stack}`);
    }
  }
  return report;
}
