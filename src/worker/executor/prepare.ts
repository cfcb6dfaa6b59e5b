/** Makes a file ready to be run, or says why it is not run: bad input, quarantine, an output that is there already. */
import { rmSync, statSync } from "node:fs";
import { posix } from "node:path";
import type { FileEntry, FileResult, KeptFile } from "../../contract/files.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import { outputNameFor } from "../../contract/output-names.ts";
import { expand, INPUTS, pathPlaceholders } from "../../contract/template.ts";
import { crashDigest } from "../../platform/crash-digest.ts";
import type { Pin, PolicyDecision, PolicyGate } from "../../platform/policy-gate.ts";
import { argsSha256, hashFileOfSize, type BinaryDigests } from "../result/digests.ts";
import { errnoOf } from "../result/errno.ts";
import { classify, type Failure } from "../result/outcome.ts";
import { withLosses } from "../result/suspicion.ts";
import { TargetPlan, type Target } from "../result/target.ts";
import { placesOf } from "./sandbox.ts";
import { slotProcess, type Call, type ReadyInput } from "./call.ts";
import type { ChunkRequest, KnownOutput } from "./chunk-request.ts";
import { FileResults } from "./file-results.ts";
import { InputReader, type OpenedInput } from "./open-input.ts";

export type Preparation =
  | { readonly kind: "ready"; readonly ready: ReadyInput }
  | { readonly kind: "result"; readonly result: FileResult }
  | { readonly kind: "reused"; readonly path: string }
  | { readonly kind: "postponed"; readonly file: FileEntry };

/** Runs a check command to its end; null when it says yes. */
export type RunCheck = (argv: readonly string[], what: "input" | "output") => Promise<Failure | null>;

/** What makes the files of a chunk ready. */
interface OpenedPreparer {
  readonly policy: PolicyDecision;
  /** With what was allowed in the place of what was asked for. */
  readonly request: ChunkRequest;
  readonly results: FileResults;
  readonly preparer: Preparer;
}

export function openPreparer(
  asked: ChunkRequest,
  { gate, binaries }: { readonly gate: Pick<PolicyGate, "decide">; readonly binaries: BinaryDigests },
): OpenedPreparer {
  const policy = gate.decide(asked.spec);
  const allowed = policy.kind === "allowed" ? policy : undefined;
  // What was asked for is what the digest is of; what was allowed is what is started.
  const digest = argsSha256(asked.spec);
  const request = { ...asked, spec: allowed?.spec ?? asked.spec };
  const results = new FileResults(request, digest);
  const parts = { argsSha256: digest, binaries, inputRoot: allowed?.inputRoot };
  return { policy, request, results, preparer: new Preparer(request, results, parts) };
}

export class Preparer {
  readonly #request: ChunkRequest;
  readonly #results: FileResults;
  readonly #argsSha256: string;
  readonly #binaries: BinaryDigests;
  readonly #inputs: InputReader;
  readonly #targets: TargetPlan;
  readonly #inputPaths: ReadonlySet<string>;

  constructor(
    request: ChunkRequest,
    results: FileResults,
    parts: { readonly argsSha256: string; readonly binaries: BinaryDigests; readonly inputRoot: string | undefined },
  ) {
    this.#request = request;
    this.#results = results;
    this.#argsSha256 = parts.argsSha256;
    this.#binaries = parts.binaries;
    this.#inputs = new InputReader(request.spec, parts.inputRoot);
    this.#targets = new TargetPlan(request.spec, request);
    this.#inputPaths = new Set(request.files.map((file) => this.#inputs.pathOf(file.path)));
  }

  get binary(): string {
    return this.#request.spec.command[0] ?? "";
  }

  /** Reads the binary's digest, and compares digests with those that the run and the operator have pinned. */
  async checkBinaries(pins: readonly Pin[]): Promise<Failure | null> {
    const { binarySha256: pinned } = this.#request.spec;
    const own = pinned === undefined ? [] : [{ binary: this.binary, sha256: [pinned] }];
    try {
      this.#results.binarySha256 = await this.#binaries.digestOf(this.binary);
    } catch (error) {
      const isPinned = [...own, ...pins].some(({ binary }) => binary === this.binary);
      const failure = this.#binaryFailure(errnoOf(error), this.binary, isPinned);
      if (failure !== null) return failure;
    }
    for (const pin of [...own, ...pins]) {
      const failure = await this.#checkPin(pin);
      if (failure !== null) return failure;
    }
    return null;
  }

  async #checkPin({ binary, sha256 }: Pin): Promise<Failure | null> {
    try {
      const found = await this.#binaries.digestOf(binary);
      if (sha256.includes(found)) return null;
      return { class: "policy", message: `expected ${binary} with SHA-256 ${sha256.join(" or ")}, found ${found}` };
    } catch (error) {
      return this.#binaryFailure(errnoOf(error), binary, true);
    }
  }

  async prepare(file: FileEntry, check: RunCheck): Promise<Preparation> {
    const input = await this.#inputs.read(file.path);
    if ("class" in input) return this.#notRun(file, input, null);
    let relative: string | null = null;
    if (this.#request.spec.output.from !== "none") {
      const named = this.#targets.relativeOf(file);
      if (typeof named !== "string") return this.#notRun(file, named, input);
      relative = named;
    }
    const { binarySha256 } = this.#results;
    const digest = crashDigest({ binarySha256, argsSha256: this.#argsSha256, inputSha256: input.sha256 }) ?? "";
    if (this.#request.quarantined.has(digest)) {
      return { kind: "result", result: this.#results.quarantined(file, input) };
    }
    // Of a call over many files, the output is that of all of them: see `reusableOf`.
    if (!this.#request.spec.perChunk) {
      if (await this.#isReusable(file, input, relative)) return { kind: "reused", path: file.path };
      const adopted = relative === null ? null : await this.#adopt(file, input, relative);
      if (adopted !== null) return { kind: "result", result: adopted };
    }
    const losses = this.#request.suspects.get(digest);
    if (losses !== undefined) return { kind: "postponed", file: withLosses(file, losses) };
    const refusal = await this.#checkInput(input, check);
    if (refusal !== null) return this.#notRun(file, refusal, input);
    return { kind: "ready", ready: { file, input, crashDigest: digest, outputPath: relative } };
  }

  /**
   * The inputs of calls over many files that an earlier epoch made just so: all inputs of a call are here, none of them
   * has changed, and its output still stands. When one of them has changed or is gone, the whole call is made again.
   */
  async reusableOf(ready: readonly ReadyInput[]): Promise<ReadonlySet<ReadyInput>> {
    const calls = new Map<string, ReadyInput[]>();
    if (this.#request.spec.fresh === true) return new Set();
    for (const one of ready) {
      const args = this.#request.known.get(one.file.path)?.argsSha256;
      if (args == null) continue;
      const inputs = calls.get(args) ?? [];
      inputs.push(one);
      calls.set(args, inputs);
    }
    const reusable = new Set<ReadyInput>();
    for (const [args, inputs] of calls) {
      if (args !== this.#results.joinedArgsOf(inputs)) continue;
      const rows = inputs.map(({ file }) => this.#request.known.get(file.path));
      const { binarySha256 } = this.#results;
      if (binarySha256 === null || rows.some((row) => row?.binarySha256 !== binarySha256)) continue;
      if (await this.#stands(rows.find((row) => row?.outputPath != null))) {
        for (const input of inputs) reusable.add(input);
      }
    }
    return reusable;
  }

  async #stands(row: KnownOutput | undefined): Promise<boolean> {
    if (row?.outputPath == null) return this.#request.spec.output.from === "none";
    if (row.outputSha256 === null) return false;
    return (await hashFileOfSize(this.#targets.absolute(row.outputPath), row.outputBytes)) === row.outputSha256;
  }

  /**
   * Removes outputs of earlier calls over many files that this one has replaced under another name. Only what is still
   * as it was made, and whose name is that of an input of this call, so no other call can have it.
   */
  async removeReplaced({ inputs, target }: Call): Promise<void> {
    const { spec, known, runId } = this.#request;
    if (!spec.perChunk || target === null) return;
    for (const { file } of inputs) {
      const row = known.get(file.path);
      if (row?.outputPath == null || row.outputPath === target.relative) continue;
      const isOwn =
        !spec.output.name.includes("{index}") && outputNameFor(spec, file.path, file.index, runId) === row.outputPath;
      if (isOwn && (await this.#stands(row))) rmSync(fsPath(this.#targets.absolute(row.outputPath)), { force: true });
    }
  }

  /** The call for one file, or why there is none. */
  callOf(ready: ReadyInput): Call | Failure {
    const target = this.#claim(ready);
    if (target !== null && "class" in target) return target;
    const { spec, runId } = this.#request;
    const { path } = ready.input;
    const values = {
      ...pathPlaceholders(ready.file.path, ready.file.index, runId),
      input: path,
      input_file: path,
      ...(target === null ? {} : { output: target.temp, output_file: target.temp }),
    };
    const argv = [this.binary, ...spec.command.slice(1).map((argument) => expand(argument, values))];
    const { left } = spec.output;
    const transcript = target === null || left === undefined ? null : this.#targets.beside(target, left.transcript);
    if (transcript !== null && "class" in transcript) return transcript;
    // What it leaves is fetched from where it works: it has nothing to write where that is put.
    const places = placesOf([path], left === undefined ? target?.temp : undefined, spec.folder);
    return { ...slotProcess(argv, ready.input.bytes, places), inputs: [ready], target, transcript };
  }

  /** One call for several files; its output has the name of the first one's. */
  joinedCallOf(inputs: Call["inputs"]): Call | Failure {
    const target = this.#claim(inputs[0]);
    if (target !== null && "class" in target) return target;
    const output = target === null ? {} : { output: target.temp, output_file: target.temp };
    const values = { run: this.#request.runId, ...output };
    const argv = this.#request.spec.command
      .slice(1)
      .flatMap((argument) =>
        argument === INPUTS ? inputs.map(({ input }) => input.path) : [expand(argument, values)],
      );
    const inputBytes = inputs.reduce((sum, { input }) => sum + input.bytes, 0);
    const places = placesOf(
      inputs.map(({ input }) => input.path),
      target?.temp,
      this.#request.spec.folder,
    );
    return { ...slotProcess([this.binary, ...argv], inputBytes, places), inputs, target, transcript: null };
  }

  /** A check command with its placeholder filled in. */
  static checkArgv(check: readonly string[], values: { input?: string; output?: string }): string[] {
    const { input, output } = values;
    const all = {
      ...(input === undefined ? {} : { input, input_file: input }),
      ...(output === undefined ? {} : { output, output_file: output }),
    };
    return check.map((argument) => expand(argument, all));
  }

  #notRun(file: FileEntry, failure: Failure, input: OpenedInput | null): Preparation {
    return { kind: "result", result: this.#results.notStarted(file, failure, input) };
  }

  async #checkInput(input: OpenedInput, check: RunCheck): Promise<Failure | null> {
    const command = this.#request.spec.inputRules.check;
    return command === undefined ? null : check(Preparer.checkArgv(command, { input: input.path }), "input");
  }

  /** A binary that may be run but not read has no digest; that is only wrong when one was asked for. */
  #binaryFailure(errno: string, binary: string, isPinned: boolean): Failure | null {
    if (errno === "EACCES" && !isPinned) return null;
    const end = { kind: "not-started", stage: "exec", errno } as const;
    const { successExitCodes, timeoutMs } = this.#request.spec;
    const calm = { stop: null, stopMessage: null, sawMemoryKill: false, isDiskFull: false, maxOutputBytes: 0 };
    return classify(end, { binary, successExitCodes, timeoutMs, ...calm });
  }

  #claim({ outputPath, file }: ReadyInput): Target | Failure | null {
    if (outputPath === null) return null;
    const target = this.#targets.claim(outputPath, file.index);
    if ("class" in target) return target;
    const name = target.relative.slice(target.relative.lastIndexOf("/") + 1);
    const real = `${this.#targets.realFolder(target.folder)}/${name}`;
    const isInput = this.#inputPaths.has(target.path) || this.#inputs.isEntry(real, this.#inputPaths);
    if (!isInput) return target;
    return { class: "policy", message: "expected an output that is no input, found the path of an input file" };
  }

  /** Whether an earlier epoch made exactly this, and it is still there. */
  async #isReusable(file: FileEntry, input: OpenedInput, relative: string | null): Promise<boolean> {
    const known = this.#request.known.get(file.path);
    const isSame =
      this.#request.spec.fresh !== true &&
      known?.inputSha256 === input.sha256 &&
      known.binarySha256 !== null &&
      known.binarySha256 === this.#results.binarySha256 &&
      known.argsSha256 === this.#argsSha256;
    if (!isSame) return false;
    if (known.outputPath !== relative) return false;
    return this.#stands(known);
  }

  /** The transcript that was published with an output. */
  async #transcriptBeside(relative: string): Promise<KeptFile | undefined> {
    const { left } = this.#request.spec.output;
    if (left === undefined) return undefined;
    const path = posix.join(posix.dirname(relative), left.transcript);
    const sha256 = await hashFileOfSize(this.#targets.absolute(path), null);
    if (sha256 === undefined) return undefined;
    return { path, bytes: statSync(fsPath(this.#targets.absolute(path))).size, sha256 };
  }

  /**
   * An output that stands whole under its name because a worker was lost between the rename and the row. It is only
   * taken when the input has not been touched since, for the intent names no input digest.
   */
  async #adopt(file: FileEntry, input: OpenedInput, relative: string): Promise<FileResult | null> {
    const intended = this.#request.intents.get(file.path);
    if (intended === undefined) return null;
    const path = this.#targets.absolute(relative);
    if ((await hashFileOfSize(path, null)) !== intended) return null;
    const target = statSync(fsPath(path));
    const source = statSync(fsPath(input.path));
    // Not newer by the clock of the file system, which ticks in milliseconds: equal is not old enough.
    if (Math.max(source.mtimeMs, source.ctimeMs) >= target.ctimeMs) return null;
    const kept = { path: relative, bytes: target.size, sha256: intended };
    return this.#results.adopted(file, input, kept, await this.#transcriptBeside(relative));
  }
}
