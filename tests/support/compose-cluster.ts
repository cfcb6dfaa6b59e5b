/**
 * The processes of the compose file, started by hand in the order that it asks for: real Redis and PostgreSQL on private
 * addresses, and each process of ours in a sandbox over the image's files, with the variables, secrets, configuration and
 * volumes that the file gives it.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { vi } from "vitest";
import { readCompose, type ComposeFile, type ComposeService } from "./compose-file.ts";
import { fetchDebianPackages, type DebianRoot } from "./debian-package.ts";
import { freePort } from "./free-port.ts";
import { IMAGE_UID, runInImage, type ImageProcess, type ImageProcessOptions } from "./image-process.ts";
import { makeImageRoot, type ImageRoot } from "./image-root.ts";
import { startPostgres, type PostgresServer } from "./postgres.ts";
import { Scratch } from "./scratch.ts";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "../..");
/** Variables that name a port: each process gets free ones, since here all share one machine. */
const PORTS = ["HEADROOM_OPS_PORT", "HEADROOM_PRODUCER_PORT", "HEADROOM_BOARD_PORT"];
const HEALTHY = { timeout: 60_000, interval: 100 };

interface Parts {
  readonly compose: ComposeFile;
  readonly image: ImageRoot;
  readonly valkey: DebianRoot;
}

export class ComposeCluster implements AsyncDisposable {
  readonly #parts: Parts;
  readonly #scratch = new Scratch();
  readonly #secrets = join(this.#scratch.path, "secrets");
  /** What the volume `data` holds. */
  readonly data = this.#scratch.folder("data");
  readonly #services = new Map<string, { readonly process: ImageProcess; readonly options: ImageProcessOptions }>();
  #redis: ChildProcess | undefined;
  #redisPort = 0;
  #postgres: PostgresServer | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    chmodSync(this.#scratch.path, 0o755);
    if (process.getuid?.() === 0) chownSync(this.data, IMAGE_UID, IMAGE_UID);
  }

  /** A secret as its file has it. */
  secret(name: string): string {
    return readFileSync(join(this.#secrets, name), "utf8");
  }

  /** The variable of a service, with the port that it has here. */
  variable(service: string, name: string): string {
    return this.#services.get(service)?.options.env?.[name] ?? "";
  }

  output(service: string): string {
    return this.#services.get(service)?.process.output() ?? "";
  }

  async start(): Promise<void> {
    execFileSync("sh", [join(repository, "deploy/compose/secrets.sh"), this.#secrets]);
    // Root's folder here: a container gets the one file mounted.
    chmodSync(this.#secrets, 0o755);
    await this.#startRedis();
    for (const user of ["producer", "worker", "scheduler", "board"]) {
      this.#rewrite(`redis_url_${user}`, (url) => url.replace("@redis:6379", `@127.0.0.1:${this.#redisPort}`));
    }
    const postgresPort = await this.#startPostgres();
    this.#rewrite("store_url", (url) => url.replace("@postgres/", `@127.0.0.1:${postgresPort}/`));
    for (const name of inOrder(this.#parts.compose)) await this.#startService(name);
  }

  /** Runs a service that is no server to its end, or another command in its place. */
  async call(service: string, command?: readonly string[]): Promise<{ code: number | null; output: string }> {
    const { own, options } = await this.#optionsOf(service);
    const args = command ?? own.command ?? [];
    await using called = runInImage(this.#parts.image, ["headroom", ...args], options);
    const code = await called.ended;
    return { code, output: called.output() };
  }

  async #startService(name: string): Promise<void> {
    const { own, options } = await this.#optionsOf(name);
    const started = runInImage(this.#parts.image, ["headroom", ...(own.command ?? [])], options);
    this.#services.set(name, { process: started, options });
    const [, ...test] = own.healthcheck?.test ?? [];
    await untilHealthy(async () => {
      await using check = runInImage(this.#parts.image, test, options);
      return (await check.ended) === 0 ? undefined : `${name}: ${check.output()}\n${started.output()}`;
    });
  }

  /** The sandbox of a service. */
  async #optionsOf(name: string): Promise<{ own: ComposeService; options: ImageProcessOptions }> {
    const { compose } = this.#parts;
    const own = compose.services[name];
    if (own === undefined) throw new Error(`expected a service ${name} in the compose file, found none`);
    const env = { ...own.environment };
    for (const variable of PORTS.filter((port) => env[port] !== undefined)) env[variable] = String(await freePort());
    const secrets = own.secrets.map(({ source, target = source }) => [
      `/run/secrets/${basename(target)}`,
      join(this.#secrets, source),
    ]);
    const configs = own.configs.map(({ source, target }) => [target, compose.configs[source]?.file ?? ""]);
    const volumes = own.volumes.map(({ target, read_only: isReadOnly = false }) => ({ target, isReadOnly }));
    const of = (isReadOnly: boolean) =>
      volumes.filter((volume) => volume.isReadOnly === isReadOnly).map(({ target }) => [target, this.data]);
    return {
      own,
      options: {
        env,
        tmpfs: own.tmpfs.map((mount) => mount.split(":")[0] ?? ""),
        readOnly: Object.fromEntries([...secrets, ...configs, ...of(true)]) as Record<string, string>,
        writable: Object.fromEntries(of(false)) as Record<string, string>,
      },
    };
  }

  /** Valkey with the command of the compose file, and its own check of health. */
  async #startRedis(): Promise<void> {
    const { compose, valkey } = this.#parts;
    const own = compose.services["redis"];
    const files = own?.configs.map(({ source, target }) => [target, compose.configs[source]?.file ?? ""]) ?? [];
    const here: Readonly<Record<string, string>> = {
      "*": "127.0.0.1",
      "/data": this.#scratch.folder("redis"),
      ...(Object.fromEntries(files) as Record<string, string>),
    };
    const args = (own?.command ?? []).slice(1).map((word) => here[word] ?? this.#secretsHere(word));
    this.#redisPort = await freePort();
    const [loader, ...file] = valkey.program("valkey-server").command;
    this.#redis = spawn(loader, [...file, ...args, "--port", String(this.#redisPort)], { stdio: "ignore" });
    const [, check = ""] = own?.healthcheck?.test ?? [];
    const client = [...valkey.program("valkey-cli").command, "-p", String(this.#redisPort)].join(" ");
    const command = this.#secretsHere(check.replaceAll("$$", "$")).replace("valkey-cli", client);
    await untilHealthy(() => run("sh", ["-c", command]).then(() => undefined, String));
  }

  /** PostgreSQL with the user, the password and the database of the compose file, and its own check of health; its port. */
  async #startPostgres(): Promise<number> {
    const own = this.#parts.compose.services["postgres"];
    const {
      POSTGRES_USER: user,
      POSTGRES_DB: database = "",
      POSTGRES_PASSWORD_FILE: file = "",
    } = own?.environment ?? {};
    const port = await freePort();
    const server = await startPostgres({ user, port, password: readFileSync(this.#secretsHere(file), "utf8") });
    this.#postgres = server;
    await server.query(`create database ${database}`);
    const [, program = "", ...args] = own?.healthcheck?.test ?? [];
    const check = [...args, "--port", String(port)];
    await untilHealthy(() => run(server.program(program), check).then(() => undefined, String));
    return port;
  }

  #secretsHere(text: string): string {
    return text.replaceAll("/run/secrets/", `${this.#secrets}/`);
  }

  #rewrite(name: string, change: (text: string) => string): void {
    const path = join(this.#secrets, name);
    const text = change(readFileSync(path, "utf8"));
    chmodSync(path, 0o644);
    writeFileSync(path, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: started } of this.#services.values()) await started[Symbol.asyncDispose]();
    const redis = this.#redis;
    if (redis?.exitCode === null && redis.signalCode === null) {
      const closed = once(redis, "exit");
      redis.kill("SIGKILL");
      await closed;
    }
    await this.#postgres?.[Symbol.asyncDispose]();
    this.#parts.image[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
  }
}

/** Everything but monitoring and the example, healthy. Needs `npm run build`. The caller disposes of it. */
export async function startComposeCluster(): Promise<ComposeCluster> {
  const valkey = await fetchDebianPackages({ suite: "trixie", packages: ["valkey-server", "valkey-tools"] });
  const compose = await readCompose();
  const image = makeImageRoot("cpu");
  const cluster = new ComposeCluster({ compose, image, valkey });
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** Our processes, each behind those that it waits for. */
function inOrder({ services }: ComposeFile): string[] {
  const ordered: string[] = [];
  const add = (name: string): void => {
    const own = services[name];
    if (own?.image !== "headroom:local" || ordered.includes(name)) return;
    for (const needed of Object.keys(own.depends_on)) add(needed);
    ordered.push(name);
  };
  for (const name of Object.keys(services).filter((service) => service !== "example")) add(name);
  return ordered;
}

/** Waits until a check of health has nothing to say. @throws with what it said last */
function untilHealthy(fault: () => Promise<string | undefined>): Promise<void> {
  return vi.waitFor(async () => {
    const found = await fault();
    if (found !== undefined) throw new Error(found);
  }, HEALTHY);
}
