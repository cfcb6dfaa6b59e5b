/** The style of every page: one file, served by the process. Contrast is WCAG AA in both schemes. */
export const styleSheet = /* css */ `
:root {
  color-scheme: light dark;
  --bg: #f6f7f9; --card: #ffffff; --ink: #1a2230; --soft: #4b5768; --line: #d5dbe3; --edge: #7d8898;
  --link: #0b57b8; --accent: #0b57b8; --on-accent: #ffffff; --focus: #b3470a; --code: #eef1f5;
  --good: #11663a; --good-bg: #dff3e6; --bad: #a3161d; --bad-bg: #fde5e4;
  --busy: #0b4f9e; --busy-bg: #e0edfc; --warn: #7a4a00; --warn-bg: #fdeecb; --calm: #475264; --calm-bg: #e9edf2;
  --bar-good: #2a9358; --bar-bad: #cf3a3f; --bar-calm: #8b96a6; --bar-warn: #d18b16; --bar-rest: #dfe4ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #10151d; --card: #18202b; --ink: #e6ebf2; --soft: #a9b5c5; --line: #2c3746; --edge: #75839a;
    --link: #8bbcff; --accent: #8bbcff; --on-accent: #0b1524; --focus: #ffb070; --code: #202a38;
    --good: #7fdca6; --good-bg: #12331f; --bad: #ffa3a0; --bad-bg: #401a1c;
    --busy: #9cc8ff; --busy-bg: #132c4a; --warn: #ffcf7d; --warn-bg: #3a2a08; --calm: #b9c4d3; --calm-bg: #263140;
    --bar-good: #44b877; --bar-bad: #e5605f; --bar-calm: #76839a; --bar-warn: #dba23f; --bar-rest: #2c3746;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--bg); color: var(--ink); }
a { color: var(--link); text-underline-offset: 0.15em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
h1, h2, h3 { line-height: 1.25; margin: 0; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; }
h3 { font-size: 1rem; }
p { margin: 0; max-width: 70ch; }
code, pre, .path, .id { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; font-size: 0.9em; }
.path { overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.skip { position: absolute; left: -100vw; top: 0; }
.skip:focus { left: 0.5rem; top: 0.5rem; padding: 0.5rem 1rem; background: var(--card); z-index: 2; }
.top { background: var(--card); border-bottom: 1px solid var(--line); }
.top > div { max-width: 76rem; margin: 0 auto; padding: 0.5rem 1rem; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; align-items: center; }
.brand { font-weight: 700; color: var(--ink); text-decoration: none; padding: 0.4rem 0; letter-spacing: -0.01em; }
.brand span { color: var(--accent); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem; margin: 0; padding: 0; }
.top nav { flex: 1; }
.top nav a { display: block; padding: 0.4rem 0.7rem; border-radius: 6px; text-decoration: none; color: var(--soft); }
.top nav a:hover { background: var(--code); color: var(--ink); }
.top nav a[aria-current] { background: var(--busy-bg); color: var(--busy); font-weight: 600; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); }
.head { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; }
.crumbs { font-size: 0.95rem; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.15rem; display: grid; gap: 0.85rem; grid-template-columns: minmax(0, 1fr); }
.cols { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); align-items: start; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 0.75rem 1rem; margin: 0; }
.figures div { min-width: 0; }
.figures dt { color: var(--soft); font-size: 0.85rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: 0.35rem 1rem; margin: 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; white-space: nowrap; padding: 0.1rem 0.6rem; border-radius: 99px; font-size: 0.9rem; font-weight: 600; border: 1px solid currentcolor; }
.badge.good { color: var(--good); background: var(--good-bg); }
.badge.bad { color: var(--bad); background: var(--bad-bg); }
.badge.busy { color: var(--busy); background: var(--busy-bg); }
.badge.warn { color: var(--warn); background: var(--warn-bg); }
.badge.calm { color: var(--calm); background: var(--calm-bg); }
.bar { display: block; width: 100%; height: 0.75rem; border-radius: 6px; background: var(--bar-rest); }
.bar .succeeded { fill: var(--bar-good); } .bar .failed { fill: var(--bar-bad); }
.bar .quarantined { fill: var(--bar-warn); } .bar .skipped, .bar .cancelled { fill: var(--bar-calm); }
.scroll { overflow-x: auto; margin: 0 -1.15rem; padding: 0 1.15rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; font-size: 1.1rem; padding-bottom: 0.5rem; }
caption .soft { font-weight: 400; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1.25rem 0.5rem 0; border-bottom: 1px solid var(--line); }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
thead th { color: var(--soft); font-size: 0.85rem; font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.wide { min-width: 14rem; }
.name { display: block; }
ul.plain { margin: 0; padding: 0; list-style: none; display: grid; gap: 0.5rem; }
ul.reasons > li { border-left: 4px solid var(--edge); padding-left: 0.75rem; }
pre { margin: 0; padding: 0.75rem; background: var(--code); border-radius: 6px; overflow: auto; max-height: 32rem; white-space: pre-wrap; overflow-wrap: anywhere; }
form.filter { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; }
label { display: grid; gap: 0.25rem; font-size: 0.9rem; color: var(--soft); }
input, select, button { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--edge); border-radius: 6px; padding: 0.4rem 0.6rem; min-height: 2.5rem; max-width: 100%; }
button { cursor: pointer; font-weight: 600; }
button.primary { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
button.quiet { border-color: transparent; color: var(--soft); font-weight: 400; background: none; }
button.quiet:hover { text-decoration: underline; color: var(--ink); }
label.grow { flex: 1 1 14rem; } label.grow input { width: 100%; }
.away { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap; }
.graph { display: block; margin: 0 auto; font-family: Helvetica, Arial, sans-serif; }
.graph text { fill: var(--ink); } .graph .edge text { fill: var(--soft); }
.graph .edge path { stroke: var(--edge); } .graph .edge polygon { fill: var(--edge); stroke: var(--edge); }
.graph > g > polygon { fill: none; stroke: none; }
.graph .node :is(path, polygon, polyline) { fill: var(--calm-bg); stroke: var(--calm); stroke-width: 1.25; }
.graph .good :is(path, polygon, polyline) { fill: var(--good-bg); stroke: var(--good); }
.graph .bad :is(path, polygon, polyline) { fill: var(--bad-bg); stroke: var(--bad); stroke-width: 2; }
.graph .busy :is(path, polygon, polyline) { fill: var(--busy-bg); stroke: var(--busy); stroke-width: 2; }
.graph .warn :is(path, polygon, polyline) { fill: var(--warn-bg); stroke: var(--warn); stroke-width: 2; }
.graph a:hover text { text-decoration: underline; }
tr:target { background: var(--code); }
.pager { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; }
.pager a { padding: 0.4rem 0; }
.alert { max-width: none; border-left: 4px solid var(--bad); background: var(--bad-bg); color: var(--bad); padding: 0.6rem 0.9rem; border-radius: 4px; overflow-wrap: anywhere; }
.narrow { max-width: 26rem; width: 100%; justify-self: center; }
.narrow form { display: grid; gap: 1rem; }
@media (max-width: 40rem) {
  .top nav { order: 3; flex: 1 0 100%; } .top form { margin-left: auto; } .top > div { padding: 0.4rem 0.75rem; }
  main { padding: 1rem 0.75rem 3rem; } h1 { font-size: 1.35rem; }
  .stack thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  .stack tbody, .stack tr, .stack th, .stack td, .stack caption { display: block; }
  .stack tr { padding: 0.6rem 0; border-bottom: 1px solid var(--line); }
  .stack tr:last-child { border-bottom: 0; }
  .stack th, .stack td { border: 0; padding: 0.15rem 0; }
  .stack td.num { text-align: left; }
  .compact td[data-label] { display: inline-block; padding-right: 1rem; }
  .stack td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); font-size: 0.85rem; }
}
@media (prefers-reduced-motion: no-preference) { .bar rect { transition: width 0.4s; } }
@media (forced-colors: active) { .bar rect { forced-color-adjust: none; } }
`;
