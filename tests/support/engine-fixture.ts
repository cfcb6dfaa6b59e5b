/** A model's engine of a test: the real process, the real runtime, files in a folder of its own. */
import { hash } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import { inputSpec, type AskedAnswer } from "../../src/contract/run-spec.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Ceiling } from "../../src/worker/inference/batch-plan.ts";
import type { EndReason, EngineSettings } from "../../src/worker/inference/engine-port.ts";
import type { FileAnswer } from "../../src/worker/inference/engine-protocol.ts";
import { ModelEngine } from "../../src/worker/inference/model-engine.ts";
import { keepingLogger } from "./quiet-logger.ts";
import { Scratch } from "./scratch.ts";

export class EngineFixture implements AsyncDisposable {
  readonly scratch = new Scratch();
  readonly engine: ModelEngine;
  readonly batches: number[] = [];
  readonly restarts: EndReason[] = [];
  readonly ceilings: Ceiling[] = [];
  /** The paths of each batch that has answers. */
  readonly told: string[][] = [];
  readonly logs: () => Record<string, unknown>[];
  shortages = 0;
  readonly #paths: string[] = [];

  /** `make` makes the folder of the model. */
  constructor(make: (scratch: Scratch) => string, settings: EngineSettings = {}) {
    const { logger, lines } = keepingLogger();
    this.logs = lines;
    const metrics = {
      batch: ({ rows }: { rows: number }) => this.batches.push(rows),
      waited: () => undefined,
      outOfMemory: () => (this.shortages += 1),
      restarted: (reason: EndReason) => this.restarts.push(reason),
      ceiling: (ceiling: Ceiling) => this.ceilings.push(ceiling),
      placed: () => undefined,
    };
    this.engine = new ModelEngine({ clock: systemClock, logger, metrics }, make(this.scratch), settings);
  }

  /** Writes an input. */
  file(path: string, content: string | Buffer): this {
    this.scratch.file(`in/${path}`, content);
    this.#paths.push(path);
    return this;
  }

  /** Hands inputs to the engine, all or these; each with its answer when all have one. */
  async ask(
    paths: readonly string[] = this.#paths,
    known?: readonly string[],
    answer?: AskedAnswer,
  ): Promise<Map<string, FileAnswer>> {
    const input = inputSpec.parse({ kind: "tree", root: this.scratch.folder("in") });
    const placeId = this.engine.addPlace({
      ...{ input, inputRules: { minBytes: 0 }, inputRoot: undefined },
      ...(answer !== undefined && { answer }),
    });
    const answers = new Map<string, FileAnswer>();
    await new Promise<void>((resolve, reject) => {
      this.engine.submit({
        placeId,
        paths,
        bytes: paths.map(
          (path) => statSync(join(this.scratch.folder("in"), path), { throwIfNoEntry: false })?.size ?? 0,
        ),
        ...(known !== undefined && { known }),
        onAnswers: (told) => {
          this.told.push(told.map(({ at }) => paths[at] ?? ""));
          for (const { at, answer } of told) {
            const path = paths[at] ?? "";
            if (answers.has(path)) reject(new Error(`expected one answer for ${path}, found a second one`));
            answers.set(path, answer);
          }
          if (answers.size === paths.length) resolve();
        },
        onBroken: reject,
      });
    });
    return answers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
    this.scratch[Symbol.dispose]();
  }
}

/** The label of a file, or why it has none. */
export function labelOf(answer: FileAnswer | undefined): string | null | undefined {
  if (answer?.kind === "answer") return answer.inference.label;
  return answer?.kind === "failure" ? `${answer.class}: ${answer.message}` : answer?.kind;
}

export function sha256(text: string): string {
  return hash("sha256", text, "hex");
}
