import { describe, expect, it } from "vitest";
import { Admissions, type AdmissionsDeps } from "../../../src/worker/admissions.ts";
import type { Lane } from "../../../src/worker/lane.ts";

/** What admissions look at of a lane. */
const lane = (bucket: number, labels: readonly string[] = []): Lane =>
  ({
    bucket,
    jobName: "exec",
    place: { name: `exec.default@${bucket}`, spec: { cpuCores: 1, labels } },
  }) as unknown as Lane;

class Asked {
  readonly log: string[] = [];
  isAnothersTurn = false;

  get admissions(): Admissions {
    const ticket = {
      kind: "admit",
      reserved: { memoryBytes: 1, cpuCores: 1, processes: 1 },
      bind: (jobId: string) => this.log.push(`bind ${jobId}`),
      release: () => this.log.push("release"),
    } as const;
    const governor = {
      tryReserve: () => ticket,
      check: () => ({ kind: "admit" }),
    } as unknown as AdmissionsDeps["governor"];
    const load = {
      shouldYield: () => this.isAnothersTurn,
      isYielding: () => this.isAnothersTurn,
      took: () => {
        this.log.push("took");
        return () => this.log.push("let go");
      },
    };
    const heads = { of: () => [], look: () => Promise.resolve(true), forget: () => undefined };
    return new Admissions({ governor, load, heads });
  }
}

describe("admissions of a worker", () => {
  it("count a job as load from its claim to its end, and a ticket without a job as nothing", async () => {
    const asked = new Asked();
    const empty = await asked.admissions.admit(lane(1));
    if (empty.kind === "admit") empty.release();
    expect(asked.log).toEqual(["release"]);
    const ticket = await asked.admissions.admit(lane(1));
    if (ticket.kind !== "admit") throw new Error("expected a ticket");
    ticket.bind("j", "r");
    ticket.release();
    ticket.release();
    expect(asked.log.filter((line) => line !== "release")).toEqual(["bind j", "took", "let go", "let go"]);
  });

  it("give the room back when the job is another worker's turn", async () => {
    const asked = new Asked();
    asked.isAnothersTurn = true;
    expect((await asked.admissions.admit(lane(1))).kind).toBe("wait");
    expect(asked.log).toEqual(["release"]);
    expect(asked.admissions.couldAdmit(lane(1))).toBe(false);
  });

  it("look at the next job where its kind decides, and watch its queue meanwhile", async () => {
    let known: unknown[] = [];
    const need = { memoryBytes: 1, cpuCores: 1, processes: 1 };
    const ticket = { kind: "admit", reserved: need, bind: () => undefined, release: () => undefined } as const;
    const answer = ({ expected }: { expected?: unknown }) =>
      expected === undefined ? { kind: "defer", code: "CLASS_LIMIT", lacking: "kind" } : ticket;
    const admissions = new Admissions({
      governor: { tryReserve: answer, check: answer } as unknown as AdmissionsDeps["governor"],
      load: { shouldYield: () => false, isYielding: () => false, took: () => () => undefined },
      heads: {
        of: () => known as ReturnType<AdmissionsDeps["heads"]["of"]>,
        look: () => {
          known = [{ jobId: "next", isBehind: false, expectation: { memoryBytes: { p95: 1 } }, kind: "default:a" }];
          return Promise.resolve(true);
        },
        forget: () => undefined,
      },
    });
    expect(admissions.couldAdmit(lane(1))).toBe(true);
    expect(await admissions.admit(lane(1))).toMatchObject({ kind: "admit", wanted: { jobId: "next", isOnly: true } });
  });

  it.each([
    ["there is room for any", "admit"],
    ["there is none for what the last one took", "defer"],
  ])("ask for a card for the very job that is next, also where %s", async (_name, ofAny) => {
    let known: unknown[] = [];
    const need = { memoryBytes: 1, cpuCores: 1, processes: 1 };
    const ticket = { kind: "admit", reserved: need, bind: () => undefined, release: () => undefined } as const;
    const asked: unknown[] = [];
    const check = ({ expected }: { expected?: unknown }) =>
      expected !== undefined || ofAny === "admit" ? ticket : { kind: "defer", code: "GPU_MEM", lacking: "gpu" };
    const admissions = new Admissions({
      governor: {
        tryReserve: (question: { jobId?: string; expected?: unknown }) => {
          asked.push(question.jobId);
          return check(question);
        },
        check,
      } as unknown as AdmissionsDeps["governor"],
      load: { shouldYield: () => false, isYielding: () => false, took: () => () => undefined },
      heads: {
        of: () => known as ReturnType<AdmissionsDeps["heads"]["of"]>,
        look: () => {
          known = [{ jobId: "next", isBehind: false, expectation: { memoryBytes: { p95: 1 } } }];
          return Promise.resolve(true);
        },
        forget: () => undefined,
      },
    });
    expect(admissions.couldAdmit(lane(1, ["gpu"]))).toBe(true);
    expect(await admissions.admit(lane(1, ["gpu"]))).toMatchObject({
      kind: "admit",
      wanted: { jobId: "next", isOnly: true },
    });
    expect(asked).toEqual(["next"]);
  });
});
