/** `/runs/:id`: counts, progress, durations, failures, and what the run waits for. */
import { isTerminal, outcomes } from "../../contract/outcomes.ts";
import { jobIds } from "../../contract/queues.ts";
import type { FailureGroup, FileCounts } from "../../contract/run-record.ts";
import type { Explanation, RunStatus, WaitReason } from "../../contract/status.ts";
import { execPlace, reportPlace } from "../../platform/job-queues.ts";
import type { RunFigures } from "../run-reader.ts";
import type { FlowFacts } from "../flow-reader.ts";
import { badge } from "./badge.ts";
import { flowCards } from "./flow-card.ts";
import { html, type Html } from "./html.ts";
import { commandWords } from "./runs-page.ts";
import {
  bytesWords,
  countWords,
  durationWords,
  fileHref,
  hrefWith,
  pathTag,
  percentWords,
  rateWords,
  runHref,
  timeTag,
} from "./words.ts";

export interface RunView {
  readonly run: RunStatus;
  readonly figures: RunFigures;
  readonly explanation: Explanation;
  readonly nowMs: number;
  /** Of a run that is a flow. */
  readonly flow?: FlowFacts;
}

const EXAMPLES_SHOWN = 3;

export function runTitle(run: RunStatus): string {
  return run.spec.name ?? commandWords(run);
}

export function runContent({ run, figures, explanation, nowMs, flow }: RunView): Html {
  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href="/">Runs</a> / <span class="id">${run.id}</span></nav>
    <div class="head">
      <h1>${runTitle(run)}</h1>
      <span data-part="state" role="status">${badge(run.state)}</span>
      <span data-live-control></span>
    </div>
    ${run.message !== null && html`<p class="${run.state === "broken" ? "alert" : "soft"}">${run.message}</p>`}
    ${progressCard(run)} ${flow !== undefined && flowCards(run.id, flow)}
    <div class="cols">${waitCard(explanation, nowMs)} ${costCard(figures, isFlow(run) ? "node" : "file")}</div>
    ${failuresCard(run, figures.failures)} ${aboutCard(run)}
  `;
}

function progressCard(run: RunStatus): Html {
  const { counts, progress } = run;
  const total = isFlow(run) ? "Nodes" : progress.isScanned ? "Files" : "Files found so far";
  const remainingMs = progress.remainingSeconds === null ? null : progress.remainingSeconds * 1_000;
  const elapsedMs = progress.elapsedSeconds === null ? null : progress.elapsedSeconds * 1_000;
  return html`<section class="card" data-part="progress" aria-labelledby="progress">
    <h2 id="progress">Progress</h2>
    ${outcomeBar(counts)}
    <dl class="figures">
      ${figure(total, countWords(counts.total))}
      ${figure("Done", progress.isScanned ? percentWords(progress.doneRatio) : countWords(progress.doneFiles))}
      ${outcomes.map((name) => (counts[name] > 0 || name === "succeeded" || name === "failed") && outcomeFigure(run, name))}
      ${!isFlow(run) && figure("Rate", rateWords(progress.filesPerSecond))}
      ${figure("Elapsed", durationWords(elapsedMs))}
      ${!isTerminal(run.state) && figure("Remaining", durationWords(remainingMs))}
      ${!isTerminal(run.state) && figure("Jobs running", countWords(progress.runningJobs))}
    </dl>
    <p>
      <a href="${runHref(run.id)}/files">${isFlow(run) ? "All results of its nodes" : "All files of this run"}</a
      >${reportLinks(run)}
    </p>
  </section>`;
}

function reportLinks({ id, epoch, report }: RunStatus): Html | false {
  const file = `${runHref(id)}/report`;
  return report?.epoch === epoch && html` · Report: <a href="${file}.md">Markdown</a>, <a href="${file}.json">JSON</a>`;
}

function isFlow({ spec }: RunStatus): boolean {
  return spec.executor === "flow";
}

function outcomeFigure(run: RunStatus, name: (typeof outcomes)[number]): Html {
  const label = name.slice(0, 1).toUpperCase() + name.slice(1);
  const count = countWords(run.counts[name]);
  const href = hrefWith(`${runHref(run.id)}/files`, { outcome: name });
  return figure(label, run.counts[name] > 0 ? html`<a href="${href}">${count}</a>` : count);
}

function figure(name: string, value: string | Html): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

function coresWords(cores: number): string {
  return cores === 1 ? "1 core" : `${cores} cores`;
}

/** The outcomes as parts of one bar. The figures below it say the same in words. */
function outcomeBar(counts: FileCounts): Html {
  const whole = Math.max(1, counts.total);
  let x = 0;
  const parts = outcomes.map((name) => {
    const width = Math.min(100 - x, (100 * counts[name]) / whole);
    const part = html`<rect class="${name}" x="${x.toFixed(3)}" y="0" width="${width.toFixed(3)}" height="1" />`;
    x += width;
    return part;
  });
  return html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">${parts}</svg>`;
}

function waitCard({ reasons }: Explanation, nowMs: number): Html {
  return html`<section class="card" data-part="wait" aria-labelledby="wait">
    <h2 id="wait">What it is doing or waiting for</h2>
    <ul class="plain reasons">
      ${reasons.map((reason) => reasonItem(reason, nowMs))}
    </ul>
  </section>`;
}

function reasonItem({ where, code, message, sinceMs, etaMs, need, have }: WaitReason, nowMs: number): Html {
  const figures = need !== null && have !== null && html` · needs ${need}, has ${have}`;
  const since = sinceMs !== null && html` · for ${durationWords(Math.max(0, nowMs - sinceMs))}`;
  const eta = etaMs !== null && html` · may change in ${durationWords(etaMs)}`;
  return html`<li>
    <div>${message}</div>
    <div class="soft"><code>${code}</code> · ${where}${figures}${since}${eta}</div>
  </li>`;
}

function costCard({ durationMs, peakBytes, cpuSeconds }: RunFigures, what: "file" | "node"): Html {
  return html`<section class="card" data-part="cost" aria-labelledby="cost">
    <h2 id="cost">Time and memory of a ${what}</h2>
    <dl class="figures">
      ${figure("p50", durationWords(durationMs?.p50))} ${figure("p90", durationWords(durationMs?.p90))}
      ${figure("p99", durationWords(durationMs?.p99))} ${figure("Longest", durationWords(durationMs?.max))}
      ${figure("Peak memory", bytesWords(peakBytes))} ${figure("CPU in all", durationWords(cpuSeconds * 1_000))}
    </dl>
  </section>`;
}

function failuresCard(run: RunStatus, groups: readonly FailureGroup[]): Html {
  if (groups.length === 0) {
    return html`<section class="card" data-part="failures">
      <h2>Failures</h2>
      <p>No ${isFlow(run) ? "node" : "file"} ${isTerminal(run.state) ? "failed" : "has failed so far"}.</p>
    </section>`;
  }
  return html`<section class="card" data-part="failures">
    <div class="scroll" tabindex="0" role="region" aria-label="Failures">
      <table class="stack">
        <caption>
          Failures
          <span class="soft">by class and message</span>
        </caption>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Message</th>
            <th scope="col" class="num">${isFlow(run) ? "Nodes" : "Files"}</th>
            <th scope="col">Examples</th>
          </tr>
        </thead>
        <tbody>
          ${groups.map((group) => failureRow(run.id, group))}
        </tbody>
      </table>
    </div>
  </section>`;
}

function failureRow(runId: string, { failureClass, message, files, examples }: FailureGroup): Html {
  const shown = examples.slice(0, EXAMPLES_SHOWN);
  return html`<tr>
    <th scope="row"><code>${failureClass}</code></th>
    <td class="wide">${message}</td>
    <td class="num" data-label="Files">${countWords(files)}</td>
    <td class="wide" data-label="Examples">
      <ul class="plain">
        ${shown.map((path) => html`<li><a href="${fileHref(runId, path)}">${pathTag(path)}</a></li>`)}
      </ul>
    </td>
  </tr>`;
}

function aboutCard(run: RunStatus): Html {
  const { spec } = run;
  const jobId = jobIds.report(run.id, run.epoch);
  const jobHref = `/queues/queue/${encodeURIComponent(reportPlace.name)}/${encodeURIComponent(jobId)}`;
  const chunksHref = `/queues/queue/${encodeURIComponent(execPlace(spec).name)}`;
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">About this run</h2>
    <dl class="facts">
      ${workFacts(run)}
      <dt>Output</dt>
      <dd>${pathTag(spec.output.root)}</dd>
      <dt>Created</dt>
      <dd>${timeTag(run.createdAtMs)}</dd>
      <dt>Started</dt>
      <dd>${timeTag(run.startedAtMs)}</dd>
      <dt>Ended</dt>
      <dd>${timeTag(run.endedAtMs)}</dd>
      ${
        spec.traceId !== undefined &&
        html`<dt>Trace id</dt>
          <dd class="id">${spec.traceId}</dd>`
      }
      <dt>Jobs</dt>
      <dd>
        <a href="${jobHref}">Its flow in the queues view</a>${
          !isFlow(run) && html`, <a href="${chunksHref}">the queue of its chunks</a>`
        }
      </dd>
    </dl>
  </section>`;
}

function workFacts({ spec }: RunStatus): Html {
  const around = spec.parent;
  const part =
    around !== undefined &&
    html`<dt>Part of</dt>
      <dd><a class="id" href="${runHref(around.runId)}">${around.runId}</a>, as its node ${around.path}</dd>`;
  if (spec.flow !== undefined) {
    return html`${part}
      <dt>Plan</dt>
      <dd class="id">${spec.flow.planSha256}</dd>`;
  }
  const { memoryBytes, cpuCores } = spec.resources;
  return html`${part}
    <dt>Command</dt>
    <dd><code>${spec.command.map((word) => JSON.stringify(word)).join(" ")}</code></dd>
    <dt>Input</dt>
    <dd>${pathTag(spec.input.root)}</dd>
    <dt>Profile</dt>
    <dd>${spec.profile}, ${memoryWords(memoryBytes)} and ${coresWords(cpuCores)} for each process</dd>`;
}

function memoryWords(declaredBytes: number | undefined): string {
  return declaredBytes === undefined ? "memory as learned" : bytesWords(declaredBytes);
}
