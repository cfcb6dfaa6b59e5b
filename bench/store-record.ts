/**
 * Claim: the embedded store takes at least 60,000 file results per second, in batches of 1,000, end to end from the
 * process that records them. Beside it, in the same run, the counts and the figures over all those rows.
 */
import type { FileResult } from "../src/contract/files.ts";
import { runSpec } from "../src/contract/run-spec.ts";
import { openStore } from "../src/store/open-store.ts";
import { report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 200_000);
const BATCH = 1_000;
const EXPECTED_PER_SECOND = 60_000;

function resultOf(index: number): FileResult {
  const path = `folder-${Math.floor(index / 500)}/file-${index}.txt`;
  return {
    index,
    path,
    outcome: "succeeded",
    failureClass: null,
    message: null,
    exitCode: 0,
    signal: null,
    attempts: 1,
    startedAtMs: 1_700_000_000_000 + index,
    durationMs: (index * 7_919) % 1_000,
    cpuMs: 2.5,
    peakBytes: 4_096_000,
    inputBytes: 1_234,
    inputSha256: "a".repeat(64),
    binarySha256: "b".repeat(64),
    argsSha256: "c".repeat(64),
    outputPath: `${path}.output`,
    outputBytes: 65,
    outputSha256: "d".repeat(64),
    log: "",
    workerId: "bench",
  };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}

using folder = scratch("store");
await using store = await openStore(`sqlite:${folder.path}/headroom.db`, { warn: () => undefined });
await store.migrate();
const spec = runSpec.parse({
  command: ["/bin/true"],
  input: { kind: "synthetic", root: "/", count: FILES },
  output: { root: "/", from: "none" },
});
await store.runs.create({ id: "bench", spec, createdAtMs: 1 });

let seconds = 0;
for (let first = 0; first < FILES; first += BATCH) {
  const rows = Array.from({ length: Math.min(BATCH, FILES - first) }, (_, at) => resultOf(first + at));
  seconds += await secondsOf(() => store.files.record("bench", 0, rows));
}
const rowsPerSecond = FILES / seconds;
report("store-record", {
  files: FILES,
  rowsPerSecond: Math.round(rowsPerSecond),
  ratio: round(rowsPerSecond / EXPECTED_PER_SECOND),
  countsSeconds: round(await secondsOf(() => store.files.counts("bench", 0))),
  figuresSeconds: round(await secondsOf(() => store.files.figures("bench", 0))),
});
