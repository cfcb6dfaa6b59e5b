/** The executor that does nothing: every file succeeds at once. For measuring what the queue and the store cost. */
import { setImmediate } from "node:timers/promises";
import type { FileResult } from "../../contract/files.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "./chunk-request.ts";

/** Results made before the event loop gets a turn: some 2 ms of work. */
const SLICE = 1_024;

export async function runNoop(request: ChunkRequest, events: ChunkEvents, signal: AbortSignal): Promise<ChunkEnd> {
  const { files, workerId } = request;
  for (let at = 0; at < files.length; at += SLICE) {
    if (at > 0) await setImmediate();
    if (signal.aborted) return { kind: "aborted", notRun: files.slice(at), interrupted: [], postponed: [], fenced: [] };
    const startedAtMs = Date.now();
    events.results(files.slice(at, at + SLICE).map((file) => noopResult(file, workerId, startedAtMs)));
  }
  return { kind: "done", notRun: [], interrupted: [], postponed: [], fenced: [] };
}

function noopResult(file: ChunkRequest["files"][number], workerId: string, startedAtMs: number): FileResult {
  return {
    index: file.index,
    path: file.path,
    outcome: "succeeded",
    failureClass: null,
    message: null,
    exitCode: null,
    signal: null,
    attempts: 1,
    startedAtMs,
    durationMs: 0,
    cpuMs: 0,
    peakBytes: null,
    inputBytes: file.bytes,
    inputSha256: null,
    binarySha256: null,
    argsSha256: null,
    outputPath: null,
    outputBytes: null,
    outputSha256: null,
    log: null,
    workerId,
  };
}
