/** The rules about memory: what is free below which line of which level, now and later, and who has the rest. All pure. */
import { MiB } from "../../contract/resources.ts";
import type { AdmissionRule, AdmissionView, Objection, Request } from "./admission-view.ts";
import { decideFit, type Misfit } from "./forecast.ts";
import { DEFAULT_MEMORY_THRESHOLD } from "./governor-config.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import { roomOf, type Room } from "./room.ts";
import { bytes, count, percent } from "./words.ts";

/** Beyond this share of a limit jobs are ended. */
export const DANGER_RATIO = 0.93;
/** Up to where work inside the worker may fill memory, whatever a person has set. */
const INSIDE_THRESHOLD = DANGER_RATIO - 0.01;

const SOON_MS = 250;

/**
 * The forecast: memory of the running jobs and of this one, over the life of this one, against the tightest level
 * (forecast.ts). Promises count from the moment they are made, so fifty jobs offered at once are admitted only as far as
 * they fit when all have grown.
 */
export const memory: AdmissionRule = (request, view) => {
  const room = usableRoom(view, request.isInside);
  const { usableBytes } = room;
  const fit = decideFit({ candidate: request.memory, running: view.outlooks, usableBytes, z: view.z });
  return fit.kind === "fits" ? undefined : lackOf(fit, room, view, request.isInside);
};

/** Others have so much that this job would not fit if none of ours ran. */
export const memoryOfOthers: AdmissionRule = (request, view) => {
  const { usableBytes } = usableRoom(view, request.isInside);
  if (request.memory.memoryBytes.p95 <= usableBytes) return undefined;
  const fit = decideFit({ candidate: request.memory, running: [], usableBytes, z: view.z });
  return fit.kind === "fits" ? undefined : memory(request, view);
};

function lackOf(fit: Misfit, room: Room, view: AdmissionView, isInside: boolean): Objection {
  const known = view.memory.find(({ name }) => name === room.level);
  const level = known ?? { name: room.level, limitBytes: 0, usedBytes: 0 };
  const { needBytes, haveBytes, atMs } = fit;
  const about = { lacking: "memoryBytes", need: needBytes, have: haveBytes, retryAfterMs: SOON_MS } as const;
  const users = usersOf(level, room, view);
  if (atMs > 0) {
    const message = `needs ${bytes(needBytes)} of memory in ${count(atMs / 1_000)} s, ${bytes(haveBytes)} will be free then (${users})`;
    return { code: "MEM_FORECAST", message, ...about };
  }
  const line = lineOf(level, view, isInside);
  const ceiling = ceilingBytes(level, view, isInside);
  const message = `needs ${bytes(needBytes)} of memory, ${bytes(haveBytes)} is free below ${bytes(ceiling)}${lineWords(line, view)} (${users})`;
  const isNow = line !== "threshold" || level.limitBytes * DANGER_RATIO < ceiling - haveBytes + needBytes;
  return { code: isNow ? "MEM_NOW" : "MEM_THRESHOLD", message, ...about };
}

/** Who has what is not free. What others used a moment ago counts for a while (room.ts), so it is told too. */
function usersOf(level: MemoryLevel, { externalBytes }: Room, view: AdmissionView): string {
  const inUse = `${bytes(level.usedBytes)} of ${nameOf(level)} in use`;
  const isPast = externalBytes > level.usedBytes;
  const others = `, ${bytes(externalBytes)} ${isPast ? "" : "of it "}by other programs${isPast ? " in the last seconds" : ""}`;
  const neighbours = neighbourBytes(view, level);
  const growth = view.outlooks.reduce((sum, { hiBytes, rssBytes }) => sum + Math.max(0, hiBytes - rssBytes), 0);
  const toNeighbours = neighbours === 0 ? "" : `, ${bytes(neighbours)} of it to other workers of this machine`;
  return `${inUse}${externalBytes < MiB ? "" : others}, ${bytes(growth + neighbours)} more promised${toNeighbours}`;
}

/** What draws the line up to which a level is filled. */
function lineOf({ name, limitBytes }: MemoryLevel, view: AdmissionView, isInside: boolean) {
  const threshold = thresholdOf(view, isInside);
  if (name === "host" && limitBytes - view.systemReserveBytes < threshold * limitBytes) return "reserve";
  return view.isMemoryThresholdSet && !isInside && threshold < DEFAULT_MEMORY_THRESHOLD ? "threshold" : "danger";
}

function lineWords(line: ReturnType<typeof lineOf>, view: AdmissionView): string {
  if (line === "threshold") return `, the threshold of ${percent(view.memoryThreshold)}`;
  return line === "reserve" ? `, what the reserve of ${bytes(view.systemReserveBytes)} for others leaves` : "";
}

/** What all jobs may take together at the tightest level, beside what others use and what neighbours were promised. */
export function usableRoom(view: AdmissionView, isInside = false): Room {
  const levels = view.memory.map((level) => ({
    name: level.name,
    usedBytes: level.usedBytes,
    ceilingBytes: ceilingBytes(level, view, isInside) - neighbourBytes(view, level),
  }));
  const rssBytes = view.outlooks.reduce((sum, outlook) => sum + outlook.rssBytes, 0);
  return roomOf(view.external, { levels, rssBytes, nowMs: view.nowMs });
}

/**
 * Up to where a level may be filled. The threshold is for jobs with processes; a report that would end a run is not
 * held back by it, only by the line of danger.
 */
export function ceilingBytes(
  level: MemoryLevel,
  view: Pick<AdmissionView, "memoryThreshold" | "systemReserveBytes">,
  isInside: Request["isInside"] = false,
): number {
  const reserve = level.name === "host" ? view.systemReserveBytes : 0;
  return Math.floor(Math.min(thresholdOf(view, isInside) * level.limitBytes, level.limitBytes - reserve));
}

function thresholdOf({ memoryThreshold }: Pick<AdmissionView, "memoryThreshold">, isInside: boolean): number {
  return isInside ? INSIDE_THRESHOLD : Math.min(memoryThreshold, DEFAULT_MEMORY_THRESHOLD);
}

/** What other workers of this machine have promised within this level and their jobs do not use yet. */
export function neighbourBytes(view: Pick<AdmissionView, "neighbours">, level: MemoryLevel): number {
  return view.neighbours
    .filter((neighbour) => neighbour.levels.includes(level.name))
    .reduce((sum, { growthBytes }) => sum + growthBytes, 0);
}

export function nameOf(level: MemoryLevel): string {
  return `${bytes(level.limitBytes)} of the ${level.name}`;
}
