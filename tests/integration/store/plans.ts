/** What every engine of the store must do with plans. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { planOf } from "../../../src/contract/flow-plan.ts";
import { openStore } from "../../../src/store/open-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { quiet } from "./fixtures.ts";

/** `freshUrl` gives the URL of a new, empty database. */
export function describePlans(engine: Store["kind"], freshUrl: () => Promise<string>): void {
  describe(`plans in the store on ${engine}`, () => {
    let store: Store;

    beforeEach(async () => {
      store = await openStore(await freshUrl(), quiet);
      await store.migrate();
    });
    afterEach(() => store.close());

    const plan = (name: string) => {
      const check = checkFlow({ version: 1, name, nodes: [{ id: "a", kind: "gate", message: "?" }] });
      if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
      return planOf(check.flow);
    };
    const origin = {
      ...{ goal: "g", planner: { name: "p", kind: "recorded", model: null }, acceptedAtMs: 5 },
      prompt: { version: "v1", sha256: "0".repeat(64) },
      spent: { calls: 1, repairs: 0, inputTokens: 1, outputTokens: 1, costUsd: null, isEstimated: true },
    };

    test("come back by their hashes, and stay those of who made them", async () => {
      const made = { sha256: "m", plan: plan("made"), origin };
      await store.plans.keep(made, 10);
      await store.plans.keep({ ...made, origin: null }, 20);
      await store.plans.keep({ sha256: "o", plan: plan("own"), origin: null }, 30);
      expect(await store.plans.get("m")).toEqual(made);
      expect(await store.plans.get("o")).toEqual({ sha256: "o", plan: plan("own"), origin: null });
      expect(await store.plans.get("x")).toBeUndefined();
    });

    test("are deleted when nobody has used them for long", async () => {
      for (const [sha256, atMs] of [
        ["old", 10],
        ["used", 10],
        ["used", 30],
      ] as const)
        await store.plans.keep({ sha256, plan: plan(sha256), origin: null }, atMs);
      expect(await store.plans.deleteUnusedSince(30)).toBe(1);
      expect(await store.plans.get("old")).toBeUndefined();
      expect(await store.plans.get("used")).toBeDefined();
    });
  });
}
