/** `/runs/:id/files`: the files of a run with search and pages. */
import type { FileResult } from "../../contract/files.ts";
import { outcomes, type Outcome } from "../../contract/outcomes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { badge } from "./badge.ts";
import { html, type Html } from "./html.ts";
import { bytesWords, countWords, durationWords, fileHref, hrefWith, pathTag, runHref } from "./words.ts";

export interface FilesView {
  readonly run: RunRecord;
  readonly files: readonly FileResult[];
  readonly outcome: Outcome | undefined;
  readonly search: string | undefined;
  readonly isFirstPage: boolean;
  readonly next: string | null;
}

export function filesContent(view: FilesView): Html {
  const { run, files } = view;
  return html`
    <nav class="crumbs" aria-label="Breadcrumb">
      <a href="/">Runs</a> / <a class="id" href="${runHref(run.id)}">${run.id}</a> / files
    </nav>
    <h1>Files</h1>
    ${filter(view)}
    <section class="card">
      ${files.length === 0 ? html`<p>No file matches. Files are listed when they have an outcome.</p>` : table(view)}
    </section>
    ${pager(view)}
  `;
}

function filter({ run, outcome, search }: FilesView): Html {
  const options = outcomes.map((name) => html`<option${name === outcome && html` selected`}>${name}</option>`);
  return html`<form class="filter" method="get" action="${runHref(run.id)}/files" role="search">
    <label
      >Outcome
      <select name="outcome">
        <option value="">all</option>
        ${options}
      </select></label
    >
    <label
      >Part of a path or message <input type="search" name="search" value="${search ?? ""}" maxlength="500"
    /></label>
    <button>Search</button>
  </form>`;
}

function table({ run, files }: FilesView): Html {
  return html`<table class="stack compact">
    <caption>
      Files
      <span class="soft">by path, ${files.length} on this page</span>
    </caption>
    <thead>
      <tr>
        <th scope="col">Path</th>
        <th scope="col">Outcome</th>
        <th scope="col">Failure</th>
        <th scope="col" class="num">Attempts</th>
        <th scope="col" class="num">Took</th>
        <th scope="col" class="num">Peak memory</th>
        <th scope="col" class="num">Size</th>
      </tr>
    </thead>
    <tbody>
      ${files.map((file) => row(run.id, file))}
    </tbody>
  </table>`;
}

function row(runId: string, file: FileResult): Html {
  const failure = file.failureClass !== null && html`<code>${file.failureClass}</code> ${file.message}`;
  return html`<tr>
    <th scope="row" class="wide"><a href="${fileHref(runId, file.path)}">${pathTag(file.path)}</a></th>
    <td>${badge(file.outcome)}</td>
    <td>${failure}</td>
    <td class="num" data-label="Attempts">${countWords(file.attempts)}</td>
    <td class="num" data-label="Took">${durationWords(file.durationMs)}</td>
    <td class="num" data-label="Peak memory">${bytesWords(file.peakBytes)}</td>
    <td class="num" data-label="Size">${bytesWords(file.inputBytes)}</td>
  </tr>`;
}

function pager({ run, outcome, search, isFirstPage, next }: FilesView): Html | null {
  if (isFirstPage && next === null) return null;
  const path = `${runHref(run.id)}/files`;
  return html`<nav class="pager" aria-label="Pages of files">
    ${!isFirstPage && html`<a href="${hrefWith(path, { outcome, search })}">First page</a>`}
    ${next !== null && html`<a href="${hrefWith(path, { outcome, search, after: next })}" rel="next">Next page</a>`}
  </nav>`;
}
