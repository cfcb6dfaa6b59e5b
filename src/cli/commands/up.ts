/** `headroom up`: all processes in one, on a laptop, with an embedded Redis and store unless others are named. */
import { Option, type Command } from "commander";
import { boardDefaults } from "../../board/config.ts";
import type { Config } from "../../contract/config.ts";
import { systemClock } from "../../platform/clock.ts";
import { producerDefaults } from "../../producer/config.ts";
import { boardSettingsOf } from "../board-flags.ts";
import { act, addJsonOption, describeCommand, type Invocation } from "../command-line.ts";
import {
  createBoardPart,
  createParts,
  createProducerPart,
  createSchedulerPart,
  createWorkerPart,
  type ListeningPart,
  type Parts,
} from "../compose.ts";
import { formatDuration, oneLine } from "../format.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { openLogFile } from "../log-file.ts";
import {
  addServiceOptions,
  addWorkerOptions,
  choosePort,
  live,
  loadServiceConfig,
  openServiceCluster,
  parsePort,
  workerSettings,
  type ServiceFlags,
  type WorkerFlags,
} from "../services.ts";
import { logLevelOf, openPlace } from "../settings.ts";

interface Flags extends ServiceFlags, WorkerFlags {
  readonly json?: boolean;
  readonly host?: string;
  readonly boardPort?: string;
  readonly intakePort?: string;
}

const OPS_PORT = 7402;

export function upCommand(invocation: Invocation): Command {
  const command = describeCommand("up", "run everything on this machine: worker, scheduler, intake, board", [
    "headroom up",
    "headroom up --max-processes 4 --board-port 8080",
  ])
    .option("--host <address>", "for board and intake (default: 127.0.0.1)")
    .addOption(
      new Option("--board-port <n>", `default: ${boardDefaults.port}, or a free one`).env("HEADROOM_BOARD_PORT"),
    )
    .addOption(
      new Option("--intake-port <n>", `default: ${producerDefaults.port}, or a free one`).env("HEADROOM_PRODUCER_PORT"),
    );
  addServiceOptions(addWorkerOptions(addJsonOption(command)));
  return command.action(act(invocation, (flags: Flags) => up(flags, invocation.io)));
}

async function up(flags: Flags, io: Io): Promise<never> {
  const startedAtMs = systemClock.monotonicMs();
  const config = loadServiceConfig(flags, io);
  parsePort(flags.boardPort, "--board-port", 0);
  parsePort(flags.intakePort, "--intake-port", 0);
  const { home } = openPlace(flags, io);
  const log = openLogFile(home, logLevelOf(io.env, config.logging.level), { process: "up" });
  const cluster = await openServiceCluster(flags, { io, config, logger: log.logger });
  for (const warning of cluster.warnings) say(io, `redis: ${warning}`);
  const parts = createParts(cluster, "up", io.env);
  const board = await makeBoard(parts, flags, io);
  const intake = await makeIntake(parts, flags, { io, config });
  const made = [
    board,
    intake,
    await createSchedulerPart(parts, { config, io }),
    await createWorkerPart(parts, workerSettings(config, flags)),
  ];
  const opsHost = flags.opsHost ?? config.worker.ops_host;
  const opsPort = flags.opsPort ?? String(config.worker.ops_port || (await choosePort(opsHost, OPS_PORT)));
  process.once("exit", () => {
    log.flush();
  });
  const tell = (opsUrl: string): void => {
    const urls = { board: board.url(), intake: intake.url(), metrics: `${opsUrl}/metrics` };
    const ms = systemClock.monotonicMs() - startedAtMs;
    if (flags.json === true) printJson(io, { ...urls, home, log: log.path });
    else print(io, upText(io, { ...urls, home, log: log.path }, ms));
    process.once("SIGINT", () => {
      say(io, "stopping; running jobs may end; press Ctrl-C again to leave at once");
    });
  };
  return live({ cluster, parts, made }, { flags: { ...flags, opsPort }, io, config, logger: log.logger, tell });
}

async function makeBoard(parts: Parts, flags: Flags, io: Io): Promise<ListeningPart> {
  const host = flags.host ?? boardDefaults.host;
  const port = flags.boardPort ?? String(await choosePort(host, boardDefaults.port));
  const { kp, home } = parts.cluster.place;
  const config = { ...boardSettingsOf({ host, port }, io), prefix: kp, home };
  return createBoardPart(parts, config, (text) => io.stderr.write(text));
}

async function makeIntake(
  parts: Parts,
  flags: Flags,
  { io, config }: { io: Io; config: Config },
): Promise<ListeningPart> {
  const host = flags.host ?? producerDefaults.host;
  const port =
    flags.intakePort === undefined
      ? await choosePort(host, producerDefaults.port)
      : parsePort(flags.intakePort, "--intake-port", producerDefaults.port);
  const token = io.env["HEADROOM_PRODUCER_TOKEN"];
  const prefix = parts.cluster.place.kp;
  const { allow, agents, profiles, planners } = config;
  const settings = { ...producerDefaults, host, port, prefix, allow, agents, profiles, planners };
  return createProducerPart(parts, { ...settings, ...(token === undefined ? {} : { token }) }, io);
}

function upText(io: Io, facts: Record<"board" | "intake" | "metrics" | "home" | "log", string>, ms: number): string {
  const style = outStyle(io);
  const rows = [
    ["board", style.cyan(facts.board)],
    ["intake", style.cyan(`${facts.intake}/v1/runs`)],
    ["metrics", style.cyan(facts.metrics)],
    ["home", oneLine(facts.home)],
    ["log", oneLine(facts.log)],
  ];
  const lines = rows.map(([label = "", text = ""]) => `  ${style.dim(label.padEnd(9))}${text}`);
  const headline = `${style.green("●")} ${style.bold("headroom is up")} ${style.dim(`in ${formatDuration(ms)}`)}`;
  return [
    headline,
    ...lines,
    "",
    style.dim("  headroom run and the intake use this worker now. Ctrl-C stops it."),
  ].join("\n");
}
