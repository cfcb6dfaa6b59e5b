/** Makes a run and the governor's settings of an effective configuration. */
import { isSameFolder } from "./inside.ts";
import type { Config, JobGroupsMode } from "./config.ts";
import { InvalidInputError, type Fault } from "./errors.ts";
import { defaultRetryRules, failureClasses, type FailureClass, type RetryRule } from "./outcomes.ts";
import type { Profile } from "./profiles.ts";
import type { RunSpecInput } from "./run-request.ts";
import type { InputSpec, RunSpec } from "./run-spec.ts";
import { INPUTS, outputFromOf } from "./template.ts";

/** What a configuration cannot say by itself: paths looked up on this machine. */
export interface RunParts {
  readonly input: InputSpec;
  /** Absolute. */
  readonly outputRoot: string;
  /** Replaces `commandOf(config)`, for example with the absolute path of the binary. */
  readonly command?: readonly string[];
  /** `none` keeps no output; without it the command's placeholders decide between `stdout` and `file`. */
  readonly outputFrom?: RunSpec["output"]["from"];
  readonly executor?: RunSpec["executor"];
  readonly name?: string;
  readonly binarySha256?: string;
  readonly traceId?: string;
}

/** The limits on a node that the `resources` section asks for. */
export interface ResourceSettings {
  /** Undefined: as many as the node has room for. */
  readonly maxProcesses: number | undefined;
  /** Undefined: the governor's own lines. */
  readonly memoryThresholdPercent: number | undefined;
  readonly cpuThresholdPercent: number;
  readonly jobGroups: JobGroupsMode;
}

export interface CompiledConfig {
  readonly run: RunSpecInput;
  readonly resources: ResourceSettings;
}

/** The argument list of the file, or undefined when it names no binary. */
export function commandOf(config: Config): readonly string[] | undefined {
  return config.binary === undefined ? undefined : [config.binary.path, ...config.binary.flags];
}

export function resourceSettings(config: Config): ResourceSettings {
  return {
    maxProcesses: config.resources.max_processes,
    memoryThresholdPercent: config.resources.memory_threshold_percent,
    cpuThresholdPercent: config.resources.cpu_threshold_percent,
    jobGroups: config.resources.job_cgroups,
  };
}

/** @throws {InvalidInputError} when there is no command, or the outputs would fall among the inputs. */
export function compileConfig(config: Config, parts: RunParts): CompiledConfig {
  const command = parts.command ?? commandOf(config) ?? [];
  const from = parts.outputFrom ?? outputFromOf(command);
  const faults: Fault[] = [];
  if (command.length === 0) faults.push({ where: "binary.path", expected: "a command to run", found: "nothing" });
  const isAmongInputs =
    parts.input.kind === "tree" && isSameFolder(parts.input.root, parts.outputRoot) && from !== "none";
  if (isAmongInputs) {
    const expected = "a folder other than the input folder";
    faults.push({ where: "directories.output", expected, found: JSON.stringify(parts.outputRoot) });
  }
  if (faults.length > 0) throw new InvalidInputError("run", faults);
  return {
    run: runOf(config, { ...parts, command, outputFrom: from }),
    resources: resourceSettings(config),
  };
}

type FullParts = RunParts & { readonly command: readonly string[]; readonly outputFrom: RunSpec["output"]["from"] };

function runOf(config: Config, parts: FullParts): RunSpecInput {
  const { limits, chunk, input, output } = config;
  return {
    version: 1,
    ...named(parts),
    ...optional("executor", parts.executor),
    command: [...parts.command],
    perChunk: parts.command.includes(INPUTS),
    input: parts.input,
    inputRules: {
      minBytes: input.min_bytes,
      ...optional("maxBytes", input.max_bytes),
      ...optional("check", input.check),
    },
    output: {
      root: parts.outputRoot,
      name: output.name,
      from: parts.outputFrom,
      allowEmpty: output.allow_empty,
      ...optional("check", output.check),
      maxBytes: limits.output_max_bytes,
    },
    env: config.env,
    envAllow: config.env_allow,
    timeoutMs: Math.ceil(limits.timeout_seconds * 1_000),
    killAfterMs: Math.ceil(limits.kill_after_seconds * 1_000),
    logBytes: limits.log_bytes,
    successExitCodes: config.success_exit_codes,
    retry: retryOf(config),
    profile: config.profile,
    resources: profileOf(config),
    chunk: { maxFiles: chunk.max_files, maxBytes: chunk.max_bytes, targetMs: chunk.target_ms },
    ...(config.calibration.files > 0 && { calibration: { files: config.calibration.files } }),
    ...optional("maxFailures", maxFailuresOf(limits.max_failures)),
  };
}

function named(parts: RunParts): Pick<RunSpecInput, "name" | "binarySha256" | "traceId"> {
  return {
    ...optional("name", parts.name),
    ...optional("binarySha256", parts.binarySha256),
    ...optional("traceId", parts.traceId),
  };
}

/** The rules that the file changes, each filled up with the defaults of its class. */
function retryOf(config: Config): Partial<Record<FailureClass, RetryRule>> {
  const rules: Partial<Record<FailureClass, RetryRule>> = {};
  for (const name of failureClasses) {
    const rule = config.retry[name];
    if (rule === undefined) continue;
    const base = defaultRetryRules[name];
    const backoffMs = rule.backoff_ms ?? base.backoffMs;
    rules[name] = {
      attempts: rule.attempts ?? base.attempts,
      backoffMs,
      backoffFactor: rule.backoff_factor ?? base.backoffFactor,
      maxBackoffMs: rule.max_backoff_ms ?? Math.max(base.maxBackoffMs, backoffMs),
    };
  }
  return rules;
}

function profileOf(config: Config): NonNullable<RunSpecInput["resources"]> {
  const profile = config.profiles[config.profile];
  return profile === undefined ? {} : declaredProfile(profile);
}

/** What a configuration declares of a profile, as jobs ask for it. */
export function declaredProfile({ memory, gpu_memory: gpu, cpu, labels }: Config["profiles"][string]): Profile {
  return { ...optional("memoryBytes", memory), ...optional("gpuMemoryBytes", gpu), cpuCores: cpu, labels };
}

/** A count of files, or a share such as `5%`. */
export function maxFailuresOf(value: number | string | undefined): RunSpecInput["maxFailures"] {
  if (value === undefined) return undefined;
  const text = String(value);
  if (text.endsWith("%")) return { unit: "percent", value: Number(text.slice(0, -1)) };
  return { unit: "files", value: Number(text) };
}

/** One field, or none: an optional field must be absent, not undefined. */
function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}
