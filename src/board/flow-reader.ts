/** What the board shows of flows. */
import type { Redis } from "ioredis";
import type { FlowView } from "../contract/flow-view.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { RunStatus } from "../contract/status.ts";
import { loadFlowView } from "../platform/flow/flow-view.ts";
import { waitingGates, type WaitingGate } from "../platform/flow/gates.ts";
import { FlowState } from "../platform/flow/flow-state.ts";
import { loadHeartbeats } from "../platform/worker-heartbeats.ts";
import type { Store } from "../store/store.ts";
import { drawLayout, GRAPH_NODES, type Layout } from "./page/flow-graph.ts";

export interface FlowReaderDeps {
  readonly redis: Redis;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  readonly store: Store;
}

/** A flow with what its page needs beside it. */
export interface FlowFacts {
  readonly view: FlowView;
  readonly gates: readonly WaitingGate[];
  /** Undefined for a flow that is too large to be drawn. */
  readonly layout: Layout | undefined;
}

const MAX_LAYOUTS = 50;

/** Reads flows; the place of nodes in a drawing is found once for each plan. */
export class FlowReader {
  readonly #deps: FlowReaderDeps;
  readonly #layouts = new Map<string, Promise<Layout>>();

  constructor(deps: FlowReaderDeps) {
    this.#deps = deps;
  }

  /** @throws {NotFoundError} when the run is no flow, or its plan is not kept any more */
  async load(run: RunStatus): Promise<FlowFacts> {
    const { redis, prefix: kp, store } = this.#deps;
    const view = await loadFlowView({ redis, kp, store }, run, await loadHeartbeats(redis, kp));
    const gates = isTerminal(run.state)
      ? []
      : await waitingGates(new FlowState(redis, kp, { runId: run.id, epoch: run.epoch }));
    return { view, gates, layout: await this.#layout(view) };
  }

  #layout(view: FlowView): Promise<Layout> | undefined {
    if (view.nodes.length > GRAPH_NODES) return undefined;
    const key = view.planSha256;
    const kept = this.#layouts.get(key);
    if (kept !== undefined) return kept;
    const layout = drawLayout(view);
    this.#layouts.set(key, layout);
    // A failure is told to who asked, and not kept.
    layout.catch(() => this.#layouts.delete(key));
    const [oldest] = this.#layouts.keys();
    if (this.#layouts.size > MAX_LAYOUTS && oldest !== undefined) this.#layouts.delete(oldest);
    return layout;
  }
}
