/** What every planner must do, whatever stands behind it: one suite for all of them, plugins too. */
import { describe, expect, test } from "vitest";
import { callFailures, type Planner, type PlanRequest } from "../../src/producer/planner/planner.ts";
import { emptyOffer } from "./scripted-planner.ts";

/** What stands behind the planner in one test. */
export type Backend =
  | { readonly does: "answer"; readonly text: string }
  /** It takes the question and never answers. */
  | { readonly does: "hang" }
  /** It says that it has failed, and repeats the secret in its message. */
  | { readonly does: "fail" };

export interface PlannerHarness extends AsyncDisposable {
  readonly planner: Planner;
  /** Resolves when the question has arrived at the backend. */
  asked(): Promise<void>;
  /** Whether anything that the call started is still there. */
  isQuiet(): Promise<boolean>;
}

export interface PlannerKind {
  readonly name: string;
  /** Answers may have this many bytes. */
  readonly maxBytes: number;
  /** A recording cannot hang. */
  readonly canHang: boolean;
  readonly secret: string | undefined;
  open(backend: Backend): Promise<PlannerHarness>;
}

export const GOAL = "say hello to the world";

export function requestOf(change: Partial<PlanRequest> = {}): PlanRequest {
  return {
    goal: GOAL,
    call: 1,
    offer: emptyOffer,
    schema: { type: "object" },
    faults: [],
    messages: [
      { role: "system", content: "You plan." },
      { role: "user", content: `The goal: ${GOAL}` },
    ],
    maxOutputTokens: 1_000,
    ...change,
  };
}

const never = new AbortController().signal;

/** Declares the suite. */
export function describePlanner(kind: PlannerKind): void {
  describe(`a planner of the kind ${kind.name}`, () => {
    test.each([
      ["a plan", '{"version":1,"nodes":[]}'],
      ["prose", "I would rather not."],
      ["an empty text", ""],
      ["many scripts", "Grüße 日本語 🙂 \u202e \\ \" ' \n\t end"],
      ["something that looks like an envelope", '{"type":"result","is_error":true,"choices":[]}'],
    ])("hands over %s as it came", async (_what, text) => {
      await using harness = await kind.open({ does: "answer", text });
      const reply = await harness.planner.plan(requestOf(), never);
      expect(reply).toMatchObject({ kind: "answered", text });
      expect(reply.usage === undefined || isUsage(reply.usage)).toBe(true);
      expect(await harness.isQuiet()).toBe(true);
    });

    test("answers again, and may be disposed of twice", async () => {
      await using harness = await kind.open({ does: "answer", text: "hello" });
      for (let call = 0; call < 3; call += 1) {
        expect(await harness.planner.plan(requestOf(), never)).toMatchObject({ kind: "answered", text: "hello" });
      }
      await harness.planner[Symbol.asyncDispose]();
      await harness.planner[Symbol.asyncDispose]();
    });

    test("takes an answer of the greatest length, and refuses a longer one", async () => {
      await using fits = await kind.open({ does: "answer", text: "x".repeat(kind.maxBytes) });
      expect(await fits.planner.plan(requestOf(), never)).toMatchObject({ kind: "answered" });
      for (const bytes of [kind.maxBytes + 1, kind.maxBytes * 20]) {
        await using over = await kind.open({ does: "answer", text: "x".repeat(bytes) });
        expect(await over.planner.plan(requestOf(), never)).toMatchObject({ kind: "failed", failure: "too-long" });
        expect(await over.isQuiet()).toBe(true);
      }
    });

    test("tells a failure on one line, without secrets, and does not throw it", async () => {
      await using harness = await kind.open({ does: "fail" });
      const reply = await harness.planner.plan(requestOf(), never);
      if (reply.kind !== "failed") throw new Error(`expected a failure, found ${reply.kind}`);
      expect(Object.keys(callFailures)).toContain(reply.failure);
      expect(reply.message).toMatch(/^.{1,300}$/);
      if (kind.secret !== undefined) expect(reply.message).not.toContain(kind.secret);
    });

    test("asks nothing when it was aborted before", async () => {
      await using harness = await kind.open({ does: "answer", text: "hello" });
      const reason = new Error("enough");
      await expect(harness.planner.plan(requestOf(), AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(await harness.isQuiet()).toBe(true);
    });

    test.skipIf(!kind.canHang)("ends with the reason when it is aborted, after all that it started", async () => {
      await using harness = await kind.open({ does: "hang" });
      const controller = new AbortController();
      const reason = new Error("enough");
      const reply = harness.planner.plan(requestOf(), controller.signal);
      await harness.asked();
      controller.abort(reason);
      await expect(reply).rejects.toBe(reason);
      await expect.poll(() => harness.isQuiet()).toBe(true);
    });
  });
}

function isUsage({
  inputTokens,
  outputTokens,
  costUsd,
}: {
  inputTokens: number;
  outputTokens: number;
  costUsd: number | null;
}) {
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  return isCount(inputTokens) && isCount(outputTokens) && (costUsd === null || costUsd >= 0);
}
