/** Says in words what is wrong with a configuration: the place, what was expected, what was found. */
import { contradictions } from "./config-contradictions.ts";
import { knownKeys } from "./config-json-schema.ts";
import { InvalidInputError } from "./errors.ts";
import { configSchema, type Config } from "./config.ts";
import { field, oneOf, schemaFaults, showPath, type PathFault } from "./schema-faults.ts";
import { checkSchedule } from "./schedules.ts";
import { checkTemplates } from "./template.ts";

export type ParsedConfig =
  | { readonly kind: "valid"; readonly config: Config }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** Checks a whole configuration, the rules between settings included. */
export function parseConfig(raw: unknown): ParsedConfig {
  const result = configSchema.safeParse(raw);
  const own = result.success ? [] : schemaFaults(result.error.issues, raw, knownKeys);
  // A rule over a value that is no value says nothing new.
  const faults = [...own, ...ruleFaults(raw).filter((rule) => !own.some((fault) => fault.where === rule.where))];
  return result.success && faults.length === 0 ? { kind: "valid", config: result.data } : { kind: "faulty", faults };
}

/** Rules between settings; they read the raw value, so that they are reported together with all other faults. */
function ruleFaults(raw: unknown): PathFault[] {
  return [...profileFaults(raw), ...templateFaults(raw), ...contradictions(raw), ...scheduleFaults(raw)];
}

function scheduleFaults(raw: unknown): PathFault[] {
  const schedules = field(raw, "schedules") ?? {};
  if (typeof schedules !== "object" || Array.isArray(schedules)) return [];
  return Object.entries(schedules).flatMap(([name, written]) => {
    const checked = checkSchedule(written);
    if (checked.kind === "valid") return [];
    return checked.faults.map((fault) => {
      const path = ["schedules", name, ...fault.path];
      return { ...fault, path, where: showPath(path) };
    });
  });
}

function profileFaults(raw: unknown): PathFault[] {
  const name = field(raw, "profile");
  const profiles = field(raw, "profiles") ?? {};
  if (typeof name !== "string" || name === "default" || typeof profiles !== "object") return [];
  if (field(profiles, name) !== undefined) return [];
  const known = ["default", ...Object.keys(profiles)];
  const expected = `a profile that is declared: ${oneOf(known, name)}`;
  return [{ path: ["profile"], where: "profile", expected, found: JSON.stringify(name) }];
}

function templateFaults(raw: unknown): PathFault[] {
  const flags = field(field(raw, "binary"), "flags") ?? [];
  const name = field(field(raw, "output"), "name") ?? "{name}";
  if (!Array.isArray(flags) || !flags.every((flag) => typeof flag === "string") || typeof name !== "string") return [];
  try {
    checkTemplates(flags, name);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return error.faults.map((fault) => {
      const path = fault.where === "output name" ? ["output", "name"] : ["binary", "flags"];
      return { ...fault, path, where: showPath(path) };
    });
  }
}
