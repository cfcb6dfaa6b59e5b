/** `/workers`: what each worker has, holds and waits for. */
import { runOfJobId } from "../../contract/queues.ts";
import type { Amounts } from "../../contract/resources.ts";
import type { RunningJob, WorkerHeartbeat } from "../../contract/status.ts";
import { isAlive } from "../../platform/worker-heartbeats.ts";
import { badge } from "./badge.ts";
import { html, type Html } from "./html.ts";
import { bytesWords, countWords, durationWords, runHref } from "./words.ts";

const JOBS_SHOWN = 20;

export function workersContent(workers: readonly WorkerHeartbeat[], nowMs: number): Html {
  const alive = workers.filter((worker) => isAlive(worker, nowMs)).length;
  return html`
    <div class="head">
      <h1>Workers</h1>
      <span class="soft" data-part="alive">${alive} alive</span>
      <span data-live-control></span>
    </div>
    <div data-part="workers" class="cols">
      ${workers.length === 0 && html`<p>No worker has sent a heartbeat. Start one: <code>headroom worker</code></p>`}
      ${workers.map((worker, at) => workerCard(worker, nowMs, `worker-${at}`))}
    </div>
  `;
}

function workerCard(worker: WorkerHeartbeat, nowMs: number, id: string): Html {
  const beat = durationWords(Math.max(0, nowMs - worker.atMs));
  return html`<section class="card" aria-labelledby="${id}">
    <div class="head">
      <h2 id="${id}">${worker.workerId}</h2>
      ${badge(isAlive(worker, nowMs) ? "alive" : "gone")}
    </div>
    <p class="soft">
      ${worker.state} on ${worker.host}, process ${worker.pid}, up ${durationWords(nowMs - worker.startedAtMs)},
      heartbeat ${beat} ago${worker.labels.length > 0 && html`, labels ${worker.labels.join(", ")}`}
    </p>
    ${resources(worker)} ${jobs(worker.running, nowMs)} ${waits(worker)}
  </section>`;
}

const rows = [
  ["Memory", (amounts) => bytesWords(amounts.memoryBytes)],
  ["Cores", (amounts) => (amounts.cpuCores === undefined ? "–" : amounts.cpuCores.toFixed(1))],
  ["Processes", (amounts) => (amounts.processes === undefined ? "–" : countWords(amounts.processes))],
] as const satisfies readonly (readonly [string, (amounts: Partial<Amounts>) => string])[];

function resources(worker: WorkerHeartbeat): Html {
  const columns = [
    ["Capacity", worker.capacity],
    ["Reserved", worker.reserved],
    ["In use", worker.observed],
    ["Headroom", worker.headroom],
  ] as const;
  return html`<table class="stack compact">
    <caption>
      Resources
    </caption>
    <thead>
      <tr>
        <td></td>
        ${columns.map(([name]) => html`<th scope="col" class="num">${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        ([name, words]) =>
          html`<tr>
            <th scope="row">${name}</th>
            ${columns.map(([label, amounts]) => html`<td class="num" data-label="${label}">${words(amounts)}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function jobs(running: readonly RunningJob[], nowMs: number): Html {
  if (running.length === 0) return html`<p>Runs no job.</p>`;
  const shown = running.slice(0, JOBS_SHOWN).map((job) => {
    const runId = runOfJobId(job.jobId) ?? job.runId;
    const age = durationWords(Math.max(0, nowMs - job.sinceMs));
    return html`<li>
      <a class="id" href="${runHref(runId)}">${job.jobId}</a>
      <span class="soft"
        >for ${age}, ${bytesWords(job.rssBytes)} in use of ${bytesWords(job.reserved.memoryBytes)}</span
      >
      ${job.enforced !== null && html`<div>${job.enforced.state}: ${job.enforced.message}</div>`}
    </li>`;
  });
  const more = running.length - shown.length;
  return html`<h3>Runs ${countWords(running.length)} ${running.length === 1 ? "job" : "jobs"}</h3>
    <ul class="plain">
      ${shown}
    </ul>
    ${more > 0 && html`<p class="soft">and ${more} more</p>`}`;
}

function waits(worker: WorkerHeartbeat): Html | null {
  if (worker.waiting.length === 0) return null;
  return html`<h3>Does not claim</h3>
    <ul class="plain reasons">
      ${worker.waiting.map(
        ({ queue, code, message }) =>
          html`<li>
            <div>${message}</div>
            <div class="soft"><code>${code}</code> · ${queue}</div>
          </li>`,
      )}
    </ul>`;
}
