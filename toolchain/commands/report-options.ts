/** The options that `report` and `qa` share: how boots are judged, and which outputs are written. */
import type { OptionTable } from '../cli/command.ts';

export const REPORT_OPTIONS = {
  plan: {
    flag: '--plan <plan>',
    help: 'coverage/confidence[/boots that may be over], as 95/95/2, or R95C95 (default: as the board file)',
  },
  history: {
    flag: '--history <db>',
    help: 'history of earlier builds, for the trend: file or postgres:// address',
  },
  margin: {
    flag: '--margin-ms <ms>',
    help: 'no regression up to here, unless compared exactly (default: 20, or 1 % of the budget if more)',
    integer: { min: 1, max: 600_000 },
  },
  seed: {
    flag: '--seed <n>',
    help: 'seed of the permutations that look for drift',
    integer: { min: 0, max: 0xffff_ffff },
    default: 1,
  },
  html: { flag: '--html <file>', help: 'write the page: one file, for people and archives' },
  junit: { flag: '--junit <file>', help: 'write test results for a CI server' },
  json: {
    flag: '--json <file>',
    help: 'write the evidence, from which everything else can be made; - prints a summary',
  },
  csv: { flag: '--csv <file>', help: 'write every boot and stage as a row' },
  perfetto: { flag: '--perfetto <file>', help: 'write a trace for ui.perfetto.dev' },
  openmetrics: { flag: '--openmetrics <file>', help: 'write gauges for Prometheus' },
  summary: { flag: '--summary <file>', help: 'write a summary in Markdown for a CI job' },
  annotations: {
    flag: '--annotations',
    help: 'print marks for a GitHub workflow on stderr, at most three',
  },
  sign: {
    flag: '--sign <keys>',
    help: 'sign the evidence with the evidence key of this directory, as FILE.cose beside --json',
  },
  force: { flag: '--force', help: 'replace outputs that are there' },
} as const satisfies OptionTable;
