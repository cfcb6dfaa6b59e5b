/** What a scan finds: files in batches, and what could not be read beside them. Shared by the worker's scan job, the client and dry runs. */
import type { FailureClass } from "../../contract/outcomes.ts";
import type { InputSpec } from "../../contract/run-spec.ts";

export type TreeInput = Extract<InputSpec, { readonly kind: "tree" }>;
export type ListInput = Extract<InputSpec, { readonly kind: "list" }>;

/** One input file, as `FileEntry` carries it but for its index. */
export interface ScannedFile {
  /** Relative to the root; bytes that are not UTF-8 as in `contract/path-bytes.ts`. */
  readonly path: string;
  readonly bytes: number;
}

/** An entry that is no usable input. It is reported, never thrown: the rest of the scan goes on. */
export interface ScanProblem {
  readonly path: string;
  readonly message: string;
  readonly class: FailureClass;
  /** `skipped`: it vanished while the scan went on, or is a link that was to be left out; `failed`: somebody has to look at it. */
  readonly outcome: "failed" | "skipped";
}

export type ScanEntry = ScannedFile | ScanProblem;

/** In the order in which they were found, by which inputs are numbered: where one batch ends depends on the time it takes. */
export type ScanBatch = readonly ScanEntry[];

/** Entries in one batch at most: enough to make the cost of an async step small. */
export const BATCH_FILES = 512;
/** A slice of work without a pause for the event loop is no longer than this. */
export const SLICE_MS = 3;

export function isScannedFile<T extends ScanEntry>(entry: T): entry is Extract<T, ScannedFile> {
  return "bytes" in entry;
}

/** The codes that say the machine is at fault, not the file. */
const machineCodes: ReadonlySet<string> = new Set(["EIO", "EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ETIMEDOUT"]);
const goneCodes: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"]);
const meanings: Readonly<Partial<Record<string, string>>> = {
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "path too long",
};

/** The code of a failed file operation, or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** What a failed file operation on an entry means. `what` is such as "file" or "folder". */
export function problemOf(path: string, what: string, error: unknown): ScanProblem {
  const code = codeOf(error);
  if (goneCodes.has(code)) return vanished(path, what);
  const found = meanings[code] ?? (code === "" ? String(error) : code);
  const failureClass = machineCodes.has(code) ? "infrastructure" : "bad-input";
  return { path, message: `expected a readable ${what}, found ${found}`, class: failureClass, outcome: "failed" };
}

/** The entry was listed, and was gone when it was looked at. */
export function vanished(path: string, what: string): ScanProblem {
  return { path, message: `${what} vanished while it was scanned`, class: "bad-input", outcome: "skipped" };
}

/** An entry that is there and is nothing that a run can read. */
export function refused(path: string, message: string, failureClass: FailureClass = "bad-input"): ScanProblem {
  return { path, message, class: failureClass, outcome: "failed" };
}

/** A batch while it is filled. */
export class BatchBuilder {
  #entries: ScanEntry[] = [];

  get isFull(): boolean {
    return this.#entries.length >= BATCH_FILES;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  addFile(path: string, bytes: number): void {
    this.#entries.push({ path, bytes });
  }

  addProblem(problem: ScanProblem): void {
    this.#entries.push(problem);
  }

  /** The batch so far; the next one begins empty. */
  take(): ScanBatch {
    const batch = this.#entries;
    this.#entries = [];
    return batch;
  }
}
