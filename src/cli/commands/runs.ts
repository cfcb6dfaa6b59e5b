/** `headroom runs`: the runs, newest first. */
import { Option, type Command } from "commander";
import { InvalidInputError } from "../../contract/errors.ts";
import { runStates, type RunState } from "../../contract/outcomes.ts";
import { systemClock } from "../../platform/clock.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { outStyle, print, printJson } from "../io.ts";
import { listedRunJson } from "../run-json.ts";
import { runsText } from "../run-text.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly limit: string;
  readonly state?: RunState;
}

const MAX_LIMIT = 10_000;

export function runsCommand(invocation: Invocation): Command {
  const command = describeCommand("runs", "list the runs, newest first", [
    "headroom runs",
    "headroom runs --state failed --limit 5",
    "headroom runs --json",
  ])
    .option("-l, --limit <n>", "how many at most", "50")
    .addOption(new Option("--state <state>", "only runs in this state").choices(runStates));
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: Flags) => {
      const { io } = invocation;
      const limit = parseLimit(flags.limit);
      const runs = await withCluster(flags, io, ({ client }) =>
        client.list({ limit, ...(flags.state === undefined ? {} : { states: [flags.state] }) }),
      );
      if (flags.json === true) printJson(io, runs.map(listedRunJson));
      else print(io, runsText(runs, systemClock.nowMs(), outStyle(io)));
      return undefined;
    }),
  );
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  const fault = { where: "--limit", expected: `a whole number from 1 to ${MAX_LIMIT}`, found: JSON.stringify(text) };
  throw new InvalidInputError("command line", [fault]);
}
