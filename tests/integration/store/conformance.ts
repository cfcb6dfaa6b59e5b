/** What every engine of the store must do. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NotFoundError } from "../../../src/contract/errors.ts";
import { openStore } from "../../../src/store/open-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { addRun, attemptOf, collect, failedOf, hostileNames, quiet, reportOf, resultOf, specOf } from "./fixtures.ts";

/** `freshUrl` gives the URL of a new, empty database. */
export function describeStore(engine: Store["kind"], freshUrl: () => Promise<string>): void {
  describe(`store on ${engine}`, () => {
    let url: string;
    let store: Store;

    beforeEach(async () => {
      url = await freshUrl();
      store = await openStore(url, quiet);
      await store.migrate();
    });
    afterEach(() => store.close());

    describe("as a whole", () => {
      test("answers a ping and names its engine", async () => {
        await store.ping();
        expect(store.kind).toBe(engine);
      });

      test("migrates again without a change", async () => {
        await addRun(store, "r");
        await store.migrate();
        expect(await store.runs.get("r")).toBeDefined();
      });

      test("closes twice, and refuses work afterwards", async () => {
        await store.close();
        await store.close();
        await expect(store.runs.get("r")).rejects.toThrow();
      });
    });

    describe("runs", () => {
      test("come back as they were created", async () => {
        const spec = specOf({ name: "nul \0 lone \udc80 ünï", env: { A: "b\nc" } });
        const { run, created } = await store.runs.create({ id: "r", spec, createdAtMs: 1_700_000_000_123 });
        expect(created).toBe(true);
        expect(run).toEqual({
          id: "r",
          state: "queued",
          epoch: 0,
          spec,
          createdAtMs: 1_700_000_000_123,
          startedAtMs: null,
          endedAtMs: null,
          counts: null,
          message: null,
          idempotencyKey: null,
          report: null,
        });
        expect(await store.runs.get("r")).toEqual(run);
        expect(await store.runs.get("other")).toBeUndefined();
      });

      test("of the same idempotency key or id are one", async () => {
        const key = "key \0 \ud83d %";
        await store.runs.create({ id: "a", spec: specOf(), createdAtMs: 1, idempotencyKey: key });
        const again = await store.runs.create({ id: "b", spec: specOf(), createdAtMs: 2, idempotencyKey: key });
        expect(again.created).toBe(false);
        expect(again.run).toMatchObject({ id: "a", idempotencyKey: key });
        const sameId = await store.runs.create({ id: "a", spec: specOf(), createdAtMs: 3 });
        expect(sameId).toMatchObject({ created: false, run: { id: "a", createdAtMs: 1 } });
        expect(await store.runs.list({ limit: 10 })).toHaveLength(1);
      });

      test("of one idempotency key are created once by racing processes", async () => {
        await using other = await openStore(url, quiet);
        for (let round = 0; round < 20; round += 1) {
          const idempotencyKey = `key-${round}`;
          const both = await Promise.all(
            [store, other].map((one, at) =>
              one.runs.create({ id: `r${round}-${at}`, spec: specOf(), createdAtMs: round, idempotencyKey }),
            ),
          );
          expect(both.filter((one) => one.created)).toHaveLength(1);
          expect(new Set(both.map((one) => one.run.id)).size).toBe(1);
        }
      });

      test("are listed newest first, in pages, by state", async () => {
        for (let at = 0; at < 7; at += 1) await addRun(store, `r${at}`, at < 3 ? 5 : at);
        await store.runs.move("r6", ["queued"], "running", {});
        const ids = async (query: Parameters<Store["runs"]["list"]>[0]) =>
          (await store.runs.list(query)).map((run) => run.id);
        expect(await ids({ limit: 3 })).toEqual(["r6", "r5", "r2"]);
        expect(await ids({ limit: 3, before: "r2" })).toEqual(["r1", "r0", "r4"]);
        expect(await ids({ limit: 3, before: "r4" })).toEqual(["r3"]);
        expect(await ids({ limit: 9, states: ["running"] })).toEqual(["r6"]);
        expect(await ids({ limit: 9, states: [] })).toEqual([]);
        await expect(store.runs.list({ limit: 3, before: "gone" })).rejects.toThrow(NotFoundError);
      });

      test("move only from the states that are named", async () => {
        await addRun(store, "r");
        expect(await store.runs.move("r", ["running"], "succeeded", {})).toBe(false);
        expect(await store.runs.move("r", ["queued"], "running", { startedAtMs: 10 })).toBe(true);
        const counts = { total: 1, succeeded: 1, failed: 0, skipped: 0, cancelled: 0, quarantined: 0 };
        const change = { endedAtMs: 20, message: "a\0b\udc80", counts, report: reportOf("r") };
        expect(await store.runs.move("r", ["queued", "running"], "succeeded", change)).toBe(true);
        expect(await store.runs.get("r")).toMatchObject({
          state: "succeeded",
          startedAtMs: 10,
          endedAtMs: 20,
          message: "a\u2400b\ufffd",
          counts,
          report: reportOf("r"),
        });
        expect(await store.runs.move("none", ["queued"], "running", {})).toBe(false);
        expect(await store.runs.move("r", [], "running", {})).toBe(false);
      });

      test("move once when several want to", async () => {
        await using other = await openStore(url, quiet);
        await addRun(store, "r");
        const moved = await Promise.all(
          Array.from({ length: 10 }, (_, at) => (at % 2 ? store : other).runs.move("r", ["queued"], "running", {})),
        );
        expect(moved.filter(Boolean)).toHaveLength(1);
      });

      test("start a new epoch only after they ended", async () => {
        await addRun(store, "r");
        expect(await store.runs.reopen("r", specOf(), 30)).toBeUndefined();
        await store.runs.move("r", ["queued"], "broken", { endedAtMs: 20, message: "why", report: reportOf("r") });
        const reopened = await store.runs.reopen("r", specOf({ name: "again" }), 30);
        expect(reopened).toMatchObject({
          state: "queued",
          epoch: 1,
          spec: { name: "again" },
          createdAtMs: 1,
          endedAtMs: null,
          message: null,
          report: reportOf("r"),
        });
        expect(await store.runs.reopen("none", specOf(), 30)).toBeUndefined();
      });
    });

    describe("file results", () => {
      beforeEach(() => addRun(store, "r"));

      test("come back as they were recorded", async () => {
        const whole = resultOf("a/b", { index: 2 ** 40, inputBytes: 2 ** 53 - 1, peakBytes: 2 ** 53 - 1, log: "l" });
        const agent = { turns: 3, tokens: 2 ** 40, costUsd: 0.1 + 0.2 };
        const empty = Object.fromEntries(Object.keys(whole).map((key) => [key, null])) as unknown as typeof whole;
        const bare = { ...empty, index: 1, path: "c", outcome: "skipped" as const, attempts: 0 };
        expect(await store.files.record("r", 0, [{ ...whole, agent }, bare])).toEqual([]);
        expect(await store.files.get("r", ["a/b", "c", "d"])).toEqual([
          { ...whole, agent, epoch: 0 },
          { ...bare, epoch: 0 },
        ]);
        expect(await store.files.record("r", 0, [])).toEqual([]);
        expect(await store.files.get("r", [])).toEqual([]);
      });

      test("keep hostile names apart and unchanged", async () => {
        const rows = hostileNames.map((path, index) => failedOf(path, { index, outputPath: path }));
        await store.files.record("r", 0, rows);
        const all = await collect(store.files.all("r", 0));
        expect(new Set(all.map((row) => row.path))).toEqual(new Set(hostileNames));
        expect(all.toSorted((a, b) => a.index - b.index)).toEqual(rows);
        expect(await store.files.get("r", hostileNames)).toHaveLength(hostileNames.length);
      });

      test("give texts for people in a clean form", async () => {
        const dirty = "head \0 \ud83d \u001b[1m tail";
        await store.files.record("r", 0, [failedOf("a", { message: dirty, log: dirty, workerId: dirty })]);
        const clean = "head \u2400 \ufffd \u001b[1m tail";
        expect(await store.files.get("r", ["a"])).toMatchObject([{ message: clean, log: clean, workerId: clean }]);
      });

      test("keep the first success of an epoch, and replace anything else", async () => {
        await store.files.record("r", 0, [failedOf("a"), failedOf("b"), resultOf("c")]);
        const refused = await store.files.record("r", 0, [
          resultOf("a", { workerId: "worker-2" }),
          failedOf("b", { message: "later" }),
          failedOf("c", { workerId: "worker-2" }),
          resultOf("d"),
        ]);
        expect(refused).toEqual([{ path: "c", workerId: "worker-1" }]);
        const rows = await store.files.get("r", ["a", "b", "c", "d"]);
        expect(rows.map((row) => row.outcome)).toEqual(["succeeded", "failed", "succeeded", "succeeded"]);
        expect(rows[1]?.message).toBe("later");
      });

      test("tell the highest number that an input ever had", async () => {
        expect(await store.files.lastIndex("r")).toBeUndefined();
        await store.files.record("r", 0, [resultOf("a", { index: 12 }), failedOf("b", { index: 3 })]);
        await store.files.record("r", 1, [resultOf("b", { index: 3 })]);
        expect(await store.files.lastIndex("r")).toBe(12);
        expect(await store.files.lastIndex("none")).toBeUndefined();
      });

      test("of a newer epoch replace, of an older one are refused", async () => {
        await store.files.record("r", 1, [resultOf("a")]);
        expect(await store.files.record("r", 0, [resultOf("a", { workerId: "late" })])).toEqual([
          { path: "a", workerId: "worker-1" },
        ]);
        expect(await store.files.record("r", 2, [failedOf("a")])).toEqual([]);
        expect(await store.files.get("r", ["a"])).toMatchObject([{ epoch: 2, outcome: "failed" }]);
        expect(await store.files.counts("r", 1)).toMatchObject({ total: 0 });
      });

      test("may be recorded again by who got no answer", async () => {
        const rows = [resultOf("a"), failedOf("b")];
        await store.files.record("r", 0, rows);
        expect(await store.files.record("r", 0, rows)).toEqual([]);
        expect(await store.files.record("r", 0, [resultOf("a", { startedAtMs: 5 })])).toHaveLength(1);
      });

      test("of one path in one batch count one after another", async () => {
        const refused = await store.files.record("r", 0, [
          failedOf("a", { message: "first" }),
          failedOf("a", { message: "second" }),
          resultOf("b"),
          failedOf("b", { workerId: "late" }),
        ]);
        expect(refused).toEqual([{ path: "b", workerId: "worker-1" }]);
        expect(await store.files.get("r", ["a", "b"])).toMatchObject([{ message: "second" }, { outcome: "succeeded" }]);
      });

      test("of an unknown run are refused as a whole", async () => {
        await expect(store.files.record("none", 0, [resultOf("a")])).rejects.toThrow(NotFoundError);
        expect(await store.files.get("none", ["a"])).toEqual([]);
      });

      test("of racing processes make one row each, and one winner", async () => {
        await using other = await openStore(url, quiet);
        const paths = Array.from({ length: 300 }, (_, at) => `f${at}`);
        const rows = (workerId: string) => paths.map((path) => resultOf(path, { workerId }));
        const refused = await Promise.all([
          store.files.record("r", 0, rows("one")),
          other.files.record("r", 0, rows("two").reverse()),
          store.files.record("r", 0, rows("three").reverse()),
          other.files.record("r", 0, rows("four")),
        ]);
        expect(refused.flat()).toHaveLength(900);
        expect(await store.files.counts("r", 0)).toMatchObject({ total: 300, succeeded: 300 });
      });

      test("are reused by a later epoch, unchanged but for their place", async () => {
        await store.files.record("r", 0, [resultOf("a\\\udc80"), resultOf("b"), failedOf("c")]);
        await store.files.record("r", 1, [resultOf("b", { durationMs: 99 })]);
        const reused = ["b", "none", "a\\\udc80"].map((path, at) => ({ path, index: 7 + at }));
        await store.files.reuse("r", 1, reused);
        await store.files.reuse("r", 1, []);
        expect(await store.files.counts("r", 1)).toMatchObject({ total: 2, succeeded: 2 });
        expect(await store.files.figures("r", 1)).toMatchObject({
          reused: 1,
          durationMs: { max: 99 },
          inputBytes: 100,
        });
        expect(await store.files.get("r", ["a\\\udc80"])).toMatchObject([{ epoch: 1, index: 9, durationMs: 12.25 }]);
        expect(await store.files.record("r", 1, [failedOf("a\\\udc80", { workerId: "late" })])).toHaveLength(1);
      });

      test("come in pages in path order, by outcome", async () => {
        const names = Array.from({ length: 25 }, (_, at) => `f${String(at).padStart(2, "0")}`);
        await store.files.record("r", 0, names.map((name, at) => (at % 5 ? resultOf(name) : failedOf(name))).reverse());
        await store.files.record("r", 1, [resultOf("f03")]);
        const paths = async (query: Parameters<Store["files"]["page"]>[2]) =>
          (await store.files.page("r", 0, query)).map((row) => row.path);
        expect(await paths({ limit: 4 })).toEqual(["f00", "f01", "f02", "f04"]);
        expect(await paths({ limit: 2, afterPath: "f04" })).toEqual(["f05", "f06"]);
        expect(await paths({ limit: 9, outcome: "failed" })).toEqual(["f00", "f05", "f10", "f15", "f20"]);
        expect(await paths({ limit: 2, outcome: "failed", afterPath: "f05" })).toEqual(["f10", "f15"]);
        expect(await paths({ limit: 2, outcome: "succeeded", afterPath: "f05" })).toEqual(["f06", "f07"]);
        expect(await paths({ limit: 2, outcome: "cancelled" })).toEqual([]);
      });

      test("are ordered by bytes, whatever the locale", async () => {
        const names = ["Z", "a", "B", "é", "日", "🎉", "\uffee", "_", "a/b", "a b"];
        await store.files.record(
          "r",
          0,
          names.map((name) => resultOf(name)),
        );
        const all = await collect(store.files.all("r", 0));
        const bytes = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(all.map((row) => row.path)).toEqual(bytes);
      });

      test("are found by a part of the path or the message", async () => {
        await store.files.record("r", 0, [
          ...hostileNames.map((path) => resultOf(path)),
          failedOf("z1", { message: "expected ÄPFEL, found 100%_of" }),
          failedOf("z2", { message: "expected apples" }),
        ]);
        const search = async (term: string) =>
          (await store.files.page("r", 0, { limit: 99, search: term })).map((row) => row.path);
        expect(await search("percent%under_")).toEqual(["percent%under_score"]);
        expect(await search("PLAIN.TXT")).toEqual(["plain.txt"]);
        expect(await search("äpfel")).toEqual(["z1"]);
        expect(await search("100%_OF")).toEqual(["z1"]);
        expect(await search("back\\slash")).toEqual(["back\\slash"]);
        expect(await search("\udce9")).toEqual(["latin1 \udce9 byte"]);
        expect(await search("nul\0")).toEqual(["nul\0inside"]);
        expect(await search("'; DROP")).toEqual(["'; drop table runs; --"]);
        expect(await search("no such part")).toEqual([]);
        expect(await search("")).toHaveLength(hostileNames.length + 2);
        const failed = await store.files.page("r", 0, { limit: 9, search: "expected", outcome: "failed" });
        expect(failed.map((row) => row.path)).toEqual(["z1", "z2"]);
      });

      test("are grouped by failure, most files first", async () => {
        await store.files.record("r", 0, [
          ...["e", "d", "c", "b", "a\\\udc80"].map((path) => failedOf(path, { log: `begin\ncat: no such file\n` })),
          failedOf("t", { failureClass: "timeout", message: "expected an end within 5 s" }),
          failedOf("q", { outcome: "quarantined", failureClass: null, message: null }),
          failedOf("x", { outcome: "cancelled", failureClass: "cancelled" }),
          resultOf("ok"),
        ]);
        const groups = await store.files.failureGroups("r", 0, 10);
        expect(groups[0]).toEqual({
          failureClass: "exit",
          message: "expected exit code 0, found 1",
          files: 5,
          examples: ["a\\\udc80", "b", "c"],
          log: "cat: no such file",
        });
        expect(groups.slice(1)).toHaveLength(2);
        expect(groups).toContainEqual({ failureClass: "none", message: "", files: 1, examples: ["q"], log: null });
        expect(await store.files.failureGroups("r", 0, 1)).toHaveLength(1);
      });

      test("have figures: sums, nearest-rank quantiles, slowest, retries", async () => {
        const durations = Array.from({ length: 150 }, (_, at) => ((at * 37) % 150) + 1);
        await store.files.record(
          "r",
          0,
          durations.map((durationMs, index) =>
            resultOf(`f${index}`, { index, durationMs, cpuMs: 10, peakBytes: 1_000 + durationMs, inputBytes: 2 ** 45 }),
          ),
        );
        await store.files.record("r", 0, [
          resultOf("skipped", {
            outcome: "skipped",
            durationMs: null,
            cpuMs: null,
            inputBytes: null,
            outputPath: null,
          }),
        ]);
        await store.files.addAttempts("r", 0, [
          attemptOf("f1"),
          attemptOf("f1", { attempt: 2 }),
          attemptOf("f2", { failureClass: "timeout" }),
          attemptOf("f3", { end: "fenced", failureClass: null }),
        ]);
        const figures = await store.files.figures("r", 0);
        expect(figures).toMatchObject({
          durationMs: { p50: 75, p90: 135, p99: 149, max: 150 },
          peakBytes: 4_096_000,
          cpuSeconds: 1.5,
          inputBytes: 150 * 2 ** 45,
          reused: 0,
          retries: { exit: 2, timeout: 1 },
          fenced: 1,
          artifacts: { count: 150, bytes: 150 * 65 },
        });
        expect(figures.slowest.map((row) => row.durationMs)).toEqual([
          150, 149, 148, 147, 146, 145, 144, 143, 142, 141,
        ]);
        expect(await store.files.artifacts("r", 0, 2)).toEqual([
          { path: "f0.output", inputPath: "f0", bytes: 65, sha256: "d".repeat(64) },
          { path: "f1.output", inputPath: "f1", bytes: 65, sha256: "d".repeat(64) },
        ]);
      });

      test("have figures without any row", async () => {
        expect(await store.files.figures("r", 0)).toEqual({
          durationMs: null,
          peakBytes: null,
          cpuSeconds: 0,
          inputBytes: 0,
          outputBytes: 0,
          reused: 0,
          retries: {},
          fenced: 0,
          slowest: [],
          artifacts: { count: 0, bytes: 0 },
        });
        expect(await store.files.counts("r", 0)).toMatchObject({ total: 0 });
        expect(await store.files.artifacts("r", 0, 5)).toEqual([]);
      });

      test("have attempts, each once", async () => {
        const attempts = [
          attemptOf("a\udc80", { atMs: 2 }),
          attemptOf("a\udc80", { atMs: 1, workerId: null, message: "nul \0" }),
          attemptOf("b", { atMs: 3, end: "fenced", failureClass: null, outputSha256: "e".repeat(64) }),
        ];
        await store.files.addAttempts("r", 0, attempts);
        await store.files.addAttempts("r", 0, attempts);
        await store.files.addAttempts("r", 1, []);
        const all = await store.files.attempts("r", { limit: 10 });
        expect(all.map((attempt) => attempt.atMs)).toEqual([1, 2, 3]);
        expect(all[0]).toEqual({ ...attempts[1], message: "nul \u2400", epoch: 0 });
        expect(await store.files.attempts("r", { limit: 10, path: "b" })).toEqual([{ ...attempts[2], epoch: 0 }]);
        expect(await store.files.attempts("r", { limit: 1 })).toHaveLength(1);
      });

      test("stream a hundred thousand rows in order, with bounded memory", { timeout: 120_000 }, async () => {
        const total = 100_000;
        for (let at = 0; at < total; at += 1_000) {
          const rows = Array.from({ length: 1_000 }, (_, k) =>
            resultOf(`f${String(at + k).padStart(6, "0")}`, { index: at + k }),
          );
          await store.files.record("r", 0, rows);
        }
        const before = process.memoryUsage().heapUsed;
        let next = 0;
        let largest = 0;
        for await (const row of store.files.all("r", 0)) {
          expect(row.index).toBe(next);
          next += 1;
          if (next % 5_000 === 0) largest = Math.max(largest, process.memoryUsage().heapUsed - before);
        }
        expect(next).toBe(total);
        expect(largest).toBeLessThan(120 * 1024 * 1024);
        expect(await store.files.counts("r", 0)).toMatchObject({ total });
      });
    });

    describe("input pages", () => {
      test("come back in order, with hostile names", async () => {
        await store.inputs.append("r", 1, ["second"]);
        await store.inputs.append("r", 0, hostileNames);
        await store.inputs.append("r", 10, ["third"]);
        await store.inputs.append("r", 2, []);
        await store.inputs.append("r", 1, ["second again"]);
        expect(await collect(store.inputs.pages("r"))).toEqual([hostileNames, ["second again"], [], ["third"]]);
        expect(await collect(store.inputs.pages("other"))).toEqual([]);
        await store.inputs.append("other", 3, ["its own"]);
        await store.inputs.truncate("r", 2);
        expect(await collect(store.inputs.pages("r"))).toEqual([hostileNames, ["second again"]]);
        expect(await collect(store.inputs.pages("other"))).toEqual([["its own"]]);
      });
    });

    describe("retention", () => {
      const end = async (id: string, endedAtMs: number) => {
        await addRun(store, id);
        await store.files.record(
          id,
          0,
          Array.from({ length: 2_500 }, (_, at) => resultOf(`f${at}`)),
        );
        await store.files.addAttempts(id, 0, [attemptOf("f1")]);
        await store.inputs.append(id, 0, ["f1"]);
        await store.runs.move(id, ["queued"], "succeeded", { endedAtMs });
      };

      test("deletes old ended runs with all that hangs on them, oldest first", async () => {
        await end("old", 100);
        await end("older", 50);
        await end("young", 200);
        await addRun(store, "waiting");
        expect(await store.deleteRunsEndedBefore(150, 1)).toEqual(["older"]);
        expect(await store.runs.get("older")).toBeUndefined();
        expect(await store.runs.get("old")).toBeDefined();
        expect(await store.deleteRunsEndedBefore(150, 10)).toEqual(["old"]);
        expect(await store.deleteRunsEndedBefore(150, 10)).toEqual([]);
        expect((await store.runs.list({ limit: 9 })).map((run) => run.id).sort()).toEqual(["waiting", "young"]);
        expect(await store.files.counts("old", 0)).toMatchObject({ total: 0 });
        expect(await store.files.attempts("old", { limit: 1 })).toEqual([]);
        expect(await collect(store.inputs.pages("old"))).toEqual([]);
        expect(await store.files.counts("young", 0)).toMatchObject({ total: 2_500 });
      });

      test("takes no results for what it deleted, and leaves a resumed run alone", async () => {
        await end("a", 100);
        await end("b", 100);
        await store.runs.reopen("b", specOf(), 120);
        expect(await store.deleteRunsEndedBefore(150, 10)).toEqual(["a"]);
        await expect(store.files.record("a", 0, [resultOf("late")])).rejects.toThrow(NotFoundError);
        expect(await store.runs.get("b")).toMatchObject({ epoch: 1 });
      });

      test("of two processes at once deletes each run once, while others write", async () => {
        await using other = await openStore(url, quiet);
        for (const id of ["a", "b", "c"]) await end(id, 100);
        await addRun(store, "live");
        const writes = Array.from({ length: 10 }, (_, at) => other.files.record("live", 0, [resultOf(`w${at}`)]));
        const deleted = await Promise.all([store.deleteRunsEndedBefore(150, 9), other.deleteRunsEndedBefore(150, 9)]);
        await Promise.all(writes);
        expect(deleted.flat().toSorted()).toEqual(["a", "b", "c"]);
        expect(await store.files.counts("live", 0)).toMatchObject({ total: 10 });
      });
    });
  });
}
