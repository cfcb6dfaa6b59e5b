/** Brings the schedules of the configuration into the store: added, changed, removed. Those of other callers stay. */
import { isDeepStrictEqual } from "node:util";
import { hasOtherTimes, type ScheduleRecord, type ScheduleSpec } from "../contract/schedules.ts";
import type { Logger } from "../platform/logger.ts";
import type { ScheduleChange, Store } from "../store/store.ts";

export interface ReconcileDeps {
  readonly store: Store;
  readonly logger: Logger;
  readonly nowMs: number;
}

/** Makes the schedules of the configuration those that are declared; how many were changed. */
export async function reconcileSchedules(
  deps: ReconcileDeps,
  declared: Readonly<Record<string, ScheduleSpec>>,
): Promise<number> {
  const known = new Map((await deps.store.schedules.list()).map((schedule) => [schedule.name, schedule]));
  let changed = 0;
  for (const [name, spec] of Object.entries(declared))
    changed += Number(await declare(deps, known.get(name), { name, spec }));
  for (const { name, source } of known.values()) {
    if (source !== "config" || Object.hasOwn(declared, name)) continue;
    await deps.store.schedules.remove(name);
    deps.logger.info({ schedule: name }, "schedule removed: the configuration names it no more");
    changed += 1;
  }
  return changed;
}

async function declare(
  { store, logger, nowMs }: ReconcileDeps,
  known: ScheduleRecord | undefined,
  { name, spec }: { readonly name: string; readonly spec: ScheduleSpec },
): Promise<boolean> {
  if (known === undefined) {
    logger.info({ schedule: name }, "schedule added from the configuration");
    return store.schedules.create(name, { spec, source: "config", isPaused: false, nowMs });
  }
  if (known.source === "config" && isDeepStrictEqual(known.spec, spec)) return false;
  logger.info({ schedule: name, from: known.source }, "schedule changed to what the configuration says");
  return store.schedules.change(name, known.revision, changeOf(known, spec, nowMs));
}

function changeOf(known: ScheduleRecord, spec: ScheduleSpec, nowMs: number): ScheduleChange {
  const settled = hasOtherTimes(known.spec, spec) ? { settledMs: nowMs } : {};
  return { spec, source: "config", isPaused: known.isPaused, nowMs, ...settled };
}
