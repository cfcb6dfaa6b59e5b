/** Where a private Redis server keeps its files, and its configuration. */
import { createHash } from "node:crypto";
import { accessSync, constants, lstatSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { InfrastructureError } from "../contract/errors.ts";
import { GiB } from "../contract/resources.ts";
import { makeFolders } from "./make-folders.ts";
import { processIdentity } from "./process-identity.ts";

/** Linux cuts the path of a unix socket at 108 bytes, the closing NUL included. */
export const MAX_SOCKET_BYTES = 107;

export interface EmbeddedFiles {
  readonly folder: string;
  readonly lock: string;
  readonly leases: string;
  readonly config: string;
  readonly log: string;
  readonly pid: string;
  /** What the next one that starts reads: see `ServerRecord`. */
  readonly record: string;
}

const serverRecord = z.object({
  socket: z.string(),
  /** Written as soon as its process is there; the run id once it answered on its socket. */
  server: processIdentity.extend({ runId: z.string().min(1).optional() }).optional(),
});
/** The server of this home as the process that started it wrote it down. */
export type ServerRecord = Readonly<z.output<typeof serverRecord>>;

/** Makes `<home>/redis`, for its owner alone. */
export function makeFiles(home: string): EmbeddedFiles {
  const made = join(home, "redis");
  makeFolders(made);
  // Two spellings of one home must find one server.
  const folder = realpathSync(made);
  const leases = join(folder, "leases");
  makeFolders(leases);
  return {
    folder,
    leases,
    lock: join(folder, "start.lock"),
    config: join(folder, "redis.conf"),
    log: join(folder, "redis.log"),
    pid: join(folder, "redis.pid"),
    record: join(folder, "server.json"),
  };
}

export function readRecord(files: EmbeddedFiles): ServerRecord | undefined {
  try {
    return serverRecord.safeParse(JSON.parse(readFileSync(files.record, "utf8"))).data;
  } catch {
    return undefined; // no server was ever started here, or the record is not ours: a new one is written
  }
}

export function writeRecord(files: EmbeddedFiles, record: ServerRecord): void {
  replaceFile(files.record, `${JSON.stringify(record)}\n`);
}

/** `<home>/redis/run/redis.sock`, or a short path in the runtime folder when that is too long for a socket. */
export function chooseSocket(files: EmbeddedFiles, env: Readonly<Record<string, string | undefined>>): string {
  const inHome = join(files.folder, "run", "redis.sock");
  if (Buffer.byteLength(inHome) <= MAX_SOCKET_BYTES) return inHome;
  const digest = createHash("sha256").update(files.folder).digest("hex").slice(0, 16);
  const bases = [env["XDG_RUNTIME_DIR"], tmpdir(), "/tmp"].filter((base) => base !== undefined && isWritable(base));
  const socket = bases
    .map((base) => join(base ?? "", `headroom-${digest}`, "redis.sock"))
    .find((path) => Buffer.byteLength(path) <= MAX_SOCKET_BYTES);
  if (socket === undefined) {
    const expected = `a folder for a unix socket of at most ${MAX_SOCKET_BYTES} bytes`;
    throw new InfrastructureError(`expected ${expected} in XDG_RUNTIME_DIR or ${tmpdir()}, found none`);
  }
  return socket;
}

/**
 * Makes the socket's folder for its owner alone.
 * @throws {InfrastructureError} when somebody else's folder, or a link, has that name: in a shared folder anybody may have put it there.
 */
export function makeSocketFolder(socket: string): void {
  const folder = dirname(socket);
  makeFolders(folder);
  const { uid, mode } = lstatSync(folder);
  const isDirectory = lstatSync(folder).isDirectory();
  const isOwn = process.getuid === undefined || uid === process.getuid();
  if (!isDirectory || !isOwn || (mode & 0o077) !== 0) {
    const found = `${isDirectory ? "a folder" : "no folder"} of user ${uid} with mode ${(mode & 0o777).toString(8)}`;
    throw new InfrastructureError(`expected ${folder} to be a folder of this user with mode 700, found ${found}`);
  }
}

/** The smaller of 1 GiB and a quarter of the memory that this process may use. */
export function defaultMaxMemoryBytes(): number {
  const limit = process.constrainedMemory();
  const total = limit > 0 && limit < totalmem() ? limit : totalmem();
  return Math.min(GiB, Math.floor(total / 4));
}

/** Writes the server's configuration: a private socket, every write in the append-only file, nothing evicted. */
export function writeConfig(files: EmbeddedFiles, socket: string, maxMemoryBytes: number): void {
  const lines: readonly (readonly [string, ...string[]])[] = [
    ["port", "0"],
    ["unixsocket", socket],
    ["unixsocketperm", "700"],
    ["dir", files.folder],
    ["pidfile", files.pid],
    ["logfile", files.log],
    ["daemonize", "no"],
    ["appendonly", "yes"],
    ["appendfsync", "everysec"],
    // The append-only file holds everything: no forks for snapshots beside its own rewrites.
    ["save", ""],
    ["maxmemory", String(maxMemoryBytes)],
    ["maxmemory-policy", "noeviction"],
  ];
  const text = lines.map(([name, ...values]) => [name, ...values.map(quote)].join(" ")).join("\n");
  replaceFile(files.config, `# Written at each start: changes here are lost.\n${text}\n`);
}

/** As redis.conf quotes: inside double quotes, a backslash before what is special. */
function quote(value: string): string {
  return `"${value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}

/** Replaces a file whole: a crash leaves the old one or the new one. */
function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false; // the next candidate is tried
  }
}
