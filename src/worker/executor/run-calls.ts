/** Runs the calls of one job, nodes of a flow, one after the other, each with a specification of its own. */
import type { FileEntry } from "../../contract/files.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "./chunk-request.ts";
import type { ChunkRunner } from "./chunk-runner.ts";
import type { NodeCancels } from "./node-cancels.ts";

export interface CallsToRun {
  /** What the calls have in common. */
  readonly request: ChunkRequest;
  readonly specs: ReadonlyMap<string, RunSpec>;
  readonly cancels: NodeCancels;
  /** Told of what happens to one of them. */
  readonly eventsOf: (spec: RunSpec) => ChunkEvents;
}

/** A call that is cancelled has its row already: it is left out of what ended, and of what did not run. */
export async function runCalls(
  runner: Pick<ChunkRunner, "run">,
  calls: CallsToRun,
  signal: AbortSignal,
): Promise<ChunkEnd> {
  // Once for all of them: a signal that hangs on two others costs more than a call of nothing.
  const onAbort = () => {
    calls.cancels.abort(signal.reason);
  };
  signal.addEventListener("abort", onAbort);
  try {
    return await runInTurn(runner, calls, signal);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function runInTurn(
  runner: Pick<ChunkRunner, "run">,
  { request, specs, cancels, eventsOf }: CallsToRun,
  signal: AbortSignal,
): Promise<ChunkEnd> {
  const ends: ChunkEnd[] = [];
  const { files } = request;
  for (const [at, file] of files.entries()) {
    const spec = specs.get(file.path);
    if (spec === undefined || cancels.isCancelled(file.path)) continue;
    if (signal.aborted) return sumOf([...ends, stoppedBefore(files.slice(at))]);
    const end = await cancels.run(file.path, (stop) =>
      runner.run({ ...request, spec, files: [file] }, eventsOf(spec), stop),
    );
    if (cancels.isCancelled(file.path)) continue;
    ends.push(end);
    if (end.kind !== "done" || end.error !== undefined) return sumOf([...ends, stoppedBefore(files.slice(at + 1))]);
  }
  return sumOf(ends);
}

function stoppedBefore(files: readonly FileEntry[]): ChunkEnd {
  return { kind: "done", notRun: files, interrupted: [], postponed: [], fenced: [] };
}

/** The first end that is none of its own accord says how all ended. */
function sumOf(ends: readonly ChunkEnd[]): ChunkEnd {
  const stopped = ends.find(({ kind }) => kind !== "done");
  const error = ends.find((end) => end.error !== undefined)?.error;
  const suspendedMs = ends.reduce((sum, end) => sum + (end.suspendedMs ?? 0), 0);
  return {
    kind: stopped?.kind ?? "done",
    notRun: ends.flatMap(({ notRun }) => notRun),
    interrupted: ends.flatMap(({ interrupted }) => interrupted),
    postponed: ends.flatMap(({ postponed }) => postponed),
    fenced: ends.flatMap(({ fenced }) => fenced),
    ...(suspendedMs > 0 && { suspendedMs }),
    ...(error !== undefined && { error }),
  };
}
