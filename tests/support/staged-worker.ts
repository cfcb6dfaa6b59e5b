/**
 * A worker's governor on a machine that a test stages: files of the kernel that are made up, file systems and cards that
 * say what they are told to, a neighbour on the same machine, and time that goes by when the test says so. Governor,
 * sensor, probes and the ledger of the machine are the real ones.
 */
import { setImmediate as turn } from "node:timers/promises";
import { vi } from "vitest";
import { GiB, MiB, type Amounts } from "../../src/contract/resources.ts";
import type { Expectation } from "../../src/contract/expectation.ts";
import type { WaitingQueue } from "../../src/contract/status.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../src/worker/governor/capacity.ts";
import type { Admission } from "../../src/worker/governor/admission.ts";
import type { AdmissionRule } from "../../src/worker/governor/admission-view.ts";
import { Governor } from "../../src/worker/governor/governor.ts";
import type { GovernorConfig } from "../../src/worker/governor/governor-config.ts";
import type { GovernorTicket, ReserveQuestion } from "../../src/worker/governor/governor-port.ts";
import { MachineLedger, type MachinePromise } from "../../src/worker/governor/machine-ledger.ts";
import { GpuProbe } from "../../src/worker/governor/probes/gpu.ts";
import { ProcessTrees } from "../../src/worker/governor/probes/process-trees.ts";
import type { Step } from "../../src/worker/governor/step.ts";
import { pageBytes } from "../../src/worker/governor/probes/system-constants.ts";
import type { FileSystemFigures } from "../../src/worker/governor/probes/volume.ts";
import { Volumes } from "../../src/worker/governor/volumes.ts";
import { FakeMachine, type HostFacts } from "./fake-machine.ts";
import { quietLogger } from "./quiet-logger.ts";
import { Scratch } from "./scratch.ts";

export const QUEUE = "exec.default@14";
export const OUTPUT = "/out";
const SCRATCH = "/scratch";
const CPUS = 4;
/** No probe that a test moves is read more often. */
const STEP_MS = 250;
/** What goes on by the second goes on in steps as small as this: the worker reads in between. */
const FLOW_MS = 50;
/** What is read off the tick gets so much time of the wall in each step: it waits for threads and processes. */
const TURN_MS = 2;
/** So long a test waits for what must come, by the wall. */
const PATIENCE_MS = 20_000;

/** What goes on by the second: shares of the time, cores, or events. */
export interface Flows {
  memorySome: number;
  memoryFull: number;
  cpuSome: number;
  ioFull: number;
  /** Share of all CPUs that is in use, by whomever. */
  busy: number;
  /** Cores that this worker and its jobs use. */
  ownCores: number;
  slowDowns: number;
}

export interface StageOptions {
  /** The lines of `/proc/self/cgroup`. */
  readonly paths?: readonly string[];
  readonly host?: HostFacts;
  readonly config?: Partial<GovernorConfig>;
  readonly rules?: readonly AdmissionRule[];
  readonly gpu?: GpuProbe;
}

type AskChange = Partial<Pick<ReserveQuestion, "queue" | "labels">> & { readonly need?: Partial<Amounts> };

export const roomyDisk: FileSystemFigures = { bsize: 4_096, blocks: 2e6, bavail: 1e6, files: 1e6, ffree: 5e5 };

export class StagedWorker implements AsyncDisposable {
  readonly machine: FakeMachine;
  readonly disks = new Map<string, FileSystemFigures>();
  readonly flows: Flows = {
    memorySome: 0.03,
    memoryFull: 0,
    cpuSome: 0,
    ioFull: 0.2,
    busy: 0.5,
    ownCores: 0,
    slowDowns: 0,
  };
  readonly steps: Step[] = [];
  question: ReserveQuestion = this.ask(128);
  readonly #options: StageOptions;
  readonly #scratch = new Scratch();
  readonly #tickets = new Map<string, GovernorTicket>();
  readonly #sums = { memorySome: 0, memoryFull: 0, cpuSome: 0, ioFull: 0, busy: 0, ownCores: 0, slowDowns: 0 };
  readonly #neighbour = new MachineLedger(this.#ledger, "neighbour", quietLogger);
  #governor: Governor;

  constructor(options: StageOptions = {}) {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
    this.#options = options;
    this.machine = new FakeMachine(options.paths ?? ["0::/app"], { cpus: CPUS, ...options.host });
    this.machine.v2("app", { max: String(GiB), current: 300 * MiB });
    this.machine.write("cgroup/app/pids.max", "1000\n");
    this.machine.write("proc/loadavg", "1.00 1.00 1.00 1/300 9\n");
    this.pids(700);
    this.openFiles(700);
    this.celsius(90);
    this.#flow(0);
    this.#governor = this.#open();
  }

  get governor(): Governor {
    return this.#governor;
  }

  async start(): Promise<this> {
    await this.#governor.start();
    this.#governor.useVolume(OUTPUT);
    await this.pass(1_000);
    return this;
  }

  /** The worker is started anew on the same machine. */
  async restart(config: Partial<GovernorConfig> = {}): Promise<void> {
    await this.#governor.stop();
    this.#governor = this.#open(config);
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#governor.stop();
    this.#neighbour.close();
    this.machine[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    vi.useRealTimers();
  }

  ask(mebibytes: number, change: AskChange = {}): ReserveQuestion {
    const need = { memoryBytes: mebibytes * MiB, cpuCores: 1, processes: 1, ...change.need };
    return { queue: QUEUE, labels: [], ...change, need };
  }

  /** One of our jobs begins. It ends in a minute, as far as anybody knows. */
  begin(
    jobId: string,
    question: ReserveQuestion,
    facts: { expectation?: Expectation; remainingMs?: number } = {},
  ): void {
    const ticket = this.#governor.tryReserve(question);
    if (ticket.kind !== "admit") throw new Error(`expected ${jobId} to be admitted: ${ticket.message}`);
    ticket.bind(jobId, "run-1");
    this.#governor.describe(jobId, { remainingMs: 60_000, ...facts });
    this.#tickets.set(jobId, ticket);
  }

  /** A job of ours runs a process, which uses so much. */
  runs(jobId: string, pid: number, mebibytes: number): void {
    this.machine.write(`proc/${pid}/statm`, `0 ${Math.round((mebibytes * MiB) / pageBytes())} 0\n`);
    this.machine.write(`proc/${pid}/task/${pid}/children`, "");
    this.computed(pid, 0);
    this.#governor.attach(jobId, pid);
  }

  /** So much CPU time has a process used by now. */
  computed(pid: number, seconds: number): void {
    const ticks = Math.round(seconds * 100);
    this.machine.write(`proc/${pid}/stat`, `${pid} (job) S 1 1 1 0 -1 0 0 0 0 0 ${ticks} 0 0 0 20 0 1\n`);
  }

  /** Ends a job of ours, or all of them. */
  end(jobId?: string): void {
    for (const [id, ticket] of this.#tickets) {
      if (jobId !== undefined && id !== jobId) continue;
      this.#tickets.delete(id);
      ticket.release();
    }
  }

  /** What a worker beside us on this machine promises. */
  neighbour(promise: Partial<MachinePromise>, levels: readonly string[] = ["cgroup /app", "host"]): void {
    const nothing = { growthBytes: 0, cpuCores: 0, processes: 1, cards: [], isEnding: false, starvedMs: 0 };
    this.#neighbour.publish({ ...nothing, ...promise }, levels);
  }

  /** What the cgroup of this worker has in use. */
  uses(mebibytes: number, limit = GiB): void {
    this.machine.v2("app", { max: String(limit), current: mebibytes * MiB });
  }

  pids(used: number): void {
    this.machine.write("cgroup/app/pids.current", `${used}\n`);
  }

  openFiles(used: number, limit = 1_000): void {
    this.machine.write("proc/sys/fs/file-nr", `${used}\t0\t${limit}\n`);
  }

  celsius(degrees: number): void {
    const zone = "sys/class/thermal/thermal_zone0";
    this.machine.write(`${zone}/type`, "x86_pkg_temp\n");
    this.machine.write(`${zone}/temp`, `${degrees * 1_000}\n`);
    this.machine.write(`${zone}/trip_point_0_type`, "critical\n");
    this.machine.write(`${zone}/trip_point_0_temp`, "105000\n");
  }

  watts(watts: number): void {
    this.machine.write("sys/class/hwmon/hwmon0/power1_input", `${watts * 1e6}\n`);
  }

  /** What the question would be answered now; the queue is remembered as waiting if it has to. */
  asks(question: ReserveQuestion = this.question): Exclude<Admission, { kind: "admit" }> | undefined {
    const answer = this.#governor.tryReserve(question);
    if (answer.kind !== "admit") return answer;
    answer.release();
    return undefined;
  }

  /** What the heartbeat tells of the queue of the question. */
  told(): WaitingQueue | undefined {
    return this.#governor.snapshot().waiting.find(({ queue }) => queue === this.question.queue);
  }

  /** Lets so much time go by. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) await this.#step();
  }

  /** Lets time go by until the question is answered so; `admit`, or the code of what it waits for. */
  async until(expected: string): Promise<void> {
    const startedMs = wallMs();
    for (;;) {
      const code = this.asks()?.code ?? "admit";
      if (code === expected) return;
      if (wallMs() - startedMs > PATIENCE_MS) {
        throw new Error(`expected ${expected}, found ${code}: ${this.asks()?.message ?? ""}`);
      }
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    for (let ms = 0; ms < STEP_MS; ms += FLOW_MS) {
      this.#flow(FLOW_MS);
      vi.advanceTimersByTime(FLOW_MS);
    }
    const startedMs = wallMs();
    do await turn();
    while (wallMs() - startedMs < TURN_MS);
  }

  /** Writes what has gone on since the last step. */
  #flow(ms: number): void {
    for (const name of ["memorySome", "memoryFull", "cpuSome", "ioFull", "busy", "ownCores", "slowDowns"] as const) {
      this.#sums[name] += (this.flows[name] * ms) / 1_000;
    }
    const { memorySome, memoryFull, cpuSome, ioFull, busy, ownCores, slowDowns } = this.#sums;
    const stalls = (kind: string, some: number, full: number) => {
      const line = (of: string, seconds: number) =>
        `${of} avg10=0.00 avg60=0.00 avg300=0.00 total=${Math.round(seconds * 1e6)}\n`;
      this.machine.write(`cgroup/app/${kind}.pressure`, line("some", some) + line("full", full));
    };
    stalls("memory", memorySome, memoryFull);
    stalls("cpu", cpuSome, 0);
    stalls("io", ioFull, ioFull);
    this.machine.busy(Array.from({ length: CPUS }, () => Math.round(busy * 100)));
    const own = `${process.pid} (node) S 1 1 1 0 -1 0 0 0 0 0 ${Math.round(ownCores * 100)} 0 0 0 20 0\n`;
    this.machine.write(`proc/${process.pid}/stat`, own);
    const counter = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
    this.machine.write(counter, `${Math.floor(slowDowns)}\n`);
  }

  get #ledger(): string {
    return `${this.#scratch.path}/ledger`;
  }

  #open(change: Partial<GovernorConfig> = {}): Governor {
    const { gpu = new GpuProbe({ driverFiles: [] }), rules = [], config } = this.#options;
    const probes = createProbes(this.machine.roots, { gpu });
    const { machine } = probes;
    if (machine === undefined) throw new Error("expected probes of the machine");
    const volumes = new Volumes(SCRATCH, (path) => Promise.resolve(this.disks.get(path) ?? roomyDisk));
    return new Governor(
      {
        ...{ clock: this.#clock, logger: quietLogger, pluginRules: rules },
        sensor: new CapacitySensor({ ...probes, machine: { ...machine, volumes } }),
        processes: new ProcessTrees(this.machine.roots),
        metrics: { decided: () => undefined, stepped: () => undefined },
        shared: new MachineLedger(this.#ledger, "own", quietLogger),
        act: (step) => this.steps.push(step),
      },
      { labels: [], ...config, ...change },
    );
  }

  /** The time that the test lets go by. Whoever sleeps is woken by going there at once. */
  readonly #clock: Clock = {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (ms) => this.pass(ms),
  };
}

/** A clock that no test moves. */
function wallMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
