/**
 * 3,000 jobs of one file each on two workers, and what is asked of a cluster whose Redis fails under them: it says that it
 * is not ready and lives on, every worker claims again within 15 s of the end of the fault, and each acknowledged run ends
 * with each of its files, once.
 */
import { expect } from "vitest";
import type { RunSpecInput } from "../../src/contract/run-request.ts";
import { MiB } from "../../src/contract/resources.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { PATIENT, type FaultCluster } from "./fault-cluster.ts";
import type { TsProcess } from "./ts-process.ts";

const FILES_PER_RUN = 100;
const JOBS = Number(process.env["HEADROOM_FAULT_JOBS"] ?? 3_000);
const WORKERS = 2;
/** How long a worker may take to claim again. */
const BACK_MS = 15_000;
const LONG = { timeout: Number(process.env["LONGMS"] ?? 180_000), interval: 100 };

/** 1 in the suite; more where the bar is measured. */
export const ROUNDS = Number(process.env["HEADROOM_FAULT_ROUNDS"] ?? 1);

/** How long a fault is to last at least. */
const FAULT_MS = Number(process.env["HEADROOM_FAULT_SECONDS"] ?? 0) * 1_000;

/** What a test of all rounds may take: as long as one of the suite for each, and the faults themselves. */
export const OF_ALL_ROUNDS = { timeout: ROUNDS * (300_000 + FAULT_MS) };

/** Resolves when a fault that began by now has lasted as long as it is to. */
export async function untilPassed(): Promise<void> {
  await systemClock.sleep(FAULT_MS);
}

export interface Fault {
  /** Breaks it; resolves when it is broken. */
  begin(): Promise<void>;
  /** Resolves when Redis takes jobs again. */
  end(): Promise<void>;
}

export class RedisLoad {
  readonly #cluster: FaultCluster;
  readonly #workers: readonly TsProcess[];
  readonly #runs: readonly string[];

  static async start(cluster: FaultCluster): Promise<RedisLoad> {
    cluster.files(FILES_PER_RUN);
    await cluster.scheduler();
    const runs: string[] = [];
    for (let at = 0; at < JOBS / FILES_PER_RUN; at += 1) runs.push(await cluster.run(specOf(cluster)));
    const workers: TsProcess[] = [];
    for (let at = 0; at < WORKERS; at += 1) workers.push(await cluster.worker({ ops: true, maxProcesses: 4 }));
    return new RedisLoad(cluster, workers, runs);
  }

  private constructor(cluster: FaultCluster, workers: readonly TsProcess[], runs: readonly string[]) {
    this.#cluster = cluster;
    this.#workers = workers;
    this.#runs = runs;
  }

  /** Redis fails once while jobs run. Returns how long the slowest worker took to claim again, in ms. */
  async rideOut(fault: Fault): Promise<number> {
    const before = await this.#succeeded();
    await expect.poll(() => this.#succeeded(), LONG).toBeGreaterThan(before + 50);
    await fault.begin();
    for (const worker of this.#workers) {
      const url = await opsUrl(worker);
      await expect
        .poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 30_000, interval: 100 })
        .toBe(503);
      expect((await fetch(`${url}/livez`)).status).toBe(200);
    }
    await fault.end();
    const endedMs = performance.now();
    const claims = this.#workers.map(claimsOf);
    await Promise.all(
      this.#workers.map((worker, at) =>
        expect.poll(() => claimsOf(worker), { timeout: BACK_MS, interval: 50 }).toBeGreaterThan(claims[at] ?? 0),
      ),
    );
    return performance.now() - endedMs;
  }

  /** Nothing that was acknowledged is lost or left lying, and no file has two results. */
  async expectWhole({ mayRepeat = 0 } = {}): Promise<void> {
    const { store } = this.#cluster;
    for (const id of this.#runs) {
      await expect.poll(async () => (await store.runs.get(id))?.state, LONG).toBe("succeeded");
      expect((await store.runs.get(id))?.counts).toMatchObject({ total: FILES_PER_RUN, succeeded: FILES_PER_RUN });
    }
    const ends = [...this.#cluster.ends().values()].reduce((sum, count) => sum + count, 0);
    expect(ends).toBeGreaterThanOrEqual(this.#runs.length * FILES_PER_RUN);
    expect(ends - this.#runs.length * FILES_PER_RUN, "processes that ran twice").toBeLessThanOrEqual(mayRepeat);
    for (const worker of this.#workers) {
      const url = await opsUrl(worker);
      await expect.poll(async () => (await fetch(`${url}/readyz`)).status, PATIENT).toBe(200);
    }
  }

  /** Lines of the workers' logs that tell of something amiss. */
  errorLines(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.output().split('"level":"warn"').length - 1, 0);
  }

  async #succeeded(): Promise<number> {
    const counts = await Promise.all(this.#runs.map((id) => this.#cluster.store.files.counts(id, 0)));
    return counts.reduce((sum, { succeeded }) => sum + succeeded, 0);
  }
}

/** A process that does next to nothing but note that it ran. */
function specOf(cluster: FaultCluster): RunSpecInput {
  return {
    command: ["/bin/sh", "-c", `echo "$1" >> "${cluster.log}"`, "job", "{input}"],
    input: { kind: "tree", root: cluster.input },
    output: { root: cluster.output, from: "none" },
    chunk: { maxFiles: 1 },
    resources: { memoryBytes: 16 * MiB, cpuCores: 0.1 },
  };
}

async function opsUrl(worker: TsProcess): Promise<string> {
  return (await worker.line("operations ")).replace("operations ", "");
}

function claimsOf(worker: TsProcess): number {
  return worker.output().split("\nclaimed ").length;
}
