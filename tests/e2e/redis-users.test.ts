/**
 * Each process as the Redis user that is shipped for it: whole runs pass, what a process must not do is refused, and no
 * command of theirs, nor one that a script of theirs calls, names a key or a channel outside the prefix.
 */
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_PREFIX, keyPrefix } from "../../src/contract/queues.ts";
import type { ScheduleStatus } from "../../src/contract/schedules.ts";
import { CommandMonitor, type SentCommand } from "../support/command-monitor.ts";
import { startWithUsers } from "../support/matrix.ts";
import { Cli, type Running } from "./cli/cli-process.ts";

const PATIENT = { timeout: 90_000, interval: 100 };
const kp = keyPrefix(DEFAULT_PREFIX);
/** What a server says to a user, and what it says where a script of his does what he may not. */
const REFUSED = /NOPERM|No permissions|The user executing the script/i;

const processes = {
  scheduler: ["scheduler"],
  worker: ["worker", "--drain", "1s"],
  producer: ["producer", "--port", "0"],
  board: ["board", "--port", "0"],
} as const;
type User = keyof typeof processes;
const users = Object.keys(processes) as User[];

const flow = (folder: string) => `version: 1
name: users
nodes:
  - { id: first, kind: exec, command: [/bin/echo, '["a","b","c"]'], output: { name: list.json, json: true } }
  - { id: each, kind: exec, needs: [first], foreach: nodes.first.result, command: [/bin/echo, "\${item}"] }
  - { id: copy, kind: files, needs: [first], input: ${JSON.stringify(folder)}, command: [/bin/cat, "{input}"] }
  - { id: last, kind: exec, needs: [each, { node: copy, on: always }], command: [/bin/true] }
`;

/** Commands that have no key and touch none. */
const keyless = new Set([
  ...[
    "auth",
    "client",
    "cluster",
    "discard",
    "exec",
    "hello",
    "info",
    "multi",
    "ping",
    "quit",
    "script",
    "select",
    "time",
  ],
]);

/** What a command reaches: keys, channels and patterns of keys. Undefined for one that might reach anything. */
async function reachOf(redis: Redis, { name, args }: SentCommand): Promise<readonly string[] | undefined> {
  switch (name) {
    case "publish":
      return args.slice(0, 1);
    case "subscribe":
    case "unsubscribe":
      return args;
    case "scan":
      return args.filter((_, at) => args[at - 1]?.toLowerCase() === "match");
    default:
      if (keyless.has(name)) return [];
      return ((await redis.command("GETKEYS", name, ...args)) as string[] | null) ?? undefined;
  }
}

describe("the users that are shipped", () => {
  let server: Awaited<ReturnType<typeof startWithUsers>>;
  let operator: Redis;
  const cli = new Cli();
  const running = new Map<User, Running>();

  const envOf = (user: User) => ({
    HEADROOM_REDIS_URL: server.asUser(user),
    HEADROOM_STORE_URL: `sqlite:${join(cli.scratch.path, "store.db")}`,
  });
  const asProducer = (...args: readonly string[]) => cli.call(args, { env: envOf("producer") });

  /** The URL that a process tells of in its log. */
  async function urlOf(user: User, what: string): Promise<string> {
    const pattern = new RegExp(`"url":"(http:[^"]+)"[^\\n]*${what} listens`);
    const find = () => pattern.exec(running.get(user)?.stderr() ?? "")?.[1];
    await expect.poll(find, { ...PATIENT, message: `${user}: ${what}` }).toBeDefined();
    return find() ?? "";
  }

  async function startAll(): Promise<void> {
    for (const user of users) {
      running.set(user, cli.start(processes[user], { env: envOf(user) }));
      const url = await urlOf(user, "operations server");
      const status = () => fetch(`${url}/readyz`).then((answer) => answer.status);
      await expect.poll(status, { ...PATIENT, message: user }).toBe(200);
      expect(await (await fetch(`${url}/metrics`)).text(), user).toMatch(/^headroom_redis_up(\{[^}]*\})? 1$/m);
    }
  }

  /** A run over files, a flow that fans out, a schedule, the intake, and what the board shows of them. */
  async function workThrough(): Promise<void> {
    for (let at = 0; at < 5; at += 1) cli.scratch.file(`in/${at}.txt`, `file ${at}`);
    const folder = join(cli.scratch.path, "in");
    cli.scratch.file("flow.yaml", flow(folder));
    const files = await asProducer("run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}");
    expect(files, files.stderr).toMatchObject({ code: 0 });
    const nodes = await asProducer("run", "--flow", "flow.yaml", "--json");
    expect(nodes, nodes.stderr).toMatchObject({ code: 0 });
    const add = ["schedules", "add", "often", "--every", "1s", "--input", "in", "--output", "often/{time}"];
    const added = await asProducer(...add, "--", "cat", "{input}");
    expect(added, added.stderr).toMatchObject({ code: 0 });
    const started = async () => {
      const { stdout } = await asProducer("schedules", "show", "often", "--json");
      return (JSON.parse(stdout) as ScheduleStatus).last.filter(({ state }) => state === "started").length;
    };
    await expect.poll(started, PATIENT).toBeGreaterThan(0);
    expect((await asProducer("schedules", "remove", "often")).code).toBe(0);
    const board = await urlOf("board", "board");
    for (const path of ["/", "/workers", "/api/runs", "/api/workers", "/queues/api/queues"]) {
      expect((await fetch(`${board}${path}`)).status, path).toBe(200);
    }
    const intake = await urlOf("producer", "intake");
    for (const path of ["/v1/runs", "/v1/scaling"]) expect((await fetch(`${intake}${path}`)).status, path).toBe(200);
  }

  beforeAll(async () => {
    server = await startWithUsers("worker", "{headroom}");
    operator = new Redis({ path: server.socket });
  });

  afterAll(async () => {
    await cli[Symbol.asyncDispose]();
    operator.disconnect();
    await server.stop();
  });

  test("do all that their processes do, and nothing that they do leaves the prefix", async () => {
    const commands: SentCommand[] = [];
    {
      await using monitor = await CommandMonitor.open(operator);
      await startAll();
      await workThrough();
      for (const { child } of running.values()) child.kill("SIGTERM");
      for (const [user, { ended }] of running) expect((await ended).code, user).toBe(0);
      // A script is all the more a place where keys are made up: they are looked at one by one too.
      expect(monitor.calledByScripts.length).toBeGreaterThan(100);
      for (const command of [monitor.sent, monitor.calledByScripts].flat()) commands.push(command);
    }
    for (const [user, process] of running) expect(process.stderr(), user).not.toMatch(REFUSED);
    expect(new Set(commands.map(({ name }) => name))).toContain("bzpopmin");
    const outside: string[] = [];
    for (const command of commands) {
      const reach = await reachOf(operator, command);
      const isInside = reach?.every((key) => key.startsWith(`${kp}:`)) ?? false;
      if (!isInside) outside.push(`${command.name} ${command.args.slice(0, 4).join(" ")}`);
    }
    expect(outside).toEqual([]);
  });

  test("have doctor tell whom to be in place of a user who may not, and let the operator look", async () => {
    const as = (user: string) => ({ env: { ...envOf("worker"), HEADROOM_REDIS_URL: server.asUser(user) } });
    const { stdout } = await cli.call(["doctor"], as("monitor"));
    expect(stdout).toMatch(/fail +redis +NOPERM[^\n]+\n +fix: name a user who may, such as operator/);
    const fine = await cli.call(["doctor"], as("operator"));
    expect(fine.stdout).toMatch(/ok +redis +redis [^\n]+\nwarn +redis settings +expected persistence/);
  });

  test("let the one who looks after the server change settings and users, and reach no key", async () => {
    const redis = new Redis({ path: server.socket, username: "admin", password: "secret" });
    try {
      const allowed = [
        ["CONFIG", "SET", "maxmemory", "0"],
        ["ACL", "SETUSER", "worker", ">another"],
        ["ACL", "SETUSER", "worker", "<another"],
        ["ACL", "SAVE"],
        ["CLIENT", "LIST"],
        ["INFO", "persistence"],
        ["BGREWRITEAOF"],
      ] as const;
      for (const [name, ...args] of allowed) await redis.call(name, ...args);
      for (const [name, ...args] of [["GET", `${kp}:mine`], ["FLUSHALL"], ["SCAN", "0"]] as const) {
        await expect(redis.call(name, ...args), name).rejects.toThrow(REFUSED);
      }
    } finally {
      redis.disconnect();
    }
  });

  test.each(users)("refuse %s what it has no business with", async (user) => {
    const redis = new Redis({ path: server.socket, username: user, password: "secret" });
    try {
      expect(await redis.set(`${kp}:mine`, "1")).toBe("OK");
      expect(await redis.del(`${kp}:mine`)).toBe(1);
      const forbidden = [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["CONFIG", "GET", "*"],
        ["CONFIG", "SET", "maxmemory", "1"],
        ["KEYS", "*"],
        ["MONITOR"],
        ["SHUTDOWN", "NOSAVE"],
        ["ACL", "LIST"],
        ["ACL", "SETUSER", user, "+@all"],
        ["REPLICAOF", "127.0.0.1", "1"],
        ["CLIENT", "KILL", "TYPE", "normal"],
        ["CLIENT", "PAUSE", "1"],
        ["SCRIPT", "FLUSH"],
        ["FUNCTION", "FLUSH"],
        ["MIGRATE", "127.0.0.1", "1", `${kp}:mine`, "0", "1"],
        ["SET", "elsewhere", "1"],
        ["GET", "{other}:key"],
        ["GET", "{headroomer}:key"],
        ["PUBLISH", "{other}:control", "text"],
        ["EVAL", "return redis.call('SET', 'elsewhere', '1')", "0"],
      ] as const;
      for (const [name, ...args] of forbidden) {
        const call = redis.call(name, ...args);
        await expect(call, [name, ...args].join(" ")).rejects.toThrow(REFUSED);
      }
    } finally {
      redis.disconnect();
    }
  });
});
