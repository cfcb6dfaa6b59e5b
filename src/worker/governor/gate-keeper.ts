/** Holds the state of the gates of one worker, and moves it with each reading (the decisions are in gates.ts). */
import { isDeepStrictEqual } from "node:util";
import type { Gates } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import {
  cooldownRemainingMs,
  decideCpuGate,
  decidePressureGate,
  openCpuGate,
  openPressureGate,
  type Cooldown,
  type CpuGate,
  type PressureGate,
} from "./gates.ts";
import { decideMachineGates, openMachineGates, showMachineGates, type MachineLimits } from "./machine-gates.ts";

export class GateKeeper {
  #cpuThreshold: number | undefined;
  #limits: MachineLimits;
  #cpu: CpuGate = openCpuGate;
  #pressure: PressureGate = openPressureGate;
  #cooldown: Cooldown | undefined;
  #machine = openMachineGates;

  constructor(cpuThreshold: number | undefined, limits: MachineLimits = {}) {
    this.#cpuThreshold = cpuThreshold;
    this.#limits = limits;
  }

  /** Other lines, or none: what was held for those before is let go. Slow-downs for heat have no line that is set. */
  configure(cpuThreshold: number | undefined, limits: MachineLimits = {}): void {
    if (cpuThreshold !== this.#cpuThreshold) this.#cpu = openCpuGate;
    if (!isDeepStrictEqual(limits, this.#limits)) {
      this.#machine = { ...openMachineGates, throttle: this.#machine.throttle };
    }
    this.#cpuThreshold = cpuThreshold;
    this.#limits = limits;
  }

  update(reading: CapacityReading, running: { processes: number; maxProcesses: number }): void {
    this.#pressure = decidePressureGate(this.#pressure, reading);
    const counts = { runningProcesses: running.processes, maxProcesses: running.maxProcesses };
    this.#machine = decideMachineGates(this.#machine, reading, { limits: this.#limits, ...counts });
    if (this.#cpuThreshold === undefined) return;
    if (reading.cpu === undefined) {
      // A threshold that cannot be measured is not held; the reading says so.
      this.#cpu = openCpuGate;
      return;
    }
    this.#cpu = decideCpuGate(this.#cpu, {
      threshold: this.#cpuThreshold,
      ...reading.cpu,
      runningProcesses: running.processes,
      maxProcesses: running.maxProcesses,
      nowMs: reading.atMs,
    });
  }

  /** A job was ended for memory and is gone now. */
  evicted(nowMs: number): void {
    this.#cooldown = { endedAtMs: nowMs, admitted: 0 };
  }

  /** A job was claimed. */
  admitted(): void {
    if (this.#cooldown === undefined) return;
    this.#cooldown = { ...this.#cooldown, admitted: this.#cooldown.admitted + 1 };
  }

  /** Which gates are closed. */
  state(reading: CapacityReading, nowMs: number, runningProcesses: number): Gates {
    const { cpu, pressure } = reading;
    const remainingMs = cooldownRemainingMs(this.#cooldown, nowMs, runningProcesses);
    const allowed = this.#cpu.isTakenByOthers ? 0 : this.#cpu.allowed;
    return {
      cooldown: remainingMs > 0 ? { remainingMs } : undefined,
      pressure: this.#pressure.isClosed ? { memorySome: 0, memoryFull: 0, ...pressure } : undefined,
      cpu: allowed === undefined || cpu === undefined ? undefined : { allowed, ...cpu },
      machine: showMachineGates(this.#machine, reading, this.#limits),
    };
  }
}
