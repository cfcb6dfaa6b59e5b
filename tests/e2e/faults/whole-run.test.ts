/** Bar: 1,000 files through every fault at once, at random points of a seeded sequence; nothing is lost, nothing twice. */
import { expect, test } from "vitest";
import { FaultCluster, PATIENT, kp } from "../../support/fault-cluster.ts";
import { seeded } from "../../support/seeded.ts";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { parseRunSpec, type RunSpecInput } from "../../../src/contract/run-spec.ts";

const SEED = Number(process.env["FAULT_SEED"] ?? 20_261);
const FILES = 1_000;
const KILLS = 50;
const REDIS_KILLS = 5;
const WORKERS = 3;

type Fault = "kill" | "redis" | "stop" | "drain";

test("a run survives killed, stopped and drained workers and a killed Redis", { timeout: 600_000 }, async () => {
  process.stdout.write(`FAULT_SEED=${SEED}\n`);
  await using cluster = await FaultCluster.open();
  cluster.files(FILES);
  const spec = cluster.spec();
  const chaos = new Chaos(cluster, spec, seeded(SEED));
  await cluster.scheduler();
  await chaos.fill();
  const runId = await cluster.run(spec);
  const faults = chaos.plan();
  await chaos.carryOut(faults);
  const status = await cluster.ended(runId);
  expect(status.state, `seed ${SEED}: ${JSON.stringify(status.report?.failures)}`).toBe("succeeded");
  expect(chaos.done, `seed ${SEED}`).toEqual({ kill: KILLS, redis: REDIS_KILLS, stop: 1, drain: 1 });
  await cluster.expectWhole(runId);
  const attempts = await cluster.store.files.attempts(runId, { limit: 10_000 });
  const fenced = new Set(attempts.filter((attempt) => attempt.end === "fenced").map((attempt) => attempt.path));
  expect(chaos.replaced().filter((name) => !fenced.has(name.replace(/\.output$/, "")))).toEqual([]);
  expect(await cluster.keys.hlen(`${kp}:crashes`)).toBe(0);
});

/** Carries out faults, each when a random number of files has been finished since the one before. */
class Chaos {
  readonly done = { kill: 0, redis: 0, stop: 0, drain: 0 };
  readonly #cluster: FaultCluster;
  readonly #queue: string;
  readonly #random: () => number;
  readonly #ready = new Set<string>();
  readonly #starting = new Set<Promise<void>>();
  readonly #inodes = new Map<string, bigint>();
  readonly #replaced = new Set<string>();
  #workers = 0;

  constructor(cluster: FaultCluster, spec: RunSpecInput, random: () => number) {
    this.#cluster = cluster;
    this.#queue = execPlace(parseRunSpec(spec)).name;
    this.#random = random;
  }

  /** Starts workers until there are as many as there should be. */
  async fill(): Promise<void> {
    while (this.#ready.size + this.#starting.size < WORKERS) this.#add();
    await Promise.race(this.#starting);
  }

  plan(): Fault[] {
    const faults: Fault[] = [
      ...Array.from({ length: KILLS }, () => "kill" as const),
      ...Array.from({ length: REDIS_KILLS }, () => "redis" as const),
      "stop",
      "drain",
    ];
    for (let at = faults.length - 1; at > 0; at -= 1) {
      const other = Math.floor(this.#random() * (at + 1));
      const [a, b] = [faults[at], faults[other]];
      if (a !== undefined && b !== undefined) [faults[at], faults[other]] = [b, a];
    }
    return faults;
  }

  async carryOut(faults: readonly Fault[]): Promise<void> {
    // The marks leave a tail of files without faults, so that every fault meets a run that goes on.
    const step = Math.floor((FILES * 0.9) / faults.length);
    let mark = 0;
    for (const fault of faults) {
      mark += 1 + Math.floor(this.#random() * 2 * (step - 1));
      await expect.poll(() => this.#look(), PATIENT).toBeGreaterThanOrEqual(Math.min(mark, FILES - 20));
      await this.#carryOut(fault);
      this.done[fault] += 1;
      while (this.#ready.size + this.#starting.size < WORKERS) this.#add();
    }
    await Promise.all(this.#starting);
  }

  /** Outputs that were published more than once. */
  replaced(): string[] {
    this.#look();
    return [...this.#replaced];
  }

  /** How many files are finished; notes every output that took the place of another. */
  #look(): number {
    const names = this.#cluster.outputs();
    for (const name of names) {
      const inode = this.#cluster.inode(name);
      const before = this.#inodes.get(name);
      if (before !== undefined && before !== inode) this.#replaced.add(name);
      this.#inodes.set(name, inode);
    }
    return names.length;
  }

  #add(): void {
    this.#workers += 1;
    const id = `w${this.#workers}`;
    const started = this.#cluster
      .worker({ id })
      .then(() => {
        this.#ready.add(id);
      })
      .finally(() => {
        this.#starting.delete(started);
      });
    this.#starting.add(started);
  }

  async #pick(): Promise<string> {
    await expect.poll(() => this.#ready.size, PATIENT).toBeGreaterThan(0);
    const ready = [...this.#ready];
    return ready[Math.floor(this.#random() * ready.length)] ?? "";
  }

  async #carryOut(fault: Fault): Promise<void> {
    if (fault === "redis") {
      await this.#cluster.redis.kill();
      await this.#cluster.redis.restart();
      return;
    }
    const id = await this.#pick();
    const worker = this.#cluster.processes.get(id);
    if (worker === undefined) throw new Error(`expected worker ${id}`);
    if (fault === "stop") {
      await this.#stopPastLock(id);
      return;
    }
    this.#ready.delete(id);
    if (fault === "kill") worker.child.kill("SIGKILL");
    else worker.child.kill("SIGTERM");
    const end = await worker.ended();
    expect(end).toBe(fault === "kill" ? "SIGKILL" : 0);
  }

  /** Stops a worker that holds a chunk until that chunk was taken from it, and wakes it. */
  async #stopPastLock(id: string): Promise<void> {
    const worker = this.#cluster.processes.get(id);
    let held: string | undefined;
    await expect
      .poll(async () => {
        worker?.child.kill("SIGSTOP");
        held = await this.#heldBy(id);
        if (held === undefined) worker?.child.kill("SIGCONT");
        return held;
      }, PATIENT)
      .toBeDefined();
    await expect.poll(() => this.#wasTaken(held ?? ""), PATIENT).toBe(true);
    worker?.child.kill("SIGCONT");
  }

  async #heldBy(id: string): Promise<string | undefined> {
    for (const job of await this.#cluster.queues.queue(this.#queue).getActive()) {
      if ((await this.#cluster.holderOf(this.#queue, job.id ?? "")) === id) return job.id;
    }
    return undefined;
  }

  async #wasTaken(jobId: string): Promise<boolean> {
    const starts = await this.#cluster.keys.hget(`${kp}:${this.#queue}:${jobId}`, "ats");
    return starts === null || Number(starts) > 1;
  }
}
