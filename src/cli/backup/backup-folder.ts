/**
 * A backup: a folder with the store, the keys in Redis, and a page that says what they are. That page is written last, so
 * a folder without one is no backup. Redis is read before the store: what ended in between is in the store, and the
 * scheduler of a restored cluster believes the store.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, createWriteStream, existsSync, fsyncSync, openSync } from "node:fs";
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { ConflictError, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { checkRedis } from "../../platform/redis-check.ts";
import { copyKeys, countKeys, putKeys, type KeyCopy } from "../../platform/redis-copy.ts";
import { closeRedis, openRedis } from "../../platform/redis.ts";
import type { Logger } from "../../platform/logger.ts";
import { copyStore, putStore } from "../../store/store-copy.ts";
import { parseStoreUrl } from "../../store/store-url.ts";
import type { Cluster } from "../cluster.ts";
import { packageVersion } from "../version.ts";

const FORMAT = 1;
const PAGE_FILE = "backup.json";
const REDIS_FILE = "redis.jsonl";
const storeFiles = { sqlite: "store.db", postgres: "store.pgdump" } as const;
const PUT_AT_ONCE = 500;

const filePart = z.strictObject({ file: z.string(), bytes: z.int(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const backupPage = z.strictObject({
  format: z.literal(FORMAT),
  createdAt: z.iso.datetime(),
  version: z.string(),
  prefix: z.string(),
  redis: filePart.extend({ server: z.string(), keys: z.int() }),
  store: filePart.extend({ kind: z.enum(["sqlite", "postgres"]) }),
});
/** What a backup says of itself. */
export type BackupPage = Readonly<z.output<typeof backupPage>>;

const keyLine = z.strictObject({ key: z.string(), ttlMs: z.number().optional(), value: z.base64() });

/** Writes a backup of a cluster, which may be at work. @throws {ConflictError} when the folder has something in it */
export async function writeBackup(cluster: Pick<Cluster, "redis" | "place">, folder: string): Promise<BackupPage> {
  const { redis, place } = cluster;
  makeFolders(folder);
  if (readdirSync(folder).length > 0) throw new ConflictError(`expected an empty folder, found files in ${folder}`);
  const { kind } = parseStoreUrl(place.storeUrl);
  const { server, version } = await checkRedis(redis);
  const keys = await writeKeys(cluster, join(folder, REDIS_FILE));
  await copyStore(place.storeUrl, join(folder, storeFiles[kind]));
  const page: BackupPage = {
    format: FORMAT,
    createdAt: new Date().toISOString(),
    version: packageVersion(),
    prefix: place.prefix,
    redis: { ...(await describeFile(folder, REDIS_FILE)), server: `${server} ${version}`, keys },
    store: { ...(await describeFile(folder, storeFiles[kind])), kind },
  };
  const temporary = join(folder, `${PAGE_FILE}.new`);
  writeFileSync(temporary, `${JSON.stringify(page, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(temporary, join(folder, PAGE_FILE));
  return page;
}

async function writeKeys({ redis, place }: Pick<Cluster, "redis" | "place">, path: string): Promise<number> {
  const to = createWriteStream(path, { mode: 0o600, flags: "wx", flush: true });
  const keys = await copyKeys(redis, place.kp, async ({ key, ttlMs, value }) => {
    const line = { key, ...(ttlMs !== undefined && { ttlMs }), value: value.toString("base64") };
    if (!to.write(`${JSON.stringify(line)}\n`)) await once(to, "drain");
  });
  to.end();
  await once(to, "close");
  return keys;
}

async function describeFile(folder: string, file: string): Promise<z.output<typeof filePart>> {
  const path = join(folder, file);
  const descriptor = openSync(path, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
  return { file, bytes: statSync(path).size, sha256: await digestOf(path) };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}

/** A place to restore into: no process of the cluster may run there. */
export interface RestorePlace {
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly prefix: string;
  readonly kp: string;
}

/**
 * Puts a backup into an empty Redis and an empty store: the store first, since a scheduler that finds a run in the store
 * and no jobs adds them, while jobs that it finds without a run are taken out.
 * @throws {InvalidInputError} when the backup is not whole or is another prefix's
 * @throws {ConflictError} when the place holds something already
 */
export async function readBackup(folder: string, place: RestorePlace, logger: Logger): Promise<BackupPage> {
  const page = await checkBackup(folder, place);
  const redis = openRedis(place.redisUrl, "command", logger);
  try {
    await checkRedis(redis);
    if ((await countKeys(redis, place.kp)) > 0) {
      const what = `expected no keys of ${place.kp} in redis, found some: stop all processes, then delete them`;
      throw new ConflictError(`${what} (redis-cli --scan --pattern '${place.kp}:*' | xargs redis-cli UNLINK)`);
    }
    await putStore(place.storeUrl, join(folder, page.store.file), logger);
    for await (const copies of readKeys(join(folder, page.redis.file))) await putKeys(redis, copies);
    return page;
  } finally {
    await closeRedis(redis);
  }
}

async function checkBackup(folder: string, place: RestorePlace): Promise<BackupPage> {
  const page = loadPage(folder);
  const { kind } = parseStoreUrl(place.storeUrl);
  const fault = (where: string, expected: string, found: string) =>
    new InvalidInputError(`backup ${folder}`, [{ where, expected, found }]);
  if (page.prefix !== place.prefix) throw fault("prefix", `the backup's, ${page.prefix}`, place.prefix);
  if (page.store.kind !== kind) throw fault("store", `one of its kind, ${page.store.kind}`, kind);
  for (const { file, bytes, sha256 } of [page.redis, page.store]) {
    const path = join(folder, file);
    if (!existsSync(path)) throw fault(file, "the file", "none");
    if (statSync(path).size !== bytes) throw fault(file, `${bytes} bytes`, `${statSync(path).size}`);
    const found = await digestOf(path);
    if (found !== sha256) throw fault(file, `SHA-256 ${sha256}`, found);
  }
  return page;
}

function loadPage(folder: string): BackupPage {
  try {
    return backupPage.parse(JSON.parse(readFileSync(join(folder, PAGE_FILE), "utf8")));
  } catch (error) {
    const fault = { where: PAGE_FILE, expected: "the page of a whole backup", found: messageOf(error) };
    throw new InvalidInputError(`backup ${folder}`, [fault], { cause: error });
  }
}

async function* readKeys(path: string): AsyncGenerator<KeyCopy[]> {
  let page: KeyCopy[] = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const { key, ttlMs, value } = keyLine.parse(JSON.parse(line));
    page.push({ key, ttlMs, value: Buffer.from(value, "base64") });
    if (page.length < PUT_AT_ONCE) continue;
    yield page;
    page = [];
  }
  yield page;
}
