/**
 * Loads the plugins that a configuration names, once, before a worker starts. What cannot be loaded, or has wrong settings,
 * is a fault of the configuration, all of them told together; what breaks later is degraded and never ends a worker.
 */
import { createRequire } from "node:module";
import { isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import type { CapacityRule, Collector, ProbePlugin, RulePlugin } from "../plugin.ts";
import { checkSettings } from "../plugin-settings.ts";
import type { AdmissionRule } from "./admission-view.ts";
import { CollectorProbe } from "./plugin-probe.ts";
import { GuardedRule } from "./plugin-rule.ts";
import type { PluginReading } from "./machine.ts";
import type { Probe } from "./probes/probe.ts";

/** One entry of the configuration: an absolute path or the name of a package, and what its own schema checks. */
export interface PluginEntry {
  readonly module: string;
  readonly settings: unknown;
}

export interface PluginEntries {
  readonly probes: readonly PluginEntry[];
  readonly rules: readonly PluginEntry[];
}

export interface LoadedPlugins {
  readonly probes: readonly Probe<PluginReading>[];
  readonly rules: readonly AdmissionRule[];
  /** By name: rules whose settings may change while they are asked. */
  readonly tunable: ReadonlyMap<string, TunableRule>;
}

export interface TunableRule {
  /**
   * Puts settings over those of the configuration; none takes back what was put there before.
   * @throws {InvalidInputError} for settings that the rule refuses; then it stays as it is
   */
  tune(settings: Readonly<Record<string, unknown>> | undefined): void;
}

interface Made<T> {
  readonly made: T;
  /** The same with other settings. */
  again(settings: unknown): T;
}

const LOAD_MS = 10_000;
const NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** @throws {InvalidInputError} with every plugin that cannot be used */
export async function loadPlugins(entries: PluginEntries, title = "configuration"): Promise<LoadedPlugins> {
  const faults: Fault[] = [];
  const names = new Set<string>();
  type Plugin = Collector & CapacityRule;
  const makeAll = async (kind: "probe" | "rule", keep: (made: Made<Plugin>, entry: PluginEntry) => void) => {
    const list = kind === "probe" ? entries.probes : entries.rules;
    for (const [at, entry] of list.entries()) {
      const where = `governor.${kind}s[${at}]`;
      try {
        const plugin = await make<Plugin>(kind, entry, where);
        checkName(plugin.made.name, where, names);
        keep(plugin, entry);
      } catch (error) {
        if (!(error instanceof InvalidInputError)) throw error;
        faults.push(...error.faults);
      }
    }
  };
  const probes: Probe<PluginReading>[] = [];
  const rules: GuardedRule[] = [];
  const tunable = new Map<string, TunableRule>();
  await makeAll("probe", ({ made }) => probes.push(new CollectorProbe(made)));
  await makeAll("rule", (plugin, { settings }) => {
    const rule = new GuardedRule(plugin.made);
    rules.push(rule);
    tunable.set(plugin.made.name, tunableRule(rule, plugin, settings));
  });
  if (faults.length > 0) throw new InvalidInputError(title, faults);
  return { probes: [...probes, ...rules], rules: rules.map((rule) => rule.decide), tunable };
}

function tunableRule(rule: GuardedRule, plugin: Made<CapacityRule>, configured: unknown): TunableRule {
  const { name } = plugin.made;
  return {
    tune: (settings) => {
      const next = plugin.again(settings === undefined ? configured : { ...Object(configured), ...settings });
      if (next.name !== name) throw fault("settings", `settings under which it is still called ${name}`, next.name);
      rule.replace(next);
    },
  };
}

async function make<T extends Collector & CapacityRule>(
  kind: "probe" | "rule",
  { module, settings }: PluginEntry,
  where: string,
): Promise<Made<T>> {
  const loaded = await within(LOAD_MS, importModule(module)).catch((error: unknown) => {
    throw fault(`${where}.module`, "a module that can be loaded", `${module}: ${messageOf(error)}`, error);
  });
  const plugin = loaded[kind] as ProbePlugin | RulePlugin | undefined;
  if (typeof plugin?.create !== "function") {
    throw fault(`${where}.module`, `a module that exports a ${kind}`, `${module} without one`);
  }
  const create = (raw: unknown, at: string): T => {
    const checked = checkSettings(plugin.settings, raw, at);
    let made: Partial<T>;
    try {
      made = plugin.create(checked) as Partial<T>;
    } catch (error) {
      throw fault(at, `settings that the ${kind} accepts`, messageOf(error), error);
    }
    const method = kind === "probe" ? made.read : made.decide;
    if (typeof method === "function") return made as T;
    throw fault(`${where}.module`, `a ${kind} with its function`, `one of ${module} without it`);
  };
  return { made: create(settings, `${where}.settings`), again: (raw) => create(raw, "settings") };
}

function checkName(name: unknown, where: string, names: Set<string>): void {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw fault(`${where}.module`, "a plugin whose name is lower-case letters, digits and -", JSON.stringify(name));
  }
  if (names.has(name)) throw fault(`${where}.module`, "a plugin with a name of its own", `"${name}" a second time`);
  names.add(name);
}

/** A package is looked for beside the configuration's folder first, and then beside Headroom itself. */
async function importModule(module: string): Promise<Record<string, unknown>> {
  if (isAbsolute(module)) return (await import(pathToFileURL(module).href)) as Record<string, unknown>;
  let path: string;
  try {
    path = createRequire(join(process.cwd(), "package.json")).resolve(module);
  } catch {
    // Not there, or made for `import` alone: then the runtime's own way finds it or says why not.
    return (await import(module)) as Record<string, unknown>;
  }
  return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`it is still not loaded after ${ms} ms`));
    }, ms);
  });
  return Promise.race([work, late]).finally(() => {
    clearTimeout(timer);
  });
}

function fault(where: string, expected: string, found: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError("plugin", [{ where, expected, found }], { cause });
}
