/** The programs of PostgreSQL that an image has, made by the commands of its Dockerfile, with the libraries that it installs. */
import { execFileSync } from "node:child_process";
import { lstatSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { fetchDebianPackages, openSuite } from "../../support/debian-package.ts";
import { lineageOf, parseDockerfile } from "../../support/dockerfile.ts";
import { startPostgres } from "../../support/postgres.ts";
import { Scratch } from "../../support/scratch.ts";

const stages = parseDockerfile(readFileSync(join(import.meta.dirname, "../../../Dockerfile"), "utf8"));
const runOf = (name: string) =>
  lineageOf(stages, name)
    .flatMap(({ instructions }) => instructions.filter(({ keyword }) => keyword === "RUN"))
    .map(({ text }) => text)
    .join("\n");

/** What the stage makes: it fetches the package of Debian 13, and runs the rest of its commands. */
async function makeClient(work: string): Promise<string> {
  const [, name = "", rest = ""] =
    /^apt-get update +&& apt-get download (\S+) +&& (.*)$/.exec(runOf("postgres-client")) ?? [];
  const apt = await openSuite("trixie", join(work, "apt"));
  await apt(["update"]);
  await apt(["download", name], work);
  execFileSync("sh", ["-c", rest], { cwd: work, stdio: "pipe" });
  return join(work, "root");
}

test(
  "pg_dump and pg_restore need what the image installs and no Perl, and copy a database",
  { timeout: 240_000 },
  async () => {
    using scratch = new Scratch();
    const client = await makeClient(scratch.folder("client"));
    const files = readdirSync(client, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const names = files.map(({ name }) => name).toSorted();
    expect(names).toEqual(["pg_dump", "pg_restore", "postgresql-client-17"]);
    const record = readFileSync(join(client, "var/lib/dpkg/status.d/postgresql-client-17"), "utf8");
    expect(record).toMatch(/^Package: postgresql-client-17\n(?:.*\n)*Version: 17\.\d+-/);

    const [, installed = ""] = /--no-install-recommends ([a-z0-9 .+-]*)/.exec(runOf("base")) ?? [];
    const packages = installed.trim().split(" ");
    expect(packages).toContain("libpq5");
    const libraries = await fetchDebianPackages({ suite: "trixie", packages });
    const [loader, ...options] = libraries.loader();
    const call = (name: string, ...args: string[]) => {
      // A link, which the wrapper of an installed package would take the place of.
      const link = join(client, "usr/bin", name);
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      const program = realpathSync(link);
      expect(program).toBe(join(client, "usr/lib/postgresql/17/bin", name));
      expect(statSync(program).mode & 0o777).toBe(0o755);
      const all = ["--inhibit-cache", ...options, ...(args[0] === "--list" ? ["--list", program] : [program, ...args])];
      return execFileSync(loader, all, { encoding: "utf8", stdio: "pipe" });
    };
    for (const name of ["pg_dump", "pg_restore"]) {
      const found = [...call(name, "--list").matchAll(/=> (\/\S+)/g)].map(([, path = ""]) => path);
      expect(found.length).toBeGreaterThan(5);
      expect(found.filter((path) => !path.startsWith(libraries.path))).toEqual([]);
    }

    await using postgres = await startPostgres();
    const url = await postgres.createDatabase();
    const sql = new pg.Client({ connectionString: url });
    await sql.connect();
    await sql.query("create table sums as select 4711 as value");
    await sql.end();
    const archive = join(scratch.path, "store.dump");
    call("pg_dump", `--dbname=${url}`, "--format=custom", `--file=${archive}`);
    expect(call("pg_restore", "--file=-", archive)).toMatch(/^COPY public\.sums \(value\) FROM stdin;\n4711$/m);
  },
);
