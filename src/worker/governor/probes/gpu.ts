/**
 * The GPUs of this machine, from two long-lived samplers (cards, and processes on them). Where no driver is, nothing is
 * ever started. A card that is not told any more has vanished: it is no capacity any longer, and the probe says so.
 */
import { DRIVER_FILES, hasNvidiaDriver } from "../../../platform/nvidia.ts";
import {
  GPU_FIELDS,
  GPU_PROCESS_FIELDS,
  parseGpuLine,
  parseGpuProcessLine,
  type GpuFacts,
  type GpuProcess,
} from "./gpu-lines.ts";
import { LineStream, type LineStreamLimits } from "./line-stream.ts";
import type { InlineProbe } from "./probe.ts";

/** One device that jobs can be given. */
export interface Gpu extends GpuFacts {
  readonly processes: readonly Pick<GpuProcess, "pid" | "usedBytes">[];
}

export interface GpuProbeOptions {
  /** Any of these says that there is a driver. */
  readonly driverFiles?: readonly string[];
  readonly command?: string;
  readonly loopMs?: number;
  readonly limits?: Partial<LineStreamLimits>;
  readonly nowMs?: () => number;
}

/** A card that was not told for so many rounds has vanished. */
const GONE_ROUNDS = 4;
/** The first line of a sampler takes a while: the driver may have to wake up. */
const FIRST_LINE_MS = 15_000;
const CHECK_MS = 10_000;

interface Seen<T> {
  readonly value: T;
  readonly atMs: number;
}

export class GpuProbe implements InlineProbe<readonly Gpu[]> {
  readonly name = "gpu";
  readonly mode = "inline";
  readonly periodMs = 500;
  readonly staleMs = 5_000;
  caveat: string | undefined;
  readonly #driverFiles: readonly string[];
  readonly #nowMs: () => number;
  readonly #goneMs: number;
  readonly #cards: LineStream;
  readonly #processes: LineStream;
  readonly #seenCards = new Map<string, Seen<GpuFacts>>();
  readonly #seenProcesses = new Map<string, Seen<GpuProcess>>();
  #openedAtMs: number | undefined;
  #checkedAtMs = -Infinity;
  #garbage = 0;

  constructor(options: GpuProbeOptions = {}) {
    const { driverFiles = DRIVER_FILES, command = "nvidia-smi", loopMs = 1_000, limits } = options;
    this.#driverFiles = driverFiles;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#goneMs = GONE_ROUNDS * loopMs;
    const format = ["--format=csv,noheader,nounits", `--loop-ms=${loopMs}`];
    this.#cards = new LineStream(
      [command, `--query-gpu=${GPU_FIELDS}`, ...format],
      (line) => {
        this.#onCard(line);
      },
      limits,
    );
    this.#processes = new LineStream(
      [command, `--query-compute-apps=${GPU_PROCESS_FIELDS}`, ...format],
      (line) => {
        this.#onProcess(line);
      },
      limits,
    );
  }

  /** The processes that sample now; for tests and people. */
  get samplerPids(): readonly number[] {
    return [this.#cards.pid, this.#processes.pid].filter((pid) => pid !== undefined);
  }

  open(): boolean {
    if (!hasNvidiaDriver(this.#driverFiles)) {
      // The driver was taken away: so is what it was asked with.
      this.close();
      return false;
    }
    this.#openedAtMs ??= this.#nowMs();
    this.#cards.start();
    this.#processes.start();
    return true;
  }

  read(): readonly Gpu[] {
    const nowMs = this.#nowMs();
    this.#checkSamplers(nowMs);
    const gone: number[] = [];
    const present: GpuFacts[] = [];
    for (const { value, atMs } of this.#seenCards.values()) {
      if (nowMs - atMs <= this.#goneMs) present.push(value);
      else gone.push(value.index);
    }
    if (present.length === 0) this.#refuse(nowMs, gone);
    this.caveat = this.#caveatOf(gone);
    return present
      .toSorted((a, b) => a.index - b.index)
      .map((card) => ({ ...card, processes: this.#processesOn(card.uuid, nowMs) }));
  }

  close(): void {
    this.#cards.stop();
    this.#processes.stop();
    this.#seenCards.clear();
    this.#seenProcesses.clear();
    this.#openedAtMs = undefined;
  }

  /** Nothing is known: for a while after the start that is as it should be, later it is a fault. */
  #refuse(nowMs: number, gone: readonly number[]): void {
    const fault = this.#cards.fault ?? (this.#garbage > 0 ? `${this.#garbage} lines that are no cards` : undefined);
    if (gone.length > 0) throw new Error(`all GPUs vanished${fault === undefined ? "" : `: ${fault}`}`);
    if (fault !== undefined) throw new Error(fault);
    if (nowMs - (this.#openedAtMs ?? nowMs) > FIRST_LINE_MS) throw new Error("the sampler tells no card");
  }

  #caveatOf(gone: readonly number[]): string | undefined {
    const parts = [
      ...(gone.length > 0 ? [`GPU ${gone.join(", ")} vanished`] : []),
      ...(this.#processes.fault === undefined ? [] : [`processes are not known: ${this.#processes.fault}`]),
      ...(this.#garbage > 0 ? [`${this.#garbage} lines of the sampler could not be read`] : []),
    ];
    return parts.length === 0 ? undefined : parts.join("; ");
  }

  #checkSamplers(nowMs: number): void {
    if (nowMs - this.#checkedAtMs < CHECK_MS) return;
    this.#checkedAtMs = nowMs;
    this.#garbage = 0;
    this.#cards.check(performance.now());
    this.#processes.check(performance.now());
  }

  #onCard(line: string): void {
    const card = parseGpuLine(line);
    if (card === undefined) this.#garbage += 1;
    else this.#seenCards.set(card.uuid, { value: card, atMs: this.#nowMs() });
  }

  #onProcess(line: string): void {
    const process = parseGpuProcessLine(line);
    if (process === undefined) return;
    this.#seenProcesses.set(`${process.uuid} ${process.pid}`, { value: process, atMs: this.#nowMs() });
  }

  #processesOn(uuid: string, nowMs: number): Gpu["processes"] {
    const processes: Pick<GpuProcess, "pid" | "usedBytes">[] = [];
    for (const [key, { value, atMs }] of this.#seenProcesses) {
      if (nowMs - atMs > this.#goneMs) this.#seenProcesses.delete(key);
      else if (value.uuid === uuid) processes.push({ pid: value.pid, usedBytes: value.usedBytes });
    }
    return processes;
  }
}
