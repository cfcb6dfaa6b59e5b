/** What a client is made with, and a run of many inputs. */
import type { Redis } from "ioredis";
import type { Allow, AllowInput } from "../contract/allow.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Store } from "../store/store.ts";
import type { RunOptions } from "./client-port.ts";

export interface ClientOptions {
  /** URL, or a connection that stays the caller's. */
  readonly redis: string | Redis;
  /** URL or store. Without one, runs live in Redis until a worker writes them down; old runs cannot be listed. */
  readonly store?: string | Store;
  readonly prefix?: string;
  /** What runs may use: others are refused here, before anything is stored. The workers have the last word. */
  readonly allow?: AllowInput | Allow;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** The Redis is that of a data folder, so all its workers are processes of this machine. Default: false. */
  readonly isEmbedded?: boolean;
}

export interface StreamedRunOptions extends RunOptions {
  /** Input paths in pages, for an input of kind `list` that is too long to be part of the specification. */
  readonly pages?: AsyncIterable<readonly string[]>;
}
