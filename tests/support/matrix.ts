/**
 * Another Redis for the whole integration suite: HEADROOM_TEST_REDIS is `valkey` (8, of Debian 13), `cluster` (three nodes),
 * `acl` (the users that are shipped) or `tls`. Without it: the server of this machine, behind a socket.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchDebianPackages } from "./debian-package.ts";
import { freePort } from "./free-port.ts";
import { RedisCluster } from "./redis-cluster.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

const SAFE = ["--appendonly", "no", "--maxmemory-policy", "noeviction"];
const users = fileURLToPath(new URL("../../deploy/redis/users.acl", import.meta.url));

/** A server for a suite; `url` is what tests connect to. */
export interface SuiteRedis {
  readonly url: string;
  stop(): Promise<void>;
}

/** @throws for a name that is none of these */
export async function startSuiteRedis(name = process.env["HEADROOM_TEST_REDIS"]): Promise<SuiteRedis> {
  switch (name) {
    case undefined:
      return startRedis({ args: SAFE });
    case "valkey":
      await useValkey();
      return startRedis({ args: SAFE });
    case "cluster": {
      const cluster = await RedisCluster.start(SAFE);
      return { url: cluster.url, stop: () => cluster[Symbol.asyncDispose]() };
    }
    case "acl":
      return startWithUsers("suite");
    case "tls":
      return startWithTls();
    default:
      throw new Error(`HEADROOM_TEST_REDIS: expected valkey, cluster, acl or tls, found ${JSON.stringify(name)}`);
  }
}

/** Starts a server with the shipped users, whose prefix is any unless one is given and whose password is `secret`; as this user. */
export async function startWithUsers(
  user: string,
  prefix = "{*}",
  args: readonly string[] = SAFE,
): Promise<RedisServer & { readonly asUser: (name: string) => string }> {
  const folder = mkdtempSync(join(tmpdir(), "hr-acl-"));
  const file = join(folder, "users.acl");
  const text = readFileSync(users, "utf8").replaceAll("{headroom}", prefix).replaceAll(">PASSWORD", ">secret");
  // A test looks at keys as no process of ours may.
  const [rules = ""] = /(?<=^user scheduler ).*$/m.exec(text) ?? [];
  const suite = `user suite ${rules} +keys +monitor +client|list +client|pause +client|unpause`;
  // For the helper that waits for the server.
  const all = text.replace("user default off resetpass", "user default on nopass");
  writeFileSync(file, `${all}${suite}\n`);
  const server = await startRedis({ args: [...args, "--aclfile", file] });
  const asUser = (name: string): string => server.url.replace("unix://", `unix://${name}:secret@`);
  return {
    ...server,
    get pid() {
      return server.pid;
    },
    asUser,
    url: asUser(user),
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Its certificate is its own: Node is told to trust it by NODE_EXTRA_CA_CERTS, which counts for processes started later. */
async function startWithTls(): Promise<SuiteRedis> {
  const folder = mkdtempSync(join(tmpdir(), "hr-tls-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const files = ["-keyout", key, "-out", certificate];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
      ...files,
      ...subject,
    ],
    { stdio: "ignore" },
  );
  process.env["NODE_EXTRA_CA_CERTS"] = certificate;
  const port = await freePort();
  const tls = ["--tls-port", String(port), "--tls-cert-file", certificate, "--tls-key-file", key];
  const server = await startRedis({
    args: [...SAFE, "--bind", "127.0.0.1", ...tls, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"],
  });
  return {
    url: `rediss://localhost:${port}`,
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whatever starts a Redis from now on, here or in a process of ours, starts Valkey 8. */
export async function useValkey(): Promise<void> {
  process.env["HEADROOM_REDIS_SERVER"] ??= await valkeyServer();
}

/** A file that starts Valkey with the loader and the libraries of its own release. */
async function valkeyServer(): Promise<string> {
  const root = await fetchDebianPackages({ suite: "trixie", packages: ["valkey-server", "valkey-tools"] });
  const file = join(root.path, "start-valkey-server");
  const command = root
    .program("valkey-server")
    .command.map((word) => `'${word}'`)
    .join(" ");
  writeFileSync(file, `#!/bin/sh\nexec ${command} "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}
