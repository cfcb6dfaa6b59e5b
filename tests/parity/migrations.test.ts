/** Programs of two versions share one database while they are upgraded, so migrations only add, or say in their name what they do. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "src/store/migrations");
const names = readdirSync(folder).map((file) => file.replace(/\.ts$/, ""));

const takesAway = /\b(drop\w*|rename\w*|alterColumn|modifyColumn|setNotNull|deleteFrom|delete|truncate)\b/gi;

/** What the program of the version before would trip over. */
function faultsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*/g, "");
  const taken = [...code.matchAll(takesAway)].map(([word]) => word);
  // A column that is added to a table which is there already, and that the writers of before do not know.
  const added = [...code.matchAll(/alterTable\([^)]*\)((?:(?!\.execute\()[\s\S])*)\.execute\(/g)].flatMap((alter) =>
    [...(alter[1] ?? "").matchAll(/\.addColumn\("(\w+)"((?:(?!\.addColumn)[\s\S])*)/g)].flatMap(
      ([, name = "", rest = ""]) =>
        rest.includes("notNull()") && !rest.includes("defaultTo(") ? [`${name} is not null and has no default`] : [],
    ),
  );
  return [...taken, ...added];
}

describe("migrations", () => {
  test("are numbered in turn, and all known to the migrator", () => {
    expect(names.map((name) => name.slice(0, 4))).toEqual(names.map((_name, at) => String(at + 1).padStart(4, "0")));
    const migrator = readFileSync(join(root, "src/store/migrate.ts"), "utf8");
    expect(names.filter((name) => !migrator.includes(`"${name}"`))).toEqual([]);
  });

  test.each(names)("%s only adds, or says in its name that it drops", (name) => {
    const faults = faultsOf(readFileSync(join(folder, `${name}.ts`), "utf8"));
    expect(/^\d+-drops-/.test(name) ? [] : faults).toEqual([]);
  });

  test.each([
    ['db.schema.dropTable("inputs").execute()', "dropTable"],
    ['db.schema.alterTable("runs").renameColumn("a", "b").execute()', "renameColumn"],
    [
      'db.schema.alterTable("runs").addColumn("a", "text", (column) => column.notNull()).execute()',
      "a is not null and has no default",
    ],
    ["sql`alter table runs drop column spec`.execute(db)", "drop"],
  ])("a migration such as %s is found", (text, fault) => {
    expect(faultsOf(text)).toEqual([fault]);
  });

  test("a column with a default may be added to a table that is there", () => {
    const text =
      'db.schema.alterTable("runs").addColumn("a", "text", (column) => column.notNull().defaultTo("")).execute()';
    expect(faultsOf(text)).toEqual([]);
  });
});
