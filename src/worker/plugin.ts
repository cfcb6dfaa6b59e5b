/**
 * What plugins are made of. Of the governor: collectors, which read figures, and capacity rules, which object to starting a
 * job; a module exports `probe`, `rule`, or both (docs/governor-plugins.md). Of a model: what makes tensors of files, and
 * answers of outputs; a module exports one as its default (docs/model-plugins.md). Published as `headroom/plugin`.
 */
import type { Amounts } from "../contract/resources.ts";

export type { Amounts } from "../contract/resources.ts";

/** A schema of zod or one that answers alike. */
export interface SchemaLike<Settings> {
  safeParse(raw: unknown):
    | { readonly success: true; readonly data: Settings }
    | {
        readonly success: false;
        readonly error: {
          readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
        };
      };
}

/** A JSON Schema: `{ type: "object", properties: … }`. */
export type SettingsSchema = Readonly<Record<string, unknown>> & { readonly safeParse?: never };

/** Checks what stands below `settings`: a schema, or a function that returns them or throws. */
export type SettingsCheck<Settings> = SchemaLike<Settings> | SettingsSchema | ((raw: unknown) => Settings);

/** Figures by name: lower-case letters, digits and underscores. */
export type PluginFigures = Readonly<Record<string, number>>;

export interface Collector {
  /** Unique among plugins: lower-case letters, digits and dashes. */
  readonly name: string;
  /** Between two readings. Default 5000. */
  readonly periodMs?: number;
  /** A reading older than this counts as unknown. Default: ten periods. */
  readonly staleMs?: number;
  /** Without an answer for this long the collector counts as degraded, and `signal` is aborted. Default 5000. */
  readonly limitMs?: number;
  /** False: there is nothing of the kind on this machine. */
  open?(): boolean | Promise<boolean>;
  /** Called off the governor's tick. One that throws or never answers is degraded, and tried again later. */
  read(signal: AbortSignal): PluginFigures | Promise<PluginFigures>;
  close?(): void;
}

export interface ProbePlugin<Settings = unknown> {
  readonly settings?: SettingsCheck<Settings>;
  create(settings: Settings): Collector;
}

/** What a job asks for. */
export interface JobRequest {
  readonly queue: string;
  readonly need: Amounts;
  readonly labels: readonly string[];
}

/** This worker at this moment. */
export interface WorkerView {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly cpuCores: number;
  readonly memory: readonly { readonly name: string; readonly limitBytes: number; readonly usedBytes: number }[];
  readonly running: readonly { readonly queue: string; readonly need: Amounts }[];
  /** The figures of all collectors that are known now, by name of the collector. */
  readonly figures: Readonly<Partial<Record<string, PluginFigures>>>;
}

/** Why a job may not start now. `need` and `have` are for people. */
export interface RuleObjection {
  readonly message: string;
  readonly need?: number | string | null;
  readonly have?: number | string | null;
  /** Default 1000. */
  readonly retryAfterMs?: number;
}

export interface CapacityRule {
  /** Unique among plugins. The reason that people see is `RULE_` and the name in capitals. */
  readonly name: string;
  /** What happens to jobs while the rule itself is broken. Default `admit`. */
  readonly whenBroken?: "admit" | "defer";
  /** Called before each claim of a job with a process of its own, so it must be quick: it has 50 ms, and may not wait. */
  decide(job: JobRequest, worker: WorkerView): RuleObjection | undefined;
}

export interface RulePlugin<Settings = unknown> {
  readonly settings?: SettingsCheck<Settings>;
  create(settings: Settings): CapacityRule;
}

/** A tensor of a model. */
export interface PluginTensor {
  readonly name: string;
  /** `float32`, `int64`, … */
  readonly type: string;
  /** With the files of a batch as its first dimension; a name stands for a size that may differ. */
  readonly shape: readonly (number | string)[];
}

/** The model that a plugin is opened for. */
export interface ModelContext {
  /** Its name in the manifest. */
  readonly model: string;
  /** Which part of the manifest names the plugin, and so which function is wanted of it. */
  readonly role: "input" | "output";
  /** For inputs those that the manifest names below `input.tensors`, for outputs those below `output.tensors`. */
  readonly tensors: readonly PluginTensor[];
}

/** For float16 in 32 bits. */
export type InputValues = Uint8Array | Int8Array | Int32Array | BigInt64Array | Float32Array | Float64Array;

/** What one file is to the model: values in an array of the tensor's type, and their shape without the files' dimension. */
export interface InputTensor {
  readonly data: InputValues;
  readonly shape: readonly number[];
}

/** The part of an output that is of one file. */
export interface OutputTensor {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[];
}

export interface InputReader {
  /**
   * Makes tensors of a file, by name. It must answer at once, by the bytes alone: results are kept by their digest. What it
   * throws is why the file, and no other one, fails.
   */
  read(bytes: Uint8Array): Readonly<Record<string, InputTensor>>;
}

/** What a file has in the results. */
export interface PluginAnswer {
  readonly label?: string | null;
  /** 0 to 1. */
  readonly confidence?: number | null;
  /** Anything that JSON can say. */
  readonly answer?: unknown;
}

export interface OutputReader {
  /** Says what the outputs for one file mean. It must answer at once; what it throws is why the file, and no other one, fails. */
  answer(outputs: Readonly<Record<string, OutputTensor>>): PluginAnswer;
}

/** The default export of a module that `input` or `output` of a `model.yaml` names. */
export interface ModelPlugin<Settings = unknown> {
  readonly api: 1;
  readonly settings?: SettingsCheck<Settings>;
  /** Called once or more in each process that has the model loaded. One module may serve both roles. */
  open(settings: Settings, context: ModelContext): InputReader | OutputReader | Promise<InputReader | OutputReader>;
}
