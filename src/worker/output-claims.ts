/**
 * The output folders that this worker's runs hold, against runs of other clusters and data folders (output-claim.ts).
 *
 * A job asks before it runs files and before it publishes; an answer of the last seconds is good enough. Every worker also
 * renews the claims of all runs that the cluster lists, so that a run whose jobs wait keeps its folder. A run that finds
 * its folder taken, after its whole cluster had been stopped for longer than a claim lives, ends as broken: what it had
 * published may have been replaced, and a resume compares it with its digests.
 */
import { faultsLine, InfrastructureError, messageOf } from "../contract/errors.ts";
import { printablePath } from "../contract/path-bytes.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import { aborted, type Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import { obstacleTo } from "../platform/make-folders.ts";
import {
  CLAIM_FRESH_MS,
  claimWrittenMs,
  dropClaim,
  heldText,
  holdClaim,
  renewClaim,
  type KnowsEnd,
} from "../platform/output-claim.ts";
import type { ListedOutput, OutputRegistry } from "../platform/output-registry.ts";
import { errnoOf } from "./result/errno.ts";

export interface OutputClaimsDeps {
  readonly outputs: OutputRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly knowsEnd: KnowsEnd;
  /** Told when a run that held its folder has lost it. */
  onLost(runId: string, reason: string): Promise<void>;
}

type ClaimingRun = { readonly runId: string; readonly spec: Pick<RunSpec, "output" | "executor"> };

interface Held {
  readonly root: string;
  /** By the file system. */
  readonly writtenMs: number;
  /** By the two clocks of this machine: one of them stands still while it sleeps, the other one may be set. */
  readonly seenMs: number;
  readonly seenWallMs: number;
}

const RENEW_MS = 5_000;
/** What the disk says when it may take the claim later. Anything but this and an obstacle, the outputs will meet and tell. */
const passing: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EIO", "ESTALE", "EMFILE", "ENFILE", "ETIMEDOUT"]);

export class OutputClaims implements Service {
  readonly #deps: OutputClaimsDeps;
  readonly #held = new Map<string, Held>();
  readonly #asking = new Map<string, Promise<string | undefined>>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(deps: OutputClaimsDeps) {
    this.#deps = deps;
  }

  start(): Promise<void> {
    this.#timer ??= setInterval(() => {
      this.#round ??= this.#renewAll()
        .catch((error: unknown) => {
          this.#deps.logger.warn({ err: error }, "claims of output folders could not be renewed");
        })
        .finally(() => (this.#round = undefined));
    }, RENEW_MS);
    return Promise.resolve();
  }

  async stop(deadline?: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
    if (this.#held.size === 0) return;
    // A worker that woke late may have claimed the folder of a run that has ended: nobody else would take that away.
    const dropped = this.#deps.outputs
      .list()
      .then((listed) => this.#dropEnded(listed))
      .catch((error: unknown) => {
        // The next run over this folder finds that this one has ended, and takes it over.
        this.#deps.logger.warn({ reason: messageOf(error) }, "claims of ended runs not given back");
      });
    await (deadline === undefined ? dropped : Promise.race([dropped, aborted(deadline)]));
  }

  /** Holds the output folder of the run; or why it cannot be had. @throws {InfrastructureError} when that may pass. */
  async hold({ runId, spec }: ClaimingRun): Promise<string | undefined> {
    if (spec.output.from === "none" || spec.executor === "noop") return undefined;
    const held = this.#held.get(runId);
    if (held?.root === spec.output.root && this.#ageMs(held) < RENEW_MS) return undefined;
    return this.#ask(runId, spec.output.root);
  }

  /** Gives the folder back: no job of the run runs any more. */
  async release({ runId, spec }: ClaimingRun): Promise<void> {
    if (spec.output.from === "none") return;
    try {
      // What is being asked for is made first, and would be left behind.
      await this.#asking.get(runId);
      this.#held.delete(runId);
      if (spec.executor !== "noop") await dropClaim(spec.output.root, runId);
      await this.#deps.outputs.release(spec.output.root, runId);
    } catch (error) {
      // The next run over this folder finds that this one has ended, and takes it over.
      this.#deps.logger.warn({ err: error, runId }, "output folder not given back");
    }
  }

  /** One question at a time for each run: its chunks start together. */
  #ask(runId: string, root: string): Promise<string | undefined> {
    const asked = this.#asking.get(runId) ?? this.#find(runId, root).finally(() => this.#asking.delete(runId));
    this.#asking.set(runId, asked);
    return asked;
  }

  async #find(runId: string, root: string): Promise<string | undefined> {
    try {
      if (await this.#isRenewed(runId, root)) return undefined;
      this.#held.delete(runId);
      const holder = await holdClaim(root, runId, this.#deps.knowsEnd);
      if (holder !== undefined) return heldText(root, holder);
      this.#remember(runId, root, (await claimWrittenMs(root, runId)) ?? 0);
      return undefined;
    } catch (error) {
      const errno = errnoOf(error);
      if (passing.has(errno)) {
        throw new InfrastructureError(`could not claim the output folder ${root}: ${errno}`, { cause: error });
      }
      const found = obstacleTo(root, error);
      if (found !== undefined) {
        const expected = `a folder that can be made at ${printablePath(root)}`;
        return faultsLine([{ where: "output", expected, found }]);
      }
      this.#deps.logger.warn({ runId, root, reason: messageOf(error) }, "output folder cannot be claimed");
      return undefined;
    }
  }

  /** Whether this worker has held the claim all the time, and holds it still. */
  async #isRenewed(runId: string, root: string): Promise<boolean> {
    const held = this.#held.get(runId);
    if (held?.root !== root || this.#ageMs(held) >= CLAIM_FRESH_MS) return false;
    const writtenMs = await renewClaim(root, runId, held.writtenMs);
    if (writtenMs !== undefined) this.#remember(runId, root, writtenMs);
    return writtenMs !== undefined;
  }

  #remember(runId: string, root: string, writtenMs: number): void {
    const { clock } = this.#deps;
    this.#held.set(runId, { root, writtenMs, seenMs: clock.monotonicMs(), seenWallMs: clock.nowMs() });
  }

  #ageMs({ seenMs, seenWallMs }: Held): number {
    const wallMs = this.#deps.clock.nowMs() - seenWallMs;
    return wallMs < 0 ? Infinity : Math.max(wallMs, this.#deps.clock.monotonicMs() - seenMs);
  }

  async #renewAll(): Promise<void> {
    const listed = await this.#deps.outputs.list();
    for (const { root, runId } of listed) {
      const place = this.#held.get(runId)?.root ?? root;
      // A claim is begun by the jobs of its run, on a machine that sees the folder; here it is only kept. One that is
      // gone was given back, or is asked for again by the next job.
      if ((await claimWrittenMs(place, runId)) === undefined) {
        this.#held.delete(runId);
        continue;
      }
      const reason = await this.#ask(runId, place);
      if (reason !== undefined) await this.#deps.onLost(runId, reason);
    }
    await this.#dropEnded(listed);
  }

  /** Takes away the claims of this worker whose runs are not listed (any more). */
  async #dropEnded(listed: readonly ListedOutput[]): Promise<void> {
    const going = new Set(listed.map(({ runId }) => runId));
    for (const [runId, { root }] of this.#held) {
      if (going.has(runId)) continue;
      this.#held.delete(runId);
      await dropClaim(root, runId);
    }
  }
}
