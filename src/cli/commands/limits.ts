/** `headroom limits`: change what workers may take while they run. */
import type { Command } from "commander";
import { ALL_WORKERS, limitNames, parseLimits, type Limits } from "../../contract/limits.ts";
import { limitsFor, loadAllLimits, resetLimits, setLimits } from "../../platform/limits.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatBytes } from "../format.ts";
import { printJson, say, type Io } from "../io.ts";
import { printSet, tellReset } from "../live-settings.ts";
import { parsePairs } from "../pairs.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly worker?: string;
}

const WORKER_OPTION = "only for this worker, or all workers of this host (default: every worker)";

export function limitsCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("limits", "show or change what workers may take, while they run", [
    "headroom limits",
    "headroom limits set max_processes=4 memory_threshold_percent=70",
    "headroom limits set max_watts=250 disk_free=20GiB --worker node-7",
    "headroom limits set paused=true --worker node-7",
    "headroom limits reset",
  ]);
  const set = describeCommand("set", "set limits; they count over the configuration until they are reset", [
    "headroom limits set max_processes=4",
    "headroom limits set paused=true --worker node-7",
  ])
    .argument("<name=value...>", limitNames.join(", "))
    .option("--worker <id or host>", WORKER_OPTION);
  const reset = describeCommand("reset", "take back what was set", [
    "headroom limits reset",
    "headroom limits reset --worker node-7",
  ]).option("--worker <id or host>", "only what was set for this worker or host (default: everything)");
  addPlaceOptions(addJsonOption(set)).action(
    act(invocation, async (pairs: readonly string[], flags: Flags) => {
      const change = parseLimits(parsePairs(pairs, "limits set"));
      await withCluster(flags, io, (cluster) => changeLimits(cluster, io, { change, flags }));
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(reset)).action(
    act(invocation, async (flags: Flags) => {
      const removed = await withCluster(flags, io, (cluster) => resetLimits(depsOf(cluster), flags.worker));
      tellReset(io, { json: flags.json, what: "limit", target: flags.worker, removed });
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (flags: Flags) => withCluster(flags, io, (cluster) => show(cluster, io, flags))),
  );
  return command.addCommand(set).addCommand(reset);
}

async function changeLimits(
  cluster: Cluster,
  io: Io,
  { change, flags }: { change: Limits; flags: Flags },
): Promise<undefined> {
  const target = flags.worker ?? ALL_WORKERS;
  const workers = await loadLiveWorkers(cluster);
  const isKnown =
    target === ALL_WORKERS || workers.some((worker) => worker.workerId === target || worker.host === target);
  const limits = await setLimits(depsOf(cluster), target, change);
  if (flags.json === true) printJson(io, { target, limits });
  else say(io, `set for ${target === ALL_WORKERS ? "every worker" : target}: ${limitsText(limits)}`);
  // Hosts that are down now may come back: a warning, not an error.
  if (!isKnown) say(io, `no live worker or host is called ${target}; it counts as soon as one is`);
}

async function show(cluster: Cluster, io: Io, flags: Flags): Promise<undefined> {
  const [known, workers] = await Promise.all([loadAllLimits(depsOf(cluster)), loadLiveWorkers(cluster)]);
  if (flags.json === true) {
    const effective = workers.map((worker) => ({
      ...{ workerId: worker.workerId, host: worker.host },
      limits: limitsFor(known, worker),
    }));
    printJson(io, { set: Object.fromEntries(known), workers: effective });
    return;
  }
  const rows = [...known].map(([target, limits]) => [
    target === ALL_WORKERS ? "every worker" : target,
    limitsText(limits),
  ]);
  printSet(io, {
    head: ["FOR", "LIMITS"],
    rows,
    nothing: "nothing is set: each worker keeps to its own configuration",
  });
}

function limitsText(limits: Limits): string {
  return Object.entries(limits)
    .map(([name, value]) => `${name}=${isSize(name) ? formatBytes(Number(value)) : value}`)
    .join(" ");
}

function isSize(name: string): boolean {
  return name === "memory_max" || name === "disk_free";
}

function depsOf({ redis, place, logger }: Cluster) {
  return { redis, kp: place.kp, logger };
}
