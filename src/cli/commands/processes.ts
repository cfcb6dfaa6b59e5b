/** `headroom worker`, `scheduler`, `producer`, `board`: one process each, for a cluster. */
import { Option, type Command } from "commander";
import { boardDefaults } from "../../board/config.ts";
import { parseDurationMs } from "../../contract/config-units.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { keyPrefix } from "../../contract/queues.ts";
import { producerDefaults } from "../../producer/config.ts";
import { act, describeCommand, type Invocation } from "../command-line.ts";
import { createBoardPart, createProducerPart, createSchedulerPart, createWorkerPart } from "../compose.ts";
import {
  addListenOptions,
  addServiceOptions,
  addWorkerOptions,
  loadServiceConfig,
  parsePort,
  serve,
  workerSettings,
  type ListenFlags,
  type ServiceFlags,
  type WorkerFlags,
} from "../services.ts";
import { boardSettingsOf, type BoardFlags } from "../board-flags.ts";
import { podPlace } from "../pod.ts";

const CLUSTER = "--redis redis://queue:6379 --store postgres://db/headroom";

export function workerCommand(invocation: Invocation): Command {
  const command = describeCommand("worker", "run the worker of this machine", [
    `headroom worker ${CLUSTER}`,
    `headroom worker ${CLUSTER} --max-processes 8 --label gpu`,
  ])
    .option("--worker-id <id>", "unique in the cluster (default: host, process and chance)")
    .option("--drain <duration>", "time for running jobs to end after a signal (default: 25s)");
  addServiceOptions(addWorkerOptions(command));
  type Flags = ServiceFlags & WorkerFlags & { readonly workerId?: string; readonly drain?: string };
  return command.action(
    act(invocation, (flags: Flags) => {
      const loaded = loadServiceConfig(flags, invocation.io);
      const drainMs = flags.drain === undefined ? loaded.worker.drain_seconds * 1_000 : parseDrain(flags.drain);
      const config = { ...loaded, worker: { ...loaded.worker, drain_seconds: drainMs / 1_000 } };
      const { env } = invocation.io;
      const settings = { ...workerSettings(config, flags), workerId: flags.workerId, pod: podPlace(env) };
      return serve("worker", { flags, io: invocation.io, config }, (parts) => createWorkerPart(parts, settings));
    }),
  );
}

function parseDrain(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  const fault = { where: "--drain", expected: 'a duration such as "30s"', found: JSON.stringify(text) };
  throw new InvalidInputError("command line", [fault]);
}

export function schedulerCommand(invocation: Invocation): Command {
  const command = describeCommand("scheduler", "run the scheduler: one leads, others stand by", [
    `headroom scheduler ${CLUSTER}`,
  ]).addOption(new Option("--keep-days <n>", "days that ended runs are kept").default("30").env("HEADROOM_KEEP_DAYS"));
  addServiceOptions(command);
  return command.action(
    act(invocation, (flags: ServiceFlags & { readonly keepDays: string }) => {
      const config = loadServiceConfig(flags, invocation.io);
      const keepDays = parseDays(flags.keepDays);
      return serve("scheduler", { flags, io: invocation.io, config }, (parts) =>
        createSchedulerPart(parts, { keepDays, config, io: invocation.io }),
      );
    }),
  );
}

function parseDays(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1) return Number(text);
  const fault = { where: "--keep-days", expected: "a whole number of days from 1", found: JSON.stringify(text) };
  throw new InvalidInputError("command line", [fault]);
}

export function producerCommand(invocation: Invocation): Command {
  const command = describeCommand("producer", "run the HTTP intake", [
    `headroom producer ${CLUSTER}`,
    `HEADROOM_PRODUCER_TOKEN=… HEADROOM_ALLOW_BINARIES=/opt/tool headroom producer ${CLUSTER} --host 0.0.0.0`,
  ]).addOption(new Option("--public-origin <url>", "that browsers use, behind a proxy").env("HEADROOM_PUBLIC_ORIGIN"));
  addServiceOptions(addListenOptions(command, "PRODUCER", producerDefaults.port));
  type Flags = ServiceFlags & ListenFlags & { readonly publicOrigin?: string };
  return command.action(
    act(invocation, (flags: Flags) => {
      const { io } = invocation;
      const config = loadServiceConfig(flags, io);
      const token = io.env["HEADROOM_PRODUCER_TOKEN"];
      const port = parsePort(flags.port, "--port", producerDefaults.port);
      return serve("producer", { flags, io, config }, (parts) =>
        createProducerPart(
          parts,
          {
            ...producerDefaults,
            host: flags.host ?? producerDefaults.host,
            port,
            prefix: keyPrefix(parts.cluster.place.prefix),
            allow: config.allow,
            agents: config.agents,
            profiles: config.profiles,
            planners: config.planners,
            ...(token === undefined ? {} : { token }),
            ...(flags.publicOrigin === undefined ? {} : { publicOrigin: flags.publicOrigin }),
          },
          io,
        ),
      );
    }),
  );
}

export function boardCommand(invocation: Invocation): Command {
  const command = describeCommand("board", "run the board: pages, queues view and API", [
    `headroom board ${CLUSTER}`,
    `headroom board ${CLUSTER} --host 0.0.0.0 --public-origin https://board.example`,
  ])
    .addOption(
      new Option("--login <when>", "auto asks beyond loopback")
        .choices(["auto", "always", "never"])
        .default("auto")
        .env("HEADROOM_BOARD_LOGIN"),
    )
    .addOption(new Option("--public-origin <url>", "that browsers use, behind a proxy").env("HEADROOM_PUBLIC_ORIGIN"))
    .addOption(
      new Option("--trusted-proxies <n>", "how many proxies in front are ours").env("HEADROOM_TRUSTED_PROXIES"),
    )
    .option("--allow-destructive", "let the queues view delete, add and edit jobs");
  addServiceOptions(addListenOptions(command, "BOARD", boardDefaults.port));
  return command.action(
    act(invocation, (flags: ServiceFlags & BoardFlags) => {
      const { io } = invocation;
      const config = loadServiceConfig(flags, io);
      const settings = boardSettingsOf(flags, io);
      return serve("board", { flags, io, config }, (parts) => {
        const { kp, home } = parts.cluster.place;
        return createBoardPart(parts, { ...settings, prefix: kp, home }, (text) => io.stderr.write(text));
      });
    }),
  );
}
