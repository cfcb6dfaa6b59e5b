/** One call of `headroom run`, or of a command that is a run of its own: from the plan to the end. */
import { Readable } from "node:stream";
import type { Config } from "../../contract/config.ts";
import { exitCodes, NotFoundError } from "../../contract/errors.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { RunStatus } from "../../contract/status.ts";
import { workerSettings } from "../services.ts";
import { openCluster, type Cluster } from "../cluster.ts";
import { type Invocation } from "../command-line.ts";
import { failureText } from "../failure.ts";
import { followRun } from "../follow.ts";
import { Interrupt } from "../interrupt.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { openLogFile, type LogFile } from "../log-file.ts";
import { Progress } from "../progress.ts";
import { reportText } from "../report-text.ts";
import { type RunFlags } from "../run-flags.ts";
import { runJson } from "../run-json.ts";
import { noFilesText } from "../run-text.ts";
import { tellDryRun } from "./dry-run.ts";
import type { Logger } from "../../platform/logger.ts";
import { cancelByAnyone } from "./cancel-alone.ts";
import { LocalWorker } from "./local-worker.ts";
import { openOutputFolder } from "./output-folder.ts";
import { RoomWatch } from "./room-watch.ts";
import { goesOn, idleLimits, refuseFlowOptions, refuseLonelyDetach, refuseTakenFolder } from "./refusals.ts";
import { reportFolderOf } from "./report-files.ts";
import { openResumePlan } from "./resume-plan.ts";
import { loadRunConfig, openRunPlan, type PlanRequest, type RunPlan } from "./run-plan.ts";
import { openRunPlace } from "./run-place.ts";
import { logLevelOf, type Place } from "../settings.ts";
import { canRedraw, styleFor } from "../style.ts";

/** What is found out about a plan before anything of the cluster is started. */
type Adapt = (plan: RunPlan, logger: Logger) => Promise<RunPlan>;

/** A run over files, from its options to its end. */
export async function runFiles(flags: RunFlags, { io, childCommand }: Invocation, adapt?: Adapt): Promise<number> {
  const config = loadRunConfig({ flags, childCommand, io });
  const place = openRunPlace({ flags, childCommand, io }, config);
  if (flags.dryRun === true) {
    const request = { flags, childCommand, io, home: place.home };
    if (flags.resume === undefined) return dryRun(request, config);
    const { dryResume } = await import("./dry-resume.ts");
    return dryResume(request, place, { config, isOfInfer: adapt !== undefined });
  }
  const log = openLogFile(place.home, logLevelOf(io.env, config.logging.level), { process: "run" });
  try {
    return await new RunSession({ flags, childCommand, io, config, place, log, ...(adapt && { adapt }) }).run();
  } finally {
    log.flush();
  }
}

/** Starts the run on a cluster that is there. */
type Start = (cluster: Cluster) => Promise<RunRecord>;

/** A run that is started otherwise than over files. */
export interface StartedRun {
  readonly flags: RunFlags;
  readonly io: Io;
  readonly config: Config;
  readonly place: Place;
  readonly start: Start;
  /** Looks at what it came to, before that is told. */
  readonly onEnded: (cluster: Cluster, status: RunStatus) => Promise<void>;
}

/** Follows it to its end and tells of it as of any other; what the shell gets. */
export async function runStarted(run: StartedRun): Promise<number> {
  const { config, place, io } = run;
  const log = openLogFile(place.home, logLevelOf(io.env, config.logging.level), { process: "run" });
  try {
    return await new RunSession({ ...run, childCommand: undefined, log }).run();
  } finally {
    log.flush();
  }
}

/** Another command that is a run with its own files and its own end. */
export interface RunVariant extends Pick<Invocation, "io" | "childCommand"> {
  readonly flags: RunFlags;
  /** The output folder, in the data folder. */
  readonly outputOf: (home: string) => string;
  readonly adapt: Adapt;
  /** Says how it ended; what the shell gets. */
  readonly end: (cluster: Cluster, status: RunStatus) => Promise<number>;
}

/** Runs a variant, as `run` does. */
export async function runWith({ outputOf, adapt, end, ...parts }: RunVariant): Promise<number> {
  const asked = loadRunConfig(parts);
  const place = openRunPlace(parts, asked);
  const config = { ...asked, directories: { ...asked.directories, output: outputOf(place.home) } };
  const log = openLogFile(place.home, logLevelOf(parts.io.env, config.logging.level), { process: "run" });
  try {
    return await new RunSession({ ...parts, config, place, log, adapt, end }).run();
  } finally {
    log.flush();
  }
}

async function dryRun(request: PlanRequest, config: Config): Promise<number> {
  const { flags, io } = request;
  const plan = await openRunPlan(request, config);
  try {
    return await tellDryRun(plan, io, flags.json === true);
  } finally {
    plan.list?.close();
  }
}

interface SessionParts {
  readonly flags: RunFlags;
  readonly childCommand: readonly string[] | undefined;
  readonly io: Io;
  readonly config: Config;
  readonly place: Place;
  readonly log: LogFile;
  readonly adapt?: Adapt;
  readonly end?: RunVariant["end"];
  /** Starts what is no run over files. */
  readonly start?: Start;
  readonly onEnded?: StartedRun["onEnded"];
}

/** One call of `headroom run` that reaches a cluster. */
class RunSession {
  readonly #parts: SessionParts;
  readonly #progress: Progress;
  #room: RoomWatch | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { stderr, env } = parts.io;
    this.#progress = new Progress({ stream: stderr, isLive: canRedraw(stderr, env), style: styleFor(stderr, env) });
  }

  async run(): Promise<number> {
    const { flags, place, log, io, config } = this.#parts;
    using interrupt = new Interrupt(() => {
      this.#progress.clear();
      say(
        io,
        "left at once; what was running is handed back: headroom runs names the run, run --resume goes on with it",
      );
    });
    // What is wrong with a new run is found before anything is started.
    const isOverFiles = flags.resume === undefined && this.#parts.start === undefined;
    const asked = isOverFiles ? await this.#plan() : undefined;
    try {
      const plan = asked === undefined ? undefined : await this.#adapted(asked);
      await using cluster = await openCluster(place, log.logger, config.allow);
      if (!cluster.isEmbedded) for (const warning of cluster.warnings) say(io, `redis: ${warning}`);
      return await this.#runOn(cluster, plan, interrupt);
    } finally {
      asked?.list?.close();
    }
  }

  #adapted(plan: RunPlan): Promise<RunPlan> {
    const { adapt, log } = this.#parts;
    return adapt === undefined ? Promise.resolve(plan) : adapt(plan, log.logger);
  }

  async #plan(): Promise<RunPlan> {
    const { flags, childCommand, io, config, place } = this.#parts;
    const plan = await openRunPlan({ flags, childCommand, io, home: place.home }, config);
    try {
      if (plan.spec.output.from === "none") return plan;
      const root = openOutputFolder(plan.spec.output.root, plan.outputWhere);
      return { ...plan, spec: { ...plan.spec, output: { ...plan.spec.output, root } } };
    } catch (error) {
      plan.list?.close();
      throw error;
    }
  }

  async #runOn(cluster: Cluster, plan: RunPlan | undefined, interrupt: Interrupt): Promise<number> {
    const { flags, io } = this.#parts;
    if (flags.detach === true) await refuseLonelyDetach(cluster);
    if (flags.resume !== undefined) await refuseTakenFolder(cluster, flags.resume);
    const worker = cluster.isEmbedded && flags.detach !== true ? this.#localWorker(cluster) : undefined;
    let isFollowed = false;
    try {
      await this.#startWorker(worker);
      interrupt.signal.throwIfAborted();
      const { id, spec } = await this.#begin(cluster, plan);
      for (const line of await cluster.client.lacking(spec)) say(io, line);
      if (flags.detach === true) return this.#detached(id);
      const status = await this.#follow(cluster, id, { interrupt, worker }).catch((error: unknown) => {
        this.#progress.clear();
        say(io, `run ${id} is no longer followed here; what became of it: headroom status ${id}`);
        throw error;
      });
      isFollowed = true;
      return await this.#endOn(cluster, status, interrupt.isAsked);
    } catch (error) {
      if (!interrupt.isAsked) throw error;
      this.#progress.clear();
      say(io, failureText(error));
      return exitCodes.interrupted;
    } finally {
      this.#progress.clear();
      // A run that was refused waits for no job that its worker took from another run: those are handed back.
      await worker?.stop(interrupt.isAsked || !isFollowed);
    }
  }

  #begin(cluster: Cluster, plan: RunPlan | undefined): Promise<RunRecord> {
    const { start } = this.#parts;
    if (start !== undefined) return start(cluster);
    return plan === undefined ? this.#resume(cluster) : this.#enqueue(cluster, plan);
  }

  async #endOn(cluster: Cluster, status: RunStatus, isInterrupted: boolean): Promise<number> {
    this.#progress.clear();
    const { end, onEnded } = this.#parts;
    await onEnded?.(cluster, status);
    return end === undefined || isInterrupted ? this.#end(status, isInterrupted) : end(cluster, status);
  }

  #localWorker(cluster: Cluster): LocalWorker {
    return new LocalWorker(cluster, workerSettings(this.#parts.config, this.#parts.flags));
  }

  async #startWorker(worker: LocalWorker | undefined): Promise<void> {
    const idle = worker === undefined ? idleLimits(this.#parts.flags) : undefined;
    if (idle !== undefined) say(this.#parts.io, idle);
    const other = await worker?.ensure();
    if (other === undefined) return;
    say(
      this.#parts.io,
      `the worker of process ${other.pid}, which uses the same data folder, runs this; its limits apply`,
    );
  }

  async #enqueue({ client }: Cluster, plan: RunPlan): Promise<RunRecord> {
    const pages = plan.list !== undefined && plan.list.paths === undefined ? { pages: plan.list.pages() } : {};
    return (await client.run(plan.spec, pages)).run;
  }

  async #resume(cluster: Cluster): Promise<RunRecord> {
    const { flags, childCommand, config, io, place } = this.#parts;
    const before = await cluster.store.runs.get(flags.resume ?? "");
    if (before === undefined) throw new NotFoundError("run", flags.resume ?? "");
    if (goesOn(cluster, before)) {
      // Whoever followed it was killed: its jobs are still there, and the worker of this data folder goes on with them.
      say(io, `run ${before.id} has not ended, so this goes on with it, unchanged`);
      return before;
    }
    if (before.spec.executor === "flow") {
      const { resumeFlow } = await import("../flow/resume-flow.ts");
      return resumeFlow(cluster, before, { flags, io, config });
    }
    refuseFlowOptions(flags, `run ${before.id}, which is one over files`);
    const request = { flags, childCommand, io, home: place.home };
    const { change, list } = await openResumePlan(before, request, config, (asked) => {
      openOutputFolder(asked.spec.output.root, asked.outputWhere);
      return this.#adapted(asked);
    });
    try {
      // A list that the store has from the first time is read from there again.
      const pages = list?.paths === undefined ? (list?.pages() ?? noPages()) : noPages();
      return await cluster.client.resume(before.id, change, pages);
    } finally {
      list?.close();
    }
  }

  #detached(id: string): number {
    const { flags, io } = this.#parts;
    if (flags.json === true) printJson(io, { id, state: "queued" });
    else print(io, id);
    say(io, `run ${id} is enqueued; follow it with: headroom status ${id}`);
    return exitCodes.ok;
  }

  async #follow(
    cluster: Cluster,
    id: string,
    { interrupt, worker }: { interrupt: Interrupt; worker: LocalWorker | undefined },
  ): Promise<RunStatus> {
    this.#room = cluster.isEmbedded ? new RoomWatch(cluster) : undefined;
    let cancelled: Promise<void> | undefined;
    const cancel = (): void => {
      this.#progress.note("headroom: cancelling; press Ctrl-C again to leave at once");
      cancelled = cancelByAnyone(cluster, id, "interrupted at the command line").catch((error: unknown) => {
        this.#progress.note(`headroom: run ${id} could not be cancelled: ${failureText(error)}`);
      });
    };
    if (interrupt.isAsked) cancel();
    else interrupt.signal.addEventListener("abort", cancel, { once: true });
    try {
      return await followRun(cluster, id, {
        progress: this.#progress,
        tend: async (status) => {
          await worker?.ensure();
          await this.#room?.look(status);
        },
      });
    } finally {
      interrupt.signal.removeEventListener("abort", cancel);
      // It looks at the cluster until the run has ended, so that is not closed under it.
      await cancelled;
    }
  }

  #end(status: RunStatus, isInterrupted: boolean): number {
    const { flags, io, place, log } = this.#parts;
    const { report, message } = status;
    const reportFolder = report === null ? undefined : reportFolderOf(report, place.home, io);
    if (flags.json === true) {
      printJson(io, runJson(status));
      if (status.state === "cancelled" && message !== null) say(io, `run ${status.id} was cancelled: ${message}`);
    } else if (report !== null) {
      const where = reportFolder === undefined ? {} : { reportFolder };
      const why = status.state === "succeeded" ? null : message;
      print(io, reportText(report, { style: outStyle(io), ...where, message: why }));
    }
    sayNext(io, status, log);
    return isInterrupted ? exitCodes.interrupted : exitCodeOfState(status, this.#room);
  }
}

/** What the report does not say. */
function sayNext(io: Io, { id, state, message, counts, spec }: RunStatus, log: LogFile): void {
  if (state === "succeeded" && counts.total === 0) say(io, noFilesText(spec));
  if (state === "broken") say(io, `run ${id} could not be carried out: ${message ?? `see ${log.path}`}`);
  if (state === "cancelled") say(io, `to go on where it stopped: headroom run --resume ${id}`);
}

function exitCodeOfState({ state }: Pick<RunStatus, "state">, room: RoomWatch | undefined): number {
  if (state === "succeeded") return exitCodes.ok;
  const isOutOfRoom = state === "cancelled" && room?.hasGivenUp === true;
  return state === "broken" || isOutOfRoom ? exitCodes.infrastructure : exitCodes.someFailed;
}

/** Nothing to add: the pages are in the store. */
function noPages(): AsyncIterable<readonly string[]> {
  return Readable.from([]);
}
