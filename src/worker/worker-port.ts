/** What a worker is made with. */
import type { Allow } from "../contract/allow.ts";
import type { JobGroupsMode } from "../contract/config.ts";
import type { InfrastructureError } from "../contract/errors.ts";
import type { JobName } from "../contract/jobs.ts";
import type { RunReport } from "../contract/run-record.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Store } from "../store/store.ts";
import type { GovernorConfig } from "./governor/governor-config.ts";
import type { LoadedPlugins } from "./governor/plugins.ts";
import type { EngineSettings } from "./inference/engine-port.ts";
import type { PodPlace } from "./pod-cost.ts";
import type { PullLimits } from "./pull-watch.ts";

export interface WorkerDeps {
  readonly redisUrl: string;
  readonly store: Store;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly plugins?: LoadedPlugins;
  /** Told of each claim, before the job's handler starts. */
  readonly onClaim?: (jobName: JobName, jobId: string) => void;
  /** Told of the report of each run over files that ends here, before those who follow the run. */
  readonly onReport?: (report: RunReport) => void;
  /** Told when the worker cannot claim any more, and only a new process would. Its liveness says so too. */
  readonly onStuck?: (error: InfrastructureError) => void;
  /** How engines of models are started here, where it is not as usual. */
  readonly engine?: EngineSettings;
}

export interface WorkerConfig {
  /** The key prefix with its hash tag. */
  readonly kp: string;
  readonly workerId: string;
  /** Of the program: told in the heartbeat. */
  readonly version?: string;
  readonly labels: readonly string[];
  readonly governor: Omit<GovernorConfig, "labels">;
  readonly lockMs: number;
  /** Jobs that still run this long after a stop are handed back. */
  readonly drainMs: number;
  readonly nice: number;
  /** What runs may use here, whatever a producer has let through. */
  readonly allow: Allow;
  /** Default: off. */
  readonly jobGroups?: JobGroupsMode | undefined;
  /** Serves jobs of these names alone; all by default. */
  readonly jobNames?: readonly JobName[];
  /** The pod that this worker runs in; its deletion cost is kept. */
  readonly pod?: PodPlace;
  /** When a pull loop that does not come back is helped. */
  readonly pullLimits?: PullLimits;
}
