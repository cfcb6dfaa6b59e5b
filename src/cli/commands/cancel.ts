/** `headroom cancel`: ends a run wherever it runs. */
import type { Command } from "commander";
import { exitCodes, NotFoundError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import type { RunReport } from "../../contract/run-record.ts";
import type { CancelAck } from "../../contract/status.ts";
import type { Cluster } from "../cluster.ts";
import { outStyle, print, printJson } from "../io.ts";
import { reportText } from "../report-text.ts";
import { cancelAlone, isAlone } from "../run/cancel-alone.ts";
import { writeReportFiles } from "../run/report-files.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly reason: string;
}

export function cancelCommand(invocation: Invocation): Command {
  const command = describeCommand("cancel", "end a run wherever it runs", [
    "headroom cancel RUN",
    "headroom cancel RUN NODE",
    'headroom cancel RUN --reason "wrong folder"',
  ])
    .argument("<run>", "id of a run")
    .argument("[node]", "of a flow: end this node alone, and all that hang on it")
    .option("--reason <text>", "why, for its report", "cancelled at the command line");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, node: string | undefined, flags: Flags) => {
      const { io } = invocation;
      if (node !== undefined) return cancelNode(invocation, { runId, node }, flags);
      const { ended, ack, report, folder } = await withCluster(flags, io, (cluster) => cancel(cluster, runId, flags));
      if (flags.json === true) printJson(io, ack);
      else if (ended) print(io, `run ${runId} had ended before: ${ack.state}`);
      else if (report !== null)
        print(io, reportText(report, { style: outStyle(io), ...folder, message: flags.reason }));
      else if (ack.acknowledged) print(io, `run ${runId} is ${ack.state}`);
      else print(io, `run ${runId} is ${ack.state}; ${plural(ack.stillRunning, "job")} still running`);
      return exitCodes.ok;
    }),
  );
}

async function cancelNode(
  { io }: Invocation,
  { runId, node }: { readonly runId: string; readonly node: string },
  flags: Flags,
): Promise<number> {
  await withCluster(flags, io, async ({ client }) => {
    const run = await client.status(runId);
    if (run.spec.executor !== "flow") throw new NotFoundError("flow", runId);
    await client.flows.cancelNode(run, node, flags.reason);
  });
  if (flags.json === true) printJson(io, { runId, node, state: "cancelled" });
  else print(io, `node ${node} of run ${runId} is cancelled, and so is what hangs on it`);
  return exitCodes.ok;
}

interface Cancelled {
  readonly ended: boolean;
  readonly ack: CancelAck;
  /** Of a run that this command itself has ended. */
  readonly report: RunReport | null;
  readonly folder: { readonly reportFolder?: string };
}

async function cancel(cluster: Cluster, runId: string, { reason }: Flags): Promise<Cancelled> {
  const { client, place } = cluster;
  const before = await client.status(runId);
  const ended = isTerminal(before.state);
  if (ended || !(await isAlone(cluster))) {
    return { ended, ack: await client.cancel(runId, reason), report: null, folder: {} };
  }
  // Whoever ran it was killed: without a worker it would be cancelled for ever and never end.
  const { state, report } = await cancelAlone(cluster, runId, reason);
  const folder = report === null ? {} : { reportFolder: writeReportFiles(place.home, report) };
  return { ended, ack: { runId, state, acknowledged: true, stillRunning: 0 }, report, folder };
}
