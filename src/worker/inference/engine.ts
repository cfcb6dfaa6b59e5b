/**
 * The child process that has one model loaded (entry point). It may block, grow and die: the worker's event loop is not
 * here, and the supervisor starts another. Messages are worked off one after the other, in their order. When the worker
 * is gone it ends.
 */
import { writeFileSync } from "node:fs";
import { FaultsError, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { pluginFaults, pluginsOf } from "../../contract/model-plugins.ts";
import { loadModel, type ModelFolder } from "../../platform/models/model-folder.ts";
import type { FileToRead, FromEngine, Loaded, ToEngine } from "./engine-protocol.ts";
import { InputFiles } from "./input-file.ts";
import { faultOf, oneLine } from "./onnx.ts";
import { ModelRefused, type ModelTask } from "./model-task.ts";
import { openProven } from "./proven-task.ts";

const BEAT_MS = 500;
/** Before anything else of the machine is ended for memory. */
const OOM_SCORE_ADJ = "1000";

type LoadMessage = Extract<ToEngine, { kind: "load" }>;

class Engine {
  readonly #files = new InputFiles();
  #load: LoadMessage | undefined;
  #task: ModelTask | undefined;
  #isOneThread = false;
  #work: Promise<void> = Promise.resolve();

  take(message: ToEngine): void {
    this.#work = this.#work.then(() => this.#answer(message));
  }

  async #answer(message: ToEngine): Promise<void> {
    switch (message.kind) {
      case "load":
        this.#load = message;
        return this.#open(message);
      case "renew":
        await this.#task?.session.release();
        this.#task = undefined;
        return this.#load === undefined ? undefined : this.#open(this.#load);
      case "place":
        this.#files.place(message.placeId, message.place);
        return;
      case "forget":
        this.#files.forget(message.placeId);
        return;
      case "batch":
        return this.#run(message.batchId, message.files);
    }
  }

  async #open({ folder, providers, warmRows, modelPlugins }: LoadMessage): Promise<void> {
    const startedMs = performance.now();
    try {
      const model = await loadModel(folder);
      const faults = pluginFaults(pluginsOf(model.manifest), modelPlugins);
      if (faults.length > 0) throw new InvalidInputError(`model ${folder}`, faults);
      const wanted = providers ?? model.manifest.providers;
      const { task, fitting, refusals } = await openProven(model, wanted, { files: this.#files, warmRows });
      this.#task = task;
      this.#isOneThread = task.session.provider === "cpu" && model.manifest.engine.threads === 1;
      post({
        kind: "loaded",
        loaded: loadedOf(model, task, { fitting, refusals, loadMs: performance.now() - startedMs }),
      });
    } catch (error) {
      post(refusalOf(error));
    }
  }

  async #run(batchId: number, files: readonly FileToRead[]): Promise<void> {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    try {
      if (this.#task === undefined) throw new Error("expected a model that is loaded, found none");
      const { answers, runMs, rows, hasTurns = false, longest, tokens } = await this.#task.runBatch(files);
      const wholeMs = performance.now() - startedMs;
      const costMs = this.#isOneThread ? cpuMs(process.cpuUsage(before)) : wholeMs;
      post({
        kind: "done",
        batchId,
        answers,
        runMs,
        wholeMs,
        costMs,
        rows,
        hasTurns,
        longest,
        tokens,
        rssBytes: process.memoryUsage.rss(),
      });
    } catch (error) {
      post({ kind: "failed", batchId, fault: faultOf(error), message: oneLine(messageOf(error)) });
    }
  }
}

function loadedOf(
  model: ModelFolder,
  task: ModelTask,
  { fitting, refusals, loadMs }: Pick<Loaded, "refusals" | "loadMs"> & { readonly fitting: number },
): Loaded {
  const { provider, inputs, outputs, placement } = task.session;
  const { mostRows, lengths } = task;
  const rssBytes = process.memoryUsage.rss();
  const rows = { mostRows, warmRows: fitting, lengths };
  return { model, provider, refusals, placement, ...rows, rssBytes, loadMs, inputs, outputs };
}

function refusalOf(error: unknown): FromEngine {
  if (error instanceof ModelRefused) {
    const { faults, refusals, isMemory } = error;
    return { kind: "refused", faults, refusals, isMemory };
  }
  if (error instanceof FaultsError) return { kind: "refused", faults: error.faults, refusals: [], isMemory: false };
  const fault = { where: "model", expected: "a model that can be loaded", found: oneLine(messageOf(error)) };
  return { kind: "refused", faults: [fault], refusals: [], isMemory: faultOf(error) === "out-of-memory" };
}

function post(message: FromEngine): void {
  // When the worker has gone there is nobody to tell, and `disconnect` ends this process.
  if (process.connected) process.send?.(message);
}

function beat(): void {
  post({ kind: "beat", rssBytes: process.memoryUsage.rss(), cpuMs: cpuMs(process.cpuUsage()) });
}

function cpuMs({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1_000;
}

function serve(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
  } catch {
    // Not every system has it, and without it the kernel chooses by size, which is this process most likely.
  }
  const engine = new Engine();
  process.on("message", (message: ToEngine) => {
    engine.take(message);
  });
  process.on("disconnect", () => process.exit(0));
  setInterval(beat, BEAT_MS).unref();
}

// Without a channel there is nobody to answer: the file was loaded elsewhere.
if (process.send !== undefined) serve();
