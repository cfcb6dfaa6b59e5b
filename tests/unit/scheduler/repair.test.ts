import { expect, test } from "vitest";
import { decideRepair } from "../../../src/scheduler/repair.ts";

const old = 60_000;

test.each([
  ["succeeded", { ageMs: old, rootState: undefined, liveState: undefined }, "none"],
  ["running", { ageMs: old, rootState: "active", liveState: "running" }, "none"],
  ["running", { ageMs: old, rootState: "waiting", liveState: "running" }, "none"],
  ["running", { ageMs: old, rootState: "waiting-children", liveState: "running" }, "release"],
  ["running", { ageMs: old, rootState: "waiting-children", liveState: undefined }, "restore"],
  ["running", { ageMs: old, rootState: undefined, liveState: "running" }, "requeue"],
  ["running", { ageMs: old, rootState: undefined, liveState: undefined }, "requeue"],
  ["running", { ageMs: old, rootState: "waiting-children", liveState: "running", lostDeadlineMs: 1 }, "deadline"],
  ["running", { ageMs: old, rootState: "waiting-children", liveState: "cancelling", lostDeadlineMs: 1 }, "sweep"],
  // Its producer may be about to add its jobs.
  ["queued", { ageMs: 100, rootState: undefined, liveState: undefined }, "none"],
  ["running", { ageMs: old, rootState: undefined, liveState: "succeeded" }, "settle"],
  ["cancelling", { ageMs: 100, rootState: undefined, liveState: "cancelling" }, "requeue"],
  ["running", { ageMs: old, rootState: "waiting-children", liveState: "cancelling" }, "sweep"],
  ["cancelling", { ageMs: old, rootState: "waiting-children", liveState: "running" }, "cancel"],
  ["cancelling", { ageMs: old, rootState: "active", liveState: "queued" }, "cancel"],
  ["cancelling", { ageMs: old, rootState: "active", liveState: "cancelled" }, "none"],
  ["cancelling", { ageMs: old, rootState: "active", liveState: undefined }, "restore"],
] as const)("a run that is %s, with %j: %s", (state, facts, repair) => {
  expect(decideRepair({ state }, facts)).toBe(repair);
});
