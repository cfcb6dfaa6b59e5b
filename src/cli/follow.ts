/** Follows a run to its end: live figures on the way, the final status when it is over. */
import { InfrastructureError } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { RunStatus, WaitReason } from "../contract/status.ts";
import { systemClock } from "../platform/clock.ts";
import type { Cluster } from "./cluster.ts";
import type { Progress } from "./progress.ts";

/** How long the store may lag behind the event that says that the run has ended. */
const RECORD_WAIT_MS = 5_000;
const EXPLAIN_EVERY_MS = 1_000;
/** Reasons that say that things go their way: nothing to show. */
const calmCodes: ReadonlySet<string> = new Set([
  "running",
  "ended",
  "cancelling",
  "queued-behind",
  "waits-for-children",
  "scanning",
]);

/** The governor's codes for a machine that has as many processes as it should. */
const fullCodes: ReadonlySet<string> = new Set(["PROCESSES", "CPU"]);

export interface FollowOptions {
  readonly progress?: Progress | undefined;
  /** Looks after the run now and then, such as whether a worker is there. */
  readonly tend?: ((status: RunStatus) => Promise<void>) | undefined;
}

/** Resolves with the status of the ended run. */
export async function followRun(cluster: Cluster, runId: string, options: FollowOptions = {}): Promise<RunStatus> {
  const over = new AbortController();
  const watching = watch(cluster, runId, { ...options, signal: over.signal });
  try {
    // A failed watch ends the wait too: it tends to what the run needs to go on.
    await Promise.race([waitForEnd(cluster, runId), watching.then(() => new Promise<never>(() => undefined))]);
  } finally {
    over.abort();
    await watching.catch(() => undefined); // told by the race already, if it was first
    options.progress?.clear();
  }
  return loadEnded(cluster, runId);
}

async function waitForEnd({ client }: Cluster, runId: string): Promise<void> {
  for await (const event of client.events(runId)) {
    if (event.kind === "state" && isTerminal(event.state)) return;
  }
}

async function watch(
  cluster: Cluster,
  runId: string,
  { progress, tend, signal }: FollowOptions & { signal: AbortSignal },
): Promise<void> {
  const wait = new WaitOfRun(cluster, runId);
  while (!signal.aborted) {
    try {
      const status = await cluster.client.status(runId);
      if (isTerminal(status.state)) return;
      await tend?.(status);
      progress?.update(status, await wait.current(status));
    } catch (error) {
      if (!(error instanceof InfrastructureError)) throw error;
      // An outage of a moment is the worker's to ride out; `waitForEnd` says when it is too long.
      cluster.logger.warn({ err: error, runId }, "run could not be looked at");
    }
    await systemClock.sleep(progress?.intervalMs ?? 1_000, signal).catch(() => undefined); // the run is over
  }
}

/** What holds the run up, asked for once a second and only while nothing of it runs. */
class WaitOfRun {
  readonly #cluster: Cluster;
  readonly #runId: string;
  #askedAtMs = -Infinity;
  #text: string | undefined;

  constructor(cluster: Cluster, runId: string) {
    this.#cluster = cluster;
    this.#runId = runId;
  }

  async current(status: RunStatus): Promise<string | undefined> {
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.#askedAtMs < EXPLAIN_EVERY_MS) return this.#text;
    this.#askedAtMs = nowMs;
    const { reasons } = await this.#cluster.client.explain(this.#runId);
    this.#text = shownWait(reasons, status);
    return this.#text;
  }
}

/** The one reason worth showing beside the figures. */
export function shownWait(
  reasons: readonly WaitReason[],
  { progress }: Pick<RunStatus, "progress">,
): string | undefined {
  // A pause before another try is worth a word only when there is nothing else to do.
  const isBusy = progress.runningJobs > 0;
  const reason = reasons.find(({ code }) => !calmCodes.has(code) && !(isBusy && code === "backoff"));
  if (reason === undefined) return undefined;
  // While jobs run, a machine that is full of them is as it should be.
  const isFull = isBusy && fullCodes.has(reason.code);
  return isFull ? undefined : reason.message;
}

async function loadEnded({ client }: Cluster, runId: string): Promise<RunStatus> {
  const deadlineMs = systemClock.monotonicMs() + RECORD_WAIT_MS;
  for (;;) {
    const status = await client.status(runId);
    if (isTerminal(status.state)) return status;
    if (systemClock.monotonicMs() > deadlineMs) {
      throw new InfrastructureError(
        `expected the store to know the end of run ${runId}, found it ${status.state}; name the store of the workers with --store`,
      );
    }
    await systemClock.sleep(50);
  }
}
