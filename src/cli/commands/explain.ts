/** `headroom explain`: why a run or a job is not running, and how a worker or a profile stands. */
import type { Command } from "commander";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { outStyle, print, printJson } from "../io.ts";
import { explanationText } from "../run-text.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

export function explainCommand(invocation: Invocation): Command {
  const command = describeCommand(
    "explain",
    "say why a run or a job is not running, or how a worker or a profile stands",
    ["headroom explain RUN", "headroom explain RUN.0.c7", "headroom explain node-7", "headroom explain heavy"],
  ).argument("<id>", "id of a run, a job or a worker, the host of a worker, or the name of a profile");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (id: string, flags: Flags) => {
      const { io } = invocation;
      const explanation = await withCluster(flags, io, ({ client }) => client.explain(id));
      if (flags.json === true) printJson(io, explanation);
      else print(io, explanationText(explanation, outStyle(io)));
      return undefined;
    }),
  );
}
