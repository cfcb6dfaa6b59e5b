/** `headroom calibrate`: measures a few files of different sizes alone, and proposes a profile and a concurrency. */
import { Option, type Command } from "commander";
import { rmSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { exitCodes, InvalidInputError } from "../../contract/errors.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import type { RunStatus } from "../../contract/status.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { systemClock } from "../../platform/clock.ts";
import { classOf } from "../../platform/learned/class-key.ts";
import { expectationOf } from "../../platform/learned/expectation-of.ts";
import { LearnedClasses } from "../../platform/learned/learned-classes.ts";
import { FileChooser } from "../../platform/scan/choose-files.ts";
import { isScannedFile } from "../../platform/scan/scan-batch.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { openSource } from "../../platform/scan/source.ts";
import { pictureSvg, pictureText } from "../calibrate/picture.ts";
import { calibratedFiles, proposeProfile, type CalibratedFile, type Proposal } from "../calibrate/proposal.ts";
import { writeProfile } from "../calibrate/write-profile.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import { formatCommand } from "../../contract/command-text.ts";
import { formatBytes, formatDuration, formatTable, oneLine, plural } from "../format.ts";
import { print, printJson, say } from "../io.ts";
import type { RunPlan } from "../run/run-plan.ts";
import type { RunFlags } from "../run-flags.ts";
import { runWith } from "../run/session.ts";

interface Flags extends RunFlags {
  readonly files: string;
  readonly write?: string;
}

const LEAST_FILES = 3;
const MOST_FILES = 8;
/** Of the memory of this machine, as workers use it unless they are told otherwise. */
const MEMORY_SHARE = 0.9;

export function calibrateCommand(invocation: Invocation): Command {
  const command = describeCommand("calibrate", "measure a command on a few files, and propose what to ask for", [
    "headroom calibrate --input photos -- convert {input} -resize 200x {output}",
    "headroom calibrate --config run.yaml --write run.yaml",
  ])
    .usage("--input PATH [options] -- COMMAND [ARG...]")
    .option("-i, --input <path>", "folder or glob of the files")
    .option("-c, --config <file>", "configuration file; options override it")
    .option("--files <n>", `how many are measured, from ${LEAST_FILES} to ${MOST_FILES}`, "5")
    .option("--profile <name>", "resource class that is proposed")
    .addOption(new Option("--write <file>", "add the proposed profile to this configuration file"));
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (flags: Flags) => calibrate(flags, invocation)),
  );
}

async function calibrate(flags: Flags, invocation: Invocation): Promise<number> {
  const wanted = Number(flags.files);
  if (!Number.isInteger(wanted) || wanted < LEAST_FILES || wanted > MOST_FILES) {
    const expected = `a whole number from ${LEAST_FILES} to ${MOST_FILES}`;
    throw new InvalidInputError("command line", [{ where: "--files", expected, found: JSON.stringify(flags.files) }]);
  }
  const { files: _files, write: _write, json: _json, ...own } = flags;
  let output: string | undefined;
  try {
    return await runWith({
      ...invocation,
      flags: own,
      outputOf: (home) => (output = outputFolder(home)),
      adapt: (plan) => narrow(plan, wanted),
      end: (cluster, status) => tell(cluster, status, { flags, invocation }),
    });
  } finally {
    if (output !== undefined) rmSync(output, { recursive: true, force: true });
  }
}

/** Outputs of a calibration are kept by nobody. */
function outputFolder(home: string): string {
  const folder = join(home, "tmp", `calibrate-${process.pid}`);
  makeFolders(folder);
  return folder;
}

/** The same run over a few of its files, one at a time. */
async function narrow(plan: RunPlan, wanted: number): Promise<RunPlan> {
  const { input } = parseRunSpec(plan.spec);
  const chooser = new FileChooser(Math.random);
  const pages = plan.list === undefined ? {} : { pages: plan.list.pages() };
  for await (const batch of openSource(input, pages)) for (const file of batch.filter(isScannedFile)) chooser.add(file);
  const chosen = chooser.choose(wanted);
  if (chosen.length === 0) {
    throw new InvalidInputError("run", [{ where: "--input", expected: "files to measure", found: "none" }]);
  }
  return {
    ...plan,
    list: undefined,
    spec: {
      ...plan.spec,
      name: plan.spec.name ?? "calibration",
      input: { kind: "list", root: input.root, paths: chosen.map(({ path }) => path) },
      // What is proposed rests on what is measured alone.
      resources: { ...plan.spec.resources, memoryBytes: undefined },
      calibration: { files: chosen.length },
    },
  };
}

async function tell(
  cluster: Cluster,
  status: RunStatus,
  { flags, invocation: { io } }: { flags: Flags; invocation: Invocation },
): Promise<number> {
  const rows = [];
  for await (const row of cluster.store.files.all(status.id, status.epoch)) rows.push(row);
  const files = calibratedFiles(rows);
  const failed = rows.find(({ outcome }) => outcome !== "succeeded");
  if (failed !== undefined) say(io, `${oneLine(failed.path)}: ${failed.message ?? failed.outcome}`);
  const largest = files.at(-1);
  if (largest === undefined) {
    say(io, "no file was measured to its end, so there is nothing to propose");
    return exitCodes.someFailed;
  }
  const learned = await learnedOf(cluster, status);
  const expected = expectationOf({ profile: status.spec.resources, learned, inputBytes: largest.inputBytes });
  const proposal = proposeProfile(files, expected, await machineOf(cluster));
  const picture = writePicture(cluster, status, { files, proposal });
  if (flags.json === true) {
    printJson(io, { id: status.id, profile: status.spec.profile, ...proposal, picture, files });
  } else print(io, calibrationText(status, { files, proposal, picture }));
  if (flags.write !== undefined) {
    writeProfile(resolveFrom(io.cwd, flags.write), status.spec.profile, proposal);
    say(io, `profile ${status.spec.profile} written to ${flags.write}`);
  }
  return failed === undefined ? exitCodes.ok : exitCodes.someFailed;
}

function learnedOf({ redis, place, logger }: Cluster, { spec }: RunStatus) {
  return new LearnedClasses({ redis, prefix: place.kp, clock: systemClock, logger }).load(classOf(spec));
}

/** What the largest worker has, as it says itself; this machine when none says. */
async function machineOf(cluster: Cluster): Promise<{ memoryBytes: number; cpuCores: number }> {
  const workers = (await loadLiveWorkers(cluster)).map(({ capacity }) => capacity);
  const amount = (values: readonly (number | null | undefined)[], otherwise: number) =>
    Math.max(0, ...values.map((value) => value ?? 0)) || otherwise;
  return {
    memoryBytes:
      MEMORY_SHARE *
      amount(
        workers.map((capacity) => capacity.memoryBytes),
        totalmem(),
      ),
    cpuCores: amount(
      workers.map((capacity) => capacity.cpuCores),
      availableParallelism(),
    ),
  };
}

interface Calibration {
  readonly files: readonly CalibratedFile[];
  readonly proposal: Proposal;
}

function writePicture({ place }: Cluster, { id, spec }: RunStatus, { files, proposal }: Calibration): string {
  const folder = join(place.home, "runs", id);
  makeFolders(folder);
  const path = join(folder, "calibration.svg");
  writeFileSync(path, pictureSvg(files, proposal.memoryBytes, formatCommand(spec.command)), { mode: 0o600 });
  return path;
}

function calibrationText(
  { spec }: RunStatus,
  { files, proposal, picture }: Calibration & { readonly picture: string },
): string {
  const { memoryBytes, cpuCores, concurrency, limitedBy } = proposal;
  const rows = files.map(({ path, inputBytes, peakBytes, durationMs, cpuMs }) => [
    formatBytes(inputBytes),
    formatBytes(peakBytes),
    formatDuration(durationMs),
    `${Math.round((cpuMs / Math.max(1, durationMs)) * 100)} %`,
    oneLine(path),
  ]);
  const held = limitedBy === "memory" ? "its memory holds it there" : "its CPUs hold it there";
  return [
    ...formatTable([["SIZE", "PEAK MEMORY", "TIME", "CPU", "FILE"], ...rows], [0, 1, 2, 3]),
    "",
    ...pictureText(files, memoryBytes),
    "",
    `proposed for each process of profile ${spec.profile}: ${formatBytes(memoryBytes)} of memory, ${cpuCores} CPUs`,
    `at once on this machine: ${plural(concurrency, "process", "processes")}; ${held}`,
    `picture: ${picture}`,
  ].join("\n");
}
