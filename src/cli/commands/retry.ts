/** `headroom retry`: starts ended runs again over the files that did not succeed, many runs at once. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { Readable } from "node:stream";
import { parseDurationMs } from "../../contract/config-units.ts";
import { exitCodes, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { failureClasses, type FailureClass } from "../../contract/outcomes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadConfig } from "../../platform/config-file.ts";
import type { Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { print, printJson, say } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly config?: string;
  readonly class?: FailureClass;
  readonly since?: number;
  readonly dryRun?: boolean;
}

const PAGE = 200;
/** States of runs that have ended with something left to do. */
const unfinished = ["failed", "cancelled", "broken"] as const;

export function retryCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("retry", "start ended runs again over the files that did not succeed", [
    "headroom retry RUN",
    "headroom retry --class infrastructure --since 2h --dry-run",
    "headroom retry --class infrastructure --since 2h",
  ])
    .argument("[run...]", "ids of runs (default: all that failed within --since)")
    .option("--class <failure class>", "only runs in which files failed for this", parseClass)
    .option("--since <duration>", "only runs that ended within this time", parseSince)
    .option("--dry-run", "only say which")
    .addOption(new Option("-c, --config <file>", "configuration file, for what is allowed").env("HEADROOM_CONFIG"));
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (ids: readonly string[], flags: Flags) => {
      if (ids.length === 0 && flags.since === undefined) {
        const expected = "runs, or --since with how long ago they may have ended";
        throw new InvalidInputError("command line", [{ where: "retry", expected, found: "neither" }]);
      }
      const file = flags.config === undefined ? {} : { file: flags.config };
      const { allow } = loadConfig({ ...file, env: io.env, cwd: io.cwd });
      const { started, refused } = await withCluster(flags, io, (cluster) => retry(cluster, ids, flags), allow);
      if (flags.json === true) printJson(io, { started, refused });
      else if (flags.dryRun === true)
        print(io, [`${plural(started.length, "run")} would be started again`, ...started].join("\n"));
      else print(io, `${plural(started.length, "run")} started again`);
      for (const { id, reason } of refused) say(io, `run ${id}: ${reason}`);
      return refused.length > 0 ? exitCodes.someFailed : exitCodes.ok;
    }),
  );
}

function parseClass(text: string): FailureClass {
  const found = failureClasses.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`expected one of ${failureClasses.join(", ")}`);
  return found;
}

function parseSince(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as "2h"');
  return ms;
}

interface Retried {
  readonly started: readonly string[];
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

/** One run that cannot be started again, for its folder is taken, must not keep the others. */
async function retry(cluster: Cluster, ids: readonly string[], flags: Flags): Promise<Retried> {
  const runs =
    ids.length > 0 ? await Promise.all(ids.map((id) => cluster.client.status(id))) : await endedRuns(cluster, flags);
  const started: string[] = [];
  const refused: { id: string; reason: string }[] = [];
  // The oldest first, as they were asked for.
  for (const { id } of runs.filter((run) => hasClass(run, flags.class)).toReversed()) {
    try {
      // A list that the store has from the first time is read from there again.
      if (flags.dryRun !== true) await cluster.client.resume(id, {}, Readable.from([]));
      started.push(id);
    } catch (error) {
      refused.push({ id, reason: messageOf(error) });
    }
  }
  return { started, refused };
}

function hasClass({ report }: RunRecord, failureClass: FailureClass | undefined): boolean {
  return failureClass === undefined || (report?.failures ?? []).some((group) => group.failureClass === failureClass);
}

/** All that ended within the time, the newest first. */
async function endedRuns({ client }: Cluster, { since = 0 }: Flags): Promise<readonly RunRecord[]> {
  const fromMs = systemClock.nowMs() - since;
  const found: RunRecord[] = [];
  for (let before: string | undefined; ;) {
    const page = await client.list({ limit: PAGE, states: unfinished, ...(before !== undefined && { before }) });
    found.push(...page.filter(({ endedAtMs }) => endedAtMs !== null && endedAtMs >= fromMs));
    before = page.at(-1)?.id;
    if (page.length < PAGE || before === undefined) return found;
  }
}
