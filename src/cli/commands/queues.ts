/** `headroom queues`: what waits where; and pauses queues, or all of a profile, and lets them go on. */
import type { Command } from "commander";
import { exitCodes, NotFoundError } from "../../contract/errors.ts";
import { publishControl } from "../../platform/control.ts";
import { JobQueues, profileOfPlace } from "../../platform/job-queues.ts";
import type { Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatTable } from "../format.ts";
import { outStyle, print, printJson, type Io } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

interface QueueRow {
  readonly queue: string;
  readonly profile: string;
  readonly isPaused: boolean;
  /** With those that are prioritized. */
  readonly waiting: number;
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
}

const verbs = {
  pause: "claim nothing more of a queue, or of all queues of a profile; what runs goes on",
  resume: "let paused queues go on",
} as const;

export function queuesCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("queues", "show the queues, pause them, or let them go on", [
    "headroom queues",
    "headroom queues pause gpu",
    "headroom queues resume exec.default@14",
  ]);
  addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (flags: Flags) => withCluster(flags, io, (cluster) => show(cluster, io, flags))),
  );
  for (const verb of ["pause", "resume"] as const) command.addCommand(verbCommand(invocation, verb));
  return command;
}

function verbCommand(invocation: Invocation, verb: keyof typeof verbs): Command {
  const { io } = invocation;
  const command = describeCommand(verb, verbs[verb], [
    `headroom queues ${verb} exec.default@14`,
    `headroom queues ${verb} default`,
  ]).argument("<queue or profile>", "name of a queue, or of a profile for all of its queues");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (name: string, flags: Flags) => {
      const changed = await withCluster(flags, io, (cluster) => change(cluster, verb, name));
      if (flags.json === true) printJson(io, { [`${verb}d`]: changed });
      else print(io, changed.map((queue) => `${queue} is ${verb === "pause" ? "paused" : "going on"}`).join("\n"));
      return exitCodes.ok;
    }),
  );
}

/** Queues that are opened here are closed here. */
async function withQueues<T>({ redis, place }: Cluster, work: (queues: JobQueues) => Promise<T>): Promise<T> {
  const queues = new JobQueues(redis, place.kp);
  try {
    return await work(queues);
  } finally {
    await queues.close();
  }
}

function change(cluster: Cluster, verb: keyof typeof verbs, name: string): Promise<string[]> {
  return withQueues(cluster, async (queues) => {
    const places = (await queues.list()).filter((place) => place.name === name || profileOfPlace(place) === name);
    if (places.length === 0) throw new NotFoundError("queue or profile", name);
    for (const place of places) {
      const queue = queues.queue(place.name);
      await (verb === "pause" ? queue.pause() : queue.resume());
    }
    await publishControl(cluster.redis, cluster.place.kp, { kind: "wake" });
    return places.map((place) => place.name).toSorted();
  });
}

async function show(cluster: Cluster, io: Io, flags: Flags): Promise<number> {
  const rows = await withQueues(cluster, async (queues) => {
    const places = (await queues.list()).toSorted((a, b) => a.name.localeCompare(b.name));
    return Promise.all(
      places.map(async (place): Promise<QueueRow> => {
        const queue = queues.queue(place.name);
        const [isPaused, counts] = await Promise.all([
          queue.isPaused(),
          queue.getJobCounts("wait", "prioritized", "delayed", "active", "failed"),
        ]);
        const { wait = 0, prioritized = 0, delayed = 0, active = 0, failed = 0 } = counts;
        const [name, profile] = [place.name, profileOfPlace(place)];
        return { queue: name, profile, isPaused, waiting: wait + prioritized, delayed, active, failed };
      }),
    );
  });
  if (flags.json === true) printJson(io, rows);
  else print(io, queuesText(rows, outStyle(io)));
  return exitCodes.ok;
}

function queuesText(rows: readonly QueueRow[], style: ReturnType<typeof outStyle>): string {
  if (rows.length === 0) return style.dim("no queue was ever added to");
  const cells = rows.map(({ queue, profile, isPaused, waiting, delayed, active, failed }) => [
    ...[queue, profile, isPaused ? "paused" : "open"],
    ...[waiting, delayed, active, failed].map(String),
  ]);
  const head = ["QUEUE", "PROFILE", "STATE", "WAITING", "DELAYED", "RUNNING", "FAILED"];
  const [first = "", ...lines] = formatTable([head, ...cells]);
  return [style.dim(first), ...lines].join("\n");
}
