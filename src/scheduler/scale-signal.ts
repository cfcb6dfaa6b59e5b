/** The leader's step that decides how many workers are wanted, and stores it for whoever asks. */
import { CONTROL_PROFILE } from "../contract/profiles.ts";
import { keys } from "../contract/queues.ts";
import { partKey, workersWanted, type ScalingSignal } from "../contract/scaling.ts";
import type { Metrics } from "../platform/metrics.ts";
import { answerScaling, loadScaling, poolLabels, SIGNAL_KEPT_MS } from "../platform/scaling.ts";
import { Script } from "../platform/script.ts";
import { keepPaces, loadScaleFacts, type Paces, type ScaleFactsDeps } from "./scale-facts.ts";
import { decideScaling, type ScalingSettings } from "./scaling.ts";

export interface ScaleSettings extends ScalingSettings {
  /** Profiles that the configuration declares. */
  readonly profiles: readonly string[];
}

/**
 * Who takes the length of a list takes one that is gone for 0, and would end the workers of a cluster without a leader: so the
 * last number stands much longer than the signal.
 */
const LISTS_KEPT_MS = 3_600_000;

/**
 * Stores the signal, and lists as long as workers are wanted. KEYS[1] signal. KEYS[2..] lists. ARGV[1] signal. ARGV[2] how long
 * it is kept, in ms. ARGV[3] how long the lists are. ARGV[4..] their lengths.
 */
const KEEP = new Script(`
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
for list = 2, #KEYS do
  redis.call("DEL", KEYS[list])
  for _ = 1, tonumber(ARGV[list + 2]) do redis.call("RPUSH", KEYS[list], "") end
  redis.call("PEXPIRE", KEYS[list], ARGV[3])
end
`);

/** Decides once. What was decided before comes from Redis, so a new leader goes on where the last one was. */
export async function signalScaling(deps: ScaleFactsDeps, settings: ScaleSettings): Promise<ScalingSignal> {
  const { redis, kp } = deps;
  const known = ["default", CONTROL_PROFILE, ...settings.profiles];
  const [facts, before] = await Promise.all([loadScaleFacts(deps, known), loadScaling(redis, kp)]);
  const signal = decideScaling(facts, settings, before);
  const lists = listsOf(kp, signal, [...facts.profiles, ...(before?.profiles ?? [])]);
  const lengths = [...lists.values()];
  const values = [JSON.stringify(signal), SIGNAL_KEPT_MS, LISTS_KEPT_MS, ...lengths];
  await KEEP.run(redis, [keys.scaling(kp), ...lists.keys()], values);
  await keepPaces(deps, measuredOf(signal));
  return signal;
}

/** By key, how many are wanted of all pools, and of the workers with each set of labels that is known. */
function listsOf(
  kp: string,
  signal: ScalingSignal,
  known: readonly { readonly labels: readonly string[] }[],
): ReadonlyMap<string, number> {
  const pools = [[], ...known.map(({ labels }) => labels)].map(
    (labels) => [keys.workersWanted(kp, poolLabels(labels)), answerScaling(signal, { labels }).value] as const,
  );
  return new Map([[keys.workersWanted(kp), signal.value], ...pools]);
}

function measuredOf({ profiles }: ScalingSignal): Paces {
  const measured = profiles.filter(({ pace }) => pace.basis === "measured");
  return new Map(measured.map((one) => [partKey(one), one.pace]));
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
  if (signal === undefined) return;
  for (const profile of new Set(signal.profiles.map((one) => one.profile))) {
    const parts = signal.profiles.filter((one) => one.profile === profile);
    wanted.set({ profile }, workersWanted(parts, signal));
    const runnable = parts.map(({ runnable: { waiting, prioritized, due } }) => waiting + prioritized + due);
    jobs.set(
      { profile },
      runnable.reduce((sum, count) => sum + count, 0),
    );
  }
}
