/** `headroom release`: lets the quarantined files of a run be tried again. */
import type { Command } from "commander";
import { exitCodes } from "../../contract/errors.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { print, printJson } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

export function releaseCommand(invocation: Invocation): Command {
  const command = describeCommand("release", "let the quarantined files of a run be tried again", [
    "headroom release RUN",
    "headroom run --resume RUN   # then runs them",
  ]).argument("<run>", "id of a run");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const released = await withCluster(flags, io, ({ client }) => client.release(runId));
      if (flags.json === true) printJson(io, { runId, released });
      else print(io, `${plural(released, "file")} of run ${runId} released`);
      return exitCodes.ok;
    }),
  );
}
