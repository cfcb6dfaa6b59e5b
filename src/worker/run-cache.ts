/** The runs that this worker's jobs belong to, read once each. */
import { NotFoundError } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { ProfileChanges } from "../contract/profile-changes.ts";
import { readRunSpec, type RunSpec } from "../contract/run-spec.ts";
import type { LiveRun, RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";

const MAX_RUNS = 256;
const MAX_CALLS = 2_048;

type SpecOf = (ref: { readonly runId: string; readonly epoch: number }, path: string) => Promise<RunSpec | undefined>;

export class RunCache {
  readonly #hash: RunHash;
  readonly #store: Store;
  readonly #runs = new Map<string, LiveRun>();
  /** Two steps of one job may ask at a time for a run that is not known yet. */
  readonly #reading = new Map<string, Promise<LiveRun>>();
  readonly #calls = new Map<string, RunSpec>();
  readonly #specOf: SpecOf;
  readonly #changes: () => ProfileChanges;
  readonly #ensured = new Set<string>();
  readonly #marked = new Set<string>();

  /** `changes`: what was declared of profiles while jobs wait. `specOf`: what a node of a flow runs. */
  constructor(hash: RunHash, store: Store, more: { readonly changes: () => ProfileChanges; readonly specOf: SpecOf }) {
    this.#changes = more.changes;
    this.#specOf = more.specOf;
    this.#hash = hash;
    this.#store = store;
  }

  /** The run in this epoch, and whether its jobs are still to do their work. One round trip. */
  async open(runId: string, epoch: number): Promise<{ readonly run: LiveRun; readonly isWanted: boolean }> {
    if (this.#runs.get(runId)?.epoch === epoch) {
      const isCancelled = await this.isCancelled(runId, epoch);
      return { run: await this.load(runId, epoch), isWanted: !isCancelled };
    }
    const run = await this.load(runId, epoch);
    return { run, isWanted: isWanted(run, epoch) };
  }

  /**
   * The run as a job over these files sees it: of a flow, each is a node with a specification of its own.
   * @throws {NotFoundError} when the node has ended, or nobody knows the run
   */
  async loadFor(runId: string, epoch: number, files: readonly { readonly path: string }[]): Promise<LiveRun> {
    const run = await this.load(runId, epoch);
    if (run.spec.executor !== "flow") return run;
    const path = files[0]?.path ?? "";
    const key = `${runId}.${epoch}/${path}`;
    const known = this.#calls.get(key) ?? (await this.#specOf({ runId, epoch }, path));
    if (known === undefined) throw new NotFoundError("node", `${runId} ${path}`);
    if (this.#calls.size >= MAX_CALLS) this.#calls.clear();
    this.#calls.set(key, known);
    return this.withSpec(run, known);
  }

  /** The run as a job sees it that has a specification of its own, with the memory that counts for it now. */
  withSpec(run: LiveRun, spec: RunSpec): LiveRun {
    return { ...run, spec: withMemory(spec, this.#changes()) };
  }

  /**
   * The run in this epoch, with the memory that counts for its jobs now. Its `state` is the one of the first reading: ask
   * `isCancelled` for the state now.
   */
  async load(runId: string, epoch: number): Promise<LiveRun> {
    const run = await this.#load(runId, epoch);
    const spec = withMemory(run.spec, this.#changes());
    return spec === run.spec ? run : { ...run, spec };
  }

  async #load(runId: string, epoch: number): Promise<LiveRun> {
    const cached = this.#runs.get(runId);
    if (cached?.epoch === epoch) return cached;
    const reading = this.#reading.get(runId) ?? this.#read(runId);
    this.#reading.set(runId, reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(runId);
    }
  }

  async #read(runId: string): Promise<LiveRun> {
    const run = (await this.#hash.load(runId)) ?? (await this.#fromStore(runId));
    if (run === undefined) throw new NotFoundError("run", runId);
    if (this.#runs.size >= MAX_RUNS) this.#runs.clear();
    this.#runs.set(runId, run);
    return run;
  }

  /** Whether a run has ended; one of another cluster has not, as far as is known here. */
  async hasEnded(runId: string): Promise<boolean> {
    return (await this.#hash.hasEnded(runId, async () => (await this.#store.runs.get(runId))?.state)) ?? false;
  }

  /** Whether the jobs of this run are not to do their work any more. */
  async isCancelled(runId: string, epoch: number): Promise<boolean> {
    const now = await this.#hash.stage(runId);
    return now !== undefined && !isWanted(now, epoch);
  }

  /** Makes sure that the store has a row for the run: a producer without a store leaves that to the first worker. */
  async ensureRow(run: LiveRun): Promise<void> {
    const key = `${run.runId}.${run.epoch}`;
    if (this.#ensured.has(key)) return;
    if ((await this.#store.runs.get(run.runId)) === undefined) {
      await this.#store.runs.create({ id: run.runId, spec: run.spec, createdAtMs: run.createdAtMs });
    }
    if (this.#ensured.size >= MAX_RUNS) this.#ensured.clear();
    this.#ensured.add(key);
  }

  /** Moves a queued run to `running`, once per worker and epoch. */
  async markRunning(run: LiveRun): Promise<void> {
    const key = `${run.runId}.${run.epoch}`;
    if (this.#marked.has(key)) return;
    if (this.#marked.size >= MAX_RUNS) this.#marked.clear();
    this.#marked.add(key);
    const startedAtMs = Date.now();
    if (await this.#hash.move(run.runId, ["queued"], "running", { startedAtMs })) {
      await this.#store.runs.move(run.runId, ["queued"], "running", { startedAtMs });
    }
  }

  /** When work on the run began, in ms since 1970, also after Redis has lost that; undefined when nobody wrote it down. */
  async startedAtMs({ runId }: Pick<LiveRun, "runId">): Promise<number | undefined> {
    return (await this.#hash.startedAtMs(runId)) ?? (await this.#store.runs.get(runId))?.startedAtMs ?? undefined;
  }

  /** Writes down that work on the run has begun. */
  async begin(run: LiveRun): Promise<void> {
    await this.ensureRow(run);
    await this.markRunning(run);
  }

  async #fromStore(runId: string): Promise<LiveRun | undefined> {
    const record = await this.#store.runs.get(runId);
    if (record === undefined) return undefined;
    const run = {
      runId,
      // As strictly as from Redis: the store hands out what any version wrote.
      spec: readRunSpec(JSON.stringify(record.spec)),
      epoch: record.epoch,
      state: record.state,
      createdAtMs: record.createdAtMs,
    };
    // Redis lost the live side (a restore, an eviction by hand): put it back, so that counters and state have a place.
    if (!isTerminal(record.state)) await this.#hash.create(run);
    return run;
  }
}

/** Cores and labels are those of its queue, which is told by what the run declared. */
function withMemory(spec: RunSpec, changes: ProfileChanges): RunSpec {
  const memory = changes.get(spec.profile)?.memory;
  return memory === undefined ? spec : { ...spec, resources: { ...spec.resources, memoryBytes: memory } };
}

function isWanted(run: Pick<LiveRun, "epoch" | "state">, epoch: number): boolean {
  return run.epoch === epoch && run.state !== "cancelling" && !isTerminal(run.state);
}
