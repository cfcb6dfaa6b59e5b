/**
 * Messages between a worker and the child process that has a model loaded. Structured clones; always in order. What the
 * child does with a batch is the business of the model's task, so another kind of task adds members here, no channel.
 */
import type { Allow } from "../../contract/allow.ts";
import type { Fault } from "../../contract/errors.ts";
import type { Provider } from "../../contract/model-manifest.ts";
import type { FailureClass } from "../../contract/outcomes.ts";
import type { FileInference } from "../../contract/inference.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { Placement } from "./placement.ts";
import type { RowLengths } from "./row-lengths.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";

/** Where the files of a batch are, and by which rules they may be read. */
export type InputPlace = Pick<RunSpec, "input" | "inputRules" | "answer"> & {
  /** What the policy has found the root to be; undefined where inputs are not confined. */
  readonly inputRoot: string | undefined;
};

export type ToEngine =
  | {
      readonly kind: "load";
      readonly folder: string;
      /** Instead of those of the manifest. */
      readonly providers?: readonly Provider[];
      /** Warmed up with so many rows before it says ready; without it as many as the manifest allows. */
      readonly warmRows?: number;
      /** Digests of modules in the folder whose code may run; without it none. */
      readonly modelPlugins?: Allow["model_plugins"];
    }
  /** What the files of a run have in common, before the first of them. */
  | { readonly kind: "place"; readonly placeId: number; readonly place: InputPlace }
  | { readonly kind: "forget"; readonly placeId: number }
  | { readonly kind: "batch"; readonly batchId: number; readonly files: readonly FileToRead[] }
  /** Gives the memory of the session back and makes a new one. */
  | { readonly kind: "renew" };

export interface FileToRead {
  readonly placeId: number;
  /** Relative to the input root of its place. */
  readonly path: string;
  /** The digest of a content of which all is known already: such a file is not run. */
  readonly known?: string;
}

/** Tokens of a batch, without padding: of the texts or prompts that went in, and of the answers that were written. */
export interface TokenCounts {
  readonly in: number;
  readonly out: number;
}

/** What became of one file. `sha256` is of its content. */
export type FileAnswer =
  | { readonly kind: "same" }
  | { readonly kind: "answer"; readonly sha256: string; readonly bytes: number; readonly inference: FileInference }
  | {
      readonly kind: "failure";
      readonly sha256: string | null;
      readonly bytes: number | null;
      readonly class: FailureClass;
      readonly message: string;
    };

/** Why a provider is not the one in use. */
export interface Refusal {
  readonly provider: Provider;
  readonly reason: string;
}

export interface Loaded {
  readonly model: ModelFolder;
  readonly provider: Provider;
  readonly refusals: readonly Refusal[];
  /** What ran where; undefined on the CPU. */
  readonly placement: Placement | undefined;
  /** Rows that a batch may have at most: by the manifest, and by the model itself. */
  readonly mostRows: number;
  /** Rows of the batch that it was warmed up with: fewer than asked for where memory or time did not do. */
  readonly warmRows: number;
  /** Undefined for models whose rows are all of one length. */
  readonly lengths: RowLengths | undefined;
  readonly rssBytes: number;
  readonly loadMs: number;
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
}

export interface TensorFacts {
  readonly name: string;
  readonly type: string;
  /** A name stands for a size that may differ. */
  readonly shape: readonly (number | string)[];
}

/** `output`: what the model said is no answer. */
export type BatchFault = "out-of-memory" | "sticky" | "output" | "run";

export type FromEngine =
  | { readonly kind: "loaded"; readonly loaded: Loaded }
  /** It cannot be used. `isMemory`: for lack of memory, which may pass; else for what it is. */
  | {
      readonly kind: "refused";
      readonly faults: readonly Fault[];
      readonly refusals: readonly Refusal[];
      readonly isMemory: boolean;
    }
  | {
      readonly kind: "done";
      readonly batchId: number;
      readonly answers: readonly FileAnswer[];
      /** Time of the model alone, and of the whole batch with reading. */
      readonly runMs: number;
      readonly wholeMs: number;
      /** What sizes of batches are compared by: CPU time where one thread did all of it, which other programs do not add to. */
      readonly costMs: number;
      /** Rows that went through the model at once. */
      readonly rows: number;
      /** Some rows went through the model after others: parts of long files, or more tokens than a batch may have. */
      readonly hasTurns: boolean;
      /** Tokens of its longest row; undefined for models whose rows are all of one length. */
      readonly longest: number | undefined;
      /** Undefined for models that read none. */
      readonly tokens: TokenCounts | undefined;
      readonly rssBytes: number;
    }
  /** None of the files has an answer; nothing was lost. */
  | { readonly kind: "failed"; readonly batchId: number; readonly fault: BatchFault; readonly message: string }
  | { readonly kind: "beat"; readonly rssBytes: number; readonly cpuMs: number };
