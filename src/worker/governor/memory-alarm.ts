/** Whether memory is so short that a running job has to give way, and how short. Pure. */
import { ceilingBytes, DANGER_RATIO } from "./memory-rules.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import { MiB } from "../../contract/resources.ts";
import { outgrownBytes } from "./reservations.ts";
import { enforcedJobs, hasOutgrown, type EnforcementView, type MemoryReason } from "./step.ts";

const STALL_RATIO = 0.1;
/** Stalls of the whole host say nothing about us unless our own memory is short too. */
const STALL_FILL_RATIO = 0.8;
/** From here on a job that outgrew its promise may be stopped: what is left below the line of danger is for its growth. */
export const SHORT_RATIO = 0.9;

const KEPT_RATIO = 0.955;
/** What a few processes take in a tenth of a second, at most. */
const KEPT_LEFT_BYTES = 160 * MiB;

export interface Alarm {
  readonly reason: MemoryReason;
  readonly level: MemoryLevel;
  /** What must be freed. */
  readonly excessBytes: number;
}

/** The alarm that asks for the most, or nothing. */
export function decideAlarm(view: EnforcementView): Alarm | undefined {
  return decideDanger(view) ?? decideStall(view) ?? decideOutgrown(view);
}

/** How full the level of an alarm is. */
export function fillOf({ level }: Pick<Alarm, "level">): number {
  return level.usedBytes / level.limitBytes;
}

function decideDanger(view: EnforcementView): Alarm | undefined {
  let worst: Alarm | undefined;
  const isKept = !enforcedJobs(view).some((job) => hasOutgrown(job) && job.suspension === undefined);
  for (const level of view.memory) {
    const excessBytes = level.usedBytes - (isKept ? keptLineOf(level) : DANGER_RATIO * level.limitBytes);
    if (excessBytes > (worst?.excessBytes ?? 0)) worst = { reason: "memory-limit", level, excessBytes };
  }
  return worst;
}

/**
 * Jobs that keep their promises grow as was forecast, and that was up to beyond the line of danger: they are ended nearer to
 * the limit, yet never where what is left would be gone before one of them is.
 */
function keptLineOf({ limitBytes }: MemoryLevel): number {
  return Math.max(DANGER_RATIO * limitBytes, Math.min(KEPT_RATIO * limitBytes, limitBytes - KEPT_LEFT_BYTES));
}

function decideStall({ memory, pressure }: EnforcementView): Alarm | undefined {
  if (pressure === undefined || pressure.memoryFull <= STALL_RATIO) return undefined;
  const level = memory.toSorted((a, b) => b.usedBytes / b.limitBytes - a.usedBytes / a.limitBytes)[0];
  if (level === undefined) return undefined;
  if (pressure.scope === "host" && level.usedBytes < STALL_FILL_RATIO * level.limitBytes) return undefined;
  return { reason: "memory-pressure", level, excessBytes: 0 };
}

/** A line is passed, and would not be if our jobs had kept their promises: then, and only then, it is on us. */
function decideOutgrown(view: EnforcementView): Alarm | undefined {
  const outgrown = view.jobs.reduce((sum, job) => sum + outgrownBytes(job), 0);
  const passed = (reason: MemoryReason, lineOf: (level: MemoryLevel) => number): Alarm | undefined => {
    for (const level of view.memory) {
      const excessBytes = level.usedBytes - lineOf(level);
      if (excessBytes > 0 && excessBytes <= outgrown) return { reason, level, excessBytes };
    }
    return undefined;
  };
  return (
    passed("memory-threshold", (level) => ceilingBytes(level, view)) ??
    passed("memory-short", ({ limitBytes }) => SHORT_RATIO * limitBytes)
  );
}
