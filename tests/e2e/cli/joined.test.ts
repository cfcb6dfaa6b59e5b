/** `{inputs}`: one call for many files, whose output is that of all of them, also when a run is resumed. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly id: string;
}

const SCRIPT = 'for f in "$@"; do printf "%s=" "${f##*/}"; cat "$f"; done; echo call >> "$LOG"';

class Joined implements AsyncDisposable {
  readonly cli = new Cli();
  readonly log = join(this.cli.scratch.path, "calls");
  readonly out = join(this.cli.scratch.path, "out");

  constructor() {
    for (const name of ["a", "b", "c"]) this.cli.scratch.file(`in/${name}`, `${name}1\n`);
  }

  async first(): Promise<string> {
    const places = ["-i", "in", "-o", "out", "--env", `LOG=${this.log}`];
    const { id } = await this.cli.json<RunJson>([
      "run",
      ...places,
      "--json",
      "--",
      "sh",
      "-c",
      SCRIPT,
      "sh",
      "{inputs}",
    ]);
    return id;
  }

  async resume(id: string): Promise<void> {
    writeFileSync(this.log, "");
    expect(await this.cli.json(["run", "--resume", id, "--json"])).toMatchObject({ state: "succeeded" });
  }

  get calls(): number {
    return readFileSync(this.log, "utf8").split("\n").filter(Boolean).length;
  }

  /** All lines of all outputs, which say what was made of each input. */
  get lines(): string[] {
    const names = readdirSync(this.out).filter((name) => !name.startsWith("."));
    return names.flatMap((name) => readFileSync(join(this.out, name), "utf8").trim().split("\n")).sort();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cli[Symbol.asyncDispose]();
  }
}

describe("a resumed run with one call for many files", () => {
  for (const changed of ["a", "b", "c"]) {
    test(`is made anew as a whole when ${changed} has changed: no result is lost, none is there twice`, async () => {
      await using joined = new Joined();
      const id = await joined.first();
      expect(joined.lines).toEqual(["a=a1", "b=b1", "c=c1"]);
      joined.cli.scratch.file(`in/${changed}`, `${changed}2\n`);
      await joined.resume(id);
      expect(joined.lines).toEqual(["a", "b", "c"].map((name) => `${name}=${name}${name === changed ? 2 : 1}`));
    });
  }

  test("runs nothing when nothing has changed, and only what is new when files came", async () => {
    await using joined = new Joined();
    const id = await joined.first();
    await joined.resume(id);
    expect(joined.calls).toBe(0);
    joined.cli.scratch.file("in/d", "d1\n");
    await joined.resume(id);
    expect(joined.calls).toBe(1);
    expect(joined.lines).toEqual(["a=a1", "b=b1", "c=c1", "d=d1"]);
  });

  test("makes again what is gone: an input of the call, or its output", async () => {
    await using joined = new Joined();
    const id = await joined.first();
    for (const name of readdirSync(joined.out)) rmSync(join(joined.out, name));
    await joined.resume(id);
    expect(joined.lines).toEqual(["a=a1", "b=b1", "c=c1"]);
    rmSync(join(joined.cli.scratch.path, "in", "c"));
    await joined.resume(id);
    expect(joined.calls).toBe(1);
    expect(joined.lines.filter((line) => line.startsWith("a="))).toEqual(["a=a1"]);
  });
});
