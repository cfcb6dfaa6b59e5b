/** `headroom scaling`: how many workers the jobs that wait ask for, and why. */
import type { Command } from "commander";
import { exitCodes } from "../../contract/errors.ts";
import type { ScalingAnswer } from "../../contract/scaling.ts";
import { answerScaling, loadScaling, parseLabels } from "../../platform/scaling.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatTable, plural } from "../format.ts";
import { outStyle, print, printJson } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly profile?: string;
  readonly labels?: string;
}

export function scalingCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("scaling", "show how many workers the jobs that wait ask for", [
    "headroom scaling",
    "headroom scaling --profile gpu --json",
    "headroom scaling --labels gpu",
  ])
    .option("--profile <name>", "of this profile alone")
    .option("--labels <list>", 'of the workers with these labels; "" for those without');
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: Flags) => {
      const { profile, labels } = flags;
      const query = { ...{ profile }, labels: labels === undefined ? undefined : parseLabels(labels) };
      const answer = await withCluster(flags, io, async ({ redis, place }) =>
        answerScaling(await loadScaling(redis, place.kp), query),
      );
      if (flags.json === true) printJson(io, answer);
      else print(io, scalingText(answer, outStyle(io)));
      return exitCodes.ok;
    }),
  );
}

function scalingText({ value, profiles }: ScalingAnswer, style: ReturnType<typeof outStyle>): string {
  const rows = profiles.map(({ profile, labels, value: wanted, runnable, active, workers, reasons }) => {
    const waiting = runnable.waiting + runnable.prioritized + runnable.due;
    const name = labels.length === 0 ? profile : `${profile} (${labels.join(", ")})`;
    return [name, String(wanted), String(workers.live), String(waiting), String(active), reasons.join("; ")];
  });
  const [head = "", ...lines] = formatTable([["PROFILE", "WANTED", "LIVE", "WAITING", "RUNNING", "WHY"], ...rows]);
  return [`${plural(value, "worker")} wanted`, style.dim(head), ...lines].join("\n");
}
