/** `headroom results`: what a model said of the files of a run, from the store. Needs no Redis. */
import { Option, type Command } from "commander";
import { InvalidInputError, NotFoundError, type Fault } from "../../contract/errors.ts";
import type { FileResult } from "../../contract/files.ts";
import type { InferenceQuery } from "../../contract/inference.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { resultLine } from "../../contract/result-line.ts";
import { childRunId } from "../../platform/flow/child-run-id.ts";
import type { Store } from "../../store/store.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withStore, type Invocation } from "../command-line.ts";
import { formatTable, oneLine } from "../format.ts";
import { print, say, writePiece, type Io } from "../io.ts";
import { csvLine } from "../joblog.ts";
import { figureColumns, resultsTable } from "../results-table.ts";
import { collect } from "../services.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly label?: string;
  readonly minConfidence?: string;
  readonly where?: readonly string[];
  readonly limit?: string;
  readonly csv?: boolean;
  readonly json?: boolean;
}

const PAGE_ROWS = 500;

export function resultsCommand(invocation: Invocation): Command {
  const command = describeCommand("results", "show what a model said of the files of a run", [
    "headroom results RUN",
    "headroom results RUN --label invoice --min-confidence 0.8",
    "headroom results RUN --where kind=sql --where lines=few",
    "headroom results RUN --csv > results.csv",
    "headroom results RUN --label invoice --json | jq -r .path",
  ])
    .argument("<run>", "id of a run")
    .addOption(new Option("--label <name>", "files with this label alone"))
    .addOption(new Option("--min-confidence <n>", "files of which the model was at least so sure, 0 to 1"))
    .addOption(
      new Option("--where <field=value>", "files whose answer has this value; may be repeated").argParser(collect),
    )
    .addOption(new Option("--limit <n>", "files at most"))
    .addOption(new Option("--csv", "print CSV").conflicts("json"));
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const query = queryOf(flags);
      await withStore(flags, io, async (store) => {
        const run = await store.runs.get(runId);
        if (run === undefined) throw new NotFoundError("run", runId);
        const found = await show(matching(store, { runId, epoch: run.epoch }, query), flags, io);
        if (found === 0) say(io, await nothingText(store, run));
      });
      return undefined;
    }),
  );
}

/** How many there were. */
async function show(rows: ReturnType<typeof matching>, { json, csv }: Flags, io: Io): Promise<number> {
  if (json === true) {
    let lines = 0;
    for await (const row of rows) {
      await writePiece(io.stdout, `${JSON.stringify(resultLine(row))}\n`);
      lines += 1;
    }
    return lines;
  }
  // Which columns there are is known when all answers are.
  const found: FileResult[] = [];
  for await (const row of rows) found.push(row);
  const table = resultsTable(found);
  if (csv === true) {
    for (const row of [table.head, ...table.rows]) await writePiece(io.stdout, csvLine(row));
  } else if (found.length > 0) {
    const lines = [table.head, ...table.rows].map((row) => row.map(oneLine));
    print(io, `${formatTable(lines, figureColumns(table)).join("\n")}\n`);
  }
  return found.length;
}

/** What a model said of files in a flow is with the runs of its nodes. */
async function nothingText(store: Store, run: RunRecord): Promise<string> {
  if (run.spec.executor !== "flow") return "no such results";
  const runs: string[] = [];
  for await (const id of modelRuns(store, run)) runs.push(id);
  if (runs.length === 0) return `run ${run.id} is a flow, and none of its nodes has taken a model over files so far`;
  const calls = runs.map((id) => `  headroom results ${id}`);
  return [`run ${run.id} is a flow; the results are with the runs of its nodes:`, ...calls].join("\n");
}

/** Of a flow and the flows in it, the runs that took a model over files. */
async function* modelRuns(store: Store, { id, epoch }: RunRecord): AsyncGenerator<string, void, undefined> {
  for await (const { path } of store.files.all(id, epoch)) {
    const part = await store.runs.get(childRunId(id, path));
    if (part?.spec.executor === "infer") yield part.id;
    else if (part?.spec.executor === "flow") yield* modelRuns(store, part);
  }
}

type Query = Omit<InferenceQuery, "afterPath">;

function queryOf({ label, minConfidence, where = [], limit }: Flags): Query {
  const confidence = minConfidence === undefined ? undefined : Number(minConfidence);
  const most = limit === undefined ? Infinity : Number(limit);
  const faults: Fault[] = [];
  if (confidence !== undefined && !(confidence >= 0 && confidence <= 1)) {
    faults.push({ where: "--min-confidence", expected: "a number from 0 to 1", found: JSON.stringify(minConfidence) });
  }
  if (!(most >= 1))
    faults.push({ where: "--limit", expected: "a whole number, 1 at least", found: JSON.stringify(limit) });
  const fields = where.map((pair) => {
    const at = pair.indexOf("=");
    if (at <= 0) faults.push({ where: "--where", expected: "FIELD=VALUE", found: JSON.stringify(pair) });
    return { name: pair.slice(0, at), value: pair.slice(at + 1) };
  });
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  return {
    fields,
    ...(label !== undefined && { label }),
    ...(confidence !== undefined && { minConfidence: confidence }),
    limit: most,
  };
}

/** In path order, a page at a time. */
async function* matching(
  store: Store,
  { runId, epoch }: { runId: string; epoch: number },
  query: Query,
): AsyncGenerator<FileResult, void, undefined> {
  let left = query.limit;
  let afterPath: string | undefined;
  while (left > 0) {
    const limit = Math.min(PAGE_ROWS, left);
    const page = { ...query, limit, ...(afterPath !== undefined && { afterPath }) };
    const rows = await store.files.inferences(runId, epoch, page);
    yield* rows;
    if (rows.length < limit) return;
    left -= rows.length;
    afterPath = rows.at(-1)?.path;
  }
}
