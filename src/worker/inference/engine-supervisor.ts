/**
 * Keeps one engine process up for as long as it is wanted: starts it, has it load the model, watches it, and starts
 * another when it has died.
 *
 * States: `idle` (no child) -> `loading` (a child reads the model, or makes its session anew) -> `ready`. From there
 * `loading` (renewed or recycled), `pausing` (the child died; the next one starts after a pause), `idle` (dismissed).
 * `broken` (the model cannot be used: everything is said) and `closed` are ends.
 */
import { InfrastructureError, InvalidInputError } from "../../contract/errors.ts";
import type { Provider } from "../../contract/model-manifest.ts";
import { equalJitterMs } from "../../platform/backoff.ts";
import { State, type Transitions } from "../../platform/state.ts";
import { EngineChild, type ChildEnd } from "./engine-child.ts";
import type { EndReason, EngineDeps, EngineFacts, EngineSettings } from "./engine-port.ts";
import type { FromEngine, Loaded, ToEngine } from "./engine-protocol.ts";

type EngineState = "idle" | "loading" | "ready" | "pausing" | "broken" | "closed";
const moves: Transitions<EngineState> = {
  idle: ["loading", "closed"],
  loading: ["ready", "pausing", "broken", "idle", "closed"],
  ready: ["loading", "pausing", "idle", "closed"],
  pausing: ["loading", "broken", "idle", "closed"],
  broken: ["loading", "closed"],
  closed: [],
};

export interface SupervisorEvents {
  onReady(loaded: Loaded): void;
  onBatch(message: Extract<FromEngine, { kind: "done" | "failed" }>): void;
  /** The child is gone, and what it was asked for has no answer. */
  onDown(reason: EndReason, text: string): void;
  /** It will not come up again. */
  onBroken(error: Error): void;
}

const DEATHS_PER_PROVIDER = 3;
/** A child that dies while it loads, so often one after the other, is not started again. */
const LOAD_DEATHS = 3;
const restartRule = { backoffMs: 100, backoffFactor: 2, maxBackoffMs: 10_000 };
const WATCH_MS = 250;
/** A child that has nothing to do and says nothing for so long is hung. */
const SILENT_MS = 15_000;
const LOAD_MS = 600_000;
/** Without one of these signals or codes, what ended a child was no lack of memory: SIGKILL is the kernel's, 134 is Node's. */
const memorySignals: ReadonlySet<string> = new Set(["SIGKILL", "SIGABRT"]);
const memoryCodes: ReadonlySet<number> = new Set([134, 137]);

export class EngineSupervisor {
  readonly #deps: EngineDeps;
  readonly #events: SupervisorEvents;
  readonly #folder: string;
  readonly #settings: EngineSettings;
  readonly #state: State<EngineState>;
  #child: EngineChild | undefined;
  #loaded: Loaded | undefined;
  #providers: readonly Provider[] | undefined;
  #beat = { rssBytes: 0, cpuMs: 0 };
  #heardMs = 0;
  #busySinceMs: number | undefined;
  #watch: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #asked: EndReason | undefined;
  #deaths = 0;
  #loadDeaths = 0;
  #onClosed: (() => void) | undefined;

  constructor(deps: EngineDeps, events: SupervisorEvents, model: { folder: string; settings: EngineSettings }) {
    this.#deps = deps;
    this.#events = events;
    this.#folder = model.folder;
    this.#settings = model.settings;
    this.#providers = model.settings.providers;
    this.#state = new State("engine", moves, "idle", deps.logger);
  }

  /** Whether it may be sent batches; not one that was told to end. */
  get isReady(): boolean {
    return this.#state.is("ready") && this.#asked === undefined;
  }

  get facts(): EngineFacts {
    return { pid: this.#child?.pid, ...this.#beat, loaded: this.#loaded };
  }

  /** Starts a child, unless there is one or will be one in a moment. */
  start(): void {
    if (this.#state.is("idle", "broken")) this.#spawn();
  }

  send(message: ToEngine): void {
    this.#child?.send(message);
  }

  /** Since when the child is at work on a batch; undefined when it has none. */
  busy(sinceMs: number | undefined): void {
    this.#busySinceMs = sinceMs;
  }

  /** A batch went well: what came before is over. */
  went(rssBytes: number): void {
    this.#deaths = 0;
    this.#beat = { ...this.#beat, rssBytes };
  }

  /** Makes the session anew in the same child. Nothing may be under way. */
  renew(): void {
    if (!this.#state.is("ready")) return;
    this.#state.moveTo("loading");
    this.#heardMs = this.#deps.clock.monotonicMs();
    this.send({ kind: "renew" });
  }

  /** Ends the child now; another one is started. */
  end(reason: EndReason): void {
    if (this.#child === undefined) return;
    this.#asked = reason;
    this.#child.kill();
  }

  /** Lets the child go; `start` brings another one. */
  dismiss(): void {
    if (this.#state.is("closed", "broken")) return;
    this.#drop("idle");
  }

  /** Ends for good; resolves when the process is gone. */
  async close(): Promise<void> {
    const child = this.#child;
    if (this.#state.is("closed")) return;
    this.#drop("closed");
    if (child === undefined) return;
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      child.kill();
    });
  }

  #drop(next: "idle" | "closed"): void {
    clearTimeout(this.#restart);
    clearInterval(this.#watch);
    if (!this.#state.is(next)) this.#state.moveTo(next);
    this.#busySinceMs = undefined;
    this.#child?.dismiss();
    this.#child = undefined;
    this.#beat = { rssBytes: 0, cpuMs: 0 };
  }

  #spawn(): void {
    this.#state.moveTo("loading");
    this.#asked = undefined;
    this.#heardMs = this.#deps.clock.monotonicMs();
    const child = new EngineChild(
      {
        onMessage: (message) => {
          if (this.#child === child) this.#onMessage(message);
        },
        onEnd: (end) => {
          if (this.#child === child) this.#onEnd(end);
          else this.#onClosed?.();
        },
      },
      this.#settings,
    );
    this.#child = child;
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      this.#look();
    }, WATCH_MS);
    // The kernel ends what takes too much at once; in smaller batches the model may do.
    const warmRows = this.#loadDeaths > 0 ? 1 : this.#settings.warmRows;
    this.send({
      kind: "load",
      folder: this.#folder,
      ...(this.#providers !== undefined && { providers: this.#providers }),
      ...(warmRows !== undefined && { warmRows }),
      modelPlugins: this.#settings.modelPlugins,
    });
  }

  #onMessage(message: FromEngine): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    switch (message.kind) {
      case "beat":
        this.#beat = { rssBytes: message.rssBytes, cpuMs: message.cpuMs };
        break;
      case "loaded":
        this.#onLoaded(message.loaded);
        break;
      case "refused":
        this.#onRefused(message);
        break;
      case "done":
      case "failed":
        this.#events.onBatch(message);
    }
  }

  #onLoaded(loaded: Loaded): void {
    const [before, now] = [this.#loaded?.model.sha256, loaded.model.sha256];
    if (before !== undefined && before !== now) {
      // Work that was given to the model of before may not be done by another one; who comes anew gets an engine of its own.
      this.#break(new InfrastructureError(`model ${this.#folder}: expected SHA-256 ${before} as before, found ${now}`));
      return;
    }
    const { provider, refusals, warmRows, loadMs, rssBytes } = loaded;
    const about = { model: this.#folder, pid: this.#child?.pid };
    for (const { provider: refused, reason } of refusals) {
      this.#deps.logger.warn({ ...about, provider: refused, reason }, "provider refused, the next one is tried");
    }
    this.#deps.logger.info({ ...about, provider, warmRows, loadMs: Math.round(loadMs), rssBytes }, "model loaded");
    this.#loaded = loaded;
    this.#loadDeaths = 0;
    this.#beat = { ...this.#beat, rssBytes };
    this.#state.moveTo("ready");
    this.#events.onReady(loaded);
  }

  #onRefused({ faults, refusals, isMemory }: Extract<FromEngine, { kind: "refused" }>): void {
    const about = { model: this.#folder, faults, refusals };
    if (isMemory && this.#nextProvider()) {
      this.#deps.logger.warn(about, "model does not fit this provider's memory, the next one is tried");
      this.end("out-of-memory");
      return;
    }
    const told = faults.length === 1 ? faults[0] : undefined;
    const text = told === undefined ? "" : `: ${told.where}: expected ${told.expected}, found ${told.found}`;
    this.#break(
      isMemory
        ? new InfrastructureError(`no memory for model ${this.#folder}${text}`)
        : new InvalidInputError(`model ${this.#folder}`, faults),
    );
  }

  #break(error: Error): void {
    this.#deps.logger.error({ err: error, model: this.#folder }, "model cannot be used");
    const child = this.#child;
    this.#child = undefined;
    clearInterval(this.#watch);
    this.#state.moveTo("broken");
    child?.dismiss();
    this.#events.onBroken(error);
  }

  #onEnd({ code, signal, log }: ChildEnd): void {
    const isMemory = memorySignals.has(signal ?? "") || memoryCodes.has(code ?? 0);
    const reason = this.#asked ?? (isMemory ? "out-of-memory" : "died");
    const text = `the engine ended with ${signal ?? `code ${code ?? "none"}`}`;
    const wasLoading = this.#state.is("loading");
    this.#deps.logger.warn({ model: this.#folder, reason, code, signal, log }, "engine ended, another one follows");
    this.#deps.metrics.restarted(reason);
    this.#child = undefined;
    this.#busySinceMs = undefined;
    clearInterval(this.#watch);
    this.#beat = { rssBytes: 0, cpuMs: 0 };
    this.#state.moveTo("pausing");
    if (reason !== "evicted" && reason !== "recycled") this.#countDeath(wasLoading);
    if (this.#loadDeaths >= LOAD_DEATHS) {
      this.#break(new InfrastructureError(`model ${this.#folder} did not load: ${text} ${LOAD_DEATHS} times; ${log}`));
      return;
    }
    const pauseMs = equalJitterMs(Math.max(1, this.#deaths), restartRule);
    this.#restart = setTimeout(() => {
      this.#spawn();
    }, pauseMs);
    this.#events.onDown(reason, text);
  }

  #countDeath(wasLoading: boolean): void {
    this.#deaths += 1;
    if (wasLoading) this.#loadDeaths += 1;
    if (this.#deaths % DEATHS_PER_PROVIDER === 0 && this.#nextProvider()) this.#loadDeaths = 0;
  }

  /** Leaves the provider in use for the next one of the list; whether there is one. */
  #nextProvider(): boolean {
    const all = this.#providers ?? this.#loaded?.model.manifest.providers ?? [];
    const rest = all.slice(1 + Math.max(0, all.indexOf(this.#loaded?.provider ?? all[0] ?? "cpu")));
    if (rest.length === 0) return false;
    this.#deps.logger.warn({ model: this.#folder, from: this.#loaded?.provider, to: rest }, "provider given up");
    this.#providers = rest;
    return true;
  }

  #look(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const batchMs = (this.#loaded?.model.manifest.engine.batch_timeout_seconds ?? 0) * 1_000;
    if (this.#state.is("loading")) {
      if (nowMs - this.#heardMs > LOAD_MS) this.end("timeout");
    } else if (this.#busySinceMs !== undefined) {
      if (nowMs - this.#busySinceMs > batchMs) this.end("timeout");
    } else if (nowMs - this.#heardMs > SILENT_MS) this.end("silent");
  }
}
