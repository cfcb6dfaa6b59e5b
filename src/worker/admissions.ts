/** What a worker's pull loop asks before it claims: has the governor room for it, and is it this worker's turn? */
import { isChunkJob } from "../contract/jobs.ts";
import { bucketBytes } from "../contract/profiles.ts";
import type { ClusterLoad } from "./cluster-load.ts";
import type { Governor } from "./governor/governor.ts";
import type { GovernorTicket, ReserveQuestion } from "./governor/governor-port.ts";
import type { Wait } from "./governor/waiting.ts";
import type { Lane, Wanted } from "./lane.ts";
import { compareHeads, type QueueHead, type QueueHeads } from "./queue-heads.ts";

export interface AdmissionsDeps {
  readonly governor: Pick<Governor, "tryReserve" | "check">;
  readonly load: Pick<ClusterLoad, "shouldYield" | "isYielding" | "took">;
  readonly heads: Pick<QueueHeads, "of" | "look" | "forget">;
}

/** What is said to a lane. `empty`: there is no job in it. */
export type Ticket = Admitted | { readonly kind: "wait" | "defer" | "reject" | "empty" };

/** Room for one job, to be released. */
export interface Admitted {
  readonly kind: "admit";
  /** The job that the room is for; undefined: any of the queue. */
  readonly wanted?: Wanted;
  release(): void;
  bind(jobId: string, runId: string): void;
}

export class Admissions {
  readonly #deps: AdmissionsDeps;

  constructor(deps: AdmissionsDeps) {
    this.#deps = deps;
  }

  /**
   * Reserves room for one job of the lane, or says no. Room for any job of its size is asked for first, which needs no look
   * at Redis; where that is lacking, room for one of the very jobs that are next, the one that fills the worker best.
   */
  async admit(lane: Lane): Promise<Ticket> {
    const { heads } = this.#deps;
    const queue = lane.place.name;
    if (heads.of(queue).length === 0 && !isForCards(lane)) {
      const ticket = this.#reserve(lane);
      if (ticket.kind === "admit" || !isChunkJob(lane.jobName) || !isForSize(ticket)) return ticket;
    }
    return (await heads.look(lane)) ? this.#reserve(lane) : { kind: "empty" };
  }

  /** Whether more than one kind of job may wait, so that the order of claims matters. */
  isOrderWanted(lanes: readonly Lane[]): boolean {
    return lanes.filter(({ jobName }) => isChunkJob(jobName)).length > 1;
  }

  /**
   * The lanes in the order in which their next jobs are best let in. First scans and reports, and those of which nothing can
   * be told: a fetch finds out whether a delayed job is due there.
   */
  async inOrder(lanes: readonly Lane[]): Promise<readonly Lane[]> {
    const { heads } = this.#deps;
    await Promise.all(lanes.filter(({ jobName }) => isChunkJob(jobName)).map((lane) => heads.look(lane)));
    const known: { lane: Lane; head: QueueHead }[] = [];
    const others = lanes.filter((lane) => {
      const [head] = heads.of(lane.place.name);
      if (head !== undefined) known.push({ lane, head });
      return head === undefined;
    });
    return [...others, ...known.toSorted((a, b) => compareHeads(a.head, b.head)).map(({ lane }) => lane)];
  }

  /** Whether `admit` would say yes now; reserves nothing. */
  couldAdmit(lane: Lane): boolean {
    const { heads, load, governor } = this.#deps;
    if (load.isYielding(lane.place.name)) return false;
    const known = heads.of(lane.place.name);
    const questions = known.length === 0 ? [questionOf(lane)] : known.map((head) => questionOf(lane, head));
    return questions.some((question) => {
      const answer = governor.check(question);
      return answer.kind === "admit" || isForKind(answer) || (known.length === 0 && isForCard(answer));
    });
  }

  #reserve(lane: Lane): Admitted | Wait | { readonly kind: "wait" } {
    const { governor, load, heads } = this.#deps;
    const known = heads.of(lane.place.name);
    const ofAny = questionOf(lane);
    // Where any job of its size has room, it is no loss when another worker was quicker.
    const isOnly = known.length > 0 && (isForCards(lane) || governor.check(ofAny).kind !== "admit");
    const head = isOnly ? this.#bestThatFits(lane, known) : known[0];
    const question = isOnly ? questionOf(lane, head) : { ...ofAny, isBehind: head?.isBehind };
    const answer = governor.tryReserve(question);
    if (answer.kind !== "admit") return answer;
    if (!load.shouldYield({ ...question, need: answer.reserved })) {
      return this.#counted(answer, question, head && { jobId: head.jobId, isBehind: head.isBehind, isOnly });
    }
    answer.release();
    return { kind: "wait" };
  }

  /** The best of the jobs that has room now; where none has, the first of the queue, for which room is waited for. */
  #bestThatFits(lane: Lane, known: readonly QueueHead[]): QueueHead | undefined {
    const { governor } = this.#deps;
    const found = known.find((head) => governor.check(questionOf(lane, head)).kind === "admit");
    return found ?? known.find(({ isBehind }) => !isBehind);
  }

  /** The ticket, with what it promises counted as this worker's load while a job holds it. */
  #counted(ticket: GovernorTicket, { queue }: ReserveQuestion, wanted: Wanted | undefined): Admitted {
    const { load, heads } = this.#deps;
    let letGo = (): void => undefined;
    return {
      kind: "admit",
      ...(wanted !== undefined && { wanted }),
      bind: (jobId, runId) => {
        heads.forget(queue);
        ticket.bind(jobId, runId);
        letGo = load.took(ticket.reserved);
      },
      release: () => {
        heads.forget(queue);
        ticket.release();
        letGo();
      },
    };
  }
}

/** Whether a job that takes less, or takes it later, could be let in. */
function isForSize(answer: Wait | { readonly kind: "wait" }): boolean {
  if (answer.kind === "wait") return false;
  return answer.kind === "reject" || answer.lacking === "memoryBytes" || answer.code === "HOLDING" || isForKind(answer);
}

/** Whether it depends on the kind of the next job, which was not looked at. */
function isForKind(answer: Exclude<Wait, { kind: "admit" }>): boolean {
  return answer.kind === "defer" && answer.lacking === "kind";
}

/**
 * Whether its jobs ask for a card. A queue holds jobs of one size of memory, but of any size on a card: room is asked for the
 * very jobs that are next, never for any of them.
 */
function isForCards({ jobName, place }: Lane): boolean {
  return isChunkJob(jobName) && place.spec.labels.includes("gpu");
}

/** Whether a job that takes less of a card could be let in. */
function isForCard(answer: Exclude<Wait, { kind: "admit" }>): boolean {
  return answer.kind === "defer" && answer.lacking === "gpu";
}

/** What one job of a lane asks for: what the job itself is expected to take, or the upper edge of its size bucket. */
function questionOf({ bucket, jobName, place }: Lane, head?: QueueHead): ReserveQuestion {
  // Control jobs run inside the worker.
  const processes = isChunkJob(jobName) ? 1 : 0;
  const memoryBytes = head?.expectation.memoryBytes.p95 ?? bucketBytes(bucket);
  const need = { memoryBytes, cpuCores: place.spec.cpuCores, processes };
  const ofHead = head !== undefined && { expected: head, jobId: head.jobId, isBehind: head.isBehind };
  const { labels, gpuMemoryBytes } = place.spec;
  return { queue: place.name, need, labels, gpuMemoryBytes, ...ofHead };
}
