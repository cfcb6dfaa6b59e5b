/** A collector of a plugin as a probe: read off the tick, its figures checked, its loops broken off. */
import type { Collector } from "../plugin.ts";
import { callWithin } from "./guarded-call.ts";
import type { Figures, PluginReading } from "./machine.ts";
import type { BackgroundProbe } from "./probes/probe.ts";

const PERIOD_MS = 5_000;
const LIMIT_MS = 5_000;
/** For what the collector does before it first waits. */
const TURN_MS = 100;
const MOST_FIGURES = 64;

export class CollectorProbe implements BackgroundProbe<PluginReading> {
  readonly name: string;
  readonly mode = "background";
  readonly periodMs: number;
  readonly staleMs: number;
  readonly limitMs: number;
  readonly #collector: Collector;

  constructor(collector: Collector) {
    this.#collector = collector;
    this.name = `plugin ${collector.name}`;
    this.periodMs = Math.max(100, collector.periodMs ?? PERIOD_MS);
    this.staleMs = collector.staleMs ?? 10 * this.periodMs;
    this.limitMs = Math.max(100, collector.limitMs ?? LIMIT_MS);
  }

  async open(): Promise<boolean> {
    return callWithin(TURN_MS, () => this.#collector.open?.() ?? true);
  }

  async read(signal: AbortSignal): Promise<PluginReading> {
    const answer: unknown = await callWithin(TURN_MS, () => this.#collector.read(signal));
    return { plugin: this.#collector.name, figures: checkFigures(answer) };
  }

  close(): void {
    callWithin(TURN_MS, () => this.#collector.close?.());
  }
}

function checkFigures(answer: unknown): Figures {
  if (typeof answer !== "object" || answer === null)
    throw new Error(`expected figures by name, found ${typeof answer}`);
  const entries = Object.entries(answer);
  if (entries.length > MOST_FIGURES)
    throw new Error(`expected ${MOST_FIGURES} figures at most, found ${entries.length}`);
  for (const [name, value] of entries) {
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) throw new Error(`expected a name such as free_tokens, found "${name}"`);
    if (!Number.isFinite(value)) throw new Error(`expected a finite number as ${name}, found ${String(value)}`);
  }
  return Object.fromEntries(entries);
}
