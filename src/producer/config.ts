/** Settings of the HTTP intake. */
import type { Allow } from "../contract/allow.ts";
import type { Config } from "../contract/config.ts";

export interface ProducerConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  /** Bearer token that every call must carry; needed beyond loopback. */
  readonly token?: string;
  /** The origin that browsers use when a proxy stands between. */
  readonly publicOrigin?: string;
  /** What runs may use; others are refused before anything is stored. Beyond loopback it must say which binaries. */
  readonly allow?: Allow;
  /** Programs that `agent` nodes of flows may name. */
  readonly agents?: Config["agents"];
  /** What nodes of flows get of the profiles that they name. */
  readonly profiles?: Config["profiles"];
  /** Who may be asked for a plan. */
  readonly planners?: Config["planners"];
  /** New runs are refused while this many jobs wait. */
  readonly maxWaitingJobs: number;
}

export const producerDefaults = { host: "127.0.0.1", port: 7401, maxWaitingJobs: 100_000 } as const;
