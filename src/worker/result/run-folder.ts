/**
 * The folder of a flow's run: `plan.json`, `events.jsonl`, `report.json`, `report.md`, `artifacts.jsonl`, and under `logs/` what nodes wrote to
 * standard error. Written when the run ends, whole and once; `artifacts/` beside them is filled while it goes on.
 */
import { Template } from "@huggingface/jinja";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { FileResult } from "../../contract/files.ts";
import type { PartFigures } from "../../contract/flow-report.ts";
import type { FlowReport, RunReport } from "../../contract/run-record.ts";
import { canonicalJson, type FlowPlan } from "../../contract/flow-plan.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { Draft, publishDrafts, type DraftFile, type DraftPlace } from "./draft.ts";

/** One line of `artifacts.jsonl`: `path` is relative to the folder. */
type Artifact = Pick<DraftFile, "path" | "bytes" | "sha256">;

export interface RunFolderRequest extends DraftPlace {
  /** Undefined for a flow within another one, whose plan has it. */
  readonly plan: FlowPlan | undefined;
  readonly report: RunReport & { readonly flow: FlowReport };
  readonly message: string | null;
  readonly rows: readonly FileResult[];
  /** What the runs came to that did the work of nodes, by the paths of these. */
  readonly parts: ReadonlyMap<string, PartFigures>;
  /** All that the run left. */
  artifacts(): AsyncIterable<Artifact>;
  mayPublish(): Promise<boolean>;
}

/** More would make the page too long to be read; all are in `report.json` of the store and in `events.jsonl`. */
const SHOWN_NODES = 500;
const SHOWN_ARTIFACTS = 500;

/** Writes the files of the folder. @throws {InfrastructureError} {LeaseLostError} */
export async function writeRunFolder(request: RunFolderRequest): Promise<void> {
  const { root, plan, report, rows } = request;
  makeFolders(root, 0o777);
  const artifacts = await writeArtifacts(request);
  const texts = new Map([
    ...(plan === undefined ? [] : [["plan.json", `${canonicalJson(plan)}\n`] as const]),
    ["report.json", `${JSON.stringify(report, null, 2)}\n`],
    ["report.md", markdownOf(request, artifacts)],
    ["events.jsonl", eventsOf(request)],
  ]);
  await publish(request, root, texts);
  const logs = rows.flatMap(({ path, log }) => (log === null || log === "" ? [] : [[path, log] as const]));
  const folders = new Map<string, Map<string, string>>();
  for (const [path, log] of logs) {
    const folder = join(root, dirname(join("logs", path)));
    const texts = folders.get(folder) ?? new Map<string, string>();
    folders.set(folder, texts.set(`${basename(path)}.log`, log));
  }
  for (const [folder, texts] of folders) {
    makeFolders(folder, 0o777);
    await publish(request, folder, texts);
  }
}

/** Writes the list of them all; the first of it, for the page. */
async function writeArtifacts(request: RunFolderRequest): Promise<Artifact[]> {
  using lines = new Draft(request, "artifacts.jsonl");
  const shown: Artifact[] = [];
  for await (const artifact of request.artifacts()) {
    if (shown.length < SHOWN_ARTIFACTS) shown.push(artifact);
    lines.write(`${JSON.stringify(artifact)}\n`);
    if (lines.isDue) {
      lines.flush();
      await turn();
    }
  }
  await publishDrafts(request.root, [lines], () => request.mayPublish());
  return shown;
}

const AT_ONCE = 100;

async function publish(request: RunFolderRequest, root: string, texts: ReadonlyMap<string, string>): Promise<void> {
  const all = [...texts];
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const drafts: Draft[] = [];
    try {
      for (const [name, text] of all.slice(at, at + AT_ONCE)) {
        const draft = new Draft({ ...request, root }, name);
        drafts.push(draft);
        draft.write(text);
      }
      await publishDrafts(root, drafts, () => request.mayPublish());
    } finally {
      for (const draft of drafts) draft[Symbol.dispose]();
    }
  }
}

function eventsOf({ report, rows, parts }: RunFolderRequest): string {
  const { startedAtMs, endedAtMs, state, id } = report;
  const events: { atMs: number; event: string }[] = [{ atMs: startedAtMs, event: "run-started", ...{ run: id } }];
  for (const row of rows) {
    const { path: node, outcome, attempts, message, failureClass, outputSha256, durationMs } = row;
    const atMs = row.startedAtMs ?? endedAtMs;
    if (row.startedAtMs !== null) events.push({ atMs, event: "node-started", ...{ node } });
    const end = { node, outcome, attempts, failureClass, message, outputSha256, ...parts.get(node) };
    events.push({ atMs: atMs + (durationMs ?? 0), event: "node-ended", ...end });
  }
  events.push({ atMs: endedAtMs, event: "run-ended", ...{ state } });
  // The order of rows is kept among those of one moment.
  const sorted = events.slice(1, -1).toSorted((a, b) => a.atMs - b.atMs);
  return [events[0], ...sorted, events.at(-1)].map((event) => `${JSON.stringify(event)}\n`).join("");
}

let template: Template | undefined;

function markdownOf({ report, rows, parts, message }: RunFolderRequest, artifacts: readonly Artifact[]): string {
  template ??= new Template(readFileSync(new URL("flow-report.md.jinja", import.meta.url), "utf8"));
  const { flow } = report;
  const handled = new Set(flow.handled);
  return template.render({
    ...{ id: report.id, name: cell(report.name ?? "flow"), state: report.state, files: report.files, message },
    ...{ epoch: report.epoch, reused: report.reused, retries: flow.retries, planSha256: flow.planSha256 },
    agents: flow.agents === undefined ? null : { ...flow.agents, costUsd: flow.agents.costUsd.toFixed(4) },
    seconds: seconds(report.durationSeconds * 1_000),
    startedAt: new Date(report.startedAtMs).toISOString(),
    endedAt: new Date(report.endedAtMs).toISOString(),
    successPercent: flow.successRatio === null ? "none started" : `${(flow.successRatio * 100).toFixed(1)} %`,
    kinds: flow.kinds.map((kind) => ({
      ...{ kind: kind.kind, nodes: kind.nodes, mean: took(kind.meanMs), p50: took(kind.p50Ms) },
      ...{ p90: took(kind.p90Ms), p99: took(kind.p99Ms), max: took(kind.maxMs) },
    })),
    criticalPath: flow.criticalPath.map(({ id, ranMs, waitedMs }) => ({
      id,
      ran: took(ranMs),
      waited: took(waitedMs),
    })),
    planner: flow.planner === undefined ? null : plannerOf(flow.planner),
    nodes: rows.slice(0, SHOWN_NODES).map((row) => ({
      ...{ path: row.path, outcome: row.outcome, message: cell(row.message ?? "") },
      attempts: attemptsOf(row, parts.get(row.path)),
      ...{ took: row.durationMs === null ? "" : took(row.durationMs), isHandled: handled.has(row.path) },
    })),
    moreNodes: Math.max(0, rows.length - SHOWN_NODES),
    failures: report.failures.map(({ failureClass, files, message: says, examples }) => ({
      ...{ failureClass, files, message: cell(says), examples: examples.join(", ") },
    })),
    artifacts: artifacts.map(({ path, bytes, sha256 }) => ({
      ...{ path: cell(path).replaceAll("`", "'"), bytes, sha256 },
    })),
    moreArtifacts: Math.max(0, (flow.artifacts?.count ?? 0) - artifacts.length),
  });
}

function plannerOf({ name, spent }: NonNullable<FlowReport["planner"]>) {
  const cost = spent.costUsd === null ? "an unknown number of" : spent.costUsd.toFixed(4);
  return { ...{ name: cell(name), calls: spent.calls, tokens: spent.inputTokens + spent.outputTokens, cost } };
}

/** A node whose work a run did has the retries of that. */
function attemptsOf({ attempts }: FileResult, part: PartFigures | undefined): string {
  if (part === undefined) return String(attempts);
  return part.retries === 0 ? "" : `${part.retries} retried`;
}

function took(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${seconds(ms)} s`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(ms < 10_000 ? 2 : 1);
}

/** Text of a node must not break its row. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").slice(0, 500);
}
