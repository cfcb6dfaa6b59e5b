/** What a worker's pull loop asks before it claims: has the governor room for it, and is it this worker's turn? */
import type { JobName } from "../contract/jobs.ts";
import { bucketBytes } from "../contract/profiles.ts";
import type { ClusterLoad } from "./cluster-load.ts";
import type { Governor } from "./governor/governor.ts";
import type { GovernorTicket, ReserveQuestion } from "./governor/governor-port.ts";
import type { Lane } from "./lane.ts";
import type { Ticket } from "./pull-loop.ts";

export interface AdmissionsDeps {
  readonly governor: Pick<Governor, "tryReserve" | "check">;
  readonly load: Pick<ClusterLoad, "shouldYield" | "isYielding" | "took">;
}

export class Admissions {
  readonly #deps: AdmissionsDeps;

  constructor(deps: AdmissionsDeps) {
    this.#deps = deps;
  }

  /** Reserves room for one job of the lane, or says no. */
  admit(lane: Lane): Ticket {
    const { governor, load } = this.#deps;
    const question = questionOf(lane);
    const answer = governor.tryReserve(question);
    if (answer.kind !== "admit") return { kind: "wait" };
    if (!load.shouldYield({ ...question, need: answer.reserved })) return this.#counted(answer);
    answer.release();
    return { kind: "wait" };
  }

  /** Whether `admit` would say yes now; reserves nothing. */
  couldAdmit(lane: Lane): boolean {
    const question = questionOf(lane);
    return !this.#deps.load.isYielding(question.queue) && this.#deps.governor.check(question).kind === "admit";
  }

  /** The ticket, with what it promises counted as this worker's load while a job holds it. */
  #counted(ticket: GovernorTicket): Ticket {
    const { load } = this.#deps;
    let letGo = (): void => undefined;
    return {
      kind: "admit",
      bind: (jobId, runId) => {
        ticket.bind(jobId, runId);
        letGo = load.took(ticket.reserved);
      },
      release: () => {
        ticket.release();
        letGo();
      },
    };
  }
}

/** What one job of a lane asks for: the upper edge of its size bucket. Control jobs run inside the worker. */
function questionOf({ bucket, jobName, place }: Lane): ReserveQuestion {
  const exec: JobName = "exec";
  const processes = jobName === exec ? 1 : 0;
  const need = { memoryBytes: bucketBytes(bucket), cpuCores: place.spec.cpuCores, processes };
  return { queue: place.name, need, labels: place.spec.labels };
}
