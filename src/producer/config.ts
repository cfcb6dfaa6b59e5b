/** Settings of the HTTP intake. */

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
  /** New runs are refused while this many jobs wait. */
  readonly maxWaitingJobs: number;
}

export const producerDefaults = { host: "127.0.0.1", port: 7401, maxWaitingJobs: 100_000 } as const;
