/** What an engine gives to the tables: two query builders, transactions, and the fast way in for results. */
import type { Expression, SqlBool } from "kysely";
import type { InferenceQuery } from "../contract/inference.ts";
import type { FileRow } from "./file-row.ts";
import type { StoreQueries, StoreTransaction } from "./schema.ts";
import type { Store } from "./store.ts";

export type AnswerField = NonNullable<InferenceQuery["fields"]>[number];

export interface StoreDatabase {
  readonly kind: Store["kind"];
  /** Names the database in errors, without its password. */
  readonly where: string;
  /** For statements that change something, and reads that must not wait behind long ones. */
  readonly write: StoreQueries;
  /** For reads. They see what was committed before they began, and never hold up a write. */
  readonly read: StoreQueries;
  /** One transaction; `work` may run more than once when others got in its way. */
  transact<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T>;
  /**
   * Writes rows of one run, no path twice, in one transaction, by the rule of `mayReplace`.
   * Returns the stored form of the paths that were refused; undefined when there is no such run.
   */
  recordRows(runId: string, rows: readonly FileRow[]): Promise<readonly string[] | undefined>;
  /** Whether a text contains another one, whatever their case; no character of it is special. */
  contains(text: Expression<string | null>, part: string): Expression<SqlBool>;
  /** Whether what a model said (JSON) names this label among several, at least so surely. */
  namesLabel(inference: Expression<string | null>, label: string, minConfidence: number): Expression<SqlBool>;
  /** Whether a field of an answer (JSON) has this value: a text as it is, what else there is as JSON. */
  answers(inference: Expression<string | null>, field: AnswerField): Expression<SqlBool>;
  close(): Promise<void>;
}
