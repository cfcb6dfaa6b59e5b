/** What people set while this worker runs (`headroom limits`, `headroom rules`), over what it was started with. */
import { messageOf } from "../contract/errors.ts";
import type { Limits } from "../contract/limits.ts";
import type { Service } from "../platform/lifecycle.ts";
import { limitsFor, loadAllLimits, type LimitsDeps } from "../platform/limits.ts";
import { loadRuleSettings } from "../platform/rule-settings.ts";
import type { GovernorConfig } from "./governor/governor-config.ts";
import type { Governor } from "./governor/governor.ts";
import type { MachineLimits } from "./governor/machine-gates.ts";
import type { TunableRule } from "./governor/plugins.ts";

type Settings = Omit<GovernorConfig, "labels">;

export interface LiveLimitsDeps extends LimitsDeps {
  readonly governor: Pick<Governor, "configure" | "hold">;
  /** What the worker was started with. */
  readonly settings: Settings;
  readonly worker: { readonly workerId: string; readonly host: string };
  /** Rules of plugins, by name. */
  readonly rules: ReadonlyMap<string, TunableRule>;
  /** Something was changed: what waits may be let in. */
  onChange(): void;
}

export class LiveLimits implements Service {
  readonly #deps: LiveLimitsDeps;
  #applied = "{}";
  /** What was last put over the settings of each rule, be it refused. */
  readonly #tuned = new Map<string, string>();
  #reading: Promise<void> = Promise.resolve();

  constructor(deps: LiveLimitsDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    await this.refresh();
  }

  async stop(): Promise<void> {
    await this.#reading;
  }

  /** Reads what is set, and applies it when it is another than before. One at a time; a failure keeps what counts now. */
  refresh(): Promise<void> {
    this.#reading = this.#reading
      .then(() => this.#apply())
      .then(() => this.#tune())
      .catch((error: unknown) => {
        this.#deps.logger.warn(
          { err: error, reason: messageOf(error) },
          "limits or settings of rules could not be read, the last ones stay",
        );
      });
    return this.#reading;
  }

  async #apply(): Promise<void> {
    const { governor, settings, worker, logger } = this.#deps;
    const limits = limitsFor(await loadAllLimits(this.#deps), worker);
    const text = JSON.stringify(limits);
    if (text === this.#applied) return;
    governor.configure(settingsWith(settings, limits));
    governor.hold({ isPaused: limits.paused === true });
    this.#applied = text;
    logger.info({ limits }, "limits of this worker changed");
  }

  async #tune(): Promise<void> {
    const { rules, logger } = this.#deps;
    if (rules.size === 0) return;
    const set = await loadRuleSettings(this.#deps);
    for (const [name, rule] of rules) {
      const settings = set.get(name);
      const text = settings === undefined ? "" : JSON.stringify(settings);
      if (text === (this.#tuned.get(name) ?? "")) continue;
      this.#tuned.set(name, text);
      try {
        rule.tune(settings);
        logger.info({ rule: name, settings }, "settings of a rule changed");
      } catch (error) {
        logger.error({ err: error, rule: name }, "settings of a rule are refused, the last ones stay");
      }
    }
    this.#deps.onChange();
  }
}

/** Settings of a worker with limits over them. People write per cent. */
export function settingsWith(settings: Settings, limits: Limits): Settings {
  const { max_processes, memory_max, memory_threshold_percent: memory, cpu_threshold_percent: cpu } = limits;
  return {
    ...settings,
    ...(max_processes !== undefined && { maxProcesses: max_processes }),
    ...(memory_max !== undefined && { memoryMaxBytes: memory_max }),
    ...(memory !== undefined && { memoryThreshold: memory / 100 }),
    ...(cpu !== undefined && { cpuThreshold: cpu / 100 }),
    machine: { ...settings.machine, ...machineLimitsOf(limits) },
  };
}

function machineLimitsOf(limits: Limits): MachineLimits {
  const { disk_free, disk_free_inodes, io_pressure_percent, max_temperature, max_watts } = limits;
  return {
    ...(disk_free !== undefined && { diskFreeBytes: disk_free }),
    ...(disk_free_inodes !== undefined && { diskFreeInodes: disk_free_inodes }),
    ...(io_pressure_percent !== undefined && { ioPressure: io_pressure_percent / 100 }),
    ...(max_temperature !== undefined && { maxCelsius: max_temperature }),
    ...(max_watts !== undefined && { maxWatts: max_watts }),
  };
}
