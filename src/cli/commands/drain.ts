/** `headroom drain`: lets a worker, or all of a host, end what they hold and claim no more; and lets them go on. */
import type { Command } from "commander";
import { parseDurationMs } from "../../contract/config-units.ts";
import { exitCodes, InvalidInputError, NotFoundError } from "../../contract/errors.ts";
import type { WorkerHeartbeat } from "../../contract/status.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadDrainRequests, requestDrain, undoDrain } from "../../platform/drain-requests.ts";
import { loadHeartbeats } from "../../platform/worker-heartbeats.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { print, printJson, say, type Io } from "../io.ts";
import { addOpsPortOption } from "../services.ts";
import { drainSelf } from "../drain-self.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly self?: boolean;
  readonly undo?: boolean;
  readonly detach?: boolean;
  readonly grace?: string;
  readonly opsPort?: string;
}

const LOOK_MS = 200;

export function drainCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("drain", "have a worker end what it holds and claim no more", [
    "headroom drain node-7",
    "headroom drain node-7 --grace 10m",
    "headroom drain node-7 --undo",
    "headroom drain --self   # in a preStop hook, through the worker's operations port",
  ])
    .argument("[worker or host]", "which worker, or all workers of which host")
    .option("--self", "the worker behind the operations port of this machine")
    .option("--undo", "let it claim again")
    .option("--grace <duration>", "what still runs after this is handed back (default: the worker's own time)")
    .option("--detach", "do not wait until nothing is held");
  return addPlaceOptions(addJsonOption(addOpsPortOption(command))).action(
    act(invocation, async (target: string | undefined, flags: Flags) => {
      const graceMs = graceOf(flags.grace);
      if ((target === undefined) === (flags.self !== true)) throw misplaced(target);
      if (target === undefined) await drainSelf(io, { ...flags, graceMs });
      else await withCluster(flags, io, (cluster) => drainTarget(cluster, target, { io, flags, graceMs }));
      return exitCodes.ok;
    }),
  );
}

function misplaced(target: string | undefined): InvalidInputError {
  const found = target === undefined ? "neither" : "both";
  return new InvalidInputError("command line", [{ where: "drain", expected: "a worker, a host or --self", found }]);
}

function graceOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  throw new InvalidInputError("command line", [
    { where: "--grace", expected: 'a duration such as "30s"', found: JSON.stringify(text) },
  ]);
}

interface Asked {
  readonly io: Io;
  readonly flags: Flags;
  readonly graceMs: number | null;
}

async function drainTarget(cluster: Cluster, target: string, { io, flags, graceMs }: Asked): Promise<void> {
  const { redis, place, logger } = cluster;
  const deps = { redis, kp: place.kp, logger };
  const isMeant = ({ workerId, host }: WorkerHeartbeat) => workerId === target || host === target;
  const live = async () => (await loadLiveWorkers(cluster)).filter(isMeant);
  const isAsked = (await loadDrainRequests(deps)).has(target);
  // One whose heartbeat looks old may be there: its clock may be wrong.
  const isKnown = (await loadHeartbeats(redis, place.kp)).some(isMeant);
  if (!isKnown && !isAsked) throw new NotFoundError("worker or host", target);
  if (flags.undo === true) {
    const undone = await undoDrain(deps, target);
    if (flags.json === true) printJson(io, { target, undone });
    else print(io, undone ? `${target} claims again` : `${target} was not asked to drain`);
    return;
  }
  await requestDrain(deps, target, { atMs: systemClock.nowMs(), graceMs });
  const workers = flags.detach === true ? await live() : await untilEmpty(live, { io, target });
  if (flags.json === true) {
    const told = workers.map(({ workerId, state, running }) => ({ workerId, state, running: running.length }));
    printJson(io, { target, isDrained: workers.every(isEmpty), workers: told });
  } else
    print(
      io,
      `${target} ${workers.every(isEmpty) ? "is drained" : "drains"}; headroom drain ${target} --undo takes it back`,
    );
}

/** Workers that have ended by then are as good as empty. */
async function untilEmpty(
  live: () => Promise<readonly WorkerHeartbeat[]>,
  { io, target }: { readonly io: Io; readonly target: string },
): Promise<readonly WorkerHeartbeat[]> {
  let told = -1;
  for (;;) {
    const workers = await live();
    if (workers.every(isEmpty)) return workers;
    const held = workers.reduce((sum, { running }) => sum + running.length, 0);
    if (held !== told) say(io, `${target} holds ${plural(held, "job")}`);
    told = held;
    await systemClock.sleep(LOOK_MS);
  }
}

function isEmpty({ state, running }: WorkerHeartbeat): boolean {
  return (state === "draining" || state === "stopped") && running.length === 0;
}
