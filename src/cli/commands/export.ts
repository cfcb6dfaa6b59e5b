/** `headroom export`: the manifest of a run, streamed from the store. Needs no Redis. */
import { Option, type Command } from "commander";
import { once } from "node:events";
import { accessSync, constants, createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { InvalidInputError, messageOf, NotFoundError } from "../../contract/errors.ts";
import { printablePath } from "../../contract/path-bytes.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import type { Store } from "../../store/store.ts";
import { act, addPlaceOptions, describeCommand, withStore, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { say, writePiece } from "../io.ts";
import { exportFormats, manifestWriter, type ExportFormat } from "../joblog.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly format: ExportFormat;
  readonly output?: string;
}

export function exportCommand(invocation: Invocation): Command {
  const command = describeCommand("export", "write the manifest of a run: one row per file", [
    "headroom export RUN > manifest.jsonl",
    "headroom export RUN --format csv --output manifest.csv",
    "headroom export RUN --format joblog   # the columns of GNU parallel --joblog",
  ])
    .argument("<run>", "id of a run")
    .addOption(new Option("--json", "JSON lines, which is the default").conflicts("format"))
    .addOption(new Option("-f, --format <format>", "of the rows").choices(exportFormats).default("jsonl"))
    .option("-o, --output <file>", "write here, not to standard output");
  return addPlaceOptions(command).action(
    act(invocation, async (runId: string, flags: Flags) => {
      const { io } = invocation;
      const { format, output } = flags;
      await withStore(flags, io, async (store) => {
        if (output === undefined) {
          await writeManifest(store, runId, { format, to: io.stdout });
          return;
        }
        const path = resolveFrom(io.cwd, output);
        const rows = await writeFile(path, (to) => writeManifest(store, runId, { format, to }));
        say(io, `${plural(rows, "row")} written to ${path}`);
      });
      return undefined;
    }),
  );
}

async function writeManifest(
  store: Store,
  runId: string,
  { format, to }: { format: ExportFormat; to: Writable },
): Promise<number> {
  const run = await store.runs.get(runId);
  if (run === undefined) throw new NotFoundError("run", runId);
  const writer = manifestWriter(format, run);
  let rows = 0;
  if (writer.head !== "") await writePiece(to, writer.head);
  for await (const result of store.files.all(runId, run.epoch)) {
    await writePiece(to, writer.row(result));
    rows += 1;
  }
  return rows;
}

/** The file appears whole: an export that fails leaves what was there before. */
async function writeFile(path: string, fill: (to: Writable) => Promise<number>): Promise<number> {
  const draft = `${path}.headroom-${process.pid}`;
  refuseTarget(path);
  const stream = createWriteStream(draft);
  // Told where it is written to next, or at its end.
  stream.on("error", () => undefined);
  try {
    await once(stream, "open");
    const rows = await fill(stream);
    stream.end();
    await finished(stream);
    renameSync(draft, path);
    return rows;
  } catch (error) {
    stream.destroy();
    rmSync(draft, { force: true });
    throw error;
  }
}

/** @throws {InvalidInputError} when no file can appear there */
function refuseTarget(path: string): void {
  const fault = (expected: string, found: string) =>
    new InvalidInputError("command line", [
      { where: "--output", expected, found: `${found} at ${printablePath(path)}` },
    ]);
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fault("a file in a folder that may be written", messageOf(error));
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw fault("a file", "a folder");
}
