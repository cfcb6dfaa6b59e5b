/**
 * What a resume would make of each input of its run, by the code that decides it when a chunk is run: inputs, binaries and
 * outputs are read, nothing is started and nothing is written.
 */
import { faultsLine, InfrastructureError, messageOf } from "../contract/errors.ts";
import type { FileEntry } from "../contract/files.ts";
import type { Outcome } from "../contract/outcomes.ts";
import { loadModel, type ModelFolder } from "../platform/models/model-folder.ts";
import type { PolicyGate } from "../platform/policy-gate.ts";
import type { LiveRun } from "../platform/run-hash.ts";
import type { FileTable } from "../store/store.ts";
import type { ChunkRequest } from "./executor/chunk-request.ts";
import { InputReader } from "./executor/open-input.ts";
import { openPreparer } from "./executor/prepare.ts";
import { knownInput } from "./inference/infer-chunk.ts";
import { pinFailure } from "./inference/infer-runner.ts";
import { knownOf, quarantinedOf, type Blame } from "./result/chunk-plan.ts";
import { argsSha256, BinaryDigests } from "./result/digests.ts";

export type Foreseen =
  /** `before`: what became of it the last time; undefined for one that the run does not know. */
  | { readonly kind: "runs"; readonly before: Outcome | undefined }
  | { readonly kind: "reused" }
  /** It fails before it is started. */
  | { readonly kind: "fails"; readonly message: string };

type Look = { readonly kind: "runs" } | Exclude<Foreseen, { kind: "runs" }>;

export interface ForecastDeps {
  readonly files: Pick<FileTable, "get">;
  readonly gate: Pick<PolicyGate, "decide">;
  readonly blame: Pick<Blame, "crashes">;
  /** Ends the reading of files, which may take long. */
  readonly signal?: AbortSignal;
}

export class ResumeForecast {
  readonly #deps: ForecastDeps;
  readonly #run: LiveRun;
  readonly #binaries = new BinaryDigests();
  #model: Promise<ModelFolder> | undefined;

  /** `run` as it would be begun anew, with its next epoch. */
  constructor(deps: ForecastDeps, run: LiveRun) {
    this.#deps = deps;
    this.#run = run;
  }

  /**
   * One answer for each of the files, in their order.
   * @throws {InfrastructureError} when a binary cannot be read here; a resume would look for it on every worker
   */
  async of(files: readonly FileEntry[]): Promise<Foreseen[]> {
    const { runId, epoch, spec } = this.#run;
    const rows = await this.#deps.files.get(
      runId,
      files.map(({ path }) => path),
    );
    const outcomes = new Map(rows.map(({ path, outcome }) => [path, outcome]));
    const request: ChunkRequest = {
      ...{ chunkId: "", runId, epoch, workerId: "", token: "", spec, files, gpu: null },
      known: knownOf(rows, this.#run),
      quarantined: quarantinedOf(this.#deps.blame.crashes),
      ...{ intents: new Map(), suspects: new Map(), isOneByOne: false },
    };
    const looks = await this.#lookAt(request);
    return looks.map((look, at) =>
      look.kind === "runs" ? { kind: "runs", before: outcomes.get(files[at]?.path ?? "") } : look,
    );
  }

  #lookAt(request: ChunkRequest): Promise<readonly Look[]> {
    switch (request.spec.executor) {
      case "process":
        return this.#processes(request);
      case "infer":
        return this.#answers(request);
      case "noop":
      case "flow":
        return Promise.resolve(request.files.map(() => ({ kind: "runs" })));
    }
  }

  async #processes(request: ChunkRequest): Promise<readonly Look[]> {
    const { policy, preparer } = openPreparer(request, { gate: this.#deps.gate, binaries: this.#binaries });
    if (policy.kind === "refused") return allFail(request, faultsLine(policy.faults));
    const failure = await preparer.checkBinaries(policy.pins);
    if (failure?.class === "infrastructure") {
      throw new InfrastructureError(`a resume is told by the digest of its binary: ${failure.message}`);
    }
    if (failure !== null) return allFail(request, failure.message);
    const looks: Look[] = [];
    for (const file of request.files) {
      this.#deps.signal?.throwIfAborted();
      // The check of an input is a command, so what it says is not asked for.
      looks.push(
        await looked(async () => {
          const prepared = await preparer.prepare(file, () => Promise.resolve(null));
          if (prepared.kind === "result") return { kind: "fails", message: prepared.result.message ?? "" };
          return { kind: prepared.kind === "reused" ? "reused" : "runs" };
        }),
      );
    }
    return looks;
  }

  async #answers(request: ChunkRequest): Promise<readonly Look[]> {
    const decision = this.#deps.gate.decide(request.spec);
    if (decision.kind === "refused") return allFail(request, faultsLine(decision.faults));
    this.#model ??= loadModel(decision.spec.command[0] ?? "");
    const model = await this.#model;
    const failure = pinFailure(model, request.spec, decision);
    if (failure !== null) return allFail(request, failure.message);
    const reader = new InputReader(request.spec, decision.inputRoot);
    const about = { modelSha256: model.sha256, argsSha256: argsSha256(request.spec) };
    const looks: Look[] = [];
    for (const { path } of request.files) {
      this.#deps.signal?.throwIfAborted();
      looks.push(
        await looked(async () => {
          const read = await reader.read(path);
          if ("class" in read) return { kind: "fails", message: read.message };
          return { kind: read.sha256 === knownInput(request, path, about) ? "reused" : "runs" };
        }),
      );
    }
    return looks;
  }
}

function allFail({ files }: Pick<ChunkRequest, "files">, message: string): Look[] {
  return files.map(() => ({ kind: "fails", message }));
}

async function looked(look: () => Promise<Look>): Promise<Look> {
  try {
    return await look();
  } catch (error) {
    return { kind: "fails", message: `could not prepare the file: ${messageOf(error)}` };
  }
}
