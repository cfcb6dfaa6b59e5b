/** What the commands that stay have in common: options, the operations server, life until a signal. */
import { Option, type Command } from "commander";
import { createServer } from "node:net";
import { once } from "node:events";
import type { Config } from "../contract/config.ts";
import { resourceSettings } from "../contract/config-compile.ts";
import type { ProcessKind } from "../contract/metric-zeros.ts";
import { InvalidInputError, messageOf } from "../contract/errors.ts";
import { loadConfig } from "../platform/config-file.ts";
import { ServiceGroup, type Service } from "../platform/lifecycle.ts";
import { createLogger, type Logger } from "../platform/logger.ts";
import { runUntilSignal } from "../platform/run.ts";
import { openCluster, type Cluster } from "./cluster.ts";
import { addPlaceOptions } from "./command-line.ts";
import { clusterService, createOpsServer, createParts, type Part, type Parts, type WorkerSettings } from "./compose.ts";
import { say, type Io } from "./io.ts";
import { settingsOf } from "./run-flags.ts";
import { logLevelOf, openPlace, placeDefaultsOf, type PlaceOptions } from "./settings.ts";

export interface ServiceFlags extends PlaceOptions {
  readonly config?: string;
  readonly opsHost?: string;
  readonly opsPort?: string;
}

export interface WorkerFlags {
  readonly maxProcesses?: string;
  readonly memoryThreshold?: string;
  readonly cpuThreshold?: string;
  readonly label?: readonly string[];
}

export interface ListenFlags {
  readonly host?: string;
  readonly port?: string;
}

/** Time for what is still open when all jobs have ended or were handed back. */
export const CLOSE_MS = 5_000;

export function addOpsPortOption(command: Command): Command {
  return command.addOption(
    new Option("--ops-port <n>", "of /livez /readyz /metrics (default: a free one)").env("HEADROOM_OPS_PORT"),
  );
}

export function addServiceOptions(command: Command): Command {
  command
    .addOption(new Option("-c, --config <file>", "configuration file").env("HEADROOM_CONFIG"))
    .addOption(
      new Option("--ops-host <address>", "of /livez /readyz /metrics (default: 127.0.0.1)").env("HEADROOM_OPS_HOST"),
    );
  return addPlaceOptions(addOpsPortOption(command));
}

export function addWorkerOptions(command: Command): Command {
  return command
    .option("-j, --max-processes <n>", "processes at once (default: as many as fit)")
    .option("--memory-threshold <percent>", "start nothing that would use more of the memory")
    .option("--cpu-threshold <percent>", "start nothing while more of the CPUs is in use")
    .option("--label <name>", "what this worker has, such as gpu; may be repeated", collect);
}

export function addListenOptions(command: Command, name: "PRODUCER" | "BOARD", port: number): Command {
  return command
    .addOption(new Option("--host <address>", "to listen on (default: 127.0.0.1)").env(`HEADROOM_${name}_HOST`))
    .addOption(
      new Option("--port <n>", `to listen on; 0 takes a free one (default: ${port})`).env(`HEADROOM_${name}_PORT`),
    );
}

/** Of an option that may be repeated. */
export function collect(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value];
}

/** The configuration of a process, its options on top. */
export function loadServiceConfig(flags: ServiceFlags & WorkerFlags, io: Io): Config {
  const file = flags.config === undefined ? {} : { file: flags.config };
  const { maxProcesses, memoryThreshold, cpuThreshold } = flags;
  // Before anything is started.
  parsePort(flags.opsPort, "--ops-port", 0);
  const limits = {
    ...(maxProcesses === undefined ? {} : { maxProcesses }),
    ...(memoryThreshold === undefined ? {} : { memoryThreshold }),
    ...(cpuThreshold === undefined ? {} : { cpuThreshold }),
  };
  return loadConfig({ ...file, env: io.env, settings: settingsOf(limits, undefined), cwd: io.cwd });
}

export function workerSettings(config: Config, flags: WorkerFlags): WorkerSettings {
  return {
    ...resourceSettings(config),
    memoryMaxBytes: config.worker.memory_max,
    labels: [...config.worker.labels, ...(flags.label ?? [])],
    drainMs: config.worker.drain_seconds * 1_000,
    allow: config.allow,
    governor: config.governor,
  };
}

/** @throws {InvalidInputError} naming the option */
export function parsePort(text: string | undefined, where: string, fallback: number): number {
  if (text === undefined) return fallback;
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new InvalidInputError("command line", [
    { where, expected: "a port from 0 to 65535", found: JSON.stringify(text) },
  ]);
}

/** The preferred port when nobody listens there, else 0. For ports that nobody asked for by name. */
export async function choosePort(host: string, preferred: number): Promise<number> {
  const server = createServer();
  try {
    server.listen(preferred, host);
    await once(server, "listening");
    return preferred;
  } catch {
    return 0; // taken, or not ours to take: any free one will do
  } finally {
    server.close();
  }
}

/** One process of a cluster: logs to standard error, serves its operations port, lives until a signal. */
export async function serve(
  name: ProcessKind,
  { flags, io, config }: { flags: ServiceFlags; io: Io; config: Config },
  make: (parts: Parts) => Promise<Part>,
): Promise<never> {
  const logger = createLogger(logLevelOf(io.env, config.logging.level), { process: name, pid: process.pid });
  const cluster = await openServiceCluster(flags, { io, config, logger });
  const parts = createParts(cluster, name, io.env);
  const part = await make(parts);
  return live({ cluster, parts, made: [part] }, { flags, io, config, logger, tell: () => undefined });
}

export function openServiceCluster(
  flags: PlaceOptions,
  { io, config, logger }: { io: Io; config: Config; logger: Logger },
): Promise<Cluster> {
  return openCluster(openPlace(flags, io, placeDefaultsOf(config)), logger, config.allow);
}

export interface Made {
  readonly cluster: Cluster;
  readonly parts: Parts;
  readonly made: readonly Part[];
}

export interface LifeOptions {
  readonly flags: ServiceFlags;
  readonly io: Io;
  readonly config: Config;
  readonly logger: Logger;
  /** Called when everything has started, with the URL of the operations server. */
  readonly tell: (opsUrl: string) => void;
}

/** Starts the parts behind their operations server, and stops them at a signal. Ends the process. */
export async function live(
  { cluster, parts, made }: Made,
  { flags, io, config, logger, tell }: LifeOptions,
): Promise<never> {
  const port = parsePort(flags.opsPort, "--ops-port", config.worker.ops_port);
  const ops = createOpsServer(parts, made, { host: flags.opsHost ?? config.worker.ops_host, port });
  const announce: Service = {
    start: () => {
      tell(ops.url);
      return Promise.resolve();
    },
    stop: () => Promise.resolve(),
  };
  const stopMs = config.worker.drain_seconds * 1_000 + CLOSE_MS;
  const services = [
    clusterService(cluster),
    parts.telemetry,
    parts.metrics,
    ops,
    ...made.map(({ service }) => service),
    ops.readiness(),
    announce,
  ];
  return runUntilSignal(tellingFailure(new ServiceGroup(services, stopMs), io), logger, { stopMs });
}

/** Says at once, to a person, why a group of services did not start; the log has the rest. */
function tellingFailure(service: Service, io: Io): Service {
  return {
    start: () =>
      service.start().catch((error: unknown) => {
        say(io, messageOf(error));
        throw error;
      }),
    stop: (deadline) => service.stop(deadline),
  };
}
