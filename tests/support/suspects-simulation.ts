/**
 * A cluster in small, in steps of 10 ms: workers that run chunks of files, are killed at random once so many files have
 * been finished, and come back after a while. What is blamed and started again follows the worker (chunk-plan.ts, exec.ts);
 * the rule is passed in, so that it can be compared with another one.
 */
import { UNREST_MS, type decideStart } from "../../src/worker/result/suspicion.ts";

const STEP_MS = 10;
const CHUNK_FILES = 10;
/** The lock of a lost worker runs out, and another one sees it. */
const FOUND_AFTER_MS = 2_500;
const QUARANTINE_AFTER = 3;

export interface SimulationOptions {
  readonly random: () => number;
  readonly rule: typeof decideStart;
  readonly files: number;
  readonly kills: number;
  readonly workers: number;
  readonly slots: number;
  readonly fileMs: number;
  /** Files that are announced behind the one that runs, while no worker is lost. */
  readonly ahead: number;
  /** How long a killed worker is away, at most. */
  readonly restartMs: number;
  /** Files that kill their worker each time. */
  readonly poison: ReadonlySet<number>;
}

interface Chunk {
  readonly losses: number;
  readonly files: number[];
  /** How many files are announced at a time. */
  readonly announced: number;
  dueMs: number;
  /** Comes back from a worker that was lost. */
  readonly isRecovered?: boolean;
}

interface Slot {
  chunk: Chunk | undefined;
  endsAtMs: number;
}

interface Worker {
  upAtMs: number;
  readonly slots: Slot[];
  /** Waits until it is alone. */
  solitary: Chunk | undefined;
}

export class SuspectsSimulation {
  readonly #options: SimulationOptions;
  readonly #losses = new Map<number, number>();
  readonly #queue: Chunk[] = [];
  readonly #workers: Worker[];
  #nowMs = 0;
  #finished = 0;
  /** When a loss was last noticed. */
  #lastLossMs = -Infinity;
  #kills = 0;
  #nextKillAt: number;
  /** How many workers each poison file has killed. */
  readonly deaths = new Map<number, number>();
  readonly quarantined = new Set<number>();

  constructor(options: SimulationOptions) {
    this.#options = options;
    for (let at = 0; at < options.files; at += CHUNK_FILES) {
      const files = Array.from({ length: Math.min(CHUNK_FILES, options.files - at) }, (_, more) => at + more);
      this.#queue.push({ losses: 0, files, announced: 1, dueMs: 0 });
    }
    this.#workers = Array.from({ length: options.workers }, () => this.#newWorker(0));
    this.#nextKillAt = this.#killAfter(0);
  }

  run(): this {
    while (this.#finished + this.quarantined.size < this.#options.files) {
      this.#nowMs += STEP_MS;
      if (this.#nowMs > 3_600_000) throw new Error("expected the simulated run to end");
      for (const worker of this.#workers) this.#step(worker);
      this.#killByChance();
    }
    return this;
  }

  get endedAtMs(): number {
    return this.#nowMs;
  }

  #newWorker(upAtMs: number): Worker {
    const slots = Array.from({ length: this.#options.slots }, () => ({ chunk: undefined, endsAtMs: 0 }));
    return { upAtMs, slots, solitary: undefined };
  }

  #killAfter(mark: number): number {
    const { files, kills, random } = this.#options;
    const next = mark + 1 + Math.floor(random() * 2 * ((files * 0.9) / kills - 1));
    return Math.min(next, files - 20);
  }

  #killByChance(): void {
    const ready = this.#workers.filter((worker) => worker.upAtMs <= this.#nowMs);
    const victim = ready[Math.floor(this.#options.random() * ready.length)];
    if (victim === undefined || this.#kills >= this.#options.kills || this.#finished < this.#nextKillAt) return;
    this.#kills += 1;
    this.#nextKillAt = this.#killAfter(this.#nextKillAt);
    this.#kill(victim);
  }

  #kill(worker: Worker): void {
    const held = worker.slots.flatMap(({ chunk }) => (chunk === undefined ? [] : [chunk]));
    for (const { files, announced } of held) for (const file of files.slice(0, announced)) this.#blame(file);
    for (const chunk of [...held, ...(worker.solitary === undefined ? [] : [worker.solitary])]) {
      this.#queue.unshift({ ...chunk, dueMs: this.#nowMs + FOUND_AFTER_MS, isRecovered: true });
    }
    const back = this.#nowMs + 500 + this.#options.random() * this.#options.restartMs;
    this.#workers[this.#workers.indexOf(worker)] = this.#newWorker(back);
  }

  #blame(file: number): void {
    const losses = (this.#losses.get(file) ?? 0) + 1;
    this.#losses.set(file, losses);
    if (losses >= QUARANTINE_AFTER) this.quarantined.add(file);
  }

  #step(worker: Worker): void {
    if (worker.upAtMs > this.#nowMs) return;
    for (const slot of worker.slots) {
      if (slot.chunk === undefined) this.#claim(worker, slot);
      else if (slot.endsAtMs <= this.#nowMs && !this.#end(worker, slot, slot.chunk)) return;
    }
  }

  #claim(worker: Worker, slot: Slot): void {
    const isEmpty = worker.slots.every(({ chunk }) => chunk === undefined);
    if (worker.solitary !== undefined) {
      if (isEmpty) this.#begin(slot, worker.solitary);
      if (isEmpty) worker.solitary = undefined;
      return;
    }
    if (worker.slots.some(({ chunk }) => chunk !== undefined && chunk.losses >= 2)) return;
    const at = this.#queue.findIndex(({ dueMs }) => dueMs <= this.#nowMs);
    const [found] = at < 0 ? [] : this.#queue.splice(at, 1);
    if (found === undefined) return;
    if (found.isRecovered === true) this.#lastLossMs = this.#nowMs;
    const chunk = this.#withoutSuspects(found);
    const calm = { upMs: this.#nowMs - worker.upAtMs, calmMs: this.#nowMs - this.#lastLossMs };
    const start = this.#options.rule(chunk.losses, calm);
    if (start.kind === "wait") this.#queue.push({ ...chunk, dueMs: this.#nowMs + start.waitMs });
    else if (start.isAlone && !isEmpty) worker.solitary = chunk;
    else this.#begin(slot, chunk);
  }

  /** Files that more workers were lost with than with the others of their chunk go to chunks of their own. */
  #withoutSuspects({ losses, files, dueMs }: Chunk): Chunk {
    const announced = this.#nowMs - this.#lastLossMs < UNREST_MS ? 1 : 1 + this.#options.ahead;
    const lossesOf = (file: number) => this.#losses.get(file) ?? 0;
    for (let more = losses + 1; more < QUARANTINE_AFTER; more += 1) {
      const suspects = files.filter((file) => lossesOf(file) === more);
      if (suspects.length > 0) this.#queue.push({ losses: more, files: suspects, announced, dueMs });
    }
    return { losses, files: files.filter((file) => lossesOf(file) <= losses), announced, dueMs };
  }

  #begin(slot: Slot, chunk: Chunk): void {
    slot.chunk = chunk.files.length > 0 ? chunk : undefined;
    slot.endsAtMs = this.#nowMs + this.#options.fileMs * (0.5 + this.#options.random());
  }

  /** Ends the file that runs; whether the worker still lives. */
  #end(worker: Worker, slot: Slot, chunk: Chunk): boolean {
    const file = chunk.files[0] ?? -1;
    if (this.#options.poison.has(file)) {
      this.deaths.set(file, (this.deaths.get(file) ?? 0) + 1);
      this.#kill(worker);
      return false;
    }
    chunk.files.shift();
    this.#losses.delete(file);
    this.#finished += 1;
    this.#begin(slot, chunk);
    return true;
  }
}
