/**
 * A private PostgreSQL server for tests: from the Debian package, in a folder of its own, on a unix socket (and, where that is
 * asked for, a port of this machine with a password), without fsync. It never runs as root, which the server refuses.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";

const USER = "headroom";
const PACKAGES = "/usr/lib/postgresql";

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** How others reach the server over TCP; its socket asks for no password. */
export interface PostgresNetwork {
  /** By default `headroom`. */
  readonly user?: string | undefined;
  readonly port: number;
  readonly password: string;
}

export class PostgresServer implements AsyncDisposable {
  readonly #binaries: string;
  readonly #folder: string;
  readonly #account: Account | undefined;
  readonly #network: PostgresNetwork | undefined;
  readonly #user: string;
  #process: ChildProcess | undefined;
  #databases = 0;
  readonly #killAtExit = () => {
    this.#process?.kill("SIGKILL");
  };

  constructor(binaries: string, folder: string, account: Account | undefined, network?: PostgresNetwork) {
    this.#binaries = binaries;
    this.#folder = folder;
    this.#account = account;
    this.#network = network;
    this.#user = network?.user ?? USER;
  }

  /** The path of one of its programs. */
  program(name: string): string {
    return join(this.#binaries, name);
  }

  /** The URL of a database of this server. */
  url(database: string): string {
    const port = this.#network === undefined ? "" : `:${this.#network.port}`;
    return `postgres://${this.#user}@localhost${port}/${database}?host=${encodeURIComponent(this.#folder)}`;
  }

  /** Creates an empty database; the URL of it. */
  async createDatabase(options = ""): Promise<string> {
    this.#databases += 1;
    const name = `test_${this.#databases}`;
    await this.query(`create database ${name} ${options}`);
    return this.url(name);
  }

  /** Runs one statement outside of any store. */
  async query(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url("postgres") });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  initialize(): void {
    const settings = [
      `--username=${this.#user}`,
      "--encoding=UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
      ...this.#accessSettings(),
    ];
    const result = spawnSync(this.program("initdb"), ["-D", this.#data, ...settings], {
      ...this.#account,
      encoding: "utf8",
    });
    if (result.status !== 0) throw new Error(`initdb failed: ${result.stderr}`, { cause: result.error });
  }

  /** As PostgreSQL's own image sets it up: whoever comes over the network has to know the password. */
  #accessSettings(): string[] {
    if (this.#network === undefined) return ["--auth=trust"];
    const file = join(this.#folder, "password");
    writeFileSync(file, this.#network.password);
    return ["--auth-local=trust", "--auth-host=scram-sha-256", `--pwfile=${file}`];
  }

  /** Resolves when the server takes connections. */
  async start(): Promise<void> {
    const settings = [
      ...(this.#network === undefined
        ? ["listen_addresses="]
        : ["listen_addresses=127.0.0.1", `port=${this.#network.port}`]),
      `unix_socket_directories=${this.#folder}`,
      "fsync=off",
      "synchronous_commit=off",
      "full_page_writes=off",
      "max_connections=60",
    ];
    const child = spawn(
      this.program("postgres"),
      ["-D", this.#data, ...settings.flatMap((setting) => ["-c", setting])],
      { ...this.#account, stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" } },
    );
    this.#process = child;
    process.on("exit", this.#killAtExit);
    const log: string[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        if (line.includes("ready to accept connections")) resolve();
        if (log.length < 100) log.push(line);
      });
      child.once("error", reject);
      child.once("exit", (code) => {
        reject(new Error(`PostgreSQL ended with ${code ?? "a signal"} before it was ready:\n${log.join("\n")}`));
      });
    });
  }

  /** Ends the server and all its connections at once; the databases stay. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    process.off("exit", this.#killAtExit);
    if (child?.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGINT");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.#folder, "data");
  }
}

/** Starts a server with no database but its own; the caller disposes of it. */
export async function startPostgres(network?: PostgresNetwork): Promise<PostgresServer> {
  const binaries = findBinaries();
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  // Short, and not below TMPDIR: a socket's path has at most 107 bytes, and another user must get there.
  const folder = mkdtempSync("/tmp/headroom-pg-");
  if (account !== undefined) chownSync(folder, account.uid, account.gid);
  const server = new PostgresServer(binaries, folder, account, network);
  try {
    server.initialize();
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Debian keeps the server's programs out of the PATH. */
function findBinaries(): string {
  const versions = existsSync(PACKAGES) ? readdirSync(PACKAGES).sort((a, b) => Number(b) - Number(a)) : [];
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => existsSync(join(folder, "postgres")));
  const folders = [
    ...versions.map((version) => join(PACKAGES, version, "bin")),
    ...onPath.map((folder) => dirname(realpathSync(join(folder, "postgres")))),
  ];
  const found = folders.find((folder) => ["initdb", "postgres"].every((name) => existsSync(join(folder, name))));
  if (found === undefined) {
    throw new Error(
      `expected PostgreSQL's initdb and postgres in ${PACKAGES}/*/bin or on the PATH, found none; to mend it: apt-get install postgresql`,
    );
  }
  return found;
}

function unprivilegedAccount(): Account {
  const accounts = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const account = ["postgres", "nobody"].map((name) => accounts.find((fields) => fields[0] === name)).find(Boolean);
  if (account === undefined) throw new Error("expected the user postgres or nobody in /etc/passwd, found neither");
  return { uid: Number(account[2]), gid: Number(account[3]) };
}
