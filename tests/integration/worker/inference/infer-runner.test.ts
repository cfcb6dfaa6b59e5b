/** Chunks of files through models: real engines, as a worker has them, without a queue. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Allow } from "../../../../src/contract/allow.ts";
import type { FileResult } from "../../../../src/contract/files.ts";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { Metrics } from "../../../../src/platform/metrics.ts";
import { PolicyGate } from "../../../../src/platform/policy-gate.ts";
import type { ChunkEnd, ChunkRequest, UsageSample } from "../../../../src/worker/executor/chunk-request.ts";
import { EnginePool } from "../../../../src/worker/inference/engine-pool.ts";
import type { Loaded } from "../../../../src/worker/inference/engine-protocol.ts";
import { InferRunner } from "../../../../src/worker/inference/infer-runner.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";
import { generatorOf, llamaCodec, llamaFolder } from "../../../support/small-llama.ts";
import { textModel, wordTokenizer } from "../../../support/text-onnx.ts";
import { modelFolder, pickyManifest, pickyModel } from "../../../support/tiny-onnx.ts";

class RunnerFixture implements AsyncDisposable {
  readonly scratch = new Scratch();
  readonly model = modelFolder(this.scratch, "model", pickyModel(), { ...pickyManifest, batch: { max_rows: 8 } });
  readonly metrics = new Metrics({ version: "test", process: "worker" }, quietLogger);
  readonly pool = new EnginePool({ clock: systemClock, logger: quietLogger, metrics: this.metrics });
  readonly runner: InferRunner;
  readonly results: FileResult[] = [];
  readonly reused: string[] = [];
  readonly usage: UsageSample[] = [];
  readonly told: Loaded[] = [];
  #chunks = 0;

  constructor(allow: Allow = {}) {
    this.runner = new InferRunner({
      ...{ pool: this.pool, gate: new PolicyGate(allow), clock: systemClock },
      onModel: (_run, loaded) => {
        this.told.push(loaded);
        return Promise.resolve(this.told[0]?.model.sha256 ?? "");
      },
    });
  }

  request(count: number, change: { spec?: object; known?: ChunkRequest["known"] } = {}): ChunkRequest {
    const chunkId = `r.0.c${++this.#chunks}`;
    const files = Array.from({ length: count }, (_, index) => {
      this.scratch.file(`in/f${index}`, Buffer.from([1]));
      return { index, path: `f${index}`, bytes: 1 };
    });
    const input = { kind: "tree", root: join(this.scratch.path, "in") };
    const spec = parseRunSpec({
      executor: "infer",
      command: [this.model],
      input,
      output: join(this.scratch.path, "out"),
      ...change.spec,
    });
    return {
      ...{ chunkId, runId: "r", epoch: 0, workerId: "w", token: "t", spec, files, known: change.known ?? new Map() },
      ...{ intents: new Map(), quarantined: new Set(), suspects: new Map(), isOneByOne: false, gpu: null },
    };
  }

  /** Files with these texts, for another model. */
  texts(texts: readonly string[], model: string): ChunkRequest {
    const request = this.request(texts.length, { spec: { command: [model] } });
    for (const [at, text] of texts.entries()) this.scratch.file(`in/f${at}`, text);
    return request;
  }

  run(
    request: ChunkRequest,
    signal: AbortSignal = new AbortController().signal,
    onResults = (): void => undefined,
  ): Promise<ChunkEnd> {
    const events = {
      starting: () => Promise.resolve(),
      mayPublish: () => Promise.resolve([]),
      results: (results: readonly FileResult[]) => {
        this.results.push(...results);
        onResults();
      },
      reused: (paths: readonly string[]) => this.reused.push(...paths),
      usage: (sample: UsageSample) => this.usage.push(sample),
      measured: () => undefined,
    };
    return this.runner.run(request, events, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.stop();
    this.scratch[Symbol.dispose]();
  }
}

describe("chunk of a model", () => {
  test("ends with a row for each file, counted with the model and what it runs on", async () => {
    await using fixture = new RunnerFixture();
    const request = fixture.request(20);
    expect(await fixture.run(request)).toMatchObject({ kind: "done", notRun: [] });
    expect(fixture.results).toHaveLength(20);
    const [told] = fixture.told;
    expect(fixture.results[0]).toMatchObject({
      ...{ outcome: "succeeded", attempts: 1, inputBytes: 1, workerId: "w", binarySha256: told?.model.sha256 },
      inference: { label: "one", confidence: 0.8 },
    });
    expect(fixture.runner.facesOf(request.spec)).toEqual({ model: "tiny", provider: "cpu" });
    const text = await fixture.metrics.expose();
    expect(text).toMatch(/headroom_inference_batch_files_sum\{model="tiny",provider="cpu"\} 20/);
    expect(text).toMatch(/headroom_inference_ceiling_files\{model="tiny",up_to_bytes="\+Inf"\} 8/);
    expect(text).toMatch(/headroom_inference_duration_seconds_count\{model="tiny",provider="cpu"\} \d+/);
  });

  test("counts the tokens of texts that went in, without padding", async () => {
    await using fixture = new RunnerFixture();
    const tokenizer = wordTokenizer({ "[UNK]": 0, one: 1, two: 2 });
    const model = textModel(fixture.scratch, tokenizer, { max_tokens: 3 });
    await fixture.run(fixture.texts(["one two", "two two two two", "one"], model));
    const text = await fixture.metrics.expose();
    expect(text).toContain('headroom_inference_tokens_total{model="tiny",provider="cpu",kind="in"} 6');
    expect(text).toContain('headroom_inference_tokens_total{model="tiny",provider="cpu",kind="out"} 0');
  });

  test("counts the tokens of prompts and of answers that a model wrote", async () => {
    await using fixture = new RunnerFixture();
    const texts = ["one", "one two three"];
    await fixture.run(fixture.texts(texts, llamaFolder));
    const session = { inputNames: [], run: () => Promise.reject(new Error("expected no call")) };
    const generator = generatorOf(session);
    const read = texts.reduce((sum, text) => sum + generator.promptOf(text).length, 0);
    const wrote = fixture.results.reduce((sum, { inference }) => {
      if (inference?.value.task !== "generate") expect.fail("expected an answer");
      return sum + llamaCodec.encode(JSON.stringify(inference.value.answer)).length;
    }, 0);
    const text = await fixture.metrics.expose();
    expect(text).toContain(`headroom_inference_tokens_total{model="extract-llama",provider="cpu",kind="in"} ${read}`);
    expect(text).toContain(`headroom_inference_tokens_total{model="extract-llama",provider="cpu",kind="out"} ${wrote}`);
  });

  test("shares the engine with the others of its worker", async () => {
    await using fixture = new RunnerFixture();
    await Promise.all([fixture.run(fixture.request(200)), fixture.run(fixture.request(200))]);
    expect(fixture.results).toHaveLength(400);
    const lease = fixture.pool.lease(fixture.model);
    expect(lease.engine.facts.loaded).toBeDefined();
    expect(new Set(fixture.told.map(({ loadMs }) => loadMs)).size).toBe(1);
    lease.release();
  });

  test("does not run again what an earlier epoch has", async () => {
    await using fixture = new RunnerFixture();
    await fixture.run(fixture.request(3));
    const known = new Map(fixture.results.map((row) => [row.path, row]));
    fixture.results.length = 0;
    const second = fixture.request(3, { known });
    fixture.scratch.file("in/f1", Buffer.from([0]));
    expect(await fixture.run(second)).toMatchObject({ kind: "done" });
    expect(fixture.reused.toSorted()).toEqual(["f0", "f2"]);
    expect(fixture.results).toMatchObject([{ path: "f1", inference: { label: "zero" } }]);
  });

  test("gives back what it has not done when it is aborted", async () => {
    await using fixture = new RunnerFixture();
    const abort = new AbortController();
    const request = fixture.request(500);
    const end = await fixture.run(request, abort.signal, () => {
      abort.abort(new Error("stop"));
    });
    expect(end.kind).toBe("aborted");
    expect(fixture.results.length).toBeGreaterThan(0);
    expect(end.notRun.length + fixture.results.length).toBe(500);
    expect(end.notRun.length).toBeGreaterThan(0);
  });

  test("fails for lack of memory when the governor ends it, and its engine is gone", async () => {
    await using fixture = new RunnerFixture();
    const request = fixture.request(500);
    const lease = fixture.pool.lease(fixture.model);
    await lease.engine.ready();
    const { pid } = lease.engine.facts;
    const end = await fixture.run(request, undefined, () => {
      fixture.runner.evict(request.chunkId, "the machine is full");
    });
    lease.release();
    expect(end).toMatchObject({ kind: "done", notRun: [] });
    expect(fixture.results).toHaveLength(500);
    const failed = fixture.results.filter(({ outcome }) => outcome === "failed");
    expect(failed[0]).toMatchObject({
      failureClass: "out-of-memory",
      message: "ended by the governor: the machine is full",
    });
    await expect.poll(() => lease.engine.facts.pid).not.toBe(pid);
  });

  test.each<[string, (model: string, folder: string) => { allow?: Allow; spec?: object }, RegExp]>([
    [
      "lies where nothing may be read",
      (_model, folder) => ({ allow: { read: [join(folder, "in")] } }),
      /^command\[0\]: expected a folder inside one of allow\.read/,
    ],
    [
      "is not the one that was pinned",
      () => ({ spec: { binarySha256: "0".repeat(64) } }),
      /^expected the model .* with SHA-256 0{64}, found [0-9a-f]{64}$/,
    ],
    [
      "lies in no folder of models",
      (_model, folder) => ({ allow: { models: [{ path: join(folder, "models") }] } }),
      /^command\[0\]: expected a model inside a folder of allow\.models/,
    ],
    [
      "is not the one that the operator pinned",
      () => ({ allow: { models: [{ path: "/", sha256: "0".repeat(64) }] } }),
      /^expected the model .* with SHA-256 0{64}, found [0-9a-f]{64}$/,
    ],
    [
      "is not there",
      () => ({ spec: { command: ["/nowhere/model"] } }),
      /^\/nowhere\/model\/model\.yaml: expected a manifest/,
    ],
  ])("fails its files as a matter of policy when the model %s", async (_name, make, message) => {
    using place = new Scratch();
    const { allow, spec } = make("model", place.path);
    await using fixture = new RunnerFixture(allow);
    const end = await fixture.run(fixture.request(2, spec === undefined ? {} : { spec }));
    expect(end).toMatchObject({ kind: "done", notRun: [] });
    expect(fixture.results.map(({ failureClass }) => failureClass)).toEqual(["policy", "policy"]);
    expect(fixture.results[0]?.message).toMatch(message);
  });
});
