/** `/`: the runs, newest first. */
import { isTerminal, runStates, type RunState } from "../../contract/outcomes.ts";
import { printablePath } from "../../contract/path-bytes.ts";
import type { RunStatus } from "../../contract/status.ts";
import { badge } from "./badge.ts";
import { html, type Html } from "./html.ts";
import { countWords, durationWords, hrefWith, percentWords, rateWords, runHref, timeTag } from "./words.ts";

export interface RunsView {
  readonly runs: readonly RunStatus[];
  readonly state: RunState | undefined;
  readonly isFirstPage: boolean;
  readonly next: string | null;
}

export function runsContent(view: RunsView): Html {
  return html`
    <div class="head">
      <h1>Runs</h1>
      <span data-live-control></span>
    </div>
    ${stateFilter(view.state)}
    <section class="card" data-part="runs">${view.runs.length === 0 ? noRuns(view) : table(view.runs)}</section>
    ${pager(view)}
  `;
}

function stateFilter(state: RunState | undefined): Html {
  const options = runStates.map((name) => html`<option${name === state && html` selected`}>${name}</option>`);
  return html`<form class="filter" method="get" action="/">
    <label
      >State
      <select name="state">
        <option value="">all</option>
        ${options}
      </select></label
    >
    <button>Show</button>
  </form>`;
}

function noRuns({ state, isFirstPage }: RunsView): Html {
  if (!isFirstPage) return html`<p>There are no older runs.</p>`;
  if (state !== undefined) return html`<p>No run is ${state}.</p>`;
  return html`<p>There are no runs yet. Start one:</p>
    <pre>headroom run --input DIR --output DIR -- COMMAND {input}</pre>`;
}

function table(runs: readonly RunStatus[]): Html {
  return html`<table class="stack compact">
    <caption>
      Runs
      <span class="soft">newest first</span>
    </caption>
    <thead>
      <tr>
        <th scope="col">Run</th>
        <th scope="col">State</th>
        <th scope="col" class="num">Files done</th>
        <th scope="col" class="num">Failed</th>
        <th scope="col" class="num">Rate</th>
        <th scope="col" class="num">Took</th>
        <th scope="col">Created</th>
      </tr>
    </thead>
    <tbody>
      ${runs.map(row)}
    </tbody>
  </table>`;
}

function row(run: RunStatus): Html {
  const { counts, progress } = run;
  const failed = counts.failed + counts.quarantined;
  const elapsedMs = progress.elapsedSeconds === null ? null : progress.elapsedSeconds * 1_000;
  const part = isTerminal(run.state) ? "" : ` (${percentWords(progress.doneRatio)})`;
  return html`<tr>
    <th scope="row" class="wide">
      <a class="name" href="${runHref(run.id)}">${run.spec.name ?? commandWords(run)}</a>
      <span class="id soft">${run.id}</span>
    </th>
    <td>${badge(run.state)}</td>
    <td class="num" data-label="Files done">
      ${countWords(progress.doneFiles)} of ${countWords(counts.total)}${progress.isScanned ? part : " so far"}
    </td>
    <td class="num" data-label="Failed">${countWords(failed)}</td>
    <td class="num" data-label="Rate">${rateWords(progress.filesPerSecond)}</td>
    <td class="num" data-label="Took">${durationWords(elapsedMs)}</td>
    <td data-label="Created">${timeTag(run.createdAtMs)}</td>
  </tr>`;
}

/** The command as one short line: a title for a run that has no name. */
export function commandWords({ spec }: Pick<RunStatus, "spec">): string {
  const [binary = "", ...rest] = spec.command;
  const words = printablePath([binary.slice(binary.lastIndexOf("/") + 1), ...rest].join(" "));
  return words.length > 80 ? `${words.slice(0, 79)}…` : words;
}

function pager({ isFirstPage, next, state }: RunsView): Html | null {
  if (isFirstPage && next === null) return null;
  return html`<nav class="pager" aria-label="Pages of runs">
    ${!isFirstPage && html`<a href="${hrefWith("/", { state })}">Newest runs</a>`}
    ${next !== null && html`<a href="${hrefWith("/", { state, before: next })}" rel="next">Older runs</a>`}
  </nav>`;
}
