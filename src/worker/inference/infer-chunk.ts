/** One chunk of files at an engine: hands them over, and turns answers into rows of the manifest. */
import type { FileEntry, FileResult } from "../../contract/files.ts";
import { unrunResult } from "../../contract/files.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "../executor/chunk-request.ts";
import { Condition } from "../executor/condition.ts";
import { triesOf } from "../executor/file-results.ts";
import { argsSha256 } from "../result/digests.ts";
import type { Failure } from "../result/outcome.ts";
import type { FileAnswer, Loaded } from "./engine-protocol.ts";
import type { ModelEngine } from "./model-engine.ts";
import type { BatchFacts, WorkGroup } from "./work-queue.ts";

interface ChunkParts {
  readonly engine: ModelEngine;
  readonly loaded: Loaded;
  readonly inputRoot: string | undefined;
}

export class InferChunk {
  readonly #request: ChunkRequest;
  readonly #events: ChunkEvents;
  readonly #parts: ChunkParts | undefined;
  readonly #changed = new Condition();
  readonly #argsSha256: string;
  readonly #open: Set<number>;
  #isOver = false;
  #error: Error | undefined;
  #evicted: string | undefined;

  /** Without parts there is no engine: the files can only fail. */
  constructor(request: ChunkRequest, events: ChunkEvents, parts: ChunkParts | undefined) {
    this.#request = request;
    this.#events = events;
    this.#parts = parts;
    this.#argsSha256 = argsSha256(request.spec);
    this.#open = new Set(request.files.keys());
  }

  get engine(): ModelEngine | undefined {
    return this.#parts?.engine;
  }

  async run(signal: AbortSignal): Promise<ChunkEnd> {
    const { engine, inputRoot, loaded } = this.#use();
    const { spec, files } = this.#request;
    const about = { modelSha256: loaded.model.sha256, argsSha256: this.#argsSha256 };
    const { input, inputRules, answer } = spec;
    const placeId = engine.addPlace({ input, inputRules, inputRoot, ...(answer !== undefined && { answer }) });
    const group: WorkGroup = {
      placeId,
      paths: files.map(({ path }) => path),
      bytes: files.map(({ bytes }) => bytes),
      known: files.map(({ path }) => knownInput(this.#request, path, about)),
      onAnswers: (answers, facts) => {
        this.#take(answers, facts);
      },
      onBroken: (error) => {
        this.#error = error;
        this.#changed.notify();
      },
    };
    const onAbort = () => {
      this.#changed.notify();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      engine.submit(group);
      await this.#changed.until(() => this.#isDone || signal.aborted);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#isOver = true;
      engine.withdraw(group);
      engine.removePlace(placeId);
    }
    return this.#end(signal);
  }

  evict(reason: string): void {
    this.#evicted = reason;
    this.#changed.notify();
  }

  /** All files that have no result fail with this. */
  failAll(failure: Failure, peakBytes: number | null = null): void {
    const why = { outcome: "failed", failureClass: failure.class, message: failure.message } as const;
    const results = [...this.#open].flatMap((at) => {
      const file = this.#request.files[at];
      if (file === undefined) return [];
      const { workerId } = this.#request;
      return [
        { ...unrunResult(file, why), attempts: triesOf(file), argsSha256: this.#argsSha256, peakBytes, workerId },
      ];
    });
    this.#open.clear();
    if (results.length > 0) this.#events.results(results);
  }

  tellUsage(elapsedMs: number): void {
    const { pid, rssBytes, cpuMs } = this.#use().engine.facts;
    if (pid === undefined) return;
    const { chunkId } = this.#request;
    this.#events.usage({ chunkId, pid, inputBytes: null, elapsedMs, rssBytes, cpuMs, processes: 1 });
  }

  get #isDone(): boolean {
    return this.#open.size === 0 || this.#error !== undefined || this.#evicted !== undefined;
  }

  #end(signal: AbortSignal): ChunkEnd {
    if (this.#evicted !== undefined) {
      const { engine } = this.#use();
      const { rssBytes } = engine.facts;
      engine.evict();
      this.failAll({ class: "out-of-memory", message: `ended by the governor: ${this.#evicted}` }, rssBytes);
    }
    const notRun = [...this.#open].flatMap((at) => this.#request.files[at] ?? []);
    const kind = signal.aborted || this.#error !== undefined ? "aborted" : "done";
    const end = { kind, notRun, interrupted: [], postponed: [], fenced: [] } as const;
    return this.#error === undefined ? end : { ...end, error: this.#error };
  }

  #take(answers: readonly { readonly at: number; readonly answer: FileAnswer }[], facts: BatchFacts): void {
    if (this.#isOver) return;
    const results: FileResult[] = [];
    const reused: string[] = [];
    for (const { at, answer } of answers) {
      const file = this.#request.files[at];
      if (file === undefined || !this.#open.delete(at)) continue;
      if (answer.kind === "same") reused.push(file.path);
      else results.push(this.#resultOf(file, answer, facts));
    }
    if (results.length > 0) this.#events.results(results);
    if (reused.length > 0) this.#events.reused(reused);
    this.#changed.notify();
  }

  #resultOf(file: FileEntry, answer: Exclude<FileAnswer, { kind: "same" }>, facts: BatchFacts): FileResult {
    const isGood = answer.kind === "answer";
    return {
      index: file.index,
      path: file.path,
      outcome: isGood ? "succeeded" : "failed",
      failureClass: isGood ? null : answer.class,
      message: isGood ? null : answer.message,
      exitCode: null,
      signal: null,
      attempts: triesOf(file) + 1,
      startedAtMs: Math.round(facts.startedAtMs),
      // A file's share of its batch.
      durationMs: facts.wholeMs / facts.files,
      cpuMs: null,
      peakBytes: facts.rssBytes > 0 ? facts.rssBytes : null,
      inputBytes: answer.bytes,
      inputSha256: answer.sha256,
      binarySha256: this.#use().loaded.model.sha256,
      argsSha256: this.#argsSha256,
      outputPath: null,
      outputBytes: null,
      outputSha256: null,
      log: null,
      workerId: this.#request.workerId,
      ...(isGood && { inference: answer.inference }),
    };
  }

  #use(): ChunkParts {
    if (this.#parts === undefined) throw new TypeError("expected an engine for this chunk");
    return this.#parts;
  }
}

/** The digest of an input of which the model has said something in an earlier epoch that still holds. */
export function knownInput(
  { spec, known }: Pick<ChunkRequest, "spec" | "known">,
  path: string,
  now: { readonly modelSha256: string; readonly argsSha256: string },
): string | undefined {
  if (spec.fresh === true) return undefined;
  const row = known.get(path);
  const isSame = row?.binarySha256 === now.modelSha256 && row.argsSha256 === now.argsSha256;
  return isSame ? (row.inputSha256 ?? undefined) : undefined;
}
