/** `headroom gates`, `approve` and `refuse`: what waits for a person in a flow, and the person's answer. */
import type { Command } from "commander";
import { userInfo } from "node:os";
import { exitCodes, InvalidInputError, NotFoundError } from "../../contract/errors.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import type { Cluster } from "../cluster.ts";
import { oneLine } from "../format.ts";
import { print, printJson } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly note?: string;
  readonly by?: string;
}

export function gatesCommand(invocation: Invocation): Command {
  const command = describeCommand("gates", "list what waits for an answer in a flow", ["headroom gates RUN"]).argument(
    "<run>",
    "id of a run",
  );
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const gates = await withCluster(flags, io, async (cluster) => {
        const run = await flowOf(cluster, runId);
        return cluster.client.flows.gates(run);
      });
      if (flags.json === true) printJson(io, gates);
      else if (gates.length === 0) print(io, "nothing waits for an answer");
      else for (const { path, message } of gates) print(io, `${path}  ${oneLine(message)}`);
      return exitCodes.ok;
    }),
  );
}

export function approveCommand(invocation: Invocation): Command {
  return answerCommand("approve", "let a flow go on past a gate", { invocation, isApproved: true });
}

export function refuseCommand(invocation: Invocation): Command {
  return answerCommand("refuse", "fail a gate of a flow", { invocation, isApproved: false });
}

function answerCommand(
  name: string,
  says: string,
  { invocation, isApproved }: { readonly invocation: Invocation; readonly isApproved: boolean },
): Command {
  const command = describeCommand(name, says, [`headroom ${name} RUN GATE`, `headroom ${name} RUN GATE --note "why"`])
    .argument("<run>", "id of a run")
    .argument("[gate]", "id of the gate; without it the only one that waits")
    .option("--note <text>", "why, for its report")
    .option("--by <name>", "who answers (default: the user)");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, gate: string | undefined, flags: Flags) => {
      const { io } = invocation;
      const path = await withCluster(flags, io, async (cluster) => {
        const run = await flowOf(cluster, runId);
        const asked = gate ?? (await onlyGate(cluster, run));
        const by = flags.by ?? userName();
        const answer = { isApproved, by, note: flags.note ?? null, atMs: Date.now() };
        await cluster.client.flows.answer(run, asked, answer);
        return asked;
      });
      if (flags.json === true) printJson(io, { runId, gate: path, approved: isApproved });
      else print(io, `gate ${path} of run ${runId}: ${isApproved ? "approved" : "refused"}`);
      return exitCodes.ok;
    }),
  );
}

/** The user's name, or the number of one who has none, as in a container. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // The system has no entry for this user.
    return `user ${process.getuid?.() ?? "unknown"}`;
  }
}

async function flowOf({ client }: Cluster, runId: string): Promise<RunRecord> {
  const run = await client.status(runId);
  if (run.spec.executor === "flow") return run;
  throw new NotFoundError("flow", runId);
}

async function onlyGate({ client }: Cluster, run: RunRecord): Promise<string> {
  const gates = await client.flows.gates(run);
  const [only] = gates;
  if (only !== undefined && gates.length === 1) return only.path;
  const found = gates.length === 0 ? "none" : gates.map(({ path }) => path).join(", ");
  throw new InvalidInputError("command line", [{ where: "gate", expected: "one gate that waits, or its id", found }]);
}
