/** `headroom doctor`: is this machine ready, and what mends what is not. */
import { Option, type Command } from "commander";
import { exitCodes } from "../../contract/errors.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import type { Finding } from "../doctor/finding.ts";
import { oneLine } from "../format.ts";
import { outStyle, print, printJson } from "../io.ts";
import { openLogFile } from "../log-file.ts";
import { logLevelOf, openPlace, placeDefaultsOf, type PlaceOptions } from "../settings.ts";
import type { Style } from "../style.ts";

interface Flags extends PlaceOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export function doctorCommand(invocation: Invocation): Command {
  const command = describeCommand("doctor", "check that this machine is ready to run", [
    "headroom doctor",
    "headroom doctor --redis redis://queue:6379 --store postgres://db/headroom",
  ]).addOption(new Option("-c, --config <file>", "configuration file").env("HEADROOM_CONFIG"));
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: Flags) => {
      const { io } = invocation;
      const file = flags.config === undefined ? {} : { file: flags.config };
      const config = loadConfig({ ...file, env: io.env, cwd: io.cwd });
      const place = openPlace(flags, io, placeDefaultsOf(config));
      const log = openLogFile(place.home, logLevelOf(io.env), { process: "doctor" });
      const { examine } = await import("../doctor/checks.ts");
      const findings = await examine({ place, allow: config.allow, logger: log.logger, env: io.env });
      log.flush();
      const isReady = findings.every(({ status }) => status !== "fail");
      if (flags.json === true) printJson(io, { ok: isReady, checks: findings });
      else print(io, findingsText(findings, outStyle(io)));
      return isReady ? exitCodes.ok : exitCodes.infrastructure;
    }),
  );
}

function findingsText(findings: readonly Finding[], style: Style): string {
  const marks = { ok: style.green("ok  "), warn: style.yellow("warn"), fail: style.red("fail") };
  const width = Math.max(...findings.map(({ check }) => check.length)) + 2;
  const lines = findings.flatMap(({ check, status, found, fix }) => [
    `${marks[status]}  ${check.padEnd(width)}${oneLine(found)}`,
    ...(fix === null ? [] : [`      ${"".padEnd(width)}${style.dim("fix:")} ${fix}`]),
  ]);
  return lines.join("\n");
}
