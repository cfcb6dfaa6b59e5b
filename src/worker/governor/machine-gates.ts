/**
 * The gates that the rest of a machine closes: room, counts, stalls for disks, heat, power. Pure: state and reading in,
 * state out. Each has hysteresis: it opens only clearly on the other side of where it closed.
 *
 * Two kinds. *Room* (bytes, inodes, processes, descriptors) and a temperature at its cap close the gate: more work cannot
 * help. Stalls, slow-downs for heat, and power *hold the number* of processes instead: they are made by our own jobs, and
 * a closed gate would stop and start a worker by its own work. One that ends is replaced; only growth is held.
 */
import { MiB } from "../../contract/resources.ts";
import type { CapacityReading } from "./capacity.ts";
import { decideCpuGate, openCpuGate, type CpuGate } from "./gates.ts";
import type { WatchedVolume } from "./volumes.ts";

/** What a person sets. */
export interface MachineLimits {
  /** Bytes that stay free on every volume. Default 256 MiB, at most 5 % of the volume. */
  readonly diskFreeBytes?: number;
  /** File names that stay free on every volume. Default 1000, at most 1 % of the volume. */
  readonly diskFreeInodes?: number;
  /** Share of the time in which all tasks stall for disks at which no more processes are started. Default 0.6. */
  readonly ioPressure?: number;
  /** Default: 3 degrees below where the machine would switch itself off, where it tells that. */
  readonly maxCelsius?: number;
  /** Default: none. */
  readonly maxWatts?: number;
}

/** Something counted or measured that must not run out. */
export interface Room {
  readonly kind: "bytes" | "inodes" | "processes" | "files";
  /** Whose: the path of a volume, a cgroup, the host. */
  readonly where: string;
  readonly free: number;
  /** What must stay free; more than usual while the gate is closed. */
  readonly reserve: number;
}

export interface MachineGates {
  readonly rooms: readonly Room[];
  /** Tasks stall for disks. */
  readonly io: { readonly allowed: number; readonly full: number } | undefined;
  readonly hot: { readonly sensor: string; readonly celsius: number; readonly capCelsius: number } | undefined;
  /** CPUs slow down for heat. */
  readonly throttle: { readonly allowed: number; readonly perSecond: number } | undefined;
  readonly power: { readonly allowed: number; readonly watts: number; readonly capWatts: number } | undefined;
}

export interface HoldGate {
  readonly allowed: number | undefined;
  /** Since when the measure is on the side that would move the gate. */
  readonly sinceMs: number | undefined;
}

export interface MachineGateState {
  readonly closedRooms: ReadonlySet<string>;
  readonly io: HoldGate;
  readonly throttle: HoldGate;
  readonly isHot: boolean;
  readonly power: CpuGate;
}

const openHold: HoldGate = { allowed: undefined, sinceMs: undefined };
export const openMachineGates: MachineGateState = {
  closedRooms: new Set(),
  io: openHold,
  throttle: openHold,
  isHot: false,
  power: openCpuGate,
};

const REOPEN_RATIO = 1.25;
const IO_PRESSURE = 0.6;
const HOLD_MS = 2_000;
const CRITICAL_MARGIN = 3;
const COOLER = 5;
const THROTTLES_PER_SECOND = 0.1;

export interface MachineGateInput {
  readonly limits: MachineLimits;
  readonly runningProcesses: number;
  readonly maxProcesses: number;
}

/** The gates after one more reading. */
export function decideMachineGates(
  state: MachineGateState,
  reading: CapacityReading,
  input: MachineGateInput,
): MachineGateState {
  const { limits, runningProcesses, maxProcesses } = input;
  const { pressure, machine, cpuCores, atMs } = reading;
  const ioAt = limits.ioPressure ?? IO_PRESSURE;
  // A single reader stalls all the time on the fastest of disks: unless a person says otherwise, a process per core may.
  const ioFloor = limits.ioPressure === undefined ? Math.max(1, Math.ceil(cpuCores)) : 1;
  const running = { runningProcesses, nowMs: atMs };
  const slowDowns = machine.heat?.throttlesPerSecond;
  const watts = wattsOf(machine);
  return {
    closedRooms: closedRoomsOf(state.closedRooms, roomsOf(reading, limits)),
    io: decideHold(state.io, { value: pressure?.ioFull, closeAt: ioAt, openAt: ioAt / 2, floor: ioFloor, ...running }),
    throttle: decideHold(state.throttle, {
      ...{ value: slowDowns, closeAt: THROTTLES_PER_SECOND, openAt: THROTTLES_PER_SECOND / 10, floor: 1 },
      ...running,
    }),
    isHot: hottestOf(reading, limits, state.isHot ? COOLER : 0) !== undefined,
    power:
      limits.maxWatts === undefined || watts === undefined
        ? openCpuGate
        : decideCpuGate(state.power, {
            ...{ threshold: 1, utilisation: watts / limits.maxWatts, others: 0 },
            ...{ runningProcesses, maxProcesses, nowMs: atMs },
          }),
  };
}

/** What the processors and the cards draw, as far as they tell. */
function wattsOf({ watts, gpus }: CapacityReading["machine"]): number | undefined {
  const known = [watts, ...gpus.map(({ powerW }) => powerW)].filter((value) => typeof value === "number");
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
}

/** What the rules see of the gates. */
export function showMachineGates(
  state: MachineGateState,
  reading: CapacityReading,
  limits: MachineLimits,
): MachineGates {
  const { machine, pressure } = reading;
  const rooms = roomsOf(reading, limits).map((room) =>
    state.closedRooms.has(keyOf(room)) ? { ...room, reserve: Math.ceil(room.reserve * REOPEN_RATIO) } : room,
  );
  const { io, throttle, power } = state;
  const perSecond = machine.heat?.throttlesPerSecond ?? 0;
  return {
    rooms,
    io: io.allowed === undefined ? undefined : { allowed: io.allowed, full: pressure?.ioFull ?? 0 },
    hot: state.isHot ? hottestOf(reading, limits, COOLER) : undefined,
    throttle: throttle.allowed === undefined ? undefined : { allowed: throttle.allowed, perSecond },
    power:
      power.allowed === undefined
        ? undefined
        : { allowed: power.allowed, watts: wattsOf(machine) ?? 0, capWatts: limits.maxWatts ?? 0 },
  };
}

interface HoldInput {
  readonly value: number | undefined;
  readonly closeAt: number;
  readonly openAt: number;
  /** So many may run in any case. */
  readonly floor: number;
  readonly runningProcesses: number;
  readonly nowMs: number;
}

/** Holds the number of processes once a measure has been high for a while, and lets go once it has been low for one. */
export function decideHold(gate: HoldGate, input: HoldInput): HoldGate {
  const { value, nowMs, runningProcesses, floor } = input;
  if (value === undefined) return openHold;
  const isHeld = gate.allowed !== undefined;
  const moves = isHeld ? value < input.openAt : value >= input.closeAt;
  if (!moves) return { ...gate, sinceMs: undefined };
  const sinceMs = gate.sinceMs ?? nowMs;
  if (nowMs - sinceMs < HOLD_MS) return { ...gate, sinceMs };
  return isHeld ? openHold : { allowed: Math.max(floor, runningProcesses), sinceMs: undefined };
}

function closedRoomsOf(closed: ReadonlySet<string>, rooms: readonly Room[]): ReadonlySet<string> {
  const isClosed = (room: Room) => room.free < room.reserve * (closed.has(keyOf(room)) ? REOPEN_RATIO : 1);
  return new Set(rooms.filter(isClosed).map(keyOf));
}

function keyOf({ kind, where }: Room): string {
  return `${kind} ${where}`;
}

function roomsOf({ machine }: CapacityReading, limits: MachineLimits): Room[] {
  const counted = (kind: "processes" | "files", least: number, most: number): Room[] =>
    machine[kind].map(({ name, limit, used }) => {
      const reserve = Math.min(most, Math.max(least, Math.ceil(limit * 0.05)));
      return { kind, where: name, free: limit - used, reserve };
    });
  return [
    ...machine.volumes.flatMap((volume) => volumeRooms(volume, limits)),
    ...counted("processes", 4, 64),
    ...counted("files", 32, 256),
  ];
}

function volumeRooms(volume: WatchedVolume, limits: MachineLimits): Room[] {
  const { path, totalBytes, freeBytes, totalInodes, freeInodes } = volume;
  const bytes = limits.diskFreeBytes ?? Math.min(256 * MiB, totalBytes * 0.05);
  const rooms: Room[] = [{ kind: "bytes", where: path, free: freeBytes, reserve: Math.ceil(bytes) }];
  if (totalInodes === undefined || freeInodes === undefined) return rooms;
  const inodes = limits.diskFreeInodes ?? Math.min(1_000, totalInodes * 0.01);
  return [...rooms, { kind: "inodes", where: path, free: freeInodes, reserve: Math.ceil(inodes) }];
}

/** The sensor that is furthest beyond its cap, `margin` degrees earlier; undefined when none is. */
function hottestOf({ machine }: CapacityReading, limits: MachineLimits, margin: number): MachineGates["hot"] {
  const cards = machine.gpus.flatMap(({ index, temperatureC }) =>
    temperatureC === null ? [] : [{ name: `GPU ${index}`, celsius: temperatureC, criticalCelsius: undefined }],
  );
  let hottest: MachineGates["hot"];
  for (const { name, celsius, criticalCelsius } of [...(machine.heat?.sensors ?? []), ...cards]) {
    const critical = criticalCelsius === undefined ? Infinity : criticalCelsius - CRITICAL_MARGIN;
    const capCelsius = Math.min(limits.maxCelsius ?? Infinity, critical);
    if (celsius < capCelsius - margin) continue;
    if (hottest !== undefined && celsius - capCelsius <= hottest.celsius - hottest.capCelsius) continue;
    hottest = { sensor: name, celsius, capCelsius };
  }
  return hottest;
}
