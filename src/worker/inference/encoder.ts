/** What makes rows of tensors of files. One per engine; its buffers are used again for each batch. */
import type { Fault } from "../../contract/errors.ts";
import type { Failure } from "../result/outcome.ts";
import type { FileContent } from "./input-file.ts";
import type { RowLengths } from "./row-lengths.ts";
import type { TensorValues } from "./tensor-array.ts";

/** A tensor as it goes into a model. */
export interface Feed {
  readonly type: string;
  readonly data: TensorValues;
  readonly dims: readonly number[];
}

export interface Encoder {
  /** Bytes of all tensors of one row, at most. */
  readonly rowBytes: number;
  /** How long rows may be, where they differ in that. */
  readonly lengths?: Pick<RowLengths, "base" | "longest" | "fullBytes">;
  /** Makes room for a batch of so many rows. */
  begin(rows: number): void;
  /** Writes a file into a row, or into more from that one on; how many, or why it cannot be one. */
  add(row: number, content: FileContent): number | Failure;
  /** The tensors of so many rows, from one of them on. */
  feeds(rows: number, from?: number): Record<string, Feed>;
  /** Writes a row that is as large as one may be, where rows differ in that. */
  addLargest?(row: number): void;
  /** Writes a row that is as strange to the model as one of a file may be, where that can be told; what to say when it takes it not. */
  addStrangest?(row: number): Fault | undefined;
  /** How many places of a row are filled, where rows differ in that. */
  filled?(row: number): number;
}
