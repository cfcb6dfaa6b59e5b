/** Keeps plans of flows by their hashes. */
import type { FlowPlan } from "../contract/flow-plan.ts";
import type { PlanOrigin } from "../contract/stored-plan.ts";
import type { StoreDatabase } from "./database.ts";
import type { KeptPlan, PlanTable } from "./store.ts";
import { toJson } from "./stored-text.ts";

export class SqlPlans implements PlanTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async keep({ sha256, plan, origin }: KeptPlan, atMs: number): Promise<void> {
    const values = { sha256, plan: toJson(plan), origin: origin === null ? null : toJson(origin), at_ms: atMs };
    await this.#database.write
      .insertInto("plans")
      .values(values)
      .onConflict((conflict) =>
        conflict.column("sha256").doUpdateSet((eb) => ({
          at_ms: eb.ref("excluded.at_ms"),
          // Whoever runs a plan again does not know where it came from.
          origin: eb.fn.coalesce("excluded.origin", "plans.origin"),
        })),
      )
      .execute();
  }

  async get(sha256: string): Promise<KeptPlan | undefined> {
    const row = await this.#database.read
      .selectFrom("plans")
      .select(["plan", "origin"])
      .where("sha256", "=", sha256)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const origin = row.origin === null ? null : (JSON.parse(row.origin) as PlanOrigin);
    return { sha256, plan: JSON.parse(row.plan) as FlowPlan, origin };
  }

  async deleteUnusedSince(timeMs: number): Promise<number> {
    const result = await this.#database.write.deleteFrom("plans").where("at_ms", "<", timeMs).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}
