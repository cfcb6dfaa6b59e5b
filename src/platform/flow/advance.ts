/**
 * Moves a flow on: writes how a node ended, and starts what that made ready, or ends it too when it is not to run.
 *
 * Called by the job that ended, before that job ends itself: the root of the run cannot be released before what hangs on
 * it is below it. All of it may be repeated: ends are written once, ids of jobs and runs are made from paths, and what is
 * ready is asked for anew each time.
 */
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { HeadroomError, lineOf, PolicyError } from "../../contract/errors.ts";
import { unrunResult, type FileResult } from "../../contract/files.ts";
import {
  decideGroupEnd,
  decideNode,
  nodePath,
  parseNodePath,
  rowIndex,
  unrunEnd,
  type NodeEnd,
  type PlannedNode,
} from "../../contract/flow-run.ts";
import type { Outcome } from "../../contract/outcomes.ts";
import { noFiles } from "../../contract/run-record.ts";
import { requestCancel } from "../cancel-run.ts";
import type { CallToAdd, RunRef } from "../job-queues.ts";
import type { LiveRun, RunStage } from "../run-hash.ts";
import { evaluateCondition, evaluateList, withItem, type FlowScope } from "./expressions.ts";
import { addCallJobs } from "./call-jobs.ts";
import { groupCalls } from "./call-groups.ts";
import { FlowState, type EndedNode, type FlowAbout } from "./flow-state.ts";
import { valueOf, type NodeWork } from "./node-work.ts";
import { NodeStarter, type AdvanceDeps } from "./node-start.ts";
import { loadScope } from "./node-values.ts";

/** Nodes that are looked at together. */
const RELEASE_AT_ONCE = 200;
/** A fan-out of more is added in windows, by a job of its own. */
const DIRECT_INSTANCES = 100;
/** Starts that are made before the event loop gets a turn: some 5 ms of work. */
const STARTS_PER_TURN = 50;

/** How long what ended took. */
export interface Took {
  readonly startedAtMs: number;
  readonly durationMs: number;
}

interface Known {
  readonly about: FlowAbout;
  /** How the nodes that it reads ended. */
  readonly ends: ReadonlyMap<string, NodeEnd>;
}

interface Started {
  /** What was not started, and how it ended instead. */
  readonly over: readonly EndedNode[];
  readonly calls?: readonly CallToAdd[];
}

export class FlowAdvance {
  readonly state: FlowState;
  readonly #deps: AdvanceDeps;
  readonly #run: LiveRun;
  readonly #starter: NodeStarter;
  #about: FlowAbout | undefined;
  /** Ends that are to be written, the writing that goes on, and the one that takes those. */
  readonly #waiting: EndedNode[] = [];
  #going: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(deps: AdvanceDeps, run: LiveRun) {
    this.#deps = deps;
    this.#run = run;
    this.state = new FlowState(deps.redis, deps.kp, run);
    this.#starter = new NodeStarter(deps, run, this.state);
  }

  /** Starts what is ready and has not ended, whoever was to do it before. */
  async begin(): Promise<void> {
    await this.#release(await this.state.ready());
  }

  /**
   * Writes how nodes and instances ended, and starts what that made ready. Their rows are written already. What ends while
   * this is done for others is done for all together afterwards, so that what becomes ready goes together too.
   */
  ended(nodes: readonly EndedNode[]): Promise<void> {
    this.#waiting.push(...nodes);
    this.#next ??= this.#going
      .catch(() => undefined) // told to those whose nodes these were
      .then(() => {
        const some = this.#waiting.splice(0);
        this.#going = this.#next ?? this.#going;
        this.#next = undefined;
        return this.#endAll(some);
      });
    return this.#next;
  }

  async #endAll(nodes: readonly EndedNode[]): Promise<void> {
    for (const { path, end } of nodes) await this.#failFast(path, end);
    await this.#release(await this.#settle(nodes));
  }

  /**
   * Ends a node or an instance that has no job with a row of its own. One that has an end keeps it, and its row: it was
   * cancelled meanwhile, or its worker was lost before it had started what that made ready.
   */
  async endWithRow({ path, end }: EndedNode, took?: Took): Promise<void> {
    const known = (await this.state.ends([path])).get(path);
    if (known === undefined) await this.#record([{ path, end }], took);
    await this.ended([{ path, end: known ?? end }]);
  }

  /**
   * Ends a fan-out with these of its instances, all in its way: others that failed before do not count. The fan-out goes
   * first, or the end of the last instance would say what becomes of it.
   */
  async endGroup({ path: id, end }: EndedNode, instances: readonly string[], items: number): Promise<void> {
    const ended = instances.map((path) => ({ path, end }));
    await this.#record(ended);
    await this.ended([{ path: id, end: { ...end, items } }, ...ended]);
  }

  /** Adds the instances `from` … `to` of a fan-out that have not ended. */
  async addInstances(id: string, from: number, to: number): Promise<void> {
    const planned = (await this.state.nodes([id])).get(id);
    const items = await this.state.items(id);
    if (planned === undefined || items === undefined) throw new TypeError(`expected the fan-out of ${id} to be known`);
    const about = await this.about();
    const ends = await this.state.ends(planned.reads);
    const scope = await loadScope(this.state, planned, { ref: this.#run, about, ends });
    const paths = Array.from({ length: Math.min(to, items.length) - from }, (_, at) => nodePath(id, from + at));
    const ended = await this.state.ends(paths);
    const works = paths
      .filter((path) => !ended.has(path))
      .map((path) => {
        const index = parseNodePath(path).instance ?? 0;
        return this.#workOf(planned, path, withItem(scope, items[index], index), { about, ends });
      });
    const { over, calls } = await this.#start(planned, works);
    await this.#addCalls(calls ?? []);
    await this.#record(over);
    if (over.length > 0) await this.ended(over);
  }

  async about(): Promise<FlowAbout> {
    this.#about ??= await this.state.about();
    if (this.#about === undefined) throw new TypeError(`expected the state of flow ${this.#run.runId} to be there`);
    return this.#about;
  }

  /** Ends what has not ended, when the run was cancelled, or its time was over. */
  async cancelOpen(message: string, failureClass: "cancelled" | "timeout"): Promise<void> {
    const open = await this.state.open();
    const ended = open.map((path) => ({ path, end: unrunEnd("cancelled", message, failureClass) }));
    await this.#record(ended);
    await this.state.settle(ended);
  }

  get #ref(): RunRef {
    const { runId, epoch, spec } = this.#run;
    return { runId, epoch, traceId: spec.traceId ?? runId };
  }

  /** The nodes that are ready now. */
  async #settle(nodes: readonly EndedNode[]): Promise<string[]> {
    const { ready, groups } = await this.state.settle(nodes);
    if (groups.length === 0) return ready;
    const ended = await Promise.all(groups.map(async (path) => ({ path, end: await this.#groupEnd(path) })));
    return [...new Set([...ready, ...(await this.state.settle(ended)).ready])];
  }

  async #groupEnd(id: string): Promise<NodeEnd> {
    const items = (await this.state.items(id)) ?? [];
    const ends = await this.state.instances(id, items.length);
    const digest = createHash("sha256");
    const counts = { ...noFiles, total: items.length };
    for (const end of ends) {
      digest.update(JSON.stringify([end?.sha256 ?? null, end?.result ?? null]));
      if (end !== undefined) counts[end.outcome] += 1;
    }
    return { ...decideGroupEnd(counts), sha256: digest.digest("hex") };
  }

  async #failFast(path: string, { outcome }: NodeEnd): Promise<void> {
    if (outcome !== "failed" && outcome !== "quarantined") return;
    if (!(await this.about()).failFast) return;
    const reason = `fail-fast: node ${path} failed`;
    await this.#deps.hash.set(this.#run, { failFast: reason });
    await requestCancel(this.#deps, this.#run.runId, reason);
  }

  async #release(ready: readonly string[]): Promise<void> {
    const queue = [...ready];
    while (queue.length > 0) {
      const over = await this.#releaseSome(queue.splice(0, RELEASE_AT_ONCE));
      if (over.length === 0) continue;
      await this.#record(over);
      for (const { path, end } of over) await this.#failFast(path, end);
      queue.push(...(await this.#settle(over)));
    }
  }

  /** Starts those that are to run; the others, which are over. */
  async #releaseSome(ids: readonly string[]): Promise<EndedNode[]> {
    // Another worker may have made it again after its Redis had lost it, and then nodes may have rows.
    this.#about = undefined;
    const [{ nodes: planned, ends }, about, stage] = await Promise.all([
      this.state.withReads(ids),
      this.about(),
      this.#deps.hash.stage(this.#run.runId),
    ]);
    const isGoing = stage?.epoch === this.#run.epoch && (stage.state === "running" || stage.state === "queued");
    const over: EndedNode[] = [];
    const calls: CallToAdd[] = [];
    for (const id of ids) {
      const one = planned.get(id);
      if (one === undefined) continue;
      const found = isGoing
        ? await this.#releaseOne(one, { about, ends })
        : { over: [{ path: id, end: unstartedEnd(stage) }] };
      over.push(...found.over);
      calls.push(...(found.calls ?? []));
    }
    await this.#addCalls(calls);
    return over;
  }

  async #releaseOne(planned: PlannedNode, known: Known): Promise<Started> {
    const { node } = planned;
    const decision = decideNode(node.needs, known.ends);
    if (decision.kind === "end")
      return { over: [{ path: node.id, end: unrunEnd(decision.outcome, decision.message) }] };
    try {
      const ownEnds = new Map([...known.ends].filter(([id]) => planned.reads.includes(id)));
      const scope = await loadScope(this.state, planned, { ref: this.#run, about: known.about, ends: ownEnds });
      if (node.when !== undefined && !valueOf(evaluateCondition(node.when, scope), "when")) {
        return { over: [{ path: node.id, end: unrunEnd("skipped", `when: ${node.when}`) }] };
      }
      const ends = { about: known.about, ends: ownEnds };
      if (node.foreach !== undefined) return await this.#openGroup(planned, scope, ends);
      return await this.#start(planned, [this.#workOf(planned, node.id, scope, ends)]);
    } catch (error) {
      return { over: [{ path: node.id, end: failedEnd(error) }] };
    }
  }

  async #openGroup(planned: PlannedNode, scope: FlowScope, known: Known): Promise<Started> {
    const { id, foreach } = planned.node;
    const list = typeof foreach === "string" ? valueOf(evaluateList(foreach, scope), "foreach") : (foreach ?? []);
    const { max_items: most = Infinity } = planned.node;
    if (list.length > most) {
      const message = `foreach: expected ${most} entries at most, as max_items says, found ${list.length}`;
      return { over: [{ path: id, end: unrunEnd("failed", message, "policy") }] };
    }
    const { items, isFirst } = await this.state.openGroup(id, list);
    if (items.length === 0) return { over: [{ path: id, end: emptyEnd(list.length > 0) }] };
    // The node itself has no row: its instances have.
    if (isFirst) await this.#deps.hash.count(this.#run, { total: items.length - 1 });
    if (items.length > DIRECT_INSTANCES) {
      await this.#deps.queues.addFork(this.#ref, this.#run.spec, { path: id, step: "expand" });
      return { over: [] };
    }
    const works = items.map((item, index) =>
      this.#workOf(planned, nodePath(id, index), withItem(scope, item, index), known),
    );
    return this.#start(planned, works);
  }

  #workOf(planned: PlannedNode, path: string, scope: FlowScope, { about, ends }: Known): NodeWork {
    const { runId, epoch, spec } = this.#run;
    return {
      ...{ ref: { runId, epoch }, about, node: planned.node, path, scope, ends },
      ...{ traceId: spec.traceId ?? runId, isNoop: about.isNoop === true },
    };
  }

  /** Starts a node, or instances of it; what cannot be started is over. */
  async #start(planned: PlannedNode, works: readonly NodeWork[]): Promise<Started> {
    const over: EndedNode[] = [];
    const calls: CallToAdd[] = [];
    for (const [at, work] of works.entries()) {
      // Making what a call runs takes a while: others have their turn in between.
      if (at % STARTS_PER_TURN === STARTS_PER_TURN - 1) await setImmediate();
      try {
        const started = await this.#starter.start(planned, work);
        if (started === undefined) continue;
        if ("end" in started) over.push(started);
        else calls.push(started);
      } catch (error) {
        over.push({ path: work.path, end: failedEnd(error) });
      }
    }
    return { over, calls };
  }

  async #addCalls(calls: readonly CallToAdd[]): Promise<void> {
    if (calls.length === 0) return;
    const { costOf } = this.#deps;
    const groups = groupCalls(calls, costOf && ((call) => costOf(this.#run, call)));
    const isRestored = (await this.about()).isRestored === true;
    const chunks = await addCallJobs(this.#deps, this.#ref, groups, isRestored);
    await this.#deps.hash.count(this.#run, { chunks });
  }

  /** Writes rows of what ended without a job of its own. */
  async #record(ended: readonly EndedNode[], took?: Took): Promise<void> {
    if (ended.length === 0) return;
    const planned = await this.state.nodes([...new Set(ended.map(({ path }) => parseNodePath(path).id))]);
    const rows = ended.map(({ path, end }): FileResult => {
      const index = rowIndex(planned.get(parseNodePath(path).id)?.index ?? 0, path);
      const { outcome, failureClass, message, exitCode, sha256: outputSha256 } = end;
      const row = unrunResult({ index, path, bytes: 0 }, { outcome, failureClass, message });
      return { ...row, exitCode, outputSha256, ...took };
    });
    const { runId, epoch } = this.#run;
    const refused = new Set((await this.#deps.store.files.record(runId, epoch, rows)).map(({ path }) => path));
    const counts: Partial<Record<Outcome, number>> = {};
    for (const { path, outcome } of rows) if (!refused.has(path)) counts[outcome] = (counts[outcome] ?? 0) + 1;
    await this.#deps.hash.count(this.#run, counts);
  }
}

/** A fan-out without instances: over nothing, or cancelled in the moment in which it was to begin (`closeGroup`). */
function emptyEnd(isClosed: boolean): NodeEnd {
  if (isClosed) return unrunEnd("cancelled", "the node was cancelled before it started", "cancelled");
  return { ...unrunEnd("succeeded", "foreach over nothing"), items: 0 };
}

/** A node whose run was cancelled, or whose time was over. */
function unstartedEnd(stage: RunStage | undefined): NodeEnd {
  if (stage?.timedOut !== undefined) return unrunEnd("cancelled", stage.timedOut, "timeout");
  return unrunEnd("cancelled", "the run was cancelled before this node started", "cancelled");
}

/** A node that could not be started because of what it says. @throws any other error */
function failedEnd(error: unknown): NodeEnd {
  if (!(error instanceof HeadroomError) || error.retryable) throw error;
  return unrunEnd("failed", lineOf(error), error instanceof PolicyError ? "policy" : "bad-input");
}
