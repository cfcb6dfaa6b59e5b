/** `headroom learned`: what commands were seen to take; export, import and reset of it. */
import type { Command } from "commander";
import { readFileSync, writeFileSync } from "node:fs";
import { text as readText } from "node:stream/consumers";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import {
  archiveOf,
  dropClasses,
  loadClasses,
  parseArchive,
  putClasses,
  summaryOf,
  type LearnedSummary,
} from "../../platform/learned/learned-archive.ts";
import type { Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatCommand } from "../../contract/command-text.ts";
import { formatBytes, formatCount, formatDuration, formatTable, plural, truncate } from "../format.ts";
import { outStyle, print, printJson, say } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import type { Style } from "../style.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly all?: boolean;
}

const COMMAND_COLUMNS = 40;
const DIGEST_COLUMNS = 8;

export function learnedCommand(invocation: Invocation): Command {
  const command = describeCommand("learned", "show what commands were seen to take", [
    "headroom learned",
    "headroom learned --json",
    "headroom learned export learned.json",
    "headroom learned reset default:1f0a",
  ]);
  addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: Flags) => {
      const { io } = invocation;
      const classes = await withCluster(flags, io, ({ redis, place }) => loadClasses(redis, place.kp));
      const summaries = classes.map(summaryOf).filter((summary) => summary !== undefined);
      const unread = classes.length - summaries.length;
      if (unread > 0) say(io, `${plural(unread, "class", "classes")} cannot be read by this version`);
      if (flags.json === true) printJson(io, summaries);
      else print(io, learnedText(summaries, outStyle(io)));
      return undefined;
    }),
  );
  return command
    .addCommand(exportLearned(invocation))
    .addCommand(importLearned(invocation))
    .addCommand(resetLearned(invocation));
}

function exportLearned({ io }: Invocation): Command {
  const command = describeCommand("export", "write all that was learned to a file", [
    "headroom learned export learned.json",
    "headroom learned export -",
  ]).argument("<file>", "a file, or - for standard output");
  return addPlaceOptions(command).action(async (file: string, flags: Flags) => {
    const classes = await withCluster(flags, io, ({ redis, place }) => loadClasses(redis, place.kp));
    const text = `${JSON.stringify(archiveOf(classes), null, 2)}\n`;
    if (file === "-") print(io, text);
    else {
      tryFile(file, () => {
        writeFileSync(resolveFrom(io.cwd, file), text);
      });
      say(io, `${plural(classes.length, "class", "classes")} written to ${file}`);
    }
  });
}

function importLearned({ io }: Invocation): Command {
  const command = describeCommand(
    "import",
    "take in what was learned elsewhere, in the place of the same classes here",
    ["headroom learned import learned.json"],
  ).argument("<file>", "a file, or - for standard input");
  return addPlaceOptions(command).action(async (file: string, flags: Flags) => {
    const text =
      file === "-" ? await readText(io.stdin) : tryFile(file, () => readFileSync(resolveFrom(io.cwd, file), "utf8"));
    const { classes } = parseArchive(text, file === "-" ? "standard input" : file);
    await withCluster(flags, io, ({ redis, place }) => putClasses(redis, place.kp, classes));
    say(io, `${plural(classes.length, "class", "classes")} taken in`);
  });
}

function resetLearned({ io }: Invocation): Command {
  const command = describeCommand("reset", "forget what was learned of one class, or of all", [
    "headroom learned reset default:1f0a",
    "headroom learned reset --all",
  ])
    .argument("[class]", "the beginning of the name of one class, as `headroom learned` shows it")
    .option("--all", "all classes");
  return addPlaceOptions(command).action(async (name: string | undefined, flags: Flags) => {
    if ((name === undefined) === (flags.all !== true)) {
      const found = name === undefined ? "neither" : "both";
      throw new InvalidInputError("command line", [{ where: "learned reset", expected: "a class or --all", found }]);
    }
    const count = await withCluster(flags, io, (cluster) => reset(cluster, name));
    say(io, `${plural(count, "class", "classes")} forgotten`);
  });
}

async function reset({ redis, place, store }: Cluster, name: string | undefined): Promise<number> {
  const all = (await loadClasses(redis, place.kp)).map(({ key }) => key);
  const chosen = name === undefined ? all : all.filter((key) => key.startsWith(name));
  if (name !== undefined && chosen.length !== 1) {
    const found = `${chosen.length} classes that begin with ${JSON.stringify(name)}`;
    throw new InvalidInputError("command line", [{ where: "class", expected: "the name of one class", found }]);
  }
  const count = await dropClasses(redis, place.kp, chosen);
  // Else the store would give it back to a Redis that has nothing.
  await store.learned.save(
    [],
    all.filter((key) => !chosen.includes(key)),
  );
  return count;
}

function tryFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const fault = { where: file, expected: "a file that can be used", found: messageOf(error) };
    throw new InvalidInputError("command line", [fault], { cause: error });
  }
}

/** One line per class under a head. */
export function learnedText(classes: readonly LearnedSummary[], style: Style): string {
  if (classes.length === 0) return style.dim("nothing learned yet; it comes with the first run");
  // A machine without GPUs has nothing to show there.
  const hasGpu = classes.some(({ gpuMemoryBytes }) => gpuMemoryBytes !== null);
  const ofGpu = (cells: readonly string[]) => (hasGpu ? cells : []);
  const head = [
    "CLASS",
    "JOBS",
    "MEMORY P50",
    "P95",
    ...ofGpu(["GPU P50", "P95"]),
    "TIME P50",
    "P95",
    "WITHIN",
    "COMMAND",
  ];
  const rows = classes.map(
    ({ key, profile, jobs, memoryBytes, gpuMemoryBytes: gpu, durationMs, coverage, command }) => [
      `${profile}:${key.slice(profile.length + 1, profile.length + 1 + DIGEST_COLUMNS)}`,
      formatCount(jobs),
      formatBytes(memoryBytes.p50),
      formatBytes(memoryBytes.p95),
      ...ofGpu(gpu === null ? ["-", "-"] : [formatBytes(gpu.p50), formatBytes(gpu.p95)]),
      durationMs === null ? "-" : formatDuration(durationMs.p50),
      durationMs === null ? "-" : formatDuration(durationMs.p95),
      coverage === null ? "-" : `${Math.round(coverage * 100)} %`,
      truncate(formatCommand(command), COMMAND_COLUMNS),
    ],
  );
  const [first = "", ...lines] = formatTable([head, ...rows], hasGpu ? [1, 2, 3, 4, 5, 6, 7, 8] : [1, 2, 3, 4, 5, 6]);
  return [style.dim(first), ...lines].join("\n");
}
