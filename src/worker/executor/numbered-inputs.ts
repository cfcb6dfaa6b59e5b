/** The inputs of a run as its scan takes them: each with its number, and with what is wrong where its output name is another's. */
import { InvalidInputError, lineOf } from "../../contract/errors.ts";
import { OutputNames } from "../../contract/output-name-set.ts";
import { needsNameCheck, outputNameFor } from "../../contract/output-names.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import {
  isScannedFile,
  type ScanBatch,
  type ScanEntry,
  type ScannedFile,
  type ScanProblem,
} from "../../platform/scan/scan-batch.ts";
import type { FileTable } from "../../store/store.ts";
import { InputNumbers } from "./input-numbers.ts";

export type NumberedEntry = ScanEntry & { readonly index: number };

export class NumberedInputs {
  readonly #run: LiveRun;
  readonly #numbers: InputNumbers;
  readonly #names: OutputNames | undefined;
  #total = 0;

  constructor(files: Pick<FileTable, "get" | "lastIndex">, run: LiveRun) {
    this.#run = run;
    this.#numbers = new InputNumbers(files, run);
    this.#names = needsNameCheck(run.spec) ? new OutputNames() : undefined;
  }

  /** How many there were so far. */
  get total(): number {
    return this.#total;
  }

  /** The entries of the next batch, in their order. */
  async of(batch: ScanBatch): Promise<NumberedEntry[]> {
    const paths = batch.map(({ path }) => path);
    const numbers = await this.#numbers.of(paths, this.#total);
    const entries = batch.map((entry, at) => {
      const index = numbers[at] ?? this.#total + at;
      const problem = isScannedFile(entry) ? this.#nameProblem(entry, index) : undefined;
      return { ...(problem ?? entry), index };
    });
    this.#total += batch.length;
    return entries;
  }

  /** Two inputs with one output name: the second one fails, before either is run. */
  #nameProblem(file: ScannedFile, index: number): ScanProblem | undefined {
    if (this.#names === undefined) return undefined;
    try {
      const name = outputNameFor(this.#run.spec, file.path, index, this.#run.runId);
      const owner = this.#names.claim(name, index);
      if (owner === undefined) return undefined;
      const message = `expected an output name of its own, found ${JSON.stringify(name)}, which input number ${owner} has already`;
      return { path: file.path, message, class: "bad-input", outcome: "failed" };
    } catch (error) {
      const failureClass = error instanceof InvalidInputError ? "bad-input" : "policy";
      return { path: file.path, message: lineOf(error), class: failureClass, outcome: "failed" };
    }
  }
}
