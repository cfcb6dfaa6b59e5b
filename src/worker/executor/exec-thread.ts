/** The thread that owns the launcher. Everything it does may block for a moment; the worker's main thread never waits for it. */
import { isMainThread, parentPort, workerData, type MessagePort } from "node:worker_threads";
import { messageOf } from "../../contract/errors.ts";
import { PolicyGate } from "../../platform/policy-gate.ts";
import { BinaryDigests } from "../result/digests.ts";
import { Flusher } from "../result/publish.ts";
import { ChunkDrive, HostRefusal } from "./chunk-drive.ts";
import type { ChunkRequest, Publication, Starting } from "./chunk-request.ts";
import { jobEnvironment } from "./environment.ts";
import type { ExecConfig, FromThread, ToThread } from "./exec-protocol.ts";
import { Launcher } from "./launcher.ts";
import { MemoryKills } from "./memory-kills.ts";
import { Niceness } from "./niceness.ts";
import { killOrphans } from "./orphans.ts";
import type { ChunkHost } from "./publisher.ts";
import { enclosureOf } from "./sandbox.ts";
import { Slot } from "./slot.ts";
import { verdictOf } from "./verdict.ts";
import { Watch } from "./watch.ts";

type Waiting = { resolve(allowed: readonly boolean[]): void; reject(error: Error): void };

/** Looking at all processes of the machine must not hold up the first file. */
const SWEEP_AFTER_MS = 1_000;
/** Each message that goes over costs both threads as much as the work for half a file. */
const patient: ReadonlySet<FromThread["kind"]> = new Set(["measured", "results"]);
const PATIENCE_MS = 20;

class ExecThread {
  readonly #port: MessagePort;
  readonly #launcher: Launcher;
  readonly #kills = new MemoryKills();
  readonly #binaries = new BinaryDigests();
  readonly #flusher = new Flusher();
  readonly #gate: PolicyGate;
  readonly #watch: Watch;
  readonly #niceness: Niceness;
  readonly #drives = new Map<string, ChunkDrive>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #ends = new Set<Promise<void>>();
  readonly #freeSlots: number[] = [];
  #slots = 0;
  #calls = 0;
  #outbox: FromThread[] = [];
  #isPosting = false;
  #later: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, config: ExecConfig) {
    this.#port = port;
    this.#gate = new PolicyGate(config.allow);
    this.#launcher = new Launcher(config, (fields, text) => {
      this.#post({ kind: "warn", fields, text });
    });
    this.#niceness = new Niceness(config.nice, (fields, text) => {
      this.#post({ kind: "warn", fields, text });
    });
    this.#watch = new Watch(this.#kills, (sample) => {
      this.#post({ kind: "usage", sample });
    });
  }

  async start(): Promise<void> {
    await this.#launcher.open();
    this.#port.on("message", (message: ToThread) => {
      this.#onMessage(message);
    });
    this.#post({ kind: "ready" });
    setTimeout(() => {
      this.#sweep();
    }, SWEEP_AFTER_MS).unref();
  }

  #sweep(): void {
    const launchers = killOrphans();
    if (launchers > 0) this.#post({ kind: "warn", fields: { launchers }, text: "ended what lost launchers had left" });
  }

  #onMessage(message: ToThread): void {
    switch (message.kind) {
      case "run":
        this.#begin(message.request);
        break;
      case "abort":
        this.#drives.get(message.chunkId)?.abort(message.isSoft);
        break;
      case "enforce":
        this.#drives.get(message.step.jobId)?.enforce(message.step);
        break;
      case "answer":
        this.#take(message.call)?.resolve(message.allowed);
        break;
      case "refusal":
        this.#take(message.call)?.reject(new HostRefusal(message.message, message.isLeaseLost));
        break;
      case "stop":
        void this.#stop();
    }
  }

  #begin(request: ChunkRequest): void {
    const end = this.#run(request).finally(() => this.#ends.delete(end));
    this.#ends.add(end);
  }

  async #run(request: ChunkRequest): Promise<void> {
    const { chunkId, spec } = request;
    const number = this.#freeSlots.pop() ?? this.#slots++;
    const env = jobEnvironment(spec, process.env, request.gpu);
    const enclosure = enclosureOf(spec, this.#gate.allow);
    const about = { chunkId, spec, env, niceness: this.#niceness, enclosure };
    const parts = { launcher: this.#launcher, watch: this.#watch, kills: this.#kills, ...about };
    const drive = new ChunkDrive(request, {
      slot: new Slot(parts, number),
      host: this.#hostOf(chunkId),
      binaries: this.#binaries,
      flusher: this.#flusher,
      gate: this.#gate,
      enclosure,
      verdictOf: (call) => verdictOf(call, spec, this.#kills),
    });
    this.#drives.set(chunkId, drive);
    const { failure, ...end } = await drive.run();
    this.#drives.delete(chunkId);
    this.#freeSlots.push(number);
    this.#post({ kind: "end", chunkId, end, ...(failure === undefined ? {} : { failure }) });
  }

  #hostOf(chunkId: string): ChunkHost {
    return {
      starting: async (files: readonly Starting[]) => {
        await this.#ask((call) => ({ kind: "starting", chunkId, call, files }));
      },
      mayPublish: (items: readonly Publication[]) =>
        this.#ask((call) => ({ kind: "may-publish", chunkId, call, items })),
      results: (results) => {
        this.#post({ kind: "results", chunkId, results });
      },
      reused: (paths) => {
        this.#post({ kind: "reused", chunkId, paths });
      },
      measured: (measure) => {
        this.#post({ kind: "measured", chunkId, measure });
      },
      warn: (fields, text) => {
        this.#post({ kind: "warn", fields, text });
      },
    };
  }

  #ask(question: (call: number) => FromThread): Promise<readonly boolean[]> {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#post(question(call));
    });
  }

  #take(call: number): Waiting | undefined {
    const waiting = this.#waiting.get(call);
    this.#waiting.delete(call);
    return waiting;
  }

  /** Messages of one turn go out together, in order; those that nobody waits for wait for one that is waited for. */
  #post(message: FromThread): void {
    this.#outbox.push(message);
    if (patient.has(message.kind)) {
      this.#later ??= setTimeout(() => {
        this.#flush();
      }, PATIENCE_MS);
    } else if (!this.#isPosting) {
      this.#isPosting = true;
      setImmediate(() => {
        this.#flush();
      });
    }
  }

  #flush(): void {
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#isPosting = false;
    const messages = this.#outbox;
    this.#outbox = [];
    if (messages.length > 0) this.#port.postMessage(messages);
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#ends);
    this.#watch.close();
    await this.#launcher.close();
    this.#port.close();
  }
}

if (!isMainThread && parentPort !== null) {
  const thread = new ExecThread(parentPort, workerData as ExecConfig);
  thread.start().catch((error: unknown) => {
    // Reaches the worker as the thread's `error` event.
    throw new Error(messageOf(error), { cause: error });
  });
}
