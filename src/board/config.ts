/** Settings of the board. */

export interface BoardConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  /** `auto` asks for a login when the board listens beyond loopback. */
  readonly login: "auto" | "always" | "never";
  /** The admin token; without one, one is made and kept in `home`. */
  readonly token?: string;
  /** The data folder. */
  readonly home: string;
  /** The origin that browsers use when a proxy stands between; `https:` makes the session cookie Secure. */
  readonly publicOrigin?: string;
  /** How many proxies in front of the board are ours, and say truly whom they speak for. */
  readonly trustedProxies?: number;
  readonly sessionSeconds?: number;
  /** Queue actions that only destroy or forge jobs (clean, empty, obliterate, add, edit) are refused unless this is set. */
  readonly allowDestructive?: boolean;
}

export const boardDefaults = { host: "127.0.0.1", port: 7400, login: "auto", sessionSeconds: 43_200 } as const;
