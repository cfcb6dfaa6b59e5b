/**
 * The configuration of a process or a run: defaults, under the file, under the environment, under the command line. All
 * faults of all of them are reported together.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseConfig } from "../contract/config-faults.ts";
import type { Config } from "../contract/config.ts";
import { InvalidInputError, type Fault } from "../contract/errors.ts";
import { globFaults } from "../contract/globs.ts";
import { narrowAllow, taskOf } from "../contract/task-limits.ts";
import { field, showPath, type PathFault } from "../contract/schema-faults.ts";
import { readConfigDocument, type ConfigDocument, type Environment } from "./config-document.ts";
import { resolveFrom } from "./current-folder.ts";
import { readEnvironment, type Setting } from "./config-environment.ts";

export interface ConfigSources {
  readonly file?: string;
  readonly env: Environment;
  /** From the command line; the last one of a path wins. */
  readonly settings?: readonly Setting[];
  /** What relative paths on the command line are relative to; those in the file are relative to the file. */
  readonly cwd: string;
}

/** A larger file is no configuration. */
const MAX_BYTES = 1_048_576;

/**
 * Loads the effective configuration. Within an agent, its task narrows what is allowed. @throws {InvalidInputError} with
 * every fault.
 */
export function loadConfig(sources: ConfigSources): Config {
  const task = taskOf(sources.env);
  const config = readConfig(sources);
  return { ...config, allow: narrowAllow(config.allow, task) };
}

function readConfig(sources: ConfigSources): Config {
  const title = sources.file === undefined ? "configuration" : `configuration ${sources.file}`;
  const document =
    sources.file === undefined ? emptyDocument : readFile(resolveFrom(sources.cwd, sources.file), sources.env);
  // Without a parsed file there is nothing to check any further.
  if (document.value === undefined) throw new InvalidInputError(title, document.faults);
  const environment = readEnvironment(sources.env);
  const settings = [...environment.settings, ...(sources.settings ?? [])];
  const merged = mergeSettings(document.value, settings, sources);
  const parsed = parseConfig(merged);
  const globs = globFaults(field(merged, "input"), ["input"]);
  const early: Fault[] = [...withLines(document.faults, document, settings), ...environment.faults];
  if (parsed.kind === "valid" && early.length + globs.length === 0) return parsed.config;
  const seen = new Set(early.map((fault) => fault.where));
  const late = withLines([...(parsed.kind === "valid" ? [] : parsed.faults), ...globs], document, settings);
  throw new InvalidInputError(title, [...early, ...late.filter((fault) => !seen.has(fault.where))]);
}

const emptyDocument: ConfigDocument = { value: {}, faults: [], lineOf: () => undefined };

function mergeSettings(value: unknown, settings: readonly Setting[], { file, cwd }: ConfigSources): unknown {
  if (!isMapping(value)) return value;
  // A section whose lines are all commented out is an empty one.
  const raw: Mapping = structuredClone(Object.fromEntries(Object.entries(value).filter(([, below]) => below !== null)));
  if (file !== undefined) anchorPaths(raw, dirname(resolveFrom(cwd, file)), cwd);
  for (const setting of settings) setIn(raw, setting.path, setting.value);
  return raw;
}

function readFile(path: string, env: Environment): ConfigDocument {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "an error";
    const found = code === "ENOENT" ? `nothing at ${path}` : `${code} at ${path}`;
    throw new InvalidInputError("configuration", [{ where: "--config", expected: "a readable file", found }], {
      cause: error,
    });
  }
  if (bytes.length > MAX_BYTES) {
    const found = `${bytes.length} bytes`;
    throw new InvalidInputError("configuration", [{ where: path, expected: `${MAX_BYTES} bytes at most`, found }]);
  }
  return readConfigDocument(bytes.toString("utf8"), path, env);
}

/** Says where a faulty value came from: a variable, an option, or a line of the file. */
function withLines(faults: readonly PathFault[], document: ConfigDocument, settings: readonly Setting[]): Fault[] {
  return faults.map(({ path, expected, found }) => {
    const setting = settings.findLast((some) => some.path.every((part, at) => part === path[at]));
    const line = document.lineOf(path);
    const plain = line === undefined ? showPath(path) : `${showPath(path)} (line ${line})`;
    return { where: setting?.where ?? plain, expected, found };
  });
}

type Mapping = Record<string, unknown>;

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Relative paths in a file mean the same wherever the command is started. */
function anchorPaths(raw: Mapping, folder: string, cwd: string): void {
  anchorModules(raw["governor"], folder);
  anchorPlanners(raw["planners"], folder);
  if (folder === resolve(cwd)) return;
  const { directories, binary, input, output } = raw;
  for (const key of ["input", "output"]) {
    const value = isMapping(directories) ? directories[key] : undefined;
    if (isMapping(directories) && typeof value === "string" && value !== "" && value !== "-") {
      directories[key] = resolve(folder, value);
    }
  }
  anchorBinary(binary, "path", folder);
  for (const section of [input, output]) anchorBinary(isMapping(section) ? section["check"] : undefined, "0", folder);
}

/** A module that begins with a dot is a file; any other text is the name of a package. */
function anchorModules(governor: unknown, folder: string): void {
  if (!isMapping(governor)) return;
  for (const list of [governor["probes"], governor["rules"]]) {
    for (const entry of Array.isArray(list) ? (list as unknown[]) : []) {
      const module = isMapping(entry) ? entry["module"] : undefined;
      if (isMapping(entry) && typeof module === "string" && /^\.\.?\//.test(module)) {
        entry["module"] = resolve(folder, module);
      }
    }
  }
}

function anchorPlanners(planners: unknown, folder: string): void {
  for (const planner of isMapping(planners) ? Object.values(planners) : []) {
    if (!isMapping(planner)) continue;
    anchorBinary(planner["command"], "0", folder);
    // The model of an endpoint is a name; of the cluster it is a folder.
    for (const key of ["folder", "key_file", ...(planner["kind"] === "model" ? ["model"] : [])]) {
      const value = planner[key];
      if (typeof value === "string" && value !== "") planner[key] = resolve(folder, value);
    }
  }
}

/** A name without a slash is looked up on the PATH. */
function anchorBinary(holder: unknown, key: string, folder: string): void {
  if (typeof holder !== "object" || holder === null || !Object.hasOwn(holder, key)) return;
  const place = holder as Mapping;
  const path = place[key];
  if (typeof path === "string" && path.includes("/")) place[key] = resolve(folder, path);
}

/** Sets a value, making the mappings on the way; where the file has something else there, the schema says so. */
function setIn(raw: Mapping, path: readonly string[], value: unknown): void {
  let mapping = raw;
  for (const part of path.slice(0, -1)) {
    const below = mapping[part];
    if (below === undefined || below === null) mapping[part] = {};
    else if (!isMapping(below)) return;
    mapping = mapping[part] as Mapping;
  }
  const last = path.at(-1);
  if (last !== undefined) mapping[last] = value;
}
