/** The part of a run's page that is about its flow: the graph, the gates that wait, and every node in a table. */
import type { NodeView } from "../../contract/flow-view.ts";
import type { WaitingGate } from "../../platform/flow/gates.ts";
import type { FlowFacts } from "../flow-reader.ts";
import { stateBadge } from "./badge.ts";
import { drawGraph, GRAPH_NODES } from "./flow-graph.ts";
import { html, type Html } from "./html.ts";
import { countWords, durationWords, fileHref, hrefWith, runHref, timeTag } from "./words.ts";

/** More are found by their names among the results, and over the API. */
const TABLE_NODES = 500;

/** The gates, the graph and the table. */
export function flowCards(runId: string, facts: FlowFacts): Html {
  return html`${gatesCard(runId, facts)} ${graphCard(runId, facts)} ${nodesCard(runId, facts)}`;
}

function gatesCard(runId: string, { gates }: FlowFacts): Html {
  if (gates.length === 0) return html`<div data-part="gates" hidden></div>`;
  return html`<section class="card" data-part="gates" aria-labelledby="gates">
    <h2 id="gates">Waiting for an answer</h2>
    <ul class="plain reasons">
      ${gates.map((gate, at) => gateItem(runId, gate, at))}
    </ul>
  </section>`;
}

function gateItem(runId: string, { path, message }: WaitingGate, at: number): Html {
  return html`<li>
    <h3 id="gate-${at}">${path}</h3>
    <p>${message}</p>
    <form class="filter" method="post" action="${runHref(runId)}/gates" aria-labelledby="gate-${at}">
      <input type="hidden" name="node" value="${path}" />
      <label>Your name <input name="by" required maxlength="200" autocomplete="name" /></label>
      <label class="grow">Why <input name="note" maxlength="2000" autocomplete="off" /></label>
      <button class="primary" name="answer" value="approve">Approve</button>
      <button name="answer" value="refuse">Refuse</button>
    </form>
  </li>`;
}

function graphCard(runId: string, { layout, view }: FlowFacts): Html {
  const note = html`<p>
    The flow has ${countWords(view.nodes.length)} nodes; more than ${GRAPH_NODES} are not drawn. The table has them.
  </p>`;
  return html`<section class="card" data-part="graph" aria-labelledby="graph">
    <h2 id="graph">Graph</h2>
    ${
      layout === undefined
        ? note
        : html`<div class="scroll" tabindex="0" role="region" aria-labelledby="graph">
            ${drawGraph(layout, view.nodes, (node) => nodeHref(runId, node))}
          </div>`
    }
  </section>`;
}

function nodesCard(runId: string, { view: { nodes } }: FlowFacts): Html {
  const shown = nodes.slice(0, TABLE_NODES);
  return html`<section class="card" data-part="nodes">
    <table class="stack compact">
      <caption>
        Nodes
        <span class="soft">in the order of the file</span>
      </caption>
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">State</th>
          <th scope="col">Kind</th>
          <th scope="col">After</th>
          <th scope="col">Started</th>
          <th scope="col" class="num">Took</th>
          <th scope="col">More</th>
        </tr>
      </thead>
      <tbody>
        ${shown.map((node) => nodeRow(runId, node))}
      </tbody>
    </table>
    ${nodes.length > shown.length && html`<p class="soft">${countWords(nodes.length - shown.length)} more are not shown.</p>`}
  </section>`;
}

function nodeRow(runId: string, node: NodeView): Html {
  const { path, state, kind, needs, startedAtMs, durationMs } = node;
  return html`<tr id="${anchorOf(path)}">
    <th scope="row">${path}</th>
    <td>${stateBadge(state)} ${instancesWords(node)}</td>
    <td data-label="Kind">${kind}</td>
    <td data-label="After">${needs.length === 0 ? "–" : needsWords(needs)}</td>
    <td data-label="Started">${timeTag(startedAtMs)}</td>
    <td class="num" data-label="Took">${durationWords(durationMs)}</td>
    <td class="wide" data-label="More">${moreCell(runId, node)}</td>
  </tr>`;
}

function needsWords(needs: NodeView["needs"]): string {
  return needs
    .map(({ node, on }) => (on === "success" ? node : `${node} (${on === "failure" ? "on failure" : on})`))
    .join(", ");
}

function instancesWords({ instances }: NodeView): Html | null {
  if (instances === null) return null;
  return html`<span class="soft">${countWords(instances.ended)} of ${countWords(instances.total)}</span>`;
}

function moreCell(runId: string, node: NodeView): Html {
  const link = links(runId, node);
  if (link === null && node.message === null) return html`–`;
  return html`${link} ${node.message !== null && html`<span class="soft">${node.message}</span>`}`;
}

/** The run of a node, or its log and artifact: there is a page when it has a row. */
function links(runId: string, { path, childRunId, instances, startedAtMs }: NodeView): Html | null {
  const name = html`<span class="away"> of ${path}</span>`;
  if (childRunId !== null) return html`<a href="${runHref(childRunId)}">Run${name}</a>`;
  if (instances !== null) return html`<a href="${instancesHref(runId, path)}">Entries${name}</a>`;
  return startedAtMs === null ? null : html`<a href="${fileHref(runId, path)}">Log and artifact${name}</a>`;
}

function instancesHref(runId: string, path: string): string {
  return hrefWith(`${runHref(runId)}/files`, { search: `${path}/` });
}

/** Where a node of the graph leads: to what it left, else to its row in the table. */
function nodeHref(runId: string, { path, childRunId, instances, startedAtMs }: NodeView): string {
  if (childRunId !== null) return runHref(childRunId);
  if (instances !== null) return instancesHref(runId, path);
  return startedAtMs === null ? `#${anchorOf(path)}` : fileHref(runId, path);
}

function anchorOf(path: string): string {
  return `node-${path}`;
}
