/** `/runs/:id/files/*path`: what happened to one file. */
import type { AttemptRecord, FileResult } from "../../contract/files.ts";
import { printablePath } from "../../contract/path-bytes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { badge } from "./badge.ts";
import { html, type Html } from "./html.ts";
import { bytesWords, countWords, durationWords, pathTag, runHref, timeTag } from "./words.ts";

export interface FileView {
  readonly run: RunRecord;
  readonly file: FileResult;
  readonly attempts: readonly AttemptRecord[];
}

export function fileTitle(file: FileResult): string {
  return printablePath(file.path.slice(file.path.lastIndexOf("/") + 1));
}

export function fileContent({ run, file, attempts }: FileView): Html {
  return html`
    <nav class="crumbs" aria-label="Breadcrumb">
      <a href="/">Runs</a> / <a class="id" href="${runHref(run.id)}">${run.id}</a> /
      <a href="${runHref(run.id)}/files">files</a>
    </nav>
    <div class="head">
      <h1><bdi>${fileTitle(file)}</bdi></h1>
      ${badge(file.outcome)}
    </div>
    ${file.failureClass !== null && html`<p class="alert"><code>${file.failureClass}</code>: ${file.message}</p>`}
    <div class="cols">${resultCard(file)} ${filesCard(file)}</div>
    ${logCard(file)} ${attempts.length > 0 && attemptsCard(attempts)}
  `;
}

function resultCard(file: FileResult): Html {
  return html`<section class="card" aria-labelledby="result">
    <h2 id="result">Result</h2>
    <dl class="facts">
      <dt>Attempts</dt>
      <dd>${countWords(file.attempts)}</dd>
      <dt>Started</dt>
      <dd>${timeTag(file.startedAtMs)}</dd>
      <dt>Took</dt>
      <dd>${durationWords(file.durationMs)}, ${durationWords(file.cpuMs)} of CPU time</dd>
      <dt>Peak memory</dt>
      <dd>${bytesWords(file.peakBytes)}</dd>
      <dt>Exit code</dt>
      <dd>${file.exitCode ?? "–"}${file.signal !== null && html`, ended by ${file.signal}`}</dd>
      <dt>Worker</dt>
      <dd>${file.workerId ?? "–"}</dd>
    </dl>
  </section>`;
}

function filesCard(file: FileResult): Html {
  return html`<section class="card" aria-labelledby="files">
    <h2 id="files">Input and output</h2>
    <dl class="facts">
      <dt>Input</dt>
      <dd>${pathTag(file.path)}, ${bytesWords(file.inputBytes)}</dd>
      <dt>Input SHA-256</dt>
      <dd class="id">${file.inputSha256 ?? "–"}</dd>
      <dt>Output</dt>
      <dd>${file.outputPath === null ? "–" : html`${pathTag(file.outputPath)}, ${bytesWords(file.outputBytes)}`}</dd>
      <dt>Output SHA-256</dt>
      <dd class="id">${file.outputSha256 ?? "–"}</dd>
      ${transcriptRows(file)}
      <dt>Binary SHA-256</dt>
      <dd class="id">${file.binarySha256 ?? "–"}</dd>
    </dl>
  </section>`;
}

function transcriptRows({ transcript }: FileResult): Html | false {
  return (
    transcript !== undefined &&
    html`<dt>Transcript</dt>
      <dd>${pathTag(transcript.path)}, ${bytesWords(transcript.bytes)}</dd>
      <dt>Transcript SHA-256</dt>
      <dd class="id">${transcript.sha256}</dd>`
  );
}

function logCard(file: FileResult): Html {
  const text = file.log ?? "";
  return html`<section class="card" aria-labelledby="log">
    <h2 id="log">What the process wrote</h2>
    ${text === "" ? html`<p>Nothing was kept.</p>` : logText(text)}
  </section>`;
}

function logText(text: string): Html {
  return html`<p class="soft">Head and tail, as far as they were kept.</p>
    <pre tabindex="0" role="region" aria-labelledby="log">${text}</pre>`;
}

function attemptsCard(attempts: readonly AttemptRecord[]): Html {
  const rows = attempts.map(
    (attempt) =>
      html`<tr>
        <td data-label="Attempt">${attempt.attempt}</td>
        <td data-label="Ended">${attempt.end}</td>
        <td class="wide">
          ${attempt.failureClass !== null && html`<code>${attempt.failureClass}</code>`} ${attempt.message}
        </td>
        <td data-label="At">${timeTag(attempt.atMs)}</td>
        <td data-label="Worker">${attempt.workerId ?? "–"}</td>
      </tr>`,
  );
  return html`<section class="card">
    <table class="stack">
      <caption>
        Earlier attempts and late duplicates
      </caption>
      <thead>
        <tr>
          <th scope="col">Attempt</th>
          <th scope="col">Ended</th>
          <th scope="col">Why</th>
          <th scope="col">At</th>
          <th scope="col">Worker</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </section>`;
}
