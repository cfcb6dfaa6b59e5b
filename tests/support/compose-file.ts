/** The compose file as the compose program of Debian 13 reads it: it needs no engine for that. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { fetchDebianPackages } from "./debian-package.ts";

const run = promisify(execFile);
const file = join(import.meta.dirname, "../../docker-compose.yml");

const service = z.object({
  image: z.string(),
  profiles: z.array(z.string()).default([]),
  user: z.string().optional(),
  read_only: z.boolean().default(false),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  command: z.array(z.string()).nullable(),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.object({ source: z.string(), target: z.string().optional() })).default([]),
  configs: z.array(z.object({ source: z.string(), target: z.string() })).default([]),
  tmpfs: z.array(z.string()).default([]),
  volumes: z
    .array(z.object({ type: z.string(), source: z.string(), target: z.string(), read_only: z.boolean().optional() }))
    .default([]),
  networks: z.record(z.string(), z.unknown()).default({}),
  network_mode: z.string().optional(),
  ports: z.array(z.object({ host_ip: z.string().optional(), target: z.number() })).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).optional(), disable: z.boolean().optional() }).optional(),
  stop_grace_period: z.string().optional(),
  deploy: z
    .object({ resources: z.object({ limits: z.object({ cpus: z.number(), memory: z.string(), pids: z.number() }) }) })
    .optional(),
});
export type ComposeService = z.output<typeof service>;

const composeFile = z.object({
  services: z.record(z.string(), service),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
  configs: z.record(z.string(), z.object({ file: z.string() })),
  networks: z.record(z.string(), z.object({ internal: z.boolean().default(false) })),
});
export type ComposeFile = z.output<typeof composeFile>;

/**
 * Reads the file, with every profile, as an environment of nothing but these variables would have it read.
 * @throws with what the program says of a file that is not valid
 */
export async function readCompose(
  path: string = file,
  env: Readonly<Record<string, string>> = {},
): Promise<ComposeFile> {
  const root = await fetchDebianPackages({ suite: "trixie", packages: ["docker-compose"] });
  const [loader, ...args] = root.program("docker-compose").command;
  const { stdout } = await run(loader, [...args, "--file", path, "--profile", "*", "config", "--format", "json"], {
    maxBuffer: 16 * 1024 * 1024,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
  });
  return composeFile.parse(JSON.parse(stdout));
}
