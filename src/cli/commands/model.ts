/** `headroom model`: looks at a model, checks it, and measures it. */
import { hash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Option, type Command } from "commander";
import type { Allow } from "../../contract/allow.ts";
import { exitCodes, InvalidInputError } from "../../contract/errors.ts";
import { inputSpec, type InputSpec } from "../../contract/run-spec.ts";
import { pluginsOf } from "../../contract/model-plugins.ts";
import { manifestJsonSchema } from "../../contract/model-manifest.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { readManifest } from "../../platform/models/model-folder.ts";
import type { Logger } from "../../platform/logger.ts";
import { isScannedFile } from "../../platform/scan/scan-batch.ts";
import { openSource } from "../../platform/scan/source.ts";
import type { Loaded, TensorFacts } from "../../worker/inference/engine-protocol.ts";
import { placementText } from "../../worker/inference/placement.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import { formatBytes, formatCount, formatDuration, formatTable, plural } from "../format.ts";
import { print, printJson, say, type Io } from "../io.ts";
import { openLogFile } from "../log-file.ts";
import { createEngine, probeModel } from "../run/model.ts";
import { logLevelOf, openPlace, type PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly input?: string;
  readonly config?: string;
}

export function modelCommand(invocation: Invocation): Command {
  return describeCommand("model", "look at models, check and measure them", [
    "headroom model inspect models/filetype",
    "headroom model validate models/filetype",
    "headroom model bench models/filetype --input src",
  ])
    .addCommand(inspectCommand(invocation))
    .addCommand(validateCommand(invocation))
    .addCommand(benchCommand(invocation))
    .addCommand(schemaCommand(invocation));
}

function loggerOf(flags: Flags, io: Io): Logger {
  return openLogFile(openPlace(flags, io).home, logLevelOf(io.env), { process: "cli" }).logger;
}

/** A file that says what is allowed: a folder of a model may hold code. */
function addOptions(command: Command): Command {
  const config = new Option("-c, --config <file>", "configuration file, for what is allowed").env("HEADROOM_CONFIG");
  return addPlaceOptions(addJsonOption(command.addOption(config)));
}

function allowedPlugins({ config }: Flags, io: Io): Allow["model_plugins"] {
  const file = config === undefined ? {} : { file: config };
  return loadConfig({ ...file, env: io.env, cwd: io.cwd }).allow.model_plugins;
}

function inspectCommand(invocation: Invocation): Command {
  const command = describeCommand("inspect", "load a model and show what it is", [
    "headroom model inspect models/filetype",
    "headroom model inspect models/filetype --json",
  ]).argument("<folder>", "folder of the model");
  return addOptions(command).action(
    act(invocation, async (folder: string, flags: Flags) => {
      const { io } = invocation;
      const loaded = await probeModel(resolveFrom(io.cwd, folder), loggerOf(flags, io), allowedPlugins(flags, io));
      if (flags.json === true) printJson(io, inspectJson(loaded));
      else print(io, inspectText(loaded));
      return undefined;
    }),
  );
}

function inspectJson({ model, ...facts }: Loaded): object {
  const { folder, sha256, labels, manifest } = model;
  return {
    folder,
    sha256,
    name: manifest.name,
    task: manifest.task,
    labels: labels.length,
    plugins: pluginsOf(manifest),
    ...facts,
  };
}

function inspectText(loaded: Loaded): string {
  const { model, provider, placement, refusals, mostRows, warmRows, rssBytes, loadMs } = loaded;
  const { manifest } = model;
  const rows = [
    ["model", `${manifest.name}, ${manifest.task}`],
    ["folder", model.folder],
    ["sha256", model.sha256],
    ["provider", placementText(provider, placement)],
    ...refusals.map((refusal) => ["not used", `${refusal.provider}: ${refusal.reason}`]),
    ["inputs", loaded.inputs.map(tensorText).join("; ")],
    ["outputs", loaded.outputs.map(tensorText).join("; ")],
    ...pluginsOf(manifest).map(({ role, file, sha256 }) => ["plugin", `${file} for ${role}s, ${sha256}`]),
    ...(model.labels.length === 0
      ? []
      : [["labels", `${formatCount(model.labels.length)}: ${model.labels.slice(0, 20).join(", ")}`]]),
    ["batch", `${plural(mostRows, "file")} at most${warmRows < mostRows ? `, at first ${warmRows}` : ""}`],
    ["memory", `${formatBytes(rssBytes)} after a batch of ${warmRows}`],
    ["loaded in", formatDuration(loadMs)],
  ];
  return `${rows.map(([label = "", text = ""]) => `${label.padEnd(10)}${text}`).join("\n")}\n`;
}

function tensorText({ name, type, shape }: TensorFacts): string {
  return `${name} ${type} [${shape.join(", ")}]`;
}

function validateCommand(invocation: Invocation): Command {
  const command = describeCommand("validate", "check a model by loading it, and report every fault", [
    "headroom model validate models/filetype",
  ]).argument("<folder>", "folder of the model");
  return addOptions(command).action(
    act(invocation, async (name: string, flags: Flags) => {
      const { io } = invocation;
      const folder = resolveFrom(io.cwd, name);
      try {
        await probeModel(folder, loggerOf(flags, io), allowedPlugins(flags, io));
      } catch (error) {
        if (!(error instanceof InvalidInputError)) throw error;
        tellDigest(io, folder, error);
        if (flags.json !== true) throw error;
        printJson(io, { folder, valid: false, faults: error.faults });
        return error.exitCode;
      }
      if (flags.json === true) printJson(io, { folder, valid: true, faults: [] });
      else print(io, `${folder} is valid\n`);
      return exitCodes.ok;
    }),
  );
}

/** Who writes a manifest needs the digest of the file first. */
function tellDigest(io: Io, folder: string, { faults }: InvalidInputError): void {
  if (!faults.some(({ where }) => where.startsWith("model.sha256"))) return;
  try {
    const path = join(folder, readManifest(folder).model.file);
    if (statSync(path).isFile()) say(io, `${path} has SHA-256 ${hash("sha256", readFileSync(path), "hex")}`);
  } catch {
    // The faults of the manifest itself are told already.
  }
}

function schemaCommand(invocation: Invocation): Command {
  return describeCommand("schema", "print the JSON Schema of model.yaml, for editors", [
    "headroom model schema > model.schema.json",
  ]).action(
    act(invocation, () => {
      printJson(invocation.io, manifestJsonSchema());
      return Promise.resolve(undefined);
    }),
  );
}

/** Files that a measurement takes, and how long it takes them. */
const BENCH_FILES = 4_096;
const BENCH_MS = 1_500;

function benchCommand(invocation: Invocation): Command {
  const command = describeCommand("bench", "measure a model over files, by batch size", [
    "headroom model bench models/filetype --input src",
  ])
    .argument("<folder>", "folder of the model")
    .addOption(
      new Option("-i, --input <path>", "a folder with files as the model will get them").makeOptionMandatory(),
    );
  return addOptions(command).action(
    act(invocation, async (name: string, flags: Flags) => {
      const { io } = invocation;
      const folder = resolveFrom(io.cwd, name);
      const logger = loggerOf(flags, io);
      const input = inputSpec.parse({ kind: "tree", root: resolveFrom(io.cwd, flags.input ?? ".") });
      const paths = await someFiles(input);
      if (paths.length === 0) {
        throw new InvalidInputError("bench", [{ where: "--input", expected: "a folder with files", found: "none" }]);
      }
      const modelPlugins = allowedPlugins(flags, io);
      const { mostRows } = await probeModel(folder, logger, modelPlugins);
      const sizes = [];
      for (let rows = 1; rows < mostRows * 2; rows *= 2) {
        sizes.push(await measure({ folder, logger, input, paths, modelPlugins }, Math.min(rows, mostRows)));
      }
      if (flags.json === true) printJson(io, { folder, sizes });
      else {
        const cells = sizes.map(({ rows, filesPerSecond, msPerBatch }) => [
          String(rows),
          formatCount(Math.round(filesPerSecond)),
          formatDuration(msPerBatch),
        ]);
        print(
          io,
          `${formatTable([["FILES AT A TIME", "FILES PER SECOND", "PER BATCH"], ...cells], [0, 1, 2]).join("\n")}\n`,
        );
      }
      return undefined;
    }),
  );
}

async function someFiles(input: InputSpec): Promise<string[]> {
  const paths: string[] = [];
  for await (const batch of openSource(input, {})) {
    paths.push(...batch.filter(isScannedFile).map(({ path }) => path));
    if (paths.length >= BENCH_FILES) break;
  }
  return paths.slice(0, BENCH_FILES);
}

interface Bench {
  readonly folder: string;
  readonly logger: Logger;
  readonly input: InputSpec;
  readonly paths: readonly string[];
  readonly modelPlugins: Allow["model_plugins"];
}

/** Reading included; the files again and again until the time is over. */
async function measure({ folder, logger, input, paths, modelPlugins }: Bench, rows: number) {
  const engine = createEngine(folder, logger, { fixedRows: rows, warmRows: rows, modelPlugins });
  try {
    await engine.ready();
    const placeId = engine.addPlace({ input, inputRules: { minBytes: 0 }, inputRoot: undefined });
    const startedMs = performance.now();
    let files = 0;
    while (performance.now() - startedMs < BENCH_MS) {
      await new Promise<void>((resolve, reject) => {
        let left = paths.length;
        engine.submit({
          placeId,
          paths,
          onAnswers: (answers) => {
            left -= answers.length;
            if (left === 0) resolve();
          },
          onBroken: reject,
        });
      });
      files += paths.length;
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    return { rows, filesPerSecond: files / seconds, msPerBatch: (1_000 * rows * seconds) / files };
  } finally {
    await engine.close();
  }
}
