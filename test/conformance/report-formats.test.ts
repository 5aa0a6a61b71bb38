/**
 * What other programs read from the outputs of a report: xmllint with a strict schema, protoc with the field numbers
 * of Perfetto, the parsers of Prometheus' Python client, Python's csv, and GitHub's own Markdown.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { samplesCsv } from '../../toolchain/budget/report/csv.ts';
import { junitXml } from '../../toolchain/budget/report/junit.ts';
import { openMetrics } from '../../toolchain/budget/report/openmetrics.ts';
import { perfettoTrace } from '../../toolchain/budget/report/perfetto.ts';
import { plainText } from '../../toolchain/budget/report/plain-text.ts';
import { markdown, markdownSummary } from '../../toolchain/budget/report/summary.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { readDecodedTrace, readTrace, slicesOf, traceFaults } from '../support/read-trace.ts';
import {
  HOSTILE_NAMES,
  renaming,
  SAMPLE_NAMES,
  sampleEvidence,
} from '../support/sample-evidence.ts';
import { tempDir } from '../support/temp-dir.ts';
import { areToolsRequired, requireTool, skipTest } from '../support/tools.ts';

const test = suite('outside judges of report outputs');

const VECTORS = 'test/vectors';
const PYTHON = '/usr/bin/python3';
const CLIENT = '/usr/lib/python3/dist-packages/prometheus_client/__init__.py';

/** Every sample as it is, and with hostile names of its own. */
const EVIDENCE: readonly (readonly [string, Evidence])[] = SAMPLE_NAMES.flatMap((sample, i) => [
  [sample, sampleEvidence({ sample })],
  [
    `${sample} hostile`,
    sampleEvidence({
      sample,
      seed: i,
      rename: renaming([...HOSTILE_NAMES.slice(i), ...HOSTILE_NAMES.slice(0, i)]),
    }),
  ],
]);

interface Output {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

function run(tool: string, args: readonly string[], input: string | Uint8Array = ''): Output {
  const env = { ...process.env, LC_ALL: 'C.UTF-8', PYTHONUTF8: '1' };
  return spawnSync(tool, args, { input, env, maxBuffer: 256 * 1024 * 1024 });
}

/** What a script of Python prints as JSON of all texts; one process, because starting it takes longer than reading. */
function readWith<T>(python: string, script: string, texts: readonly string[]): T[] {
  const { status, stdout, stderr } = run(python, ['-c', script], JSON.stringify(texts));
  assert.is(status, 0, stderr.toString());
  return JSON.parse(stdout.toString()) as T[];
}

/** Debian's Python, because the client's package is for no other. */
function requirePython(): string {
  if (existsSync(CLIENT) && existsSync(PYTHON)) return PYTHON;
  const reason = `${CLIENT} not found (Debian package python3-prometheus-client)`;
  if (areToolsRequired()) throw new Error(`${reason}, and tools are required here`);
  return skipTest(reason);
}

test('xmllint: JUnit XML keeps to the schema, and says no to what does not', () => {
  const xmllint = requireTool('xmllint', 'libxml2-utils');
  using dir = tempDir();
  const schema = join(VECTORS, 'junit.xsd');
  const files = EVIDENCE.map(([name, evidence]) => {
    const path = join(dir.path, `${name}.xml`);
    writeFileSync(path, junitXml(evidence));
    return path;
  });
  const good = run(xmllint, ['--noout', '--nonet', '--schema', schema, ...files]);
  assert.is(good.status, 0, good.stderr.toString());
  const xml = junitXml(sampleEvidence({ sample: 'board-over' }));
  const broken: [string, string][] = [
    [' time="', ' time="1,'],
    ['<testcase classname="', '<testcase classes="'],
    ['<properties>', '<system-out/><properties>'],
    ['<system-out>', '<skipped message="a" type="b"/><system-out>'],
    ['Stage setup', 'Stage kernel'],
  ];
  for (const [from, to] of broken) {
    assert.ok(xml.includes(from), from);
    const changed =
      from === 'Stage setup'
        ? xml.replaceAll('setup within 50', 'kernel within 700')
        : xml.replace(from, to);
    const path = join(dir.path, 'broken.xml');
    writeFileSync(path, changed);
    assert.is(run(xmllint, ['--noout', '--schema', schema, path]).status, 3, `${from} ${to}`);
  }
});

test('xmllint: what an XML parser reads are the names that went in', () => {
  const xmllint = requireTool('xmllint', 'libxml2-utils');
  for (const [, evidence] of EVIDENCE) {
    const [, , , fifth] = evidence.checks;
    if (fifth === undefined) continue;
    using dir = tempDir();
    const path = join(dir.path, 'junit.xml');
    writeFileSync(path, junitXml(evidence));
    const { stdout } = run(xmllint, ['--xpath', 'string(//testcase[4]/@name)', path]);
    assert.is(stdout.toString().replace(/\n$/, ''), plainText(fifth.title));
  }
});

test('protoc: traces have the fields of Perfetto, and the same packets', () => {
  const protoc = requireTool('protoc', 'protobuf-compiler');
  const args = ['--decode=coldseal.perfetto.Trace', `-I${VECTORS}`, `${VECTORS}/perfetto.proto`];
  for (const [name, evidence] of EVIDENCE) {
    const trace = perfettoTrace(evidence);
    const { status, stdout, stderr } = run(protoc, args, trace);
    assert.is(status, 0, `${name}: ${stderr.toString()}`);
    const packets = readDecodedTrace(stdout.toString());
    assert.is(
      packets.length > 0,
      evidence.groups.some(({ candidate }) => candidate.typical),
      name,
    );
    assert.equal(traceFaults(packets), [], name);
    assert.equal(packets, readTrace(trace), name);
  }
});

test('protoc: stages of the decoded trace are those of the record', () => {
  const protoc = requireTool('protoc', 'protobuf-compiler');
  const args = ['--decode=coldseal.perfetto.Trace', `-I${VECTORS}`, `${VECTORS}/perfetto.proto`];
  for (const sample of ['board-within', 'hostile', 'systemd'] as const) {
    const evidence = sampleEvidence({ sample });
    const { typical } = evidence.groups[0]!.candidate;
    const constants = evidence.groups[0]!.constants.reduce((sum, { ns }) => sum + ns, 0);
    const offsetNs = sample === 'hostile' ? 0 : constants;
    const packets = readDecodedTrace(run(protoc, args, perfettoTrace(evidence)).stdout.toString());
    const [, stages] = slicesOf(packets).find(([path]) => path.endsWith('/stages'))!;
    const expected = typical!.record.stages.map(({ name, startNs, endNs }) => {
      return { name: plainText(name), startNs: startNs + offsetNs, endNs: endNs! + offsetNs };
    });
    assert.equal(stages, expected, sample);
  }
});

const READ_METRICS = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
def read(text):
    new = [[s.name, s.labels, s.value, s.timestamp] for f in openmetrics(text) for s in f.samples]
    old = [[s.name, s.labels, s.value, s.timestamp] for f in prometheus(text) for s in f.samples]
    return {'same': new == old, 'types': sorted({f.type for f in openmetrics(text)}), 'samples': new}
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
`;

interface ReadMetrics {
  readonly same: boolean;
  readonly types: readonly string[];
  readonly samples: readonly [string, Record<string, string>, number, number | null][];
}

test('prometheus_client: both of its parsers read the same gauges without timestamps', () => {
  const python = requirePython();
  const texts = EVIDENCE.map(([, evidence]) => openMetrics(evidence));
  const read = readWith<ReadMetrics>(python, READ_METRICS, texts);
  for (const [i, [name, evidence]] of EVIDENCE.entries()) {
    const text = texts[i]!;
    const { same, types, samples } = read[i]!;
    assert.ok(same, name);
    // The collector of node_exporter knows neither info nor stateset.
    assert.equal(types, ['gauge'], name);
    assert.ok(samples.every(([, , , timestamp]) => timestamp === null));
    assert.is(samples.length, text.split('\n').filter((line) => /^[^#]/.test(line)).length, name);
    assert.is(samples[0]![1]['board'], plainText(evidence.board.id));
    const boots = samples.filter(([metric]) => metric === 'coldseal_boot_boots');
    assert.equal(
      boots.filter(([, { arm }]) => arm === 'candidate').map(([, , value]) => value),
      evidence.groups.map(({ candidate }) => candidate.boots),
    );
  }
  for (const broken of [
    'a{b="c} 1\n# EOF\n',
    texts[0]!.replace('# EOF\n', ''),
    `${texts[0]!}a 1\n`,
  ]) {
    assert.is.not(run(python, ['-c', READ_METRICS], JSON.stringify([broken])).status, 0);
  }
});

const READ_CSV = `
import csv, io, json, sys
tables = [list(csv.reader(io.StringIO(text, newline=''), strict=True)) for text in json.load(sys.stdin)]
print(json.dumps(tables))
`;

test("Python's csv: rows of one length, figures that are numbers, sums as in the evidence", () => {
  const python = requirePython();
  const texts = EVIDENCE.map(([, evidence]) => samplesCsv(evidence));
  const tables = readWith<string[][]>(python, READ_CSV, texts);
  for (const [i, [name, evidence]] of EVIDENCE.entries()) {
    const [head, ...rows] = tables[i]!;
    const at = (row: string[], column: string): string => row[head!.indexOf(column)]!;
    assert.ok(
      rows.every((row) => row.length === head!.length),
      name,
    );
    for (const column of ['start_ms', 'duration_ms', 'budget_ms', 'boot']) {
      assert.ok(
        rows.every((row) => /^(\d+(\.\d{6})?)?$/.test(at(row, column))),
        column,
      );
    }
    const totals = rows.filter((row) => at(row, 'kind') === 'total');
    assert.equal(
      totals.map((row) => (at(row, 'duration_ms') === '' ? null : Number(at(row, 'duration_ms')))),
      evidence.groups
        .flatMap(({ candidate, baseline }) => [candidate, ...(baseline === null ? [] : [baseline])])
        .flatMap(({ totalsNs }) => totalsNs.map((ns) => (ns === null ? null : ns / 1e6))),
      name,
    );
  }
});

/** Text of HTML, as a browser would show it; word joiners are not seen. */
function shown(html: string): string {
  return html
    .replace(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('\u2060', '');
}

const CMARK = ['-e', 'table', '-e', 'autolink', '-e', 'strikethrough', '--unsafe'];

test('cmark-gfm: a name in a cell is that name, and nothing else', () => {
  const cmark = requireTool('cmark-gfm', 'cmark-gfm');
  const names = [...HOSTILE_NAMES, '~~x~~', '\\|', 'www.example.org', 'a@example.org', '- [ ] x'];
  for (const name of names) {
    const source = `| ${markdown(name, 600)} | end |\n| --- | --- |\n`;
    const html = run(cmark, CMARK, source).stdout.toString();
    const cells = [...html.matchAll(/<th>([\s\S]*?)<\/th>/g)].map(([, cell]) => cell!);
    assert.is(cells.length, 2, html);
    assert.not.match(cells[0]!, /<[a-z]/i, html);
    assert.is(shown(cells[0]!), plainText(name));
  }
});

test('cmark-gfm: a summary is headings, paragraphs, tables; no link, picture or tag of a name', () => {
  const cmark = requireTool('cmark-gfm', 'cmark-gfm');
  for (const [name, evidence] of EVIDENCE) {
    const html = run(cmark, CMARK, markdownSummary(evidence)).stdout.toString();
    const tags = new Set([...html.matchAll(/<([a-z0-9]+)/g)].map(([, tag]) => tag!));
    const known = 'h2 h3 p strong em code table thead tbody tr th td ul li'.split(' ');
    assert.equal(
      [...tags].filter((tag) => !known.includes(tag)),
      [],
      name,
    );
    const tables = html.split('<table>').length - 1;
    const compared = evidence.groups.filter(({ regression }) => regression !== null).length;
    const expected = evidence.groups.length + compared + Number(evidence.checks.length > 0);
    assert.is(tables, expected + Number((evidence.drift?.changes.length ?? 0) > 0), name);
  }
});

test.run();
