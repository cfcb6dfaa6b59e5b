import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

test("headroom rules sets what the rule itself takes, shows it and takes it back", async () => {
  await using cli = new Cli();
  const { path } = cli.scratch;
  copyFileSync(join(import.meta.dirname, "../../../examples/plugins/licence-tokens.mjs"), join(path, "licences.mjs"));
  const settings = "{ profile: solver, tokens: 1 }";
  writeFileSync(
    join(path, "headroom.yaml"),
    `governor:\n  rules:\n    - module: ./licences.mjs\n      settings: ${settings}\n`,
  );
  const call = (...args: string[]) => cli.call(["rules", ...args]);
  expect((await call("set", "licence-token", "tokens=4", "-c", "headroom.yaml")).stderr).toContain(
    "governor.rules): licence-tokens",
  );
  const refused = await call("set", "licence-tokens", "tokens=-1", "-c", "headroom.yaml");
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("a number of tokens") as string });
  const set = await call("set", "licence-tokens", "tokens=4", "-c", "headroom.yaml", "--json");
  expect(JSON.parse(set.stdout)).toEqual({ rule: "licence-tokens", set: { tokens: 4 } });
  expect((await call()).stdout).toContain("tokens=4");
  expect(JSON.parse((await call("reset", "--json")).stdout)).toEqual({ removed: 1 });
  expect((await call()).stdout).toContain("nothing is set");
});
