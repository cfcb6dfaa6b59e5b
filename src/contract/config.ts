/** The configuration file: schema and defaults. Keys are in snake_case, units stand in their names. */
import { z } from "zod";
import { agentsSchema } from "./agents.ts";
import { allowSchema } from "./allow.ts";
import { bytes, milliseconds, seconds } from "./config-units.ts";
import { failureClasses, type FailureClass } from "./outcomes.ts";
import { plannersSchema } from "./planners.ts";
import { profileName } from "./profiles.ts";
import { GiB, MiB } from "./resources.ts";
import { runSpec } from "./run-spec.ts";
import { retentionSchema } from "./retention.ts";
import { scalingSchema } from "./scaling.ts";
import { scheduleName, scheduleSpec } from "./schedules.ts";

const text = z.string().min(1);
const commandList = z.array(z.string()).min(1);
const percent = z.number().gt(0).max(100);

const retryRule = z.strictObject({
  attempts: z.int().min(1).max(1_000).optional(),
  backoff_ms: milliseconds({ min: 0 }).optional(),
  backoff_factor: z.number().min(1).optional(),
  max_backoff_ms: milliseconds({ min: 0 }).optional(),
});

const retry = z.strictObject(
  Object.fromEntries(failureClasses.map((name) => [name, retryRule.optional()])) as Record<
    FailureClass,
    z.ZodOptional<typeof retryRule>
  >,
);

/** What a profile says of its jobs; changeable while they wait (profile-changes.ts). */
export const profileFields = {
  memory: bytes({ min: 1 }),
  /** Of the card that a job of a profile with the label `gpu` gets. */
  gpu_memory: bytes({ min: 1 }),
  cpu: z.number().positive(),
  labels: z.array(text),
} as const;

const profile = z.strictObject({
  memory: profileFields.memory.optional(),
  gpu_memory: profileFields.gpu_memory.optional(),
  cpu: profileFields.cpu.default(1),
  labels: profileFields.labels.default([]),
});

/** Defaults that the run itself has: stated once, there. */
const run = runSpec.parse({ command: ["-"], input: { kind: "list", root: "/" }, output: { root: "/", from: "none" } });

const failuresExpected = 'a number of files or a percentage such as "5%"';

const limits = z.strictObject({
  timeout_seconds: seconds({ min: 0.001, max: 2_147_483 }).default(run.timeoutMs / 1_000),
  /** Between TERM and KILL. */
  kill_after_seconds: seconds({ min: 0, max: 3_600 }).default(run.killAfterMs / 1_000),
  log_bytes: bytes({ min: 0, max: 16 * MiB }).default(run.logBytes),
  output_max_bytes: bytes({ min: 1 }).default(run.output.maxBytes),
  /** The run is cancelled once more files than this have failed. */
  max_failures: z
    .union([z.int().nonnegative(), z.string().regex(/^(?:\d+|(?:100|\d{1,2}(?:\.\d+)?)%)$/, failuresExpected)], {
      error: failuresExpected,
    })
    .optional(),
});

/** What a person may say about how much of a machine jobs take; changeable while workers run (limits.ts). */
export const resourceLimits = {
  max_processes: z.int().min(1).max(10_000),
  memory_threshold_percent: percent,
  cpu_threshold_percent: percent,
  /** Of all jobs of a worker together. */
  memory_max: bytes({ min: 64 * MiB, max: 1024 * 1024 * GiB }),
  disk_free: bytes({ min: 0 }),
  disk_free_inodes: z.int().min(0),
  io_pressure_percent: percent,
  max_temperature: z.number().min(20).max(150),
  max_watts: z.number().positive(),
} as const;

/** Whether jobs run in control groups of their own; `required`: a worker that can make none does not start. */
const jobGroupsMode = z.enum(["auto", "off", "required"]);
export type JobGroupsMode = z.output<typeof jobGroupsMode>;

const resources = z.strictObject({
  max_processes: resourceLimits.max_processes.optional(),
  memory_threshold_percent: resourceLimits.memory_threshold_percent.optional(),
  cpu_threshold_percent: resourceLimits.cpu_threshold_percent.default(100),
  job_cgroups: jobGroupsMode.default("off"),
});

/** A module that exports a probe or a rule, and what its own schema checks. */
const plugin = z.strictObject({ module: text, settings: z.record(z.string(), z.unknown()).default({}) });

const governor = z.strictObject({
  disk_free: resourceLimits.disk_free.optional(),
  disk_free_inodes: resourceLimits.disk_free_inodes.optional(),
  io_pressure_percent: resourceLimits.io_pressure_percent.optional(),
  max_temperature: resourceLimits.max_temperature.optional(),
  max_watts: resourceLimits.max_watts.optional(),
  probes: z.array(plugin).default([]),
  rules: z.array(plugin).default([]),
});

/** What Redis is asked to keep: jobs in an append-only file, or nothing beyond its own life. */
const durability = z.enum(["appendonly", "none"]);
export type Durability = z.output<typeof durability>;

export const configSchema = z.strictObject({
  binary: z.strictObject({ path: text, flags: z.array(z.string()).default([]) }).optional(),
  directories: z.strictObject({ input: text.optional(), output: text.optional() }).prefault({}),
  resources: resources.prefault({}),
  governor: governor.prefault({}),
  retry: retry.prefault({}),
  limits: limits.prefault({}),
  chunk: z
    .strictObject({
      max_files: z.int().min(1).max(10_000).default(run.chunk.maxFiles),
      max_bytes: bytes({ min: 1 }).default(run.chunk.maxBytes),
      target_ms: milliseconds({ min: 1 }).default(run.chunk.targetMs),
    })
    .prefault({}),
  output: z
    .strictObject({
      name: text.default(run.output.name),
      allow_empty: z.boolean().default(run.output.allowEmpty),
      check: commandList.optional(),
    })
    .prefault({}),
  input: z
    .strictObject({
      include: z.array(text).default([]),
      exclude: z.array(text).default([]),
      symlinks: z
        .enum(["skip", "follow", "refuse"])
        .optional()
        .describe("without it: skip in a folder, follow for files that are named"),
      hidden: z.boolean().default(false),
      min_bytes: bytes({ min: 0 }).default(run.inputRules.minBytes),
      max_bytes: bytes({ min: 1 }).optional(),
      check: commandList.optional(),
    })
    .prefault({}),
  profiles: z.record(profileName, profile).default({}),
  profile: profileName.default("default"),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a name of a variable"), z.string()).default({}),
  env_allow: z.array(text).default(run.envAllow),
  success_exit_codes: z.array(z.int().min(0).max(255)).min(1).default(run.successExitCodes),
  logging: z.strictObject({ level: z.enum(["debug", "info", "warn", "error", "silent"]).default("info") }).prefault({}),
  /** Files that are run first, one at a time, to learn what the others will need; 0 learns on the way. */
  calibration: z.strictObject({ files: z.int().min(0).max(1_000).default(0) }).prefault({}),
  redis: z
    .strictObject({
      url: z
        .string()
        .regex(/^(?:rediss?|unix|redis\+sentinel|redis\+cluster):\/\/./, 'an address such as "redis://host:6379/0"')
        .optional(),
      prefix: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,64}$/, "letters, digits, - and _, 64 at most")
        .default("headroom"),
      /** Absent: a server that forgets is told to its operator. */
      durability: durability.optional(),
    })
    .prefault({}),
  store: z
    .strictObject({
      url: z
        .string()
        .regex(
          /^(?:postgres(?:ql)?:\/\/|sqlite:\/{1,3})[^/]/,
          'an address such as "postgres://host/base" or "sqlite:/folder/file"',
        )
        .optional(),
    })
    .prefault({}),
  /** How many workers the scheduler asks for. */
  scaling: scalingSchema.prefault({}),
  /** How long folders of flows' runs are kept; for ever where nothing is said. */
  retention: retentionSchema.prefault({}),
  /** Runs that start again and again; the scheduler takes over what is declared here. */
  schedules: z.record(scheduleName, scheduleSpec).default({}),
  /** What runs may use here: what is absent is any. */
  allow: allowSchema.prefault({}),
  /** Programs that nodes of the kind `agent` run. */
  agents: agentsSchema.default({}),
  /** Who may be asked to plan a goal. */
  planners: plannersSchema.default({}),
  worker: z
    .strictObject({
      labels: z.array(text).default([]),
      drain_seconds: seconds({ min: 0, max: 86_400 }).default(25),
      memory_max: resourceLimits.memory_max.optional(),
      ops_host: text.default("127.0.0.1"),
      ops_port: z.int().min(0).max(65_535).default(0),
    })
    .prefault({}),
});

/** The effective configuration: every default filled in, amounts in the unit of their name. */
export type Config = Readonly<z.output<typeof configSchema>>;
/** What people write. */
export type ConfigInput = z.input<typeof configSchema>;
