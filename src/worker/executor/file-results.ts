/** Makes the rows of the manifest for the files of one chunk. */
import { sumOfUsage } from "../../contract/agents.ts";
import type { FileEntry, FileResult, KeptFile } from "../../contract/files.ts";
import { joinedArgsSha256 } from "../result/digests.ts";
import type { Failure } from "../result/outcome.ts";
import type { AttemptResult } from "../result/room.ts";
import type { Call, ReadyInput } from "./call.ts";
import type { ChunkRequest } from "./chunk-request.ts";
import type { OpenedInput } from "./open-input.ts";

/** Between the monotonic clock of the launcher and the wall clock, in ms; measured again for each chunk. */
export function wallOffsetMs(): number {
  return Date.now() - Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

export class FileResults {
  readonly #request: ChunkRequest;
  readonly #argsSha256: string;
  readonly #offsetMs = wallOffsetMs();
  /** Set once the binary was read. */
  binarySha256: string | null = null;

  constructor(request: ChunkRequest, argsSha256: string) {
    this.#request = request;
    this.#argsSha256 = argsSha256;
  }

  /** A file that ended without a start. */
  notStarted(file: FileEntry, failure: Failure, input: OpenedInput | null): AttemptResult {
    return {
      ...this.#base(file, input),
      outcome: failure.class === "cancelled" ? "cancelled" : "failed",
      failureClass: failure.class,
      message: failure.message,
      ...(failure.isDiskFull && { roomBytes: 0 }),
      ...missingOf(failure),
    };
  }

  quarantined(file: FileEntry, input: OpenedInput): FileResult {
    const message = "this binary crashed on this input too often; it was not started";
    return { ...this.#base(file, input), outcome: "quarantined", failureClass: "signal", message };
  }

  /** A file whose output was published before its row could be written. */
  adopted(file: FileEntry, input: OpenedInput, output: KeptFile, transcript?: KeptFile): FileResult {
    const kept = { ...outputFields(output), ...(transcript !== undefined && { transcript }) };
    return { ...this.#base(file, input), ...kept, attempts: triesOf(file) + 1 };
  }

  /** `takenBytes`: what the unfinished output had taken up. */
  failed(call: Call, { file, input }: ReadyInput, failure: Failure, takenBytes = 0): AttemptResult {
    const wasStarted = call.end !== null && call.end.startedUs > 0;
    return {
      ...this.#base(file, input),
      ...this.#processFields(call, file),
      outcome: "failed",
      failureClass: failure.class,
      message: failure.message,
      attempts: triesOf(file) + (wasStarted ? 1 : 0),
      ...(failure.isDiskFull && { roomBytes: takenBytes }),
      ...missingOf(failure),
    };
  }

  /** A call of one input that failed and whose output is kept all the same. */
  failedWith(call: Call, failure: Failure, output: KeptFile): AttemptResult {
    return { ...this.failed(call, call.inputs[0], failure), ...outputFields(output) };
  }

  /** One row per input of the call; the first one carries the output. */
  succeeded(call: Call, output: KeptFile | null, transcript?: KeptFile): FileResult[] {
    const argsSha256 = this.#request.spec.perChunk ? this.joinedArgsOf(call.inputs) : this.#argsSha256;
    return call.inputs.map(({ file, input }, at) => ({
      ...this.#base(file, input),
      argsSha256,
      ...this.#processFields(call, file),
      ...(output === null || at > 0 ? {} : outputFields(output)),
      ...(transcript !== undefined && { transcript }),
      attempts: triesOf(file) + 1,
    }));
  }

  /** What the rows of a call over these inputs have as the digest of its arguments. */
  joinedArgsOf(inputs: readonly ReadyInput[]): string {
    const members = inputs.map(({ file, input }) => ({ path: file.path, sha256: input.sha256 }));
    return joinedArgsSha256(this.#argsSha256, members);
  }

  #base(file: FileEntry, input: OpenedInput | null): FileResult {
    return {
      index: file.index,
      path: file.path,
      outcome: "succeeded",
      failureClass: null,
      message: null,
      exitCode: null,
      signal: null,
      attempts: triesOf(file),
      startedAtMs: null,
      durationMs: null,
      cpuMs: null,
      peakBytes: null,
      inputBytes: input?.bytes ?? null,
      inputSha256: input?.sha256 ?? null,
      binarySha256: this.binarySha256,
      argsSha256: this.#argsSha256,
      outputPath: null,
      outputBytes: null,
      outputSha256: null,
      log: null,
      workerId: this.#request.workerId,
    };
  }

  #processFields(call: Call, file: FileEntry): Partial<FileResult> {
    const { end: launch } = call;
    if (launch === null) return {};
    const { end } = launch;
    const agent = sumOfUsage(file.used, call.used);
    return {
      ...(agent && { agent }),
      exitCode: end.kind === "exited" ? end.code : null,
      signal: end.kind === "signalled" ? end.signal : null,
      startedAtMs: launch.startedUs === 0 ? null : Math.round(launch.startedUs / 1_000 + this.#offsetMs),
      durationMs: launch.startedUs === 0 ? null : (launch.endedUs - launch.startedUs) / 1_000,
      cpuMs: launch.cpuMs,
      peakBytes: launch.peakBytes === 0 ? null : launch.peakBytes,
      log: launch.log,
    };
  }
}

function missingOf({ missingBinary }: Failure): Pick<AttemptResult, "missingBinary"> {
  return missingBinary === undefined ? {} : { missingBinary };
}

function outputFields({ path, bytes, sha256 }: KeptFile): Partial<FileResult> {
  return { outputPath: path, outputBytes: bytes, outputSha256: sha256 };
}

/** Starts that failed before this one. */
export function triesOf(file: FileEntry): number {
  return Object.values(file.tries ?? {}).reduce((sum, count) => sum + count, 0);
}
