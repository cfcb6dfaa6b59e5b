import { request } from "node:http";
import { describe, expect } from "vitest";
import type { z } from "zod";
import type { RunSpecInput } from "../../../src/contract/run-request.ts";
import { parseAllow } from "../../../src/contract/allow.ts";
import { PolicyError } from "../../../src/contract/errors.ts";
import { realPathOf } from "../../../src/platform/confined-path.ts";
import { createClient } from "../../../src/producer/client.ts";
import type { ProducerConfig } from "../../../src/producer/config.ts";
import { createProducer } from "../../../src/producer/main.ts";
import {
  cancelAck,
  explanation,
  filePage,
  problem,
  runPage,
  runRecord,
  runStatus,
} from "../../../src/producer/responses.ts";
import { ranFile } from "../../support/board-fixture.ts";
import { startIntake, type IntakeFixture } from "../../support/intake-fixture.ts";
import { keepingLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";

/** On a system with one folder for all binaries /bin is a link, and the message says so. */
const shell = `${realPathOf("/bin")}/sh`;
const real = shell === "/bin/sh" ? "" : `, which is "${shell}"`;

const binaryNamed = (name: string) =>
  `the absolute path of a binary, as the workers have it, such as "/usr/bin/${name}"`;

function body(fixture: IntakeFixture, output = "out"): RunSpecInput {
  return {
    command: ["/bin/cat", "{input}"],
    input: { kind: "synthetic", root: fixture.folder, count: 3 },
    output: { root: `${fixture.folder}/${output}`, from: "stdout" },
  };
}

async function readAs<T>(schema: z.ZodType<T>, answer: Response): Promise<T> {
  return schema.parse(await answer.json());
}

async function readProblem(answer: Response): Promise<z.output<typeof problem>> {
  expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  const read = await readAs(problem, answer);
  expect(read.status).toBe(answer.status);
  return read;
}

describe("HTTP intake", () => {
  test("takes a run, answers with it and its place, and shows it in every view", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const answer = await fixture.post(body(fixture), { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    expect(answer.status).toBe(201);
    const run = await readAs(runRecord, answer);
    expect(run.spec.traceId).toBe(traceId);
    expect(answer.headers.get("location")).toBe(`/v1/runs/${run.id}`);
    const status = await readAs(runStatus, await fixture.ask(`/v1/runs/${run.id}`));
    expect([status.state, status.progress.doneFiles]).toEqual(["queued", 0]);
    const list = await readAs(runPage, await fixture.ask("/v1/runs?state=queued"));
    expect(list.runs.map((listed) => listed.id)).toEqual([run.id]);
    const why = await readAs(explanation, await fixture.ask(`/v1/runs/${run.id}/explain`));
    expect(why.reasons.map((reason) => reason.code)).toContain("no-worker");
    await fixture.store.files.record(run.id, 0, [ranFile(0, "a"), ranFile(1, "b")]);
    const first = await readAs(filePage, await fixture.ask(`/v1/runs/${run.id}/files?limit=1`));
    expect([first.files.map((file) => file.path), first.next]).toEqual([["a"], "a"]);
    const second = await readAs(filePage, await fixture.ask(`/v1/runs/${run.id}/files?limit=2&after=a`));
    expect([second.files.map((file) => file.path), second.next]).toEqual([["b"], null]);
    await deletePrefix(redis, prefix);
  });

  test("pages through runs, newest first", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const ids: string[] = [];
    for (const output of ["o1", "o2", "o3"]) {
      ids.unshift((await readAs(runRecord, await fixture.post(body(fixture, output)))).id);
    }
    const first = await readAs(runPage, await fixture.ask("/v1/runs?limit=2"));
    const rest = await readAs(runPage, await fixture.ask(`/v1/runs?limit=2&before=${first.next ?? ""}`));
    expect([...first.runs, ...rest.runs].map((run) => run.id).toSorted()).toEqual(ids.toSorted());
    expect([first.runs.length, rest.next]).toEqual([2, null]);
    await deletePrefix(redis, prefix);
  });

  test("cancels a run and says how far that is", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const run = await readAs(runRecord, await fixture.post(body(fixture)));
    const answer = await fixture.ask(`/v1/runs/${run.id}`, { method: "DELETE" });
    expect(answer.status).toBe(202);
    const ack = await readAs(cancelAck, answer);
    expect(ack).toMatchObject({ runId: run.id, stillRunning: 0 });
    expect(["cancelling", "cancelled"]).toContain(ack.state);
    expect((await readProblem(await fixture.ask("/v1/runs/none", { method: "DELETE" }))).status).toBe(404);
    await deletePrefix(redis, prefix);
  });

  test("gives the same run for the same key and body, and refuses another body", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const key = { "idempotency-key": "order-17" };
    const first = await fixture.post(body(fixture), key);
    const again = await fixture.post(body(fixture), key);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect((await readAs(runRecord, again)).id).toBe((await readAs(runRecord, first)).id);
    const other = await readProblem(await fixture.post(body(fixture, "elsewhere"), key));
    expect([other.status, other.code]).toEqual([422, "ERR_IDEMPOTENCY_KEY_REUSED"]);
    const sameInOtherOrder = Object.fromEntries(Object.entries(body(fixture)).reverse());
    expect((await fixture.post(sameInOtherOrder, key)).status).toBe(200);
    expect((await readProblem(await fixture.post(body(fixture), { "idempotency-key": "a b" }))).status).toBe(400);
    await deletePrefix(redis, prefix);
  });

  test("lets a key go when its body was refused", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const key = { "idempotency-key": "k" };
    const broken = { ...body(fixture), command: ["/bin/cat", "x{inputs}"] };
    expect((await readProblem(await fixture.post(broken, key))).status).toBe(400);
    expect((await fixture.post(body(fixture), key)).status).toBe(201);
    await deletePrefix(redis, prefix);
  });

  test("names every fault of a body with its place", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const answer = await fixture.post({
      command: [],
      input: { kind: "tree", root: 5, "a/b": 1 },
      output: { root: "/o", from: "nowhere" },
      timeoutMs: -1,
      colour: "red",
    });
    const { status, errors = [] } = await readProblem(answer);
    expect(status).toBe(400);
    expect(errors.map((error) => error.pointer).toSorted()).toEqual([
      "/colour",
      "/command",
      "/input/a~1b",
      "/input/root",
      "/output/from",
      "/timeoutMs",
    ]);
    expect(errors).toContainEqual({ pointer: "/command", detail: "expected a list that is not empty, found []" });
    await deletePrefix(redis, prefix);
  });

  test("refuses paths that mean something else on another machine, and says so of queries too", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await startIntake({ redis, prefix });
    const answer = await fixture.post({
      command: ["cat"],
      input: { kind: "tree", root: "" },
      output: { root: "out", from: "stdout", check: ["test", "-s", "{output}"] },
    });
    expect((await readProblem(answer)).errors).toEqual([
      { pointer: "/command/0", detail: `expected ${binaryNamed("cat")}, found "cat"` },
      { pointer: "/input/root", detail: 'expected the absolute path of a folder, found ""' },
      { pointer: "/output/root", detail: 'expected the absolute path of a folder, found "out"' },
      { pointer: "/output/check/0", detail: `expected ${binaryNamed("test")}, found "test"` },
    ]);
    const relative = { ...body(fixture), command: ["./cat"] };
    await expect(fixture.client.run(relative)).rejects.toThrow(
      'command[0]: expected the absolute path of a binary, found "./cat"',
    );
    const query = await readProblem(await fixture.ask("/v1/runs?limit=0&state=runing&stat=x"));
    expect(query.errors).toEqual([
      { pointer: "?limit", detail: 'expected a number, 1 at least, found "0"' },
      {
        pointer: "?state",
        detail:
          'expected one of queued, running, cancelling, succeeded, failed, cancelled, broken (did you mean "running"?), found "runing"',
      },
      { pointer: "?stat", detail: 'expected a known key (did you mean "state"?), found the unknown key "stat"' },
    ]);
    await deletePrefix(redis, prefix);
  });

  test("refuses patterns that are none before anything is stored", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const input = { kind: "tree", root: fixture.folder, include: ["*.txt", "[a"], exclude: ["{b"] };
    const { status, errors = [] } = await readProblem(await fixture.post({ ...body(fixture), input }));
    expect(status).toBe(400);
    expect(errors.map(({ pointer }) => pointer)).toEqual(["/input/include/1", "/input/exclude/0"]);
    expect(errors[0]?.detail).toMatch(/^expected a glob pattern \(missing closing: "\]".*, found "\[a"$/);
    expect(await fixture.store.runs.list({ limit: 10 })).toEqual([]);
    await deletePrefix(redis, prefix);
  });

  test("takes short forms, and says what is wrong with them where they stand", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const { folder } = fixture;
    const answer = await fixture.post({
      command: ["/bin/cp", "{input}", "{output}"],
      input: folder,
      output: `${folder}/o`,
    });
    expect(answer.status).toBe(201);
    expect((await readAs(runRecord, answer)).spec).toMatchObject({
      input: { kind: "tree", root: folder },
      output: { root: `${folder}/o`, from: "file" },
    });
    const listed = { command: ["/bin/cat", "{input}"], input: [`${folder}/a`, `${folder}/b/c`], output: `${folder}/p` };
    expect((await readAs(runRecord, await fixture.post(listed))).spec).toMatchObject({
      input: { kind: "list", root: folder, paths: ["a", "b/c"] },
      output: { from: "stdout" },
    });
    const faulty = await readProblem(await fixture.post({ ...listed, input: ["/a", "b"], output: "out" }));
    expect(faulty.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(["/input/1", "/output"]);
    await deletePrefix(redis, prefix);
  });

  test("refuses what the operator does not allow, all of it at once, and stores nothing", async ({ redis, prefix }) => {
    const { logger, lines } = keepingLogger();
    const allow = parseAllow({ binaries: ["/bin/cat"], read: ["/data/in"], write: ["/data/out"], env: ["LANGUAGE"] });
    await using fixture = await startIntake({ redis, prefix, logger, config: { allow } });
    const before = await redis.keys(`*${prefix}*`);
    const refused = await fixture.post(
      {
        command: ["/bin/sh", "-c", "id"],
        input: "/data/in2",
        inputRules: { check: ["/usr/bin/env", "sh"] },
        output: { root: "/data/out/../../etc", check: ["/bin/sh"] },
        env: { LD_PRELOAD: "/tmp/x.so", LANGUAGE: "de" },
      },
      { "idempotency-key": "k" },
    );
    const { status, code, errors = [] } = await readProblem(refused);
    expect([status, code]).toEqual([403, "ERR_POLICY"]);
    expect(errors).toEqual([
      {
        pointer: "/command/0",
        detail: 'expected a binary that allow.binaries names (/bin/cat), found "/bin/sh"' + real,
      },
      expect.objectContaining({ pointer: "/inputRules/check/0" }),
      expect.objectContaining({ pointer: "/output/check/0" }),
      { pointer: "/input", detail: 'expected a folder inside one of allow.read (/data/in), found "/data/in2"' },
      expect.objectContaining({ pointer: "/output/root" }),
      expect.objectContaining({ pointer: "/env/LD_PRELOAD" }),
    ]);
    expect(await redis.keys(`*${prefix}*`)).toEqual(before);
    expect(await fixture.store.runs.list({ limit: 10 })).toEqual([]);
    expect(await fixture.metrics.expose()).toContain('headroom_intake_refused_total{reason="policy"} 1');
    expect(lines()).toContainEqual(expect.objectContaining({ audit: true, command: "/bin/sh", faults: 6 }));
    const good = { command: ["/bin/cat", "{input}"], input: "/data/in/a", output: "/data/out/b" };
    expect((await fixture.post(good, { "idempotency-key": "k" })).status).toBe(201);
    await deletePrefix(redis, prefix);
  });

  test("a client with rules refuses as well, before anything is stored", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const options = { redis, store: fixture.store, prefix, allow: { binaries: ["/bin/cat"], read: [fixture.folder] } };
    await using client = await createClient(options);
    const good = { command: ["/bin/cat", "{input}"], input: fixture.folder, output: `${fixture.folder}/out` };
    const bad = client.run({ ...good, command: ["/bin/sh"], input: [`${fixture.folder}2/a`] });
    await expect(bad).rejects.toMatchObject({
      code: "ERR_POLICY",
      faults: [{ where: "command[0]" }, { where: "input" }],
    });
    expect(await fixture.store.runs.list({ limit: 10 })).toEqual([]);
    const { run } = await client.run(good);
    await fixture.store.runs.move(run.id, ["queued"], "cancelled", {});
    await expect(client.resume(run.id, { command: ["/bin/sh"] })).rejects.toThrow(PolicyError);
    await expect(createClient({ ...options, allow: { binaries: ["cat"] } })).rejects.toThrow(/allow\.binaries\[0\]/);
    await deletePrefix(redis, prefix);
  });

  test("says 400, 404, 405, 413 and 415 as problems", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const codeOf = async (answer: Response) => {
      const read = await readProblem(answer);
      return [read.status, read.code];
    };
    expect(await codeOf(await fixture.post("{"))).toEqual([400, "ERR_BAD_REQUEST"]);
    expect(await codeOf(await fixture.post(""))).toEqual([400, "ERR_INVALID_INPUT"]);
    expect(await codeOf(await fixture.ask("/v1/runs?limit=0&x=1"))).toEqual([400, "ERR_INVALID_INPUT"]);
    expect(await codeOf(await fixture.ask("/v1/runs/none"))).toEqual([404, "ERR_NOT_FOUND"]);
    expect(await codeOf(await fixture.ask("/v1/other"))).toEqual([404, "ERR_NOT_FOUND"]);
    expect(await codeOf(await fixture.ask("/v1/runs/%ff"))).toEqual([400, "ERR_BAD_REQUEST"]);
    const method = await fixture.ask("/v1/runs", { method: "PATCH" });
    expect(method.headers.get("allow")).toBe("POST, GET, HEAD");
    expect(await codeOf(method)).toEqual([405, "ERR_METHOD_NOT_ALLOWED"]);
    const large = { ...body(fixture), name: "x".repeat(1024 * 1024) };
    expect(await codeOf(await fixture.post(large))).toEqual([413, "ERR_TOO_LARGE"]);
    expect(await codeOf(await fixture.post("a=b", { "content-type": "text/plain" }))).toEqual([415, "ERR_MEDIA_TYPE"]);
    await deletePrefix(redis, prefix);
  });

  test("refuses new runs while too many jobs wait, but answers a repeated request", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix, config: { maxWaitingJobs: 1 } });
    const key = { "idempotency-key": "first" };
    expect((await fixture.post(body(fixture), key)).status).toBe(201);
    await expect.poll(async () => (await fixture.client.backlog()).waitingJobs).toBe(1);
    const refused = await fixture.post(body(fixture, "more"));
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(5);
    expect((await readProblem(refused)).status).toBe(429);
    expect((await fixture.post(body(fixture), key)).status).toBe(200);
    const text = await fixture.metrics.expose();
    expect(text).toContain('headroom_intake_refused_total{reason="backlog"} 1');
    await deletePrefix(redis, prefix);
  });

  test("asks for the token on every route but the document, and tells nothing without it", async ({
    redis,
    prefix,
  }) => {
    const { logger, lines } = keepingLogger();
    const token = "a-secret-of-the-intake";
    await using fixture = await startIntake({ redis, prefix, logger, config: { token } });
    const routes = [
      ["GET", "/v1/runs"],
      ["POST", "/v1/runs"],
      ["GET", "/v1/runs/x"],
      ["DELETE", "/v1/runs/x"],
      ["GET", "/v1/runs/x/files"],
      ["GET", "/v1/runs/x/explain"],
      ["GET", "/nothing"],
      ["PATCH", "/v1/runs"],
    ] as const;
    for (const [method, path] of routes) {
      for (const authorization of ["", "Bearer wrong", `Basic ${token}`, `Bearer ${token}x`]) {
        const answer = await fixture.ask(path, { method, headers: { authorization } });
        expect([method, path, authorization, answer.status]).toEqual([method, path, authorization, 401]);
        expect(answer.headers.get("www-authenticate")).toContain("Bearer");
      }
      const answer = await fixture.ask(path, { method, headers: { authorization: `Bearer ${token}` } });
      expect(answer.status).not.toBe(401);
    }
    expect((await fixture.ask("/v1/openapi.json")).status).toBe(200);
    expect(JSON.stringify(lines())).not.toContain(token);
    await deletePrefix(redis, prefix);
  });

  test("is not reached by pages of other sites, by names that only resolve to it, or by a proxy", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await startIntake({ redis, prefix });
    const cross = await fixture.post(body(fixture), { origin: "https://evil.example" });
    expect((await readProblem(cross)).code).toBe("ERR_CROSS_SITE");
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${fixture.url}/v1/runs`, { headers: { host: "evil.example" }, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.on("error", reject).end();
    });
    expect(status).toBe(421);
    for (const header of ["x-forwarded-for", "forwarded", "x-real-ip", "via"]) {
      const brought = await fixture.post(body(fixture), { [header]: "192.0.2.7" });
      expect((await readProblem(brought)).code).toBe("ERR_FOREIGN_HOST");
    }
    await deletePrefix(redis, prefix);
  });

  test("logs where it listens, and promises https only when it is served over https", async ({ redis, prefix }) => {
    const { logger, lines } = keepingLogger();
    await using plain = await startIntake({ redis, prefix, logger });
    expect(lines()).toContainEqual(expect.objectContaining({ msg: "intake listens", url: plain.url }));
    expect((await plain.ask("/v1/openapi.json")).headers.get("strict-transport-security")).toBeNull();
    await using behind = await startIntake({ redis, prefix, config: { publicOrigin: "https://intake.example" } });
    expect((await behind.ask("/v1/openapi.json")).headers.get("strict-transport-security")).toMatch(/^max-age=/);
    await deletePrefix(redis, prefix);
  });

  test("does not start beyond loopback without a token and without a word on binaries", async ({ redis, prefix }) => {
    await using fixture = await startIntake({ redis, prefix });
    const { client, store, metrics } = fixture;
    const { logger } = keepingLogger();
    const listen = { host: "0.0.0.0", port: 0, prefix, maxWaitingJobs: 1 };
    const create = (config: Partial<ProducerConfig>) =>
      createProducer({ client, store, redis, logger, metrics }, { ...listen, ...config });
    expect(() => create({})).toThrow(/intake has 2 faults[^]*bearer token[^]*HEADROOM_ALLOW_BINARIES=any/);
    expect(() => create({ token: "t" })).toThrow(/allow\.binaries: expected a list/);
    expect(() => create({ token: "t", allow: { read: ["/in"] } })).toThrow(/allow\.binaries/);
    expect(() => create({ allow: { binaries: "any" } })).toThrow(/intake has 1 fault[^]*bearer token/);
    for (const binaries of ["any", [{ path: "/usr/bin/cat" }], []] as const)
      create({ token: "t", allow: { binaries } });
    await deletePrefix(redis, prefix);
  });
});
