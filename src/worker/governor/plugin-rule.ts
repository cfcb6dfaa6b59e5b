/**
 * A capacity rule of a plugin. States: `working`; `broken` (it threw, took too long, or answered nonsense): not asked for
 * a while, during which jobs are admitted or deferred as the rule says, and told as degraded like a probe that fails.
 */
import { messageOf } from "../../contract/errors.ts";
import type { CapacityRule } from "../plugin.ts";
import type { AdmissionRule, AdmissionView, Objection, Request } from "./admission-view.ts";
import { callWithin } from "./guarded-call.ts";
import type { PluginReading } from "./machine.ts";
import type { InlineProbe } from "./probes/probe.ts";

const LIMIT_MS = 50;
const BROKEN_MS = 30_000;
const RETRY_MS = 1_000;

export class GuardedRule implements InlineProbe<PluginReading> {
  readonly name: string;
  readonly mode = "inline";
  readonly periodMs = 250;
  readonly staleMs = 60_000;
  #rule: CapacityRule;
  readonly #code: `RULE_${string}`;
  readonly #nowMs: () => number;
  #fault: string | undefined;
  #askAgainAtMs = -Infinity;

  constructor(rule: CapacityRule, nowMs: () => number = () => performance.now()) {
    this.#rule = rule;
    this.#nowMs = nowMs;
    this.name = `rule ${rule.name}`;
    this.#code = `RULE_${rule.name.toUpperCase().replaceAll("-", "_")}`;
  }

  /** The rule as the governor asks it. Work inside the worker is not asked about: a run must be able to end. */
  readonly decide: AdmissionRule = (request, view) => {
    if (request.isInside) return undefined;
    if (this.#nowMs() < this.#askAgainAtMs) return this.#whileBroken();
    try {
      const objection = this.#ask(request, view);
      this.#fault = undefined;
      return objection;
    } catch (error) {
      this.#fault = messageOf(error);
      this.#askAgainAtMs = this.#nowMs() + BROKEN_MS;
      return this.#whileBroken();
    }
  };

  /** The same rule with other settings: asked at once, whatever the last one did. */
  replace(rule: CapacityRule): void {
    this.#rule = rule;
    this.#fault = undefined;
    this.#askAgainAtMs = -Infinity;
  }

  open(): boolean {
    return true;
  }

  /** A rule has no figures; it is read for its health. */
  read(): PluginReading {
    if (this.#fault !== undefined) throw new Error(this.#fault);
    return { plugin: this.#rule.name, figures: {} };
  }

  close(): void {
    this.#askAgainAtMs = -Infinity;
  }

  #ask({ queue = "", need, labels }: Request, view: AdmissionView): Objection | undefined {
    const { cpuCores, memory, running = [], figures = {} } = view;
    const worker = { nowMs: Date.now(), cpuCores, memory, running, figures };
    const answer: unknown = callWithin(LIMIT_MS, () => this.#rule.decide({ queue, need, labels }, worker));
    return answer === undefined || answer === null ? undefined : this.#objectionOf(answer);
  }

  #objectionOf(answer: unknown): Objection {
    const { message, need, have, retryAfterMs } = answer as Readonly<Record<string, unknown>>;
    if (typeof message !== "string" || message === "") {
      throw new Error(`expected an objection with a message, found ${JSON.stringify(answer)}`);
    }
    const isPause = typeof retryAfterMs === "number" && retryAfterMs >= 1;
    return {
      ...{ code: this.#code, lacking: "rule", message },
      ...{ need: shown(need), have: shown(have), retryAfterMs: isPause ? retryAfterMs : RETRY_MS },
    };
  }

  #whileBroken(): Objection | undefined {
    if (this.#rule.whenBroken !== "defer") return undefined;
    const message = `the rule ${this.#rule.name} is broken: ${this.#fault ?? "it gave no answer"}`;
    return { code: this.#code, lacking: "rule", message, need: null, have: null, retryAfterMs: RETRY_MS };
  }
}

function shown(value: unknown): number | string | null {
  return typeof value === "number" || typeof value === "string" ? value : null;
}
