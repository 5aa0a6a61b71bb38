/** Test results as JUnit XML, the form that CI systems read. */
import { escapeXml } from '../../toolchain/budget/report/junit.ts';
import type { FileResult } from '../run.ts';

/** The document for all files: one `testsuite` per file; faults of a file are failed cases named `file`. */
export function junitXml(results: readonly FileResult[]): string {
  const suites = results.map((result) => {
    const failures =
      result.tests.filter((test) => test.outcome === 'failed').length + result.faults.length;
    const skipped = result.tests.filter((test) => test.outcome === 'skipped').length;
    const cases = [
      ...result.tests.map((test) =>
        testCase(result.file, `${test.suite} ${test.name}`.trim(), test),
      ),
      ...result.faults.map((fault) =>
        testCase(result.file, 'file', { outcome: 'failed', ms: 0, detail: fault }),
      ),
    ];
    const counts = `tests="${cases.length}" failures="${failures}" skipped="${skipped}"`;
    const open = `  <testsuite name="${escapeXml(result.file)}" ${counts} time="${seconds(result.ms)}">`;
    return `${open}\n${cases.join('')}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`;
}

function testCase(
  file: string,
  name: string,
  test: { outcome: string; ms: number; detail: string },
): string {
  const open = `    <testcase classname="${escapeXml(file)}" name="${escapeXml(name)}" time="${seconds(test.ms)}"`;
  if (test.outcome === 'passed') return `${open}/>\n`;
  const element = test.outcome === 'skipped' ? 'skipped' : 'failure';
  return `${open}><${element} message="${escapeXml(test.detail)}"/></testcase>\n`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
