/** `headroom cancel`: ends a run wherever it runs. */
import type { Command } from "commander";
import { exitCodes } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { print, printJson } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly reason: string;
}

export function cancelCommand(invocation: Invocation): Command {
  const command = describeCommand("cancel", "end a run wherever it runs", [
    "headroom cancel RUN",
    'headroom cancel RUN --reason "wrong folder"',
  ])
    .argument("<run>", "id of a run")
    .option("--reason <text>", "why, for its report", "cancelled at the command line");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const before = await withCluster(flags, io, async ({ client }) => {
        const status = await client.status(runId);
        return { ended: isTerminal(status.state), ack: await client.cancel(runId, flags.reason) };
      });
      const { ended, ack } = before;
      if (flags.json === true) printJson(io, ack);
      else if (ended) print(io, `run ${runId} had ended before: ${ack.state}`);
      else if (ack.acknowledged) print(io, `run ${runId} is ${ack.state}`);
      else print(io, `run ${runId} is ${ack.state}; ${plural(ack.stillRunning, "job")} still running`);
      return exitCodes.ok;
    }),
  );
}
