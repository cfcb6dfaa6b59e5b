/** The flows that this worker's jobs belong to: moves each on when one of its nodes has ended. */
import type { Redis } from "ioredis";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf, NotFoundError } from "../contract/errors.ts";
import type { FileResult } from "../contract/files.ts";
import type { NodeEnd } from "../contract/flow-run.ts";
import type { ChunkJobName, Payload } from "../contract/jobs.ts";
import { fsPath } from "../contract/path-bytes.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { jobIds } from "../contract/queues.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { Clock } from "../platform/clock.ts";
import { FlowAdvance } from "../platform/flow/advance.ts";
import { endOfRun } from "../platform/flow/flow-spec.ts";
import { beginningOf, loadStoredFlow } from "../platform/flow/stored-flow.ts";
import type { CallCost } from "../platform/flow/call-groups.ts";
import { FlowState } from "../platform/flow/flow-state.ts";
import { execPlace, type CallToAdd, type ChunkToAdd, type JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import type { LiveRun, RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import type { LearnedRuns } from "./governor/learned-runs.ts";
import { HandBack } from "./lane.ts";
import type { RunCache } from "./run-cache.ts";

export interface FlowRunsDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly runs: RunCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly learned: Pick<LearnedRuns, "costOf" | "expectedBytes">;
}

type Ref = Pick<LiveRun, "runId" | "epoch">;

/** Calls that have their rows. */
export interface WrittenCalls {
  readonly rows: readonly FileResult[];
  readonly specs: ReadonlyMap<string, RunSpec>;
}

const noneWritten: WrittenCalls = { rows: [], specs: new Map() };

const MAX_FLOWS = 64;
const RESTORE_MS = 1_000;

export class FlowRuns {
  readonly #deps: FlowRunsDeps;
  readonly #flows = new Map<string, FlowAdvance>();

  constructor(deps: FlowRunsDeps) {
    this.#deps = deps;
  }

  readonly #costOf = (run: LiveRun, { path, index, spec }: CallToAdd): CallCost => {
    const [call, entry] = [
      { ...run, spec },
      { index, path, bytes: 0 },
    ];
    const { learned } = this.#deps;
    return { ...learned.costOf(call, entry), memoryBytes: learned.expectedBytes(call, entry) };
  };

  /** What moves this flow on. */
  of(run: LiveRun): FlowAdvance {
    const key = `${run.runId}.${run.epoch}`;
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      if (this.#flows.size >= MAX_FLOWS) this.#flows.clear();
      flow = new FlowAdvance(
        { ...this.#deps, nowMs: () => this.#deps.clock.nowMs(), inputKind, costOf: this.#costOf },
        run,
      );
      this.#flows.set(key, flow);
    }
    return flow;
  }

  /** Makes the state of a flow again that its Redis has lost. Nodes that have a row are not run again. */
  async restore(run: LiveRun): Promise<void> {
    const { state } = this.of(run);
    if (await state.isThere()) return;
    if (run.spec.parent !== undefined)
      throw new HandBack("the state of the flow comes back with the flow around it", RESTORE_MS);
    const { flow, ...setting } = await loadStoredFlow(this.#deps.store.inputs.pages(run.runId), run.runId);
    const { about, nodes } = beginningOf(flow, setting);
    await state.create({ ...about, isRestored: true }, nodes);
    this.#deps.logger.warn(
      { runId: run.runId, nodes: nodes.length },
      "state of a flow was lost, made again from its plan",
    );
  }

  /** What the nodes of these files run, of a job of a flow; those that have ended already are left out. */
  async openSpecs(
    run: LiveRun,
    files: readonly { readonly path: string }[],
  ): Promise<Map<string, RunSpec> | undefined> {
    if (run.spec.executor !== "flow") return undefined;
    const paths = files.map(({ path }) => path);
    const { state } = this.of(run);
    const specs = await state.specs(paths);
    const others = paths.filter((path) => !specs.has(path));
    const ended = await state.ends(others);
    const lost = others.find((path) => !ended.has(path));
    if (lost !== undefined) throw new NotFoundError("node", `${run.runId} ${lost}`);
    return specs;
  }

  /**
   * Tells the flow of a chunk's files, which are nodes then, how those ended that will not be tried again. `written`: rows
   * that are known already, and what they ran.
   */
  async endCalls({ runId, epoch, files }: Payload<ChunkJobName>, written: WrittenCalls = noneWritten): Promise<void> {
    const run = await this.#deps.runs.load(runId, epoch);
    if (run.spec.executor !== "flow") return;
    const flow = this.of(run);
    const known = new Set(written.rows.map(({ path }) => path));
    const others = files.map(({ path }) => path).filter((path) => !known.has(path));
    const stored = others.length === 0 ? [] : await this.#deps.store.files.get(runId, others);
    const rows = stored.filter((one) => one.epoch === epoch);
    const specs = await flow.state.specs(rows.map(({ path }) => path));
    const ended = [...written.rows, ...rows].map((row) => ({
      path: row.path,
      end: endOfRow(row, written.specs.get(row.path) ?? specs.get(row.path)),
    }));
    if (ended.length > 0) await flow.ended(ended);
  }

  /** Notes which jobs have the nodes of a flow that are tried again. */
  async giveTo(run: Ref, chunks: readonly ChunkToAdd[], spec: RunSpec): Promise<void> {
    const state = new FlowState(this.#deps.redis, this.#deps.kp, run);
    for (const { chunk, files, memoryBytes } of chunks) {
      const { name } = execPlace(spec, memoryBytes);
      const jobId = jobIds.chunk(run.runId, run.epoch, chunk);
      await state.giveTo(
        `${this.#deps.kp}:${name}:${jobId}`,
        files.map(({ path }) => path),
      );
    }
  }

  /** Tells the flow that a run is a node of how that run ended. */
  async endRun(record: RunRecord): Promise<void> {
    const { parent } = record.spec;
    if (parent === undefined) return;
    const run = await this.#deps.runs.load(parent.runId, parent.epoch);
    const startedAtMs = record.startedAtMs ?? record.createdAtMs;
    const took = { startedAtMs, durationMs: Math.max(0, (record.endedAtMs ?? startedAtMs) - startedAtMs) };
    const end = endOfRun(record);
    const timedOut = end.outcome === "cancelled" ? (await this.#deps.hash.stage(parent.runId))?.timedOut : undefined;
    const why = timedOut === undefined ? {} : ({ failureClass: "timeout", message: timedOut } as const);
    await this.of(run).endWithRow({ path: parent.path, end: { ...end, ...why } }, took);
  }

  /** Lets go of a flow that has ended. */
  async forget({ runId, epoch }: Ref): Promise<void> {
    const key = `${runId}.${epoch}`;
    await this.#flows.get(key)?.state.expire();
    await this.#deps.queues.removeDeadline({ runId, epoch });
    this.#flows.delete(key);
  }
}

function endOfRow(row: FileResult, spec: RunSpec | undefined): NodeEnd {
  const { outcome, failureClass, message, exitCode, outputPath, outputSha256 } = row;
  const output = outputPath === null || spec === undefined ? null : join(spec.output.root, outputPath);
  const isJson = outcome === "succeeded" && spec?.output.json === true && output !== null;
  return {
    ...{ outcome, failureClass, message, exitCode, output, sha256: outputSha256 },
    ...(isJson && { result: readJson(output) }),
  };
}

/** It was looked at before it was published; who changes it afterwards is told where it is read. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(fsPath(path), "utf8")) as unknown;
  } catch (error) {
    return { error: `could not be read: ${messageOf(error)}` };
  }
}

function inputKind(path: string): "file" | "folder" {
  const stat = statSync(fsPath(path), { throwIfNoEntry: false });
  return stat?.isFile() === true ? "file" : "folder";
}
