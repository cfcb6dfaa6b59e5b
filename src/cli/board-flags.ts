/** The board's options. */
import { boardDefaults, type BoardConfig } from "../board/config.ts";
import { InvalidInputError } from "../contract/errors.ts";
import type { Io } from "./io.ts";
import { parsePort, type ListenFlags } from "./services.ts";

export interface BoardFlags extends ListenFlags {
  readonly login?: BoardConfig["login"];
  readonly publicOrigin?: string;
  readonly trustedProxies?: string;
  readonly allowDestructive?: boolean;
}

/** All but the cluster that it is of. @throws {InvalidInputError} naming the option */
export function boardSettingsOf(flags: BoardFlags, io: Io): Omit<BoardConfig, "prefix" | "home"> {
  const token = io.env["HEADROOM_BOARD_TOKEN"];
  return {
    host: flags.host ?? boardDefaults.host,
    port: parsePort(flags.port, "--port", boardDefaults.port),
    login: flags.login ?? boardDefaults.login,
    ...(token === undefined ? {} : { token }),
    ...(flags.publicOrigin === undefined ? {} : { publicOrigin: flags.publicOrigin }),
    ...(flags.trustedProxies === undefined ? {} : { trustedProxies: parseProxies(flags.trustedProxies) }),
    allowDestructive: flags.allowDestructive === true,
  };
}

function parseProxies(text: string): number {
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const fault = { where: "--trusted-proxies", expected: "a whole number from 0 to 99", found: JSON.stringify(text) };
  throw new InvalidInputError("command line", [fault]);
}
