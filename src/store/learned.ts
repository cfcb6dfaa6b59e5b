/** Keeps what was learned beyond the life of a Redis. */
import type { StoreDatabase } from "./database.ts";
import type { LearnedTable, SavedClass } from "./store.ts";

export class SqlLearned implements LearnedTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async save(classes: readonly SavedClass[], keep: readonly string[]): Promise<void> {
    await this.#database.write.transaction().execute(async (db) => {
      for (const { key, atMs, state } of classes) {
        await db
          .insertInto("learned_classes")
          .values({ class_key: key, at_ms: atMs, state })
          .onConflict((conflict) =>
            conflict
              .column("class_key")
              .doUpdateSet((eb) => ({ at_ms: eb.ref("excluded.at_ms"), state: eb.ref("excluded.state") })),
          )
          .execute();
      }
      const kept = new Set(keep);
      const rows = await db.selectFrom("learned_classes").select("class_key").execute();
      const gone = rows.map((row) => row.class_key).filter((key) => !kept.has(key));
      for (const key of gone) await db.deleteFrom("learned_classes").where("class_key", "=", key).execute();
    });
  }

  async load(): Promise<SavedClass[]> {
    const rows = await this.#database.read.selectFrom("learned_classes").selectAll().orderBy("class_key").execute();
    return rows.map((row) => ({ key: row.class_key, atMs: row.at_ms, state: row.state }));
  }
}
