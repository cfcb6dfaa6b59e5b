import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CLAIM_STALE_MS,
  claimWrittenMs,
  dropClaim,
  findHolder,
  holdClaim,
  holderBelow,
  renewClaim,
} from "../../../src/platform/output-claim.ts";
import { Scratch } from "../../support/scratch.ts";

const nobodyKnown = () => Promise.resolve(false);

/** As if nobody had written it for longer than a claim lives. */
function age(root: string, name: string): void {
  const seconds = (Date.now() - CLAIM_STALE_MS - 5_000) / 1_000;
  utimesSync(join(root, ".headroom-claims", name), seconds, seconds);
}

describe("a claim on an output folder", () => {
  test("is had by the first, told to the second, and leaves nothing when it is given back", async () => {
    using scratch = new Scratch();
    const root = join(scratch.path, "out");
    expect(await holdClaim(root, "run1", nobodyKnown)).toBeUndefined();
    expect(await holdClaim(root, "run2", nobodyKnown)).toMatchObject({ runId: "run1", root });
    expect(await holdClaim(root, "run1", nobodyKnown)).toBeUndefined();
    expect(readdirSync(join(root, ".headroom-claims"))).toEqual(["run1"]);
    await dropClaim(root, "run1");
    expect(readdirSync(root)).toEqual([]);
    expect(await holdClaim(root, "run2", nobodyKnown)).toBeUndefined();
  });

  test("is had by one at most of many that ask at the same time", async () => {
    using scratch = new Scratch();
    const ids = Array.from({ length: 12 }, (_, at) => `run${at}`);
    const answers = await Promise.all(ids.map((id) => holdClaim(scratch.path, id, nobodyKnown)));
    const winners = ids.filter((_, at) => answers[at] === undefined);
    expect(winners.length).toBeLessThanOrEqual(1);
    const left = existsSync(join(scratch.path, ".headroom-claims"))
      ? readdirSync(join(scratch.path, ".headroom-claims"))
      : [];
    expect(left).toEqual(winners);
  });

  test("is had by all workers of one run that ask at the same time", async () => {
    using scratch = new Scratch();
    const answers = await Promise.all(Array.from({ length: 8 }, () => holdClaim(scratch.path, "run1", nobodyKnown)));
    expect(answers).toEqual(Array.from({ length: 8 }, () => undefined));
    expect(readdirSync(join(scratch.path, ".headroom-claims"))).toEqual(["run1"]);
  });

  test("is nobody's once it was not written for its time, and its old holder finds that out", async () => {
    using scratch = new Scratch();
    await holdClaim(scratch.path, "run1", nobodyKnown);
    const seenMs = (await claimWrittenMs(scratch.path, "run1")) ?? 0;
    age(scratch.path, "run1");
    writeFileSync(join(scratch.path, ".headroom-claims/run0.new"), "half wri");
    age(scratch.path, "run0.new");
    expect(await holdClaim(scratch.path, "run2", nobodyKnown)).toBeUndefined();
    expect(readdirSync(join(scratch.path, ".headroom-claims"))).toEqual(["run2"]);
    expect(await renewClaim(scratch.path, "run1", seenMs)).toBeUndefined();
    expect(await holdClaim(scratch.path, "run1", nobodyKnown)).toMatchObject({ runId: "run2" });
  });

  test("is a leftover when this cluster knows that its run has ended", async () => {
    using scratch = new Scratch();
    await holdClaim(scratch.path, "run1", nobodyKnown);
    expect(await holdClaim(scratch.path, "run2", (id) => Promise.resolve(id === "run1"))).toBeUndefined();
    expect(readdirSync(join(scratch.path, ".headroom-claims"))).toEqual(["run2"]);
  });

  test("is renewed by one worker for all of its cluster", async () => {
    using scratch = new Scratch();
    await holdClaim(scratch.path, "run1", nobodyKnown);
    age(scratch.path, "run1");
    const oldMs = (await claimWrittenMs(scratch.path, "run1")) ?? 0;
    const newMs = (await renewClaim(scratch.path, "run1", oldMs)) ?? 0;
    expect(newMs).toBeGreaterThan(oldMs);
    expect(await renewClaim(scratch.path, "run1", oldMs)).toBe(newMs);
  });

  test("holds what lies below it too, and is met on the way down to a folder below", async () => {
    using scratch = new Scratch();
    const [above, below] = [scratch.path, scratch.folder("a/b")];
    await holdClaim(above, "run1", nobodyKnown);
    expect(await holdClaim(below, "run2", nobodyKnown)).toMatchObject({ runId: "run1", root: above });
    expect(existsSync(join(below, ".headroom-claims"))).toBe(false);
    await dropClaim(above, "run1");
    await holdClaim(below, "run2", nobodyKnown);
    const question = { nowMs: Date.now(), runId: "run1", knowsEnd: nobodyKnown };
    expect(await findHolder(above, question)).toBeUndefined();
    expect(holderBelow(above, join(below, "c"))).toBe("run2");
    expect(holderBelow(above, join(above, "a"))).toBeUndefined();
    expect(holderBelow(below, below)).toBeUndefined();
  });
});
