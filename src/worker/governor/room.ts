/**
 * How much memory our jobs may take together: `H = min over levels (ceiling - ext)`, where `ext` is what is in use and
 * is not our jobs' (the agent, neighbours): working set minus the sum of the resident memory of the jobs. Pure.
 *
 * A neighbour that breathes would open and close the gate with each breath, so `ext` counts with the most of the last
 * four seconds. Each second goes into that with its least: a reading that sees a process as gone from the ledger and not
 * yet from the working set lasts a moment, and counts for that moment only. Four seconds and not ten, because room that
 * a neighbour has given back is to be used within five.
 */

/** Memory that is accounted for together, and up to where it may be filled. */
export interface RoomLevel {
  readonly name: string;
  readonly ceilingBytes: number;
  readonly usedBytes: number;
}

interface Second {
  readonly second: number;
  readonly leastBytes: number;
}

/** What others used of each level, second by second. */
export type ExternalUse = ReadonlyMap<string, readonly Second[]>;

export const noExternalUse: ExternalUse = new Map();

/** What the jobs may take together at the level with the least of it. */
export interface Room {
  readonly usableBytes: number;
  readonly level: string;
  readonly externalBytes: number;
}

const WINDOW_SECONDS = 4;

export interface RoomReading {
  readonly levels: readonly RoomLevel[];
  /** Sum over all running jobs, read at the same moment as the levels. */
  readonly rssBytes: number;
  readonly nowMs: number;
}

/** Notes one reading of all levels. Levels that are no longer read are forgotten. */
export function noteExternalUse(known: ExternalUse, { levels, rssBytes, nowMs }: RoomReading): ExternalUse {
  const second = Math.floor(nowMs / 1_000);
  const next = new Map<string, readonly Second[]>();
  for (const level of levels) {
    const external = externalBytes(level, rssBytes);
    const past = (known.get(level.name) ?? []).filter((slot) => slot.second > second - WINDOW_SECONDS);
    const last = past.at(-1);
    if (last?.second !== second) next.set(level.name, [...past, { second, leastBytes: external }]);
    else next.set(level.name, [...past.slice(0, -1), { second, leastBytes: Math.min(last.leastBytes, external) }]);
  }
  return next;
}

/** The room of the tightest level. Without any level there is none. */
export function roomOf(known: ExternalUse, { levels, rssBytes, nowMs }: RoomReading): Room {
  const oldest = Math.floor(nowMs / 1_000) - WINDOW_SECONDS;
  let tightest: Room | undefined;
  for (const level of levels) {
    let external = externalBytes(level, rssBytes);
    for (const slot of known.get(level.name) ?? []) {
      if (slot.second > oldest) external = Math.max(external, slot.leastBytes);
    }
    const usableBytes = Math.max(0, level.ceilingBytes - external);
    if (tightest === undefined || usableBytes < tightest.usableBytes) {
      tightest = { usableBytes, level: level.name, externalBytes: external };
    }
  }
  return tightest ?? { usableBytes: 0, level: "none", externalBytes: 0 };
}

/** Pages that several jobs share are in the sum of their resident memory more than once: never below zero. */
function externalBytes(level: RoomLevel, rssBytes: number): number {
  return Math.max(0, level.usedBytes - rssBytes);
}
