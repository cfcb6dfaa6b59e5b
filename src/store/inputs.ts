/** Input lists in pages, one page in memory at a time. */
import type { StoreDatabase } from "./database.ts";
import type { InputPages } from "./store.ts";
import { toJson } from "./stored-text.ts";

export class SqlInputPages implements InputPages {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async append(runId: string, page: number, paths: readonly string[]): Promise<void> {
    await this.#database.write
      .insertInto("input_pages")
      // JSON escapes what an engine would refuse, so the paths come back as they were.
      .values({ run_id: runId, page, paths: toJson(paths) })
      .onConflict((conflict) =>
        conflict.columns(["run_id", "page"]).doUpdateSet((eb) => ({ paths: eb.ref("excluded.paths") })),
      )
      .execute();
  }

  async truncate(runId: string, pages: number): Promise<void> {
    await this.#database.write
      .deleteFrom("input_pages")
      .where("run_id", "=", runId)
      .where("page", ">=", pages)
      .execute();
  }

  async *pages(runId: string): AsyncGenerator<readonly string[], void, undefined> {
    let last = -1;
    for (;;) {
      const row = await this.#database.read
        .selectFrom("input_pages")
        .select(["page", "paths"])
        .where("run_id", "=", runId)
        .where("page", ">", last)
        .orderBy("page")
        .limit(1)
        .executeTakeFirst();
      if (row === undefined) return;
      yield JSON.parse(row.paths) as string[];
      last = row.page;
    }
  }
}
