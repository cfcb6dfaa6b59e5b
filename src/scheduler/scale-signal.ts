/** The leader's step that decides how many workers are wanted, and stores it for whoever asks. */
import { CONTROL_PROFILE } from "../contract/profiles.ts";
import { keys } from "../contract/queues.ts";
import type { ScalingSignal } from "../contract/scaling.ts";
import type { Metrics } from "../platform/metrics.ts";
import { loadScaling, SIGNAL_KEPT_MS } from "../platform/scaling.ts";
import { Script } from "../platform/script.ts";
import { keepPaces, loadScaleFacts, type Paces, type ScaleFactsDeps } from "./scale-facts.ts";
import { decideScaling, type ScalingSettings } from "./scaling.ts";

export interface ScaleSettings extends ScalingSettings {
  /** Profiles that the configuration declares. */
  readonly profiles: readonly string[];
}

/**
 * Stores the signal, and a list of the same length. KEYS[1] signal. KEYS[2] list. ARGV[1] signal. ARGV[2] workers wanted.
 * ARGV[3] how long both are kept, in ms.
 */
const KEEP = new Script(`
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[3])
redis.call("DEL", KEYS[2])
for _ = 1, tonumber(ARGV[2]) do redis.call("RPUSH", KEYS[2], "") end
redis.call("PEXPIRE", KEYS[2], ARGV[3])
`);

/** Decides once. What was decided before comes from Redis, so a new leader goes on where the last one was. */
export async function signalScaling(deps: ScaleFactsDeps, settings: ScaleSettings): Promise<ScalingSignal> {
  const { redis, kp } = deps;
  const known = ["default", CONTROL_PROFILE, ...settings.profiles];
  const [facts, before] = await Promise.all([loadScaleFacts(deps, known), loadScaling(redis, kp)]);
  const signal = decideScaling(facts, settings, before);
  const places = [keys.scaling(kp), keys.workersWanted(kp)];
  await KEEP.run(redis, places, [JSON.stringify(signal), signal.value, SIGNAL_KEPT_MS]);
  await keepPaces(deps, measuredOf(signal));
  return signal;
}

function measuredOf({ profiles }: ScalingSignal): Paces {
  const measured = profiles.filter(({ pace }) => pace.basis === "measured");
  return new Map(measured.map(({ profile, pace }) => [profile, pace]));
}

/** Sets the gauges from the last signal. */
export async function collectScalingMetrics(
  deps: Pick<ScaleFactsDeps, "redis" | "kp"> & { metrics: Metrics },
): Promise<void> {
  const wanted = deps.metrics.gauge("headroom_scaling_workers_wanted");
  const jobs = deps.metrics.gauge("headroom_scaling_runnable_jobs");
  wanted.reset();
  jobs.reset();
  const signal = await loadScaling(deps.redis, deps.kp);
  for (const { profile, value, runnable } of signal?.profiles ?? []) {
    wanted.set({ profile }, value);
    jobs.set({ profile }, runnable.waiting + runnable.prioritized + runnable.due);
  }
}
