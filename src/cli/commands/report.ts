/** `headroom report`: the report of an ended run, from the store. Needs no Redis. */
import type { Command } from "commander";
import { ConflictError, NotFoundError } from "../../contract/errors.ts";
import type { RunReport } from "../../contract/run-record.ts";
import type { Store } from "../../store/store.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withStore, type Invocation } from "../command-line.ts";
import { print } from "../io.ts";
import { reportMarkdown } from "../report-markdown.ts";
import { reportJson } from "../run/report-files.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

export function reportCommand(invocation: Invocation): Command {
  const command = describeCommand("report", "print the report of an ended run, as Markdown", [
    "headroom report RUN > report.md",
    "headroom report RUN --json > report.json",
  ]).argument("<run>", "id of a run");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const report = await withStore(flags, io, (store) => loadReport(store, runId));
      print(io, flags.json === true ? reportJson(report) : reportMarkdown(report));
      return undefined;
    }),
  );
}

/** @throws {NotFoundError} {ConflictError} */
async function loadReport(store: Store, runId: string): Promise<RunReport> {
  const run = await store.runs.get(runId);
  if (run === undefined) throw new NotFoundError("run", runId);
  if (run.report !== null && run.report.epoch === run.epoch) return run.report;
  const why = run.message === null ? "" : `: ${run.message}`;
  throw new ConflictError(`run ${runId}: expected one that has ended with a report, found it ${run.state}${why}`);
}
