/** `headroom status`: one run with its live figures, or the workers and the runs that go on. */
import type { Command } from "commander";
import { isTerminal } from "../../contract/outcomes.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadLeader, type Leader } from "../../platform/leader.ts";
import { loadProfileChanges } from "../../platform/profile-changes.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatDuration, oneLine } from "../format.ts";
import { shownWait } from "../follow.ts";
import { outStyle, print, printJson, type Io } from "../io.ts";
import { reportText } from "../report-text.ts";
import { listedRunJson, statusJson } from "../run-json.ts";
import { runsText, statusText, workersText } from "../run-text.ts";
import { reportFolderOf } from "../run/report-files.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

const SHOWN_RUNS = 50;

export function statusCommand(invocation: Invocation): Command {
  const command = describeCommand("status", "show a run, or the workers and what runs now", [
    "headroom status",
    "headroom status RUN",
    "headroom status RUN --json",
  ]).argument("[run]", "id of a run");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (runId: string | undefined, flags: Flags) =>
      withCluster(flags, invocation.io, (cluster) =>
        runId === undefined
          ? showCluster(cluster, invocation.io, flags)
          : showRun(cluster, runId, { io: invocation.io, flags }),
      ),
    ),
  );
}

async function showRun(
  { client, place }: Cluster,
  runId: string,
  { io, flags }: { io: Io; flags: Flags },
): Promise<undefined> {
  const status = await client.status(runId);
  const style = outStyle(io);
  if (flags.json === true) printJson(io, statusJson(status));
  else if (isTerminal(status.state) && status.report !== null) {
    const reportFolder = reportFolderOf(status.report, place.home, io);
    const where = reportFolder === undefined ? {} : { reportFolder };
    print(io, reportText(status.report, { style, message: status.message, ...where }));
  } else {
    const { reasons } = await client.explain(runId);
    print(io, statusText(status, style, shownWait(reasons, status)));
  }
}

async function showCluster(cluster: Cluster, io: Io, flags: Flags): Promise<undefined> {
  const [workers, profiles, runs, backlog, leader] = await Promise.all([
    loadLiveWorkers(cluster),
    loadProfileChanges(cluster.redis, cluster.place.kp),
    cluster.client.list({ limit: SHOWN_RUNS, states: ["queued", "running", "cancelling"] }),
    cluster.client.backlog(),
    loadLeader(cluster.redis, cluster.place.kp),
  ]);
  if (flags.json === true) {
    printJson(io, {
      ...{ workers, profiles: Object.fromEntries(profiles), runs: runs.map(listedRunJson), ...backlog },
      leader: leader ?? null,
    });
    return;
  }
  const style = outStyle(io);
  const going = runs.length === 0 ? style.dim("nothing runs now") : runsText(runs, systemClock.nowMs(), style);
  const set =
    profiles.size === 0 ? [] : [`profiles that were set: ${[...profiles.keys()].join(", ")} (headroom profiles)`];
  print(io, [workersText(workers, style), leaderText(leader), ...set, going].join("\n\n"));
}

function leaderText(leader: Leader | undefined): string {
  if (leader === undefined) return "no scheduler leads: nothing is mended, and no schedule starts";
  const forMs = Math.max(0, systemClock.nowMs() - leader.sinceMs);
  return `scheduler ${oneLine(leader.holder)} leads since ${formatDuration(forMs)}`;
}
