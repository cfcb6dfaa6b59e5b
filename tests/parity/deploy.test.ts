/** What the manifests and the compose file say about variables, ports, paths, commands and keys is what the code has. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, onTestFinished, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { boardDefaults } from "../../src/board/config.ts";
import { createProgram } from "../../src/cli/main.ts";
import { fileVariableOf, secretVariables } from "../../src/cli/secret-files.ts";
import { CLOSE_MS } from "../../src/cli/services.ts";
import { parseConfig } from "../../src/contract/config-faults.ts";
import { configLeaves } from "../../src/contract/config-json-schema.ts";
import { DEFAULT_PREFIX, keyPrefix, keys } from "../../src/contract/queues.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { OpsServer } from "../../src/platform/ops-server.ts";
import { parseRedisTarget } from "../../src/platform/redis-target.ts";
import { producerDefaults } from "../../src/producer/config.ts";
import { parseStoreUrl } from "../../src/store/store-url.ts";
import { quietIo } from "../support/quiet-io.ts";
import { quietLogger } from "../support/quiet-logger.ts";
import { Scratch } from "../support/scratch.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

const manifests = readdirSync(join(root, "deploy/k8s"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".yaml") && !/rules\.yaml|dashboards\.yaml/.test(path))
  .map((path) => join("deploy/k8s", path));
const all = [...manifests, "docker-compose.yml", "Dockerfile"];
const text = all.map(read).join("\n");

const program = await createProgram({ io: quietIo(root), childCommand: undefined, exitCode: 0 });

/** Every object below a value that has this key. */
function* having(value: unknown, key: string): Generator<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return;
  if (key in value) yield value as Record<string, unknown>;
  for (const below of Object.values(value)) yield* having(below, key);
}
const documents = [...manifests, "docker-compose.yml"].flatMap((path) =>
  parseAllDocuments(read(path), { merge: true }).map((document) => document.toJS() as unknown),
);

function faultsOfCommand(words: readonly string[]): string[] {
  const name = words[0] ?? "";
  const command = program.commands.find((candidate) => candidate.name() === name);
  if (command === undefined) return [`no command ${name}`];
  const flags = (own: Command) => own.options.flatMap(({ long, short }) => [long, short]);
  const known = new Set([...flags(command), ...flags(program)]);
  const own = words.slice(0, words.includes("--") ? words.indexOf("--") : undefined);
  return own.filter((word) => word.startsWith("-") && !known.has(word)).map((word) => `no option ${word} of ${name}`);
}

describe("manifests, compose file and Dockerfile", () => {
  test("let pods out to addresses of both families where any address will do", () => {
    const peers = documents.flatMap((document) => [...having(document, "to")].map(({ to }) => JSON.stringify(to)));
    const anywhere = peers.filter((to) => to.includes('"0.0.0.0/0"'));
    expect(anywhere).toHaveLength(3);
    expect(anywhere.filter((to) => !to.includes('"::/0"'))).toEqual([]);
  });

  test("set variables that the code reads", () => {
    const options = program.commands.flatMap((command) => command.options.flatMap(({ envVar }) => envVar ?? []));
    const known = new Set([
      ...options,
      ...configLeaves.map(({ variable }) => variable),
      ...secretVariables.map(fileVariableOf),
      "HEADROOM_HOME",
      // The image of the compose file, which no process reads.
      "HEADROOM_IMAGE",
    ]);
    const named = [...text.matchAll(/\bHEADROOM_[A-Z_]+\b/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(30);
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  });

  test("call commands with options that exist", () => {
    const args = documents.flatMap((document) =>
      [...having(document, "args")]
        .filter(({ image }) => typeof image !== "string" || image.startsWith("headroom"))
        .map(({ args: words }) => words),
    );
    const services = documents.flatMap((document) => [...having(document, "image")]);
    const ours = services.filter(({ image }) => String(image).includes("HEADROOM_IMAGE")).map(({ command }) => command);
    const hooks = documents
      .flatMap((document) => [...having(document, "exec")].map(({ exec }) => exec as { command: string[] }))
      .filter(({ command: [name] }) => name === "headroom");
    const words = [...args, ...ours, ...hooks.map(({ command }) => command.slice(1))].filter((list): list is string[] =>
      Array.isArray(list),
    );
    const calls = words;
    expect(calls.length).toBeGreaterThan(10);
    expect(hooks.length).toBeGreaterThan(0);
    expect(calls.flatMap(faultsOfCommand)).toEqual([]);
  });

  test("use the ports of the code", () => {
    const ports = new Map<string, Set<number>>();
    for (const document of documents) {
      for (const { name, containerPort } of having(document, "containerPort")) {
        const key = String(name);
        ports.set(key, (ports.get(key) ?? new Set()).add(Number(containerPort)));
      }
    }
    expect(ports.get("http")).toEqual(new Set([boardDefaults.port, producerDefaults.port]));
    const opsPorts = [...text.matchAll(/HEADROOM_OPS_PORT(?:, value)?[:=] ?"?(\d+)/g)].map(([, port]) => Number(port));
    expect(new Set(opsPorts.filter((port) => port !== 0))).toEqual(ports.get("ops"));
    for (const [name, port] of [
      ["PRODUCER", producerDefaults.port],
      ["BOARD", boardDefaults.port],
    ] as const) {
      const set = [...text.matchAll(new RegExp(`HEADROOM_${name}_PORT(?:, value)?: ?"(\\d+)"`, "g"))];
      expect(new Set(set.map(([, value]) => Number(value)))).toEqual(new Set([port]));
    }
  });

  test("let pods out to a Redis outside at every port that its addresses have in the docs", () => {
    const addresses = [...read("docs/redis.md").matchAll(/^\| [^|]+ \| `(redis\S*:\/\/\S*)`/gm)].map(
      ([, url = ""]) => url,
    );
    const told = addresses.flatMap((url) => [...url.matchAll(/host:(\d+)/g)].map(([, port]) => Number(port)));
    const policy = parse(read("deploy/k8s/components/redis-external/network-policy.yaml")) as {
      spec: { egress: { ports: { port: number }[] }[] };
    };
    const open = policy.spec.egress.flatMap(({ ports: own }) => own.map(({ port }) => port));
    expect(new Set(told)).toEqual(new Set([6379, 26379]));
    expect(new Set(open)).toEqual(new Set(told));
  });

  test("ask paths that an operations port answers", async () => {
    const metrics = new Metrics({ version: "0", process: "worker" }, quietLogger);
    const server = new OpsServer({ metrics, logger: quietLogger }, { host: "127.0.0.1", port: 0 });
    await server.start();
    onTestFinished(() => server.stop());
    await server.readiness().start();
    const probes = documents.flatMap((document) =>
      [...having(document, "httpGet")].map(({ httpGet }) => (httpGet as { path: string }).path),
    );
    const checks = [...text.matchAll(/healthcheck\.js", "(\w+)"/g)].map(([, path = ""]) => `/${path}`);
    const paths = new Set([...probes, ...checks, "/metrics"]);
    expect([...paths].toSorted()).toEqual(["/livez", "/metrics", "/readyz"]);
    for (const path of paths) expect((await fetch(`${server.url}${path}`)).status, path).toBe(200);
  });

  test("leave a worker more time than it drains", () => {
    const graces = documents.flatMap((document) => [...having(document, "terminationGracePeriodSeconds")]);
    const config = parseConfig(parse(read("deploy/k8s/base/headroom.yaml")));
    if (config.kind !== "valid") throw new TypeError("expected a valid configuration");
    const stopSeconds = config.config.worker.drain_seconds + CLOSE_MS / 1_000;
    const ours = graces.filter((spec) => JSON.stringify(spec).includes('"image":"headroom"'));
    expect(ours).toHaveLength(4);
    for (const spec of ours) {
      const [sleep] = [...having(spec, "sleep")].map((hook) => (hook["sleep"] as { seconds: number }).seconds);
      expect(Number(spec["terminationGracePeriodSeconds"])).toBeGreaterThan(stopSeconds + (sleep ?? 0));
    }
    // Those that a Service leads to listen on until nobody is sent there any more.
    expect(ours.filter((spec) => [...having(spec, "sleep")].length > 0)).toHaveLength(2);
    const compose = parseConfig(parse(read("deploy/compose/headroom.yaml")));
    if (compose.kind !== "valid") throw new TypeError("expected a valid configuration");
    const seconds = Number(/stop_grace_period: (\d+)s\n  depends_on: &stores/.exec(read("docker-compose.yml"))?.[1]);
    expect(seconds).toBeGreaterThan(compose.config.worker.drain_seconds + CLOSE_MS / 1_000);
  });

  test("refuse a Redis that forgets, and bring one that does not", () => {
    for (const path of ["deploy/k8s/base/headroom.yaml", "deploy/compose/headroom.yaml"]) {
      const config = parseConfig(parse(read(path)));
      if (config.kind !== "valid") throw new TypeError(`expected a valid configuration in ${path}`);
      expect(config.config.redis.durability, path).toBe("appendonly");
    }
    expect(read("deploy/redis/redis.conf")).toMatch(/^appendonly yes$/m);
  });

  test("have the users of Redis that are shipped, which reach the keys of the prefix and no others", () => {
    const source = read("deploy/redis/users.acl");
    const secrets = "deploy/k8s/overlays/dev/secrets";
    const password = read(`${secrets}/redis-password`);
    const prefix = `${keyPrefix(DEFAULT_PREFIX)}:*`;
    const withKeys = source.split("\n").filter((line) => line.includes(` ~${prefix}`));
    expect(withKeys).toHaveLength(5);
    const others = source.split("\n").filter((line) => !withKeys.includes(line));
    // The numbers that autoscalers ask for: of all pools, and of each.
    expect(others.join("\n").match(/ [~&]\S+/g)).toEqual([` ~${keys.workersWanted(keyPrefix(DEFAULT_PREFIX))}*`]);
    for (const line of withKeys) expect(line.match(/ [~&]\S+/g)).toEqual([` ~${prefix}`, ` &${prefix}`]);
    // Nobody can be it, and yet it may everything: the server replays its append-only file in its name.
    expect(source).toMatch(/^user default off resetpass allkeys allchannels \+@all$/m);
    expect(read(`${secrets}/users.acl`)).toBe(source.replaceAll(">PASSWORD", `>${password}`));
    const { secretGenerator } = parse(read("deploy/k8s/overlays/dev/kustomization.yaml")) as {
      secretGenerator: { name: string; literals?: string[] }[];
    };
    const literals = secretGenerator.find(({ name }) => name === "headroom-redis")?.literals ?? [];
    const processes = ["producer", "worker", "scheduler", "board"];
    expect(literals.map((literal) => literal.split("=")[0])).toEqual(processes);
    for (const literal of literals) {
      const [username = "", url = ""] = literal.split("=");
      expect(parseRedisTarget(url).options).toMatchObject({ host: "headroom-redis", username, password });
    }
    expect(parseStoreUrl(read(`${secrets}/store-url`))).toMatchObject({ kind: "postgres" });
  });

  test("give Compose's Redis those users too, each with the password of its process", () => {
    using scratch = new Scratch();
    const folder = scratch.folder("secrets");
    execFileSync("sh", [join(root, "deploy/compose/secrets.sh"), folder]);
    const secret = (name: string) => readFileSync(join(folder, name), "utf8");
    const passwords = new Map([["monitor", secret("redis_password")]]);
    for (const user of ["producer", "worker", "scheduler", "board"]) {
      const { options } = parseRedisTarget(secret(`redis_url_${user}`));
      expect(options).toMatchObject({ host: "redis", username: user });
      passwords.set(user, options.password ?? "");
    }
    expect(new Set(passwords.values()).size).toBe(5);
    const expected = read("deploy/redis/users.acl")
      .split("\n")
      .flatMap((line) => {
        const password = passwords.get(line.split(" ")[1] ?? "");
        if (password === undefined) return line.includes(">PASSWORD") ? [] : [line];
        return [line.replace(">PASSWORD", `#${createHash("sha256").update(password).digest("hex")}`)];
      });
    expect(secret("redis_acl")).toBe(expected.join("\n"));
  });

  test("give Compose's Redis the users of people, by the commands that its page has", () => {
    using scratch = new Scratch();
    const folder = scratch.folder("deploy/compose/secrets");
    const page = /```sh\n(for user in operator[^]*?)\n```/.exec(read("docs/deploy-compose.md"))?.[1] ?? "";
    const commands = page.replace("sh deploy/compose/secrets.sh", `sh ${root}/deploy/compose/secrets.sh ${folder}`);
    expect(commands).toContain(folder);
    execFileSync("sh", ["-eu", "-c", commands.replace(/^docker.*$/m, "")], { cwd: scratch.path });
    const acl = readFileSync(join(folder, "redis_acl"), "utf8");
    for (const user of ["operator", "admin"]) {
      const { options } = parseRedisTarget(readFileSync(join(folder, `redis_url_${user}`), "utf8"));
      expect(options).toMatchObject({ host: "redis", username: user });
      const hash = createHash("sha256")
        .update(options.password ?? "")
        .digest("hex");
      expect(acl).toMatch(new RegExp(`^user ${user} on #${hash} `, "m"));
    }
  });

  test("start Redis with the settings that are shipped, and override none that is checked", () => {
    const commands = documents.flatMap((document) =>
      [...having(document, "image")]
        .flatMap(({ args, command }) => [args, command])
        .filter((words) => Array.isArray(words)),
    );
    const servers = commands.filter(([name]) => name === "valkey-server");
    expect(servers).toHaveLength(2);
    for (const [, file, ...options] of servers as string[][]) {
      expect(file).toMatch(/redis\.conf$/);
      const named = options.filter((word) => word.startsWith("--"));
      expect(named).toEqual(["--bind", "--dir", "--maxmemory", "--aclfile"]);
    }
  });

  test("keep the memory of Redis at 60 % of the limit of its container", () => {
    const memory = (path: string) =>
      [...read(path).matchAll(/--maxmemory\n +- (\d+)mb/g)].map(([, size]) => Number(size));
    expect(memory("deploy/k8s/components/redis/redis.yaml")).toEqual([1200]);
    expect(read("deploy/k8s/components/redis/redis.yaml")).toContain('limits: { cpu: "2", memory: 2Gi');
    expect(memory("docker-compose.yml")).toEqual([600]);
  });
});
