/**
 * The style sheet of a report. System fonts; colour only where it means something, and never alone; every pair of text
 * and ground has a contrast of at least 4.5 to 1 in both schemes (test/unit/report-page.test.ts computes it).
 *
 * Print is always the light scheme: dark is asked for on screens only.
 */

/** Colours by name: light, dark. Text colours stand on `paper`, `fill` and their own `-ground`. */
export const COLOURS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  paper: ['#ffffff', '#12171d'],
  fill: ['#f5f7f9', '#1a2129'],
  ink: ['#17202a', '#e5eaf0'],
  soft: ['#55616e', '#a3afbc'],
  rule: ['#d5dce3', '#313b46'],
  grid: ['#e6eaee', '#252e37'],
  link: ['#1a5a9c', '#7db4ec'],
  time: ['#2b6cb0', '#5b9bdd'],
  'time-other': ['#7da7d3', '#38648f'],
  ghost: ['#cfdff0', '#22405f'],
  base: ['#6b7682', '#94a1ae'],
  pass: ['#17703c', '#5ecb8d'],
  'pass-ground': ['#e9f5ee', '#12281b'],
  fail: ['#b0261c', '#ff8d82'],
  'fail-ground': ['#fcecea', '#351917'],
  inconclusive: ['#805200', '#e8b64f'],
  'inconclusive-ground': ['#fbf2dd', '#2e2510'],
  noted: ['#1a5a9c', '#7db4ec'],
  'bad-evidence': ['#74358f', '#d3a1ea'],
  'bad-evidence-ground': ['#f5ebf9', '#2b1b34'],
};

const variables = (scheme: 0 | 1): string =>
  Object.entries(COLOURS)
    .map(([name, pair]) => `--${name}:${pair[scheme]}`)
    .join(';');

const COMMON = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;padding:32px 24px 64px;max-width:1080px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1,h2,h3{line-height:1.25;margin:0;font-weight:650}
h1{font-size:30px;letter-spacing:-.01em}
h2{font-size:21px;margin:56px 0 12px;padding-top:16px;border-top:1px solid var(--rule)}
h3{font-size:16px;margin:32px 0 8px}
p{margin:0 0 10px}
ul{margin:0 0 10px;padding-left:20px}
a{color:var(--link);text-underline-offset:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
code{font:0.92em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
data,.n{font-variant-numeric:tabular-nums}
data{white-space:nowrap}
caption{text-align:left;color:var(--soft);padding:0 0 8px;font-size:14px}
.quiet{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.defs{position:absolute}
.lead,.subject,.kind,.empty,footer{color:var(--soft)}
.empty{padding:12px 0}
.aside{color:var(--soft);font-weight:400;font-size:13px}
.badge{display:inline-block;border:1px solid currentColor;border-radius:3px;padding:0 6px;font-size:12px;
line-height:18px;font-weight:500;color:var(--soft);white-space:nowrap;vertical-align:1px}
.over{color:var(--fail)}
footer{margin-top:56px;border-top:1px solid var(--rule);padding-top:16px;font-size:13px}
`;

const TOP = `
.kind{margin:0 0 4px;font-size:13px;letter-spacing:.04em;text-transform:uppercase}
.subject{margin:4px 0 0}
nav ul{list-style:none;margin:16px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:4px 20px;font-size:14px}
.verdict{margin:24px 0 16px;padding:20px 24px;border-left:6px solid;border-radius:4px}
.verdict p{margin:0}
.verdict .word{font-size:24px;font-weight:650}
.verdict .sentence{margin:6px 0 8px;font-size:18px;line-height:1.4}
.verdict .codes{color:var(--soft);font-size:14px}
.notice{border:1px solid var(--inconclusive);border-radius:4px;padding:10px 14px;background:var(--inconclusive-ground)}
.state{font-weight:600;white-space:nowrap}
.icon{vertical-align:-4px;margin-right:7px}
.word .icon{width:26px;height:26px;vertical-align:-5px;margin-right:10px}
.icon path{fill:none;stroke:var(--paper);stroke-width:2.6;stroke-linecap:round;stroke-linejoin:round}
.icon .body,.icon circle{fill:currentColor;stroke:none}
.icon .hollow{fill:none;stroke:currentColor;stroke-width:2.6}
.state.noted{color:var(--noted)}
.not-evaluated{color:var(--soft)}
${['pass', 'fail', 'inconclusive', 'bad-evidence']
  .map(
    (s) =>
      `.state.${s}{color:var(--${s})}.verdict.${s}{border-color:var(--${s});background:var(--${s}-ground)}`,
  )
  .join('\n')}
.facts{margin:0;display:grid;gap:8px}
.facts>div{display:grid;grid-template-columns:minmax(120px,190px) 1fr;gap:16px}
.facts dt{color:var(--soft)}
.facts dd{margin:0;min-width:0}
`;

const TABLES = `
table{border-collapse:collapse;width:100%;font-size:14px}
caption{caption-side:top}
table+p{margin-top:12px}
th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;font-weight:400}
thead th{color:var(--soft);font-size:13px;vertical-align:bottom}
.n{text-align:right;white-space:nowrap}
th.n,td.n{padding:6px 0 6px 12px}
tr.total th,tr.total td,.sum th,.sum td{font-weight:600}
.checks tr,.stack tr,.ledger tr,.plan tr{border-bottom:1px solid var(--grid)}
.checks th[scope=row]{font-weight:600;width:36%}
.checks th .aside{display:block}
.checks p{margin:0 0 4px}
.checks .codes{color:var(--soft);font-size:13px}
.figures{list-style:none;margin:0 0 4px;padding:0;display:flex;flex-wrap:wrap;gap:0 16px;font-size:13px}
.figures span{color:var(--soft)}
.ledger .aside{display:block}
.ledger .axis{width:28%;padding:8px 0 6px 24px}
.ledger thead th:last-child{text-align:left;padding-left:24px}
.ledger .sums tr:first-child{border-top:2px solid var(--rule)}
.section th{padding-top:14px;color:var(--soft)}
.digest{font-size:12px}
.stack{table-layout:fixed}
.sources th:nth-child(2),.sources th:nth-child(3){width:13%}
.sources th:nth-child(4){width:8%}
.sources th:nth-child(5){width:40%;padding-left:20px}
.sources td:nth-child(5){padding-left:20px}
.plan{max-width:620px}
.plan .axis{width:45%;padding:9px 0 0 24px}
.note td{color:var(--soft);font-size:13px}
table.time .axis{padding:0;height:100%;position:relative}
table.time{table-layout:fixed}
table.time th{width:25%;padding:3px 12px 3px 0;line-height:1.3}
table.time th.n{width:70px}
table.time th.n.two{width:128px}
.wide{display:none}
table.time th.section,table.time tr.section th{width:auto;padding-top:14px}
table.time td.n{padding:3px 0 3px 10px;line-height:1.3}
table.time tbody th,table.time tbody td{vertical-align:middle}
table.time td.axis{min-height:24px}
table.time tbody .axis svg.bars{position:absolute;inset:0}
table.time tbody tr{height:24px}
table.time tbody tr:hover,.checks tbody tr:hover{background:var(--fill)}
.unit th{color:var(--soft);font-size:13px}
svg.bars{display:block;overflow:visible}
`;

const CHARTS = `
.legend{list-style:none;margin:0 0 8px;padding:0;display:flex;flex-wrap:wrap;gap:2px 20px;
font-size:13px;color:var(--soft)}
.legend li{display:flex;gap:7px;align-items:baseline}
.key{flex:none;overflow:visible}
.plot{padding:4px 14px 4px 72px}
.plot svg{display:block;overflow:visible}
.plot text,.axis text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
.end{text-anchor:end}
.middle{text-anchor:middle}
text.label{fill:var(--ink)}
.strong{font-weight:600}
.grid{stroke:var(--grid);stroke-width:1}
.axis-line{stroke:var(--soft);stroke-width:1}
rect.time{fill:var(--time)}
rect.time.other{fill:var(--time-other)}
rect.time.is-over{fill:var(--fail)}
rect.time.open{fill:none;stroke:var(--fail);stroke-dasharray:4 3}
rect.time.side{opacity:.75}
rect.ghost{fill:var(--ghost);stroke:var(--time);stroke-width:.75;stroke-dasharray:2 2}
rect.ghost.is-over{stroke:var(--fail)}
rect.range{fill:var(--time)}
.median{stroke:var(--ink);stroke-width:2}
rect.room{fill:var(--fill);stroke:var(--rule)}
rect.base{fill:var(--base)}
rect.slower{fill:var(--fail)}
rect.faster{fill:var(--pass)}
rect.rest{fill:var(--time-other)}
.whisker{stroke:var(--ink);stroke-width:1.5}
rect.declared{fill:url(#hatch-declared);stroke:var(--ink);stroke-width:1}
rect.guard{fill:url(#hatch-guard)}
rect.reserve{fill:url(#hatch-reserve)}
.hatch-declared{stroke:var(--ink);stroke-width:1.2}
.hatch-guard{stroke:var(--fail);stroke-width:.8;opacity:.7}
.hatch-reserve{stroke:var(--base);stroke-width:.8;opacity:.45}
.mark-budget{stroke:var(--fail);stroke-width:2}
.mark-limit{stroke:var(--fail);stroke-width:1.5;stroke-dasharray:6 3}
.mark-bound{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 3}
.mark-coverage{stroke:var(--soft);stroke-width:1;stroke-dasharray:1 3}
.mark-change{stroke:var(--bad-evidence);stroke-width:1.5;stroke-dasharray:4 3}
.bad-range{fill:var(--fail-ground);stroke:var(--fail);stroke-width:.5}
.stretched path,.key path{vector-effect:non-scaling-stroke}
.curve{fill:none;stroke:var(--time);stroke-width:2.25}
.curve.base{stroke:var(--base);stroke-dasharray:7 4}
.curve.p95{stroke-width:1.5;stroke-dasharray:4 3}
.dot{fill:none;stroke:var(--time);stroke-width:5.5;stroke-linecap:round}
.dot.baseline{stroke:var(--base);stroke-width:6.5;stroke-linecap:square}
.dot.hole{stroke:var(--paper);stroke-width:3.5;stroke-linecap:square}
.dot.slowest{stroke:var(--base);stroke-width:4.5;stroke-linecap:square}
.cross{fill:none;stroke:var(--fail);stroke-width:2}
.ring{fill:none;stroke:var(--inconclusive);stroke-width:2}
`;

const PHONE = `
@media screen and (min-width:1000px){.wide{display:inline}}
@media screen and (max-width:760px){
body{padding:20px 16px 40px}
h1{font-size:24px}
h2{margin-top:40px}
.verdict{padding:16px}
.verdict .sentence{font-size:16px}
.facts>div{grid-template-columns:1fr;gap:0}
.plot{padding-left:56px;padding-right:14px}
table.time,table.time tbody,table.time thead,table.time caption,.checks,.checks tbody,.checks caption,
.stack,.stack tbody,.stack caption,
.ledger,.ledger tbody,.ledger caption{display:block;width:auto}
.checks thead,.stack thead,.ledger thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.checks tr,.stack tr{display:block;padding:10px 0}
.checks th,.checks td,.checks th[scope=row],.stack tbody th:nth-child(n),.stack tbody td:nth-child(n){
display:block;width:auto;padding:1px 0;text-align:left}
.stack td::before,.ledger td.n::before{content:attr(data-head) " ";color:var(--soft);font-size:13px}
.ledger tr{display:flex;flex-wrap:wrap;gap:0 14px;padding:6px 0}
.ledger th{flex:1 0 100%;padding:0}
.ledger td{padding:0}
.ledger td.n{text-align:left;padding:0}
.ledger td:empty{display:none}
.ledger .axis{width:100%;padding:2px 0}
table.time tr{display:flex;flex-wrap:wrap;gap:0 9px;justify-content:flex-end}
table.time tbody tr{height:auto;padding-top:4px}
table.time th{flex:1 1 auto;width:auto;padding:0}
table.time tr.section th{flex:1 1 100%;width:auto;padding:0}
table.time tbody td.n,table.time thead th.n{flex:none;width:auto;padding:0;font-size:13px}
table.time thead th:nth-child(n){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.time tbody td.n::before{content:attr(data-head) " ";color:var(--soft);font-size:12px}
table.time td.n:empty{display:none}
table.time td.axis{flex:1 1 100%;min-height:20px;height:auto;order:9}
.plan .axis{width:30%;padding-left:12px}
}
`;

const PRINT = `
@media print{
@page{size:A4;margin:14mm 13mm}
body{padding:0;max-width:none;font-size:10pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav{display:none}
a{color:inherit;text-decoration:none}
.group,.answers{break-before:page}
h2,h3,caption,.legend{break-after:avoid}
tr,.part,.plot,.verdict,.notice,.facts,li{break-inside:avoid}
thead{display:table-header-group}
table,caption{font-size:12.5px}
.aside,.figures,.legend,.checks .codes{font-size:11.5px}
.checks th,.checks td{padding:4px 10px 3px 0}
.checks p,.figures{margin-bottom:1px}
h2{margin-top:24px;font-size:18px}
section.verdict.verdict{background:none;border:1.5pt solid;border-left-width:6pt}
.notice{background:none}
table.time tbody tr:hover,.checks tbody tr:hover{background:none}
}
`;

/** Everything, as it stands in the page. */
export const PAGE_STYLE =
  `:root{color-scheme:light dark;${variables(0)}}\n` +
  `@media screen and (prefers-color-scheme:dark){:root{${variables(1)}}}\n` +
  `@media print{:root{color-scheme:light}}\n` +
  COMMON +
  TOP +
  TABLES +
  CHARTS +
  PHONE +
  PRINT;
