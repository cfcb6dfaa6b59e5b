/** What the report of a flow says beside that of its files, from the rows of its nodes. Pure. */
import { sumOfUsage, type AgentUsage } from "./agents.ts";
import type { FileResult } from "./files.ts";
import { parseNodePath, type PlannedNode } from "./flow-run.ts";
import type { NodeKind } from "./flows.ts";
import type { Outcome } from "./outcomes.ts";
import type { ArtifactCount, CriticalStep, FlowReport, KindFigures, RunReport } from "./run-record.ts";

interface Span {
  startMs: number;
  endMs: number;
}

/** What a run that did the work of a node came to, with all below it. */
export interface PartFigures {
  readonly retries: number;
  readonly artifacts: ArtifactCount;
  readonly agents: AgentUsage | undefined;
}

export function partFiguresOf({ flow, retries, artifacts, inference }: RunReport): PartFigures {
  if (flow !== undefined) return { retries: flow.retries, artifacts: flow.artifacts ?? artifacts, agents: flow.agents };
  const results = inference?.results ?? [];
  return {
    retries: Object.values(retries).reduce((sum, starts) => sum + starts, 0),
    artifacts: {
      count: artifacts.count + results.length,
      bytes: results.reduce((sum, { bytes }) => sum + bytes, artifacts.bytes),
    },
    agents: undefined,
  };
}

/** Takes up the rows of a flow, one after the other. */
export class FlowFigures {
  readonly #nodes: ReadonlyMap<string, PlannedNode>;
  readonly #durations = new Map<NodeKind, number[]>();
  readonly #spans = new Map<string, Span>();
  readonly #outcomes = new Map<string, Outcome>();
  readonly #failedRows = new Map<string, number>();
  #started = 0;
  #succeeded = 0;
  #retries = 0;
  #agents: AgentUsage | undefined;
  #artifacts: ArtifactCount = { count: 0, bytes: 0 };

  constructor(nodes: readonly PlannedNode[]) {
    this.#nodes = new Map(nodes.map((planned) => [planned.node.id, planned]));
  }

  /** `part`: of the run that did the work of this node, if one did. */
  add(row: FileResult, part?: PartFigures): void {
    const { path, outcome, attempts, agent } = row;
    const { id } = parseNodePath(path);
    if (row.outputPath !== null) this.#addArtifacts({ count: 1, bytes: row.outputBytes ?? 0 });
    if (row.transcript !== undefined) this.#addArtifacts({ count: 1, bytes: row.transcript.bytes });
    if (part !== undefined) this.#addPart(part);
    this.#outcomes.set(id, worseOutcome(this.#outcomes.get(id), outcome));
    if (isFailure(outcome)) this.#failedRows.set(id, (this.#failedRows.get(id) ?? 0) + 1);
    this.#retries += Math.max(0, attempts - 1);
    this.#agents = sumOfUsage(this.#agents, agent);
    this.#addTime(id, row);
  }

  #addTime(id: string, { outcome, startedAtMs, durationMs }: FileResult): void {
    if (startedAtMs === null) return;
    this.#started += 1;
    if (outcome === "succeeded") this.#succeeded += 1;
    const endMs = startedAtMs + (durationMs ?? 0);
    const span = this.#spans.get(id);
    if (span === undefined) this.#spans.set(id, { startMs: startedAtMs, endMs });
    else Object.assign(span, { startMs: Math.min(span.startMs, startedAtMs), endMs: Math.max(span.endMs, endMs) });
    const kind = this.#nodes.get(id)?.node.kind;
    if (kind === undefined) return;
    const durations = this.#durations.get(kind) ?? [];
    durations.push(durationMs ?? 0);
    this.#durations.set(kind, durations);
  }

  #addPart({ retries, artifacts, agents }: PartFigures): void {
    this.#retries += retries;
    this.#agents = sumOfUsage(this.#agents, agents);
    this.#addArtifacts(artifacts);
  }

  #addArtifacts({ count, bytes }: ArtifactCount): void {
    this.#artifacts = { count: this.#artifacts.count + count, bytes: this.#artifacts.bytes + bytes };
  }

  report(planSha256: string): FlowReport {
    return {
      planSha256,
      successRatio: this.#started === 0 ? null : this.#succeeded / this.#started,
      kinds: [...this.#durations].map(([kind, durations]) => figuresOf(kind, durations)),
      criticalPath: this.#criticalPath(),
      retries: this.#retries,
      artifacts: this.#artifacts,
      handled: this.#handled(),
      ...(this.#agents && { agents: this.#agents }),
    };
  }

  /** Rows that failed and do not fail the run. */
  handledRows(handled: readonly string[]): number {
    return handled.reduce((sum, id) => sum + (this.#failedRows.get(id) ?? 0), 0);
  }

  #handled(): string[] {
    const handled = new Set<string>();
    for (const { node } of this.#nodes.values()) {
      if (this.#outcomes.get(node.id) !== "succeeded") continue;
      for (const edge of node.needs) {
        const outcome = this.#outcomes.get(edge.node);
        if (edge.on === "failure" && outcome !== undefined && isFailure(outcome)) handled.add(edge.node);
      }
    }
    return [...handled];
  }

  /** From the node that ended last back to one that needs none, each time by the need that ended last. */
  #criticalPath(): CriticalStep[] {
    let at = lastOf([...this.#spans.keys()], this.#spans);
    const steps: CriticalStep[] = [];
    while (at !== undefined) {
      const span = this.#spans.get(at);
      if (span === undefined) break;
      const needs = this.#nodes.get(at)?.node.needs.map((edge) => edge.node) ?? [];
      const before = lastOf(needs, this.#spans);
      const readyMs = before === undefined ? span.startMs : (this.#spans.get(before)?.endMs ?? span.startMs);
      const waitedMs = Math.max(0, span.startMs - readyMs);
      steps.unshift({ id: at, waitedMs, ranMs: span.endMs - span.startMs });
      at = before;
    }
    return steps;
  }
}

function isFailure(outcome: Outcome): boolean {
  return outcome === "failed" || outcome === "quarantined";
}

const gravity: readonly Outcome[] = ["succeeded", "skipped", "cancelled", "failed", "quarantined"];

/** The outcome of a fan-out so far: the gravest. */
export function worseOutcome(before: Outcome | undefined, now: Outcome): Outcome {
  return before !== undefined && gravity.indexOf(before) > gravity.indexOf(now) ? before : now;
}

function lastOf(ids: readonly string[], spans: ReadonlyMap<string, Span>): string | undefined {
  let last: { id: string; endMs: number } | undefined;
  for (const id of ids) {
    const endMs = spans.get(id)?.endMs;
    if (endMs !== undefined && (last === undefined || endMs > last.endMs)) last = { id, endMs };
  }
  return last?.id;
}

function figuresOf(kind: NodeKind, durations: readonly number[]): KindFigures {
  const sorted = durations.toSorted((a, b) => a - b);
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const sum = sorted.reduce((total, ms) => total + ms, 0);
  return {
    ...{ kind, nodes: sorted.length, meanMs: sum / sorted.length },
    ...{ p50Ms: rank(0.5), p90Ms: rank(0.9), p99Ms: rank(0.99), maxMs: sorted.at(-1) ?? 0 },
  };
}
