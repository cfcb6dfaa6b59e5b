/**
 * The batches of one model, of all chunks that run: which files go together, how many, and what is done when one goes
 * wrong. No file is dropped: each gets an answer, or its group is told that there will be none.
 *
 * Memory that does not do: half the rows, and not so many again soon. A second time without a good batch between: the
 * session is made anew, the only way in which the runtime gives memory back. A batch that the model refuses, or with
 * which the engine died, is taken apart until the file is found that goes wrong by itself; it fails alone.
 */
import type { Provider } from "../../contract/model-manifest.ts";
import type { FailureClass } from "../../contract/outcomes.ts";
import { BatchPlan } from "./batch-plan.ts";
import type { EndReason, EngineDeps, EngineFacts, EngineSettings } from "./engine-port.ts";
import type { FileAnswer, FileToRead, FromEngine, InputPlace, Loaded } from "./engine-protocol.ts";
import { EngineSupervisor } from "./engine-supervisor.ts";
import { WorkQueue, type BatchFacts, type WorkGroup, type WorkItem } from "./work-queue.ts";

/** One batch runs, one waits in the child: it never waits for this process. But one alone while no size is proven. */
const DEPTH = 2;
const TIMER_MS = 1;
/** A file that alone was too much, so often, fails. */
const STRIKES = 2;

interface Flight {
  readonly batchId: number;
  /** The lengths that its files are of. */
  readonly key: number;
  readonly items: readonly WorkItem[];
}

interface Waiter {
  resolve(loaded: Loaded): void;
  reject(error: Error): void;
}

type Done = Extract<FromEngine, { kind: "done" }>;
type Failed = Extract<FromEngine, { kind: "failed" }>;

export class ModelEngine {
  readonly #deps: EngineDeps;
  readonly #settings: EngineSettings;
  readonly #supervisor: EngineSupervisor;
  readonly #queue = new WorkQueue();
  readonly #places = new Map<number, InputPlace>();
  readonly #plan = new BatchPlan();
  #flights: Flight[] = [];
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ids = 0;
  #batches = 0;
  #isWorn = false;
  /** Times that memory did not do, since the last good batch. */
  #shortages = 0;
  #mustRenew = false;
  /** Whether a batch of this child went well, and none failed for memory since: a second one would fail as the first. */
  #isProven = false;

  constructor(deps: EngineDeps, folder: string, settings: EngineSettings = {}) {
    this.#deps = deps;
    this.#settings = settings;
    const events = {
      onReady: (loaded: Loaded) => {
        this.#onReady(loaded);
      },
      onBatch: (message: Done | Failed) => {
        this.#onBatch(message);
      },
      onDown: (reason: EndReason, text: string) => {
        this.#onDown(reason, text);
      },
      onBroken: (error: Error) => {
        this.#onBroken(error);
      },
    };
    this.#supervisor = new EngineSupervisor(deps, events, { folder, settings });
  }

  get facts(): EngineFacts {
    return this.#supervisor.facts;
  }

  /** Resolves when the model is loaded. @throws {InvalidInputError} for a model that cannot be used, {InfrastructureError} */
  ready(): Promise<Loaded> {
    const { loaded } = this.#supervisor.facts;
    if (this.#supervisor.isReady && loaded !== undefined) return Promise.resolve(loaded);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#supervisor.start();
    });
  }

  /** Makes a place known whose files may then be asked for. */
  addPlace(place: InputPlace): number {
    const placeId = ++this.#ids;
    this.#places.set(placeId, place);
    this.#supervisor.send({ kind: "place", placeId, place });
    return placeId;
  }

  removePlace(placeId: number): void {
    this.#places.delete(placeId);
    this.#supervisor.send({ kind: "forget", placeId });
  }

  submit(group: WorkGroup): void {
    this.#queue.add(group, this.#deps.clock.monotonicMs());
    this.#supervisor.start();
    this.#pump();
  }

  /** What of the group is not under way gets no answer any more. */
  withdraw(group: WorkGroup): void {
    this.#queue.withdraw(group);
  }

  /** Gives the memory back at once; files under way begin anew in another child. */
  evict(): void {
    this.#supervisor.end("evicted");
  }

  /** Lets the child go while there is no work. */
  rest(): void {
    if (this.#queue.isEmpty && this.#flights.length === 0) this.#supervisor.dismiss();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#supervisor.close();
  }

  #onReady(loaded: Loaded): void {
    for (const [placeId, place] of this.#places) this.#supervisor.send({ kind: "place", placeId, place });
    this.#plan.loaded(loaded, this.#settings.warmRows);
    this.#queue.arrange((bytes) => this.#plan.bucketOf(bytes));
    this.#tellCeilings();
    if (loaded.placement !== undefined) this.#deps.metrics.placed(loaded.placement);
    this.#batches = 0;
    this.#isWorn = false;
    this.#isProven = false;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(loaded);
    this.#pump();
  }

  #onBroken(error: Error): void {
    const lost = this.#flights.splice(0).flatMap(({ items }) => items.map(({ group }) => group));
    for (const group of new Set([...lost, ...this.#queue.clear()])) group.onBroken(error);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  /** Sends what can go now. While a batch is under way the next one gathers, so nobody waits for the clock under load. */
  #pump(): void {
    if (!this.#supervisor.isReady || this.#isHeldBack()) return;
    const depth = this.#isProven ? DEPTH : 1;
    while (this.#flights.length < depth) {
      const next = this.#queue.next((key) => this.#plan.rows(key, this.#settings.fixedRows));
      if (next === undefined) return;
      if (!next.isDue && (this.#flights.length > 0 || this.#waitsForMore(next.first))) return;
      this.#send(next.key, this.#queue.take(next.key, next.rows));
    }
  }

  /** Whether the child is to be made anew first, and what is under way has to end before that. */
  #isHeldBack(): boolean {
    if (!this.#mustRenew && !this.#isWorn) return false;
    if (this.#flights.length > 0) return true;
    if (this.#mustRenew) {
      this.#mustRenew = false;
      this.#supervisor.renew();
    } else this.#supervisor.end("recycled");
    return true;
  }

  #waitsForMore(first: WorkItem): boolean {
    const waitMs = this.#supervisor.facts.loaded?.model.manifest.batch.wait_ms ?? 0;
    const waitedMs = this.#deps.clock.monotonicMs() - first.queuedAtMs;
    // Timers go off up to this late: one that is armed now would come behind its time.
    if (waitedMs > waitMs - TIMER_MS) return false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, waitMs - waitedMs);
    return true;
  }

  #send(key: number, items: readonly WorkItem[]): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const batchId = ++this.#ids;
    this.#flights.push({ batchId, key, items });
    if (this.#flights.length === 1) this.#supervisor.busy(nowMs);
    this.#deps.metrics.waited(nowMs - (items[0]?.queuedAtMs ?? nowMs));
    const files = items.map(({ group, at }): FileToRead => {
      const known = group.known?.[at];
      return { placeId: group.placeId, path: group.paths[at] ?? "", ...(known !== undefined && { known }) };
    });
    this.#supervisor.send({ kind: "batch", batchId, files });
  }

  #onBatch(message: Done | Failed): void {
    const flight = this.#flights.find(({ batchId }) => batchId === message.batchId);
    if (flight === undefined) return;
    this.#flights = this.#flights.filter((other) => other !== flight);
    this.#supervisor.busy(this.#flights.length > 0 ? this.#deps.clock.monotonicMs() : undefined);
    if (message.kind === "done") this.#onDone(flight, message);
    else this.#onFailed(flight, message);
    this.#pump();
  }

  #onDone({ key, items }: Flight, message: Done): void {
    const { answers, rows, runMs, wholeMs, tokens, rssBytes } = message;
    const { loaded } = this.#supervisor.facts;
    this.#shortages = 0;
    this.#isProven = true;
    this.#batches += 1;
    this.#supervisor.went(rssBytes);
    this.#plan.succeeded(key, { ...message, files: items.length });
    if (rows > 0) {
      this.#deps.metrics.batch({ provider: this.#provider, rows, runMs, tokens });
      this.#tellCeilings();
    }
    const { recycle_batches: mostBatches, recycle_memory: mostBytes = Infinity } = loaded?.model.manifest.engine ?? {
      recycle_batches: Infinity,
    };
    this.#isWorn = this.#batches >= mostBatches || rssBytes > mostBytes;
    const startedAtMs = this.#deps.clock.nowMs() - wholeMs;
    this.#answer(items, answers, { startedAtMs, wholeMs, files: items.length, rssBytes });
  }

  #onFailed({ key, items }: Flight, { fault, message }: Failed): void {
    this.#deps.logger.info({ files: items.length, fault, message }, "batch failed, its files go again in parts");
    switch (fault) {
      case "out-of-memory":
        this.#onShortage({ key, items }, message);
        break;
      case "sticky":
        // What waits in the child would fail too, through no fault of its own.
        this.#putBackFlights();
        this.#takeApart(
          items,
          { class: "signal", message: `the device failed at this file alone: ${message}` },
          STRIKES,
        );
        this.#supervisor.end("died");
        break;
      case "output":
        this.#takeApart(items, { class: "bad-output", message });
        break;
      case "run":
        this.#takeApart(items, {
          class: "bad-input",
          message: `expected a file that the model takes, found: ${message}`,
        });
    }
  }

  #onShortage({ key, items }: Pick<Flight, "key" | "items">, message: string): void {
    this.#tooMany(key, items.length);
    this.#isProven = false;
    this.#shortages += 1;
    if (this.#shortages >= 2) this.#mustRenew = true;
    const why = `expected the memory that one file takes, found: ${message}`;
    this.#takeApart(items, { class: "out-of-memory", message: why }, STRIKES);
  }

  /** The child is gone. Its first batch is the one that it was at. */
  #onDown(reason: EndReason, text: string): void {
    const suspect = this.#flights.shift();
    this.#putBackFlights();
    if (suspect === undefined) return;
    if (reason === "evicted" || reason === "recycled") {
      this.#queue.putBack(suspect.items);
      return;
    }
    if (reason === "out-of-memory") this.#tooMany(suspect.key, suspect.items.length);
    this.#takeApart(suspect.items, { class: classOf(reason), message: `${text} at this file alone` }, STRIKES);
  }

  #tooMany(key: number, rows: number): void {
    this.#deps.metrics.outOfMemory(this.#provider);
    this.#plan.failed(key, rows);
    this.#tellCeilings();
  }

  #tellCeilings(): void {
    for (const ceiling of this.#plan.ceilings) this.#deps.metrics.ceiling(ceiling);
  }

  #putBackFlights(): void {
    for (const { items } of this.#flights.splice(0).toReversed()) this.#queue.putBack(items);
  }

  /** Puts the files of a batch back in halves; one that was alone fails, after so many times. */
  #takeApart(
    items: readonly WorkItem[],
    failure: { readonly class: FailureClass; readonly message: string },
    strikes = 1,
  ): void {
    const [only] = items;
    if (items.length > 1 || only === undefined) {
      for (const item of items) item.limit = Math.min(item.limit, Math.max(1, Math.floor(items.length / 2)));
      this.#queue.putBack(items);
      return;
    }
    only.strikes += 1;
    if (only.strikes < strikes) {
      this.#queue.putBack(items);
      return;
    }
    const answer: FileAnswer = { kind: "failure", sha256: null, bytes: null, ...failure };
    const facts = { startedAtMs: this.#deps.clock.nowMs(), wholeMs: 0, files: 1, rssBytes: 0 };
    this.#answer(items, [answer], facts);
  }

  #answer(items: readonly WorkItem[], answers: readonly FileAnswer[], facts: BatchFacts): void {
    const byGroup = new Map<WorkGroup, { at: number; answer: FileAnswer }[]>();
    for (const [position, { group, at }] of items.entries()) {
      const answer = answers[position];
      if (answer === undefined) throw new TypeError("expected an answer for each file of a batch");
      const told = byGroup.get(group) ?? [];
      told.push({ at, answer });
      byGroup.set(group, told);
    }
    for (const [group, told] of byGroup) group.onAnswers(told, facts);
  }

  get #provider(): Provider {
    return this.#supervisor.facts.loaded?.provider ?? "cpu";
  }
}

function classOf(reason: EndReason): FailureClass {
  if (reason === "out-of-memory" || reason === "timeout") return reason;
  return "signal";
}
