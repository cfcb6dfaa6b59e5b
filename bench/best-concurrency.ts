/**
 * Bar: CPU-bound, waiting and mixed loads of real programs, without any setting: at least 0.95 of the throughput of the best
 * fixed number of processes at a time, found by search. All sides are workers of ours, so what differs is only how many
 * processes they run; each has measured the kinds of jobs once before it is timed.
 *
 * - `cpu`: `gzip -9` over files of 256 KiB to 4 MiB; `wait`: a program that waits for 250 ms, as one that asks a server does;
 *   `disk`: `dd` of 256 KiB, synchronous with each block of 64 KiB; `mixed`: all three at the same time, a run each.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "../src/producer/client.ts";
import { seeded } from "../tests/support/seeded.ts";
import { startBenchCluster } from "./shared/cluster.ts";
import { report, round, scratch } from "./shared/support.ts";

const FIXED = (process.env["BENCH_FIXED"] ?? "1,2,3,4,8,16,32").split(",").map(Number);
const loads: Readonly<Record<string, readonly Part[]>> = {
  cpu: ["gzip"],
  wait: ["sleep"],
  disk: ["dd"],
  mixed: ["gzip", "sleep", "dd"],
};
type Part = "gzip" | "sleep" | "dd";

const commands: Readonly<
  Record<Part, { readonly command: readonly string[]; readonly from: "stdout" | "file" | "none" }>
> = {
  gzip: { command: ["/usr/bin/gzip", "-9", "-c", "{input}"], from: "stdout" },
  sleep: { command: ["/usr/bin/sleep", "0.25"], from: "none" },
  dd: { command: ["/usr/bin/dd", "if={input}", "of={output}", "bs=64k", "oflag=dsync", "status=none"], from: "file" },
};
const counts: Readonly<Record<Part, number>> = { gzip: 60, sleep: 240, dd: 120 };

using folder = scratch("concurrency");
const random = seeded(3);
for (const part of Object.keys(counts) as Part[]) {
  mkdirSync(join(folder.path, part));
  for (let at = 0; at < counts[part]; at += 1) {
    const bytes = part === "gzip" ? 2 ** (18 + 4 * random()) : part === "dd" ? 2 ** 18 : 1;
    // Text that gzip has to work on: words in an order of chance.
    const words = Array.from({ length: Math.ceil(bytes / 8) }, () =>
      Math.floor(1e7 * random())
        .toString(36)
        .padEnd(8),
    );
    writeFileSync(join(folder.path, part, `f${at}`), words.join("").slice(0, Math.ceil(bytes)));
  }
}

let outputs = 0;
async function seconds(client: Client, parts: readonly Part[]): Promise<number> {
  outputs += 1;
  const started = performance.now();
  const runs = await Promise.all(
    parts.map((part) =>
      client.run({
        command: [...commands[part].command],
        input: { kind: "tree", root: join(folder.path, part) },
        output: { from: commands[part].from, root: join(folder.path, `out-${outputs}-${part}`) },
        profile: part,
      }),
    ),
  );
  for (const { run } of runs) {
    const { counts: ended } = await client.wait(run.id);
    if (ended.succeeded !== ended.total) throw new Error(`expected no failures, found ${JSON.stringify(ended)}`);
  }
  return (performance.now() - started) / 1_000;
}

async function measure(maxProcesses: number | undefined): Promise<Map<string, number>> {
  const at = join(folder.path, `cluster-${maxProcesses ?? "auto"}`);
  mkdirSync(at);
  await using cluster = await startBenchCluster({ folder: at, ...(maxProcesses !== undefined && { maxProcesses }) });
  const found = new Map<string, number>();
  await seconds(cluster.client, ["gzip", "sleep", "dd"]);
  for (const [name, parts] of Object.entries(loads)) found.set(name, await seconds(cluster.client, parts));
  return found;
}

const auto = await measure(undefined);
const fixed = new Map<number, Map<string, number>>();
for (const processes of FIXED) fixed.set(processes, await measure(processes));
const figures = Object.keys(loads).map((load) => {
  const tried = [...fixed].map(([processes, times]) => ({ processes, seconds: times.get(load) ?? Infinity }));
  const best = tried.reduce((least, one) => (one.seconds < least.seconds ? one : least));
  const own = auto.get(load) ?? Infinity;
  const told = { seconds: round(own, 2), bestFixed: best.processes, bestSeconds: round(best.seconds, 2) };
  return [load, { ...told, ratio: round(best.seconds / own) }] as const;
});
report("best-concurrency", { ...Object.fromEntries(figures), bar: "each ratio >= 0.95" });
